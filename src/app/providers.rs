//! Identity providers of an organization.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::app::organizations::SetupError;
use crate::app::tokens::ExchangeError;
use crate::identity::draft::Draft;
use crate::identity::jwt::{SignedWith, TokenError, UnverifiedToken, VerificationKey};
use crate::identity::key_sets::{KeySetStatus, NoKey, Wanted};
use crate::identity::supabase::{self, Signing};
use crate::keyring::Keyring;
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::org::audit::Action;
use crate::org::organization::{CannotRemove, Organization};
use crate::org::provider::{BadProvider, Provider, ProviderKey};
use crate::org::public_key::Algorithm;
use crate::secret::Secret;
use crate::store::port::{self, Change, Revision, StoreError};
use crate::store::record::RecordKey;

/// How often a change is made again because the store has another state when it is confirmed.
const MAX_TRIES: usize = 16;

/// A Supabase project to trust, by its JWT secret.
#[derive(Debug)]
pub struct NewSupabase<'a> {
    /// What its owner calls it.
    pub name: &'a str,
    /// `https://<project>.supabase.co`
    pub project_url: &'a str,
    /// The project's JWT secret.
    pub jwt_secret: &'a Secret,
    /// What the usernames of its users begin with.
    pub username_prefix: &'a str,
}

/// What may happen to a provider that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderChange {
    /// New exchanges are accepted.
    Enable,
    /// No new exchanges. Logins that were minted stay good until they end or are revoked.
    Disable,
    /// The same, and its place becomes free.
    Remove,
}

impl ProviderChange {
    fn action(self) -> Action {
        match self {
            ProviderChange::Enable => Action::ProviderEnable,
            ProviderChange::Disable => Action::ProviderDisable,
            ProviderChange::Remove => Action::ProviderRemove,
        }
    }
}

/// Why a provider is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// No organization of that name.
    #[error("there is no such organization")]
    NoSuchOrganization,
    /// No provider of that name, or it has to stay.
    #[error(transparent)]
    CannotRemove(#[from] CannotRemove),
    /// A change of which provider?
    #[error("name the provider to change")]
    NoName,
    /// The change was made, and some node may not know yet: exchanges may go on there.
    #[error("the change is stored, but another node may not know of it yet: {0}; run it again")]
    Unconfirmed(StoreError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A provider and how its key set stands in this process.
#[derive(Debug)]
pub struct ProviderView {
    /// The provider.
    pub provider: Provider,
    /// `None`: no token has needed it since this process began.
    pub key_set: Option<KeySetStatus>,
}

impl From<Provider> for ProviderView {
    fn from(provider: Provider) -> Self {
        Self {
            provider,
            key_set: None,
        }
    }
}

impl App {
    /// Adds a Supabase project to an organization's providers.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn add_supabase(
        &self,
        organization: OrganizationName,
        new: NewSupabase<'_>,
    ) -> Result<Provider, SetupError> {
        let draft = Draft::new(new.name, new.username_prefix);
        let signing = Signing::Secret(new.jwt_secret);
        let provider = supabase::provider(draft, new.project_url, &signing, &self.keys)?;
        let mut added = self.add_providers(organization, vec![provider]).await?;
        added.pop().ok_or(SetupError::NoSuchOrganization)
    }

    /// Makes providers and adds them to an organization's, all or none.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn add_made_providers(
        &self,
        organization: OrganizationName,
        make: impl FnOnce(&Keyring) -> Result<Vec<Provider>, BadProvider>,
    ) -> Result<Vec<Provider>, SetupError> {
        let providers = make(&self.keys)?;
        self.add_providers(organization, providers).await
    }

    /// Adds providers to an organization's, all or none, and returns them as they are then. Their
    /// secrets were sealed with a pepper of this deployment.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn add_providers(
        &self,
        organization: OrganizationName,
        providers: Vec<Provider>,
    ) -> Result<Vec<Provider>, SetupError> {
        providers.iter().try_for_each(Provider::check)?;
        let id = self.organization_id(organization).await?;
        let id = id.ok_or(SetupError::NoSuchOrganization)?;
        let mut added = Vec::new();
        port::update::<Organization, SetupError>(&*self.store, &id, |current| {
            let mut organization = current.ok_or(SetupError::NoSuchOrganization)?.clone();
            added.clear();
            for provider in &providers {
                // One that comes back is whom its subjects' usernames and logins know.
                let provider = match organization.former_id(provider) {
                    Some(id) => provider
                        .with_id(id, &self.keys)
                        .map_err(|_| SetupError::SecretLost)?,
                    None => provider.clone(),
                };
                organization.add_provider(provider.clone())?;
                added.push(provider);
            }
            let names: Vec<&str> = providers.iter().map(|one| one.name.as_str()).collect();
            let issuers: Vec<&str> = providers.iter().map(|one| one.issuer.as_str()).collect();
            let note = self.note(Action::ProviderAdd, &id).on(&names.join(" "));
            let line = note.with("issuers", &issuers.join(" ")).line();
            Ok(Change::Audited(organization, line))
        })
        .await?;
        Ok(added)
    }

    /// The organization's providers, or the one of a name or id.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn providers(
        &self,
        organization: OrganizationName,
        named: Option<&str>,
    ) -> Result<Vec<ProviderView>, ProviderError> {
        let organization = self.organization(organization).await?;
        let organization = organization.ok_or(ProviderError::NoSuchOrganization)?;
        let found: Vec<Provider> = match named {
            None => organization.providers.clone(),
            Some(name) => {
                let found = organization.provider_named(name).cloned();
                vec![found.ok_or(CannotRemove::NoSuchProvider)?]
            }
        };
        let view = |provider: Provider| ProviderView {
            key_set: self.key_sets.status(provider.id),
            provider,
        };
        Ok(found.into_iter().map(view).collect())
    }

    /// Enables, disables or removes a provider. When this returns, every node does as it says.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn change_provider(
        &self,
        organization: OrganizationName,
        name: &str,
        change: ProviderChange,
    ) -> Result<Provider, ProviderError> {
        let id = self.organization_id(organization).await?;
        let id = id.ok_or(ProviderError::NoSuchOrganization)?;
        let (provider, mut state) = self.change_once(&id, name, change).await?;
        if change == ProviderChange::Remove {
            self.key_sets.forget(provider.id);
        }
        // Somebody may change the organization in between, or a server take over that lacks our
        // change: then it is looked at, and made where it is missing, again.
        let (key, id_text) = (RecordKey::Organization(id.clone()), provider.id.to_string());
        let mut confirmed = self.store.confirm(&key, state).await;
        for _ in 0..MAX_TRIES {
            if !matches!(confirmed, Err(StoreError::Conflict)) {
                break;
            }
            match self.change_once(&id, &id_text, change).await {
                Ok((_, again)) => state = again,
                Err(ProviderError::CannotRemove(CannotRemove::NoSuchProvider)) => {
                    let gone = |_: Option<&Organization>| Ok::<_, StoreError>(Change::Keep);
                    state = port::update(&*self.store, &id, gone).await?.revision;
                }
                Err(error) => return Err(error),
            }
            confirmed = self.store.confirm(&key, state).await;
        }
        confirmed.map_err(ProviderError::Unconfirmed)?;
        tracing::info!(organization = %id, provider = %provider.name, ?change, "changed a provider");
        Ok(provider)
    }

    async fn change_once(
        &self,
        id: &OrganizationId,
        name: &str,
        change: ProviderChange,
    ) -> Result<(Provider, Option<Revision>), ProviderError> {
        let mut changed = None;
        let updated = port::update::<Organization, ProviderError>(&*self.store, id, |current| {
            let mut organization = current.ok_or(ProviderError::NoSuchOrganization)?.clone();
            let provider = changed_provider(&mut organization, name, change)?;
            let note = self.note(change.action(), id).on(&provider.name);
            let line = note.with("id", &provider.id).line();
            changed = Some(provider);
            // Written even where it says so already: an earlier call may not have been confirmed.
            Ok(Change::Audited(organization, line))
        })
        .await?;
        let provider = changed.ok_or(CannotRemove::NoSuchProvider)?;
        Ok((provider, updated.revision))
    }

    /// The provider's key that a token says it is signed with, if the provider signs so.
    pub(super) async fn verification_key(
        &self,
        provider: &Provider,
        token: &UnverifiedToken<'_>,
    ) -> Result<Arc<VerificationKey>, ExchangeError> {
        let algorithm = match token.signed_with() {
            SignedWith::KeyPair(algorithm) => algorithm,
            SignedWith::SharedSecret => {
                let secret = provider.shared_secret(&self.keys);
                let secret = secret.map_err(|_| ExchangeError::SecretLost)?;
                let secret = secret.ok_or(TokenError::Algorithm)?;
                return Ok(Arc::new(VerificationKey::shared_secret(&secret)));
            }
        };
        if let Some(pasted) = pasted_key(provider, algorithm) {
            return pasted;
        }
        match provider.key_set() {
            Some((source, algorithms)) if algorithms.contains(&algorithm) => {
                let wanted = Wanted {
                    provider: provider.id,
                    source,
                    algorithms,
                };
                let found = self.key_sets.find(wanted, token.kid(), algorithm).await;
                found.map_err(|error| match error {
                    NoKey::Unknown => TokenError::UnknownKey.into(),
                    unavailable @ NoKey::Unavailable(_) => ExchangeError::NoKeys(unavailable),
                })
            }
            _ => Err(TokenError::Algorithm.into()),
        }
    }
}

fn pasted_key(
    provider: &Provider,
    wanted: Algorithm,
) -> Option<Result<Arc<VerificationKey>, ExchangeError>> {
    provider.keys().find_map(|key| match key {
        ProviderKey::Public { algorithm, key } if *algorithm == wanted => {
            let ready = VerificationKey::public(*algorithm, key).map(Arc::new);
            // It was checked when it was pasted.
            Some(ready.map_err(|_| TokenError::Signature.into()))
        }
        _ => None,
    })
}

fn changed_provider(
    organization: &mut Organization,
    name: &str,
    change: ProviderChange,
) -> Result<Provider, CannotRemove> {
    if change == ProviderChange::Remove {
        return organization.remove_provider(name);
    }
    let id = organization
        .provider_named(name)
        .map(|provider| provider.id);
    let mut all = organization.providers.iter_mut();
    let provider = all.find(|provider| Some(provider.id) == id);
    let provider = provider.ok_or(CannotRemove::NoSuchProvider)?;
    provider.enabled = change == ProviderChange::Enable;
    Ok(provider.clone())
}
