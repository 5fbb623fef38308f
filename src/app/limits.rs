//! Whether a call may be made now, and what it counts against.
//!
//! A call with a secret or restricted key counts when it comes. What anybody can show, a publishable
//! key or none at all, counts when it has been done: else whoever has seen a page's source could use
//! up what its users need. So the calls that are in flight in such a moment may be beyond the limit.

use std::net::IpAddr;

use crate::app::App;
use crate::credential::api_key::{ApiKey, ApiKeyKind};
use crate::limits::address::AddressGroup;
use crate::limits::bucket::Quota;
use crate::limits::limiter::Limited;
use crate::limits::rate::{Period, Rate};
use crate::limits::whose::{Kind, Whose};
use crate::metrics::LimitLabel;
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::org::organization::Organization;
use crate::store::port::{self, StoreError};

/// A call that may be made.
#[derive(Debug, Default)]
pub struct Admitted {
    /// The limit that is nearest, where there is any.
    pub quota: Option<Quota>,
    /// What it counts against when it has been done.
    later: Vec<(Whose, Option<Rate>)>,
}

/// Why a call may not be made now.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// Too often.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl App {
    /// Whether a good key may be used now.
    ///
    /// # Errors
    /// [`AdmitError`]
    pub async fn take_call(&self, key: &ApiKey) -> Result<Admitted, AdmitError> {
        let own = key
            .rules
            .rate
            .map(|rate| Rate::new(rate.per_second, Period::Second, rate.burst));
        let organization = (
            Whose::Organization(key.organization.clone()),
            self.call_rate(&key.organization).await?,
        );
        let key_itself = (Whose::Key(key.id), own);
        if key.kind == ApiKeyKind::Publishable {
            return self.admit_later(vec![key_itself, organization]);
        }
        // A key that is used too often does not use up what the other keys share.
        self.look(&organization)?;
        let of_key = self.counted(self.limiter.take(&key_itself.0, own))?;
        let (whose, rate) = organization;
        let of_organization = self.counted(self.limiter.take(&whose, rate))?;
        Ok(Admitted {
            quota: nearest(of_key, of_organization),
            later: Vec::new(),
        })
    }

    /// Whether a call without a key may be made for an organization now. One that does not exist is
    /// not limited: the call fails.
    ///
    /// # Errors
    /// [`AdmitError`]
    pub async fn take_call_without_key(
        &self,
        organization: &OrganizationName,
    ) -> Result<Admitted, AdmitError> {
        match self.find_organization(organization.clone()).await? {
            Some(known) => {
                let whose = Whose::Organization(known.id.clone());
                self.admit_later(vec![(whose, known.limits.calls)])
            }
            None => Ok(Admitted::default()),
        }
    }

    /// A call that was admitted has been done.
    pub fn charge(&self, admitted: Admitted) -> Option<Quota> {
        let later = admitted.later.iter();
        let charged = later.map(|(whose, own)| self.limiter.charge(whose, *own));
        charged.fold(admitted.quota, lower)
    }

    /// A call from there showed something that is no good.
    ///
    /// # Errors
    /// [`Limited`]: too many have.
    pub fn call_failed(&self, address: Option<IpAddr>) -> Result<(), Limited> {
        let Some(address) = address else {
            return Ok(());
        };
        let whose = Whose::Address(AddressGroup::of(address));
        self.counted(self.limiter.take(&whose, None)).map(drop)
    }

    /// Whether a token may be minted for the organization now; nothing is counted.
    pub(in crate::app) fn check_mint_rate(
        &self,
        organization: &Organization,
    ) -> Result<(), Limited> {
        self.look(&mints(organization)).map(drop)
    }

    /// One was minted.
    pub(in crate::app) fn count_mint(&self, organization: &Organization) {
        let (whose, own) = mints(organization);
        self.limiter.charge(&whose, own);
    }

    fn admit_later(&self, later: Vec<(Whose, Option<Rate>)>) -> Result<Admitted, AdmitError> {
        let mut quota = None;
        for one in &later {
            quota = nearest(quota, self.look(one)?);
        }
        Ok(Admitted { quota, later })
    }

    fn look(&self, (whose, own): &(Whose, Option<Rate>)) -> Result<Option<Quota>, Limited> {
        self.counted(self.limiter.look(whose, *own))
    }

    fn counted<T>(&self, outcome: Result<T, Limited>) -> Result<T, Limited> {
        outcome.inspect_err(|limited| self.metrics.limited(label(limited.kind)))
    }

    async fn call_rate(&self, organization: &OrganizationId) -> Result<Option<Rate>, StoreError> {
        let organization = port::read::<Organization>(&*self.store, organization).await?;
        Ok(organization.and_then(|organization| organization.limits.calls))
    }
}

fn mints(organization: &Organization) -> (Whose, Option<Rate>) {
    let whose = Whose::Mint(organization.id.clone());
    (whose, organization.limits.mints)
}

/// The one that is reached first.
fn nearest(one: Option<Quota>, other: Option<Quota>) -> Option<Quota> {
    match (one, other) {
        (Some(one), Some(other)) if other.remaining < one.remaining => Some(other),
        (one, other) => one.or(other),
    }
}

/// After something was counted: of the limit that was nearest before, if that is still so.
fn lower(before: Option<Quota>, now: Option<Quota>) -> Option<Quota> {
    match (before, now) {
        (Some(before), Some(now)) if now.remaining < before.remaining => Some(now),
        (before, now) => before.or(now),
    }
}

fn label(kind: Kind) -> LimitLabel {
    match kind {
        Kind::Key => LimitLabel::Key,
        Kind::Organization => LimitLabel::Organization,
        Kind::Mint => LimitLabel::Mint,
        Kind::Address => LimitLabel::Failures,
    }
}
