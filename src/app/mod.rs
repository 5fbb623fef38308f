//! The use cases: one function for each thing that somebody can ask of this server.
//!
//! They know neither HTTP nor any broker's wire form. A refusal is a value; an `Err` says that we
//! could not decide.

pub mod api_keys;
pub mod audit;
pub mod authorize;
pub mod caller;
pub mod check;
pub mod connect;
pub mod doctor;
mod hashing;
pub mod inspect;
pub mod limits;
pub mod organizations;
pub mod policies;
pub mod providers;
pub mod revoke;
mod service_user;
#[cfg(test)]
mod shelf;
pub mod tokens;
pub mod transfer;
pub mod users;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::app::api_keys::last_use::Written;
use crate::app::audit::Audit;
use crate::app::hashing::Hashing;
use crate::app::tokens::quota::TokenCounts;
use crate::clock::{Clock, Stopwatch};
use crate::credential::holder::Holder;
use crate::credential::root_key::RootKeys;
use crate::identity::key_sets::{self, KeySets};
use crate::keyring::Keyring;
use crate::limits::limiter::{self, Limiter};
use crate::metrics::Metrics;
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::names::origin::Origin;
use crate::names::username::Username;
use crate::org::organization::Organization;
use crate::store::port::{self, Store, StoreError, Updated};
use crate::store::record::Alias;
use crate::store::status::Status;

/// Everything that the use cases share. One per server; there is no global state.
pub struct App {
    store: Arc<dyn Store>,
    keys: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// Slow hashes, and who waits for one.
    hashing: Hashing,
    /// How often what may be done.
    limiter: Arc<Limiter>,
    /// Limits how many records are renewed at a time.
    renewing: Arc<Semaphore>,
    /// The public keys of identity providers.
    key_sets: Arc<KeySets>,
    /// How many tokens organizations have, where that is limited.
    token_counts: TokenCounts,
    /// Of which API keys it was written lately that they were used.
    key_uses: Written,
    /// The operator's root keys.
    root_keys: RootKeys,
    audit: Audit,
}

/// The most records that are renewed in the background at a time.
const RENEWALS: usize = 4;

impl App {
    /// Joins the parts. `hashing` slow hashes may run at a time.
    pub fn new(
        store: Arc<dyn Store>,
        keys: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        hashing: usize,
    ) -> Self {
        let limiter = Limiter::new(limiter::Settings::default(), Arc::clone(&clock));
        let settings = key_sets::Settings::default();
        let key_sets = KeySets::new(settings, Arc::clone(&clock), Arc::clone(&metrics));
        Self {
            store,
            keys,
            clock,
            metrics,
            hashing: Hashing::new(hashing),
            limiter: Arc::new(limiter),
            renewing: Arc::new(Semaphore::new(RENEWALS)),
            key_sets: Arc::new(key_sets),
            token_counts: TokenCounts::default(),
            key_uses: Written::default(),
            root_keys: RootKeys::default(),
            audit: Audit::new(audit::Settings::default()),
        }
    }

    /// The same with the operator's root keys.
    pub fn with_root_keys(self, root_keys: RootKeys) -> Self {
        Self { root_keys, ..self }
    }

    /// The same with another limiter.
    pub fn with_limiter(mut self, limiter: Arc<Limiter>) -> Self {
        self.limiter = limiter;
        self
    }

    /// How often what may be done.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// The same with other settings of how providers' keys are fetched.
    pub fn with_key_sets(mut self, settings: key_sets::Settings) -> Self {
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(&self.metrics));
        self.key_sets = Arc::new(KeySets::new(settings, clock, metrics));
        self
    }

    /// Brings a record up to date in the background. Where enough of that is going on already it is
    /// left for the next occasion.
    fn renew_later<F>(&self, renew: impl FnOnce(Arc<dyn Store>) -> F + Send + 'static)
    where
        F: Future<Output = Result<Updated, StoreError>> + Send,
    {
        let Ok(place) = Arc::clone(&self.renewing).try_acquire_owned() else {
            return;
        };
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = renew(store).await {
                tracing::warn!(%error, "a record could not be brought up to date");
            }
        });
    }

    /// What this server counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether the store can be expected to answer.
    ///
    /// # Errors
    /// The store's.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.store.ready().await
    }

    /// How the store is doing.
    pub fn store_status(&self) -> Status {
        self.store.status()
    }

    /// Everything that is counted, and how the store stands now, for Prometheus.
    pub fn render_metrics(&self) -> String {
        if let Some(shared) = self.store.status().shared {
            let fresh = shared.shards.iter().filter(|shard| shard.fresh).count();
            self.metrics.shared_store(fresh, shared.nodes);
            for (number, shard) in shared.shards.iter().enumerate() {
                let seconds = shard.read_milliseconds_ago.map(|age| age as f64 / 1e3);
                let position = shard.position.as_deref();
                self.metrics.log(number, seconds, position);
            }
        }
        self.key_sets.count();
        self.metrics.render()
    }

    /// Now, in whole seconds as tokens and records have them: a life of an hour is 3600 then.
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// Whether a decision on a question that came in with `asked` may still be answered.
    pub fn may_answer(&self, asked: Stopwatch) -> bool {
        self.store.may_answer(asked)
    }

    /// What stands behind a username, at one moment.
    async fn named(
        &self,
        username: &Username,
    ) -> Result<(Option<Arc<Organization>>, Option<Arc<Holder>>), StoreError> {
        port::read_both(&*self.store, &username.organization, username).await
    }

    /// The id behind either form of an organization's name; `None`: no organization has that alias.
    async fn organization_id(
        &self,
        name: OrganizationName,
    ) -> Result<Option<OrganizationId>, StoreError> {
        match name {
            OrganizationName::Id(id) => Ok(Some(id)),
            OrganizationName::Alias(alias) => {
                let alias = port::read::<Alias>(&*self.store, &alias).await?;
                Ok(alias.map(|alias| alias.organization.clone()))
            }
        }
    }

    /// Whether the organization allows callers with this origin. Without one it is no browser.
    ///
    /// # Errors
    /// The store's.
    pub async fn allows_origin(
        &self,
        organization: &OrganizationId,
        origin: Option<&Origin>,
    ) -> Result<bool, StoreError> {
        let Some(origin) = origin else {
            return Ok(true);
        };
        let organization = port::read::<Organization>(&*self.store, organization).await?;
        Ok(organization.is_some_and(|organization| organization.allows_origin(origin)))
    }

    /// The organization that a name is of; `None`: of none.
    ///
    /// # Errors
    /// The store's.
    pub async fn find_organization(
        &self,
        name: OrganizationName,
    ) -> Result<Option<Arc<Organization>>, StoreError> {
        self.organization(name).await
    }

    /// Whether two names are of one organization.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_same_organization(
        &self,
        one: &OrganizationName,
        other: OrganizationName,
    ) -> Result<bool, StoreError> {
        let other = self.organization_id(other).await?.map(OrganizationName::Id);
        Ok(other.as_ref() == Some(one))
    }

    /// The organization behind either form of its name.
    async fn organization(
        &self,
        name: OrganizationName,
    ) -> Result<Option<Arc<Organization>>, StoreError> {
        match self.organization_id(name).await? {
            Some(id) => port::read::<Organization>(&*self.store, &id).await,
            None => Ok(None),
        }
    }
}
