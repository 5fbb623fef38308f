//! Changing and rotating API keys. Nobody gets more by it than the key has that asks for it.

use std::sync::Arc;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use crate::app::App;
use crate::app::caller::Caller;
use crate::app::organizations::SetupError;
use crate::app::revoke::RevokeError;
use crate::app::revoke::selector::Selector;
use crate::app::tokens::mint::Narrowing;
use crate::credential::api_key::{ApiKey, KeyStanding, NewApiKey, Replaced};
use crate::credential::key_rules::{KeyRate, KeyRules, MAX_ORIGINS, MAX_RANGES, MAX_RATE};
use crate::credential::legacy_key::CannotImport;
use crate::credential::scope::Scope;
use crate::credential::terms::Limits;
use crate::engine::api_key::{KeyRights, NoSuchRights};
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::OrganizationId;
use crate::names::origin::Origin;
use crate::org::audit::Action;
use crate::org::organization::{LONGEST_TOKEN_LIFE, Organization};
use crate::secret::Secret;
use crate::store::port::{self, Revision, StoreError};
use crate::store::record::Kept as _;

/// The longest grace of a rotation, in seconds: a week.
pub const MAX_GRACE_SECONDS: u32 = 7 * 86_400;
/// How often a change is made again because the store has another state by then.
const MAX_TRIES: usize = 16;

/// Who makes or changes a key.
#[derive(Debug, Clone, Copy)]
pub enum Maker<'a> {
    /// The operator, who may do everything.
    Operator,
    /// Whoever has this key.
    Key(&'a ApiKey),
}

/// What is to change of a key; `None`: nothing. An inner `None` takes the rule away.
#[derive(Debug, Clone, Default)]
pub struct KeyChange {
    /// What to call it.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Option<Vec<Scope>>,
    /// Web origins that may use it.
    pub allowed_origins: Option<Vec<Origin>>,
    /// Addresses that may use it.
    pub allowed_addresses: Option<Vec<IpNet>>,
    /// What it may do at most.
    pub limits: Option<Option<Limits>>,
    /// The longest life of a token minted with it, in seconds.
    pub max_ttl_seconds: Option<Option<u32>>,
    /// When it is over.
    pub expires_at: Option<Option<Timestamp>>,
    /// How often it may be used.
    pub rate: Option<Option<KeyRate>>,
}

/// Why a key is not made, changed or rotated.
#[derive(Debug, thiserror::Error)]
pub enum ChangeKeyError {
    /// To the caller there is none of that id.
    #[error("there is no such API key")]
    NoSuchKey,
    /// What it is to be is not possible.
    #[error("{0}")]
    Wrong(String),
    /// The same, for reasons that setting up has as well.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// No key of its kind can have such rights.
    #[error(transparent)]
    NoSuchRights(NoSuchRights),
    /// They would be more than those of the key that asks.
    #[error(transparent)]
    Beyond(NoSuchRights),
    /// It is over, or another has taken its place.
    #[error("the API key is over or replaced; make a new one")]
    NotLive,
    /// It is in another state than the one that the caller has seen.
    #[error("the API key has been changed since; read it again")]
    Changed,
    /// There is no room for another.
    #[error("the organization has too many API keys")]
    TooMany,
    /// A key of another system is not taken.
    #[error(transparent)]
    Import(CannotImport),
    /// The change is made, but some node may not know it yet.
    #[error("the change is made, but nobody can say yet whether every node knows it ({0})")]
    Unconfirmed(StoreError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<'a> Maker<'a> {
    /// Whoever calls; `None`: it shows no key at all.
    pub fn of(caller: &'a Caller) -> Option<Self> {
        if caller.is_root() {
            return Some(Maker::Operator);
        }
        caller.key().map(|key| Maker::Key(key))
    }

    /// The id of the key; `None`: the operator has none.
    pub fn id(self) -> Option<ApiKeyId> {
        match self {
            Maker::Operator => None,
            Maker::Key(key) => Some(key.id),
        }
    }

    /// Checks the rights of a key that is to be.
    ///
    /// # Errors
    /// [`ChangeKeyError`].
    pub(super) fn check(self, rights: &KeyRights<'_>) -> Result<(), ChangeKeyError> {
        rights.check_kind().map_err(ChangeKeyError::NoSuchRights)?;
        match self {
            Maker::Operator => Ok(()),
            Maker::Key(maker) => rights.check_within(maker).map_err(ChangeKeyError::Beyond),
        }
    }

    /// The rules of a new key: what it does not name is as its maker has it.
    pub(super) fn inherited(self, mut rules: KeyRules) -> KeyRules {
        let Maker::Key(maker) = self else {
            return rules;
        };
        let own = &maker.rules;
        if rules.allowed_origins.is_empty() {
            rules.allowed_origins = own.allowed_origins.clone();
        }
        if rules.allowed_addresses.is_empty() {
            rules.allowed_addresses = own.allowed_addresses.clone();
        }
        rules.limits = rules.limits.or_else(|| own.limits.clone());
        rules.max_ttl_seconds = rules.max_ttl_seconds.or(own.max_ttl_seconds);
        rules.expires_at = rules.expires_at.or(maker.ends_at());
        rules.rate = rules.rate.or(own.rate);
        rules
    }
}

impl KeyChange {
    fn apply(&self, key: &mut ApiKey) {
        if let Some(name) = &self.name {
            key.name.clone_from(name);
        }
        if let Some(scopes) = &self.scopes {
            key.scopes.clone_from(scopes);
        }
        let rules = &mut key.rules;
        if let Some(origins) = &self.allowed_origins {
            rules.allowed_origins.clone_from(origins);
        }
        if let Some(addresses) = &self.allowed_addresses {
            rules.allowed_addresses.clone_from(addresses);
        }
        if let Some(limits) = &self.limits {
            rules.limits.clone_from(limits);
        }
        rules.max_ttl_seconds = self.max_ttl_seconds.unwrap_or(rules.max_ttl_seconds);
        rules.expires_at = self.expires_at.unwrap_or(rules.expires_at);
        rules.rate = self.rate.unwrap_or(rules.rate);
    }
}

impl App {
    /// Changes a key of the organization, if it is still as the caller has seen it. When this
    /// returns, no node goes by what it was. Returns its new state.
    ///
    /// # Errors
    /// [`ChangeKeyError`].
    pub async fn change_key(
        &self,
        maker: Maker<'_>,
        organization: &OrganizationId,
        id: ApiKeyId,
        seen: Option<Revision>,
        change: &KeyChange,
    ) -> Result<(ApiKey, Revision), ChangeKeyError> {
        let make = |current: &ApiKey| {
            let mut key = current.clone();
            change.apply(&mut key);
            SetupError::check_name(&key.name)?;
            if key.scopes.is_empty() {
                return Err(SetupError::NoScopes.into());
            }
            self.check_rules(&key.rules)?;
            maker.check(&KeyRights::of(&key))?;
            Ok(key)
        };
        self.change_confirmed(organization, id, seen, make).await
    }

    /// Gives a key a successor with the same rights. The old one works until the grace is over, on
    /// every node. The second value is the new key itself, to be shown once.
    ///
    /// # Errors
    /// [`ChangeKeyError`].
    pub async fn rotate_key(
        &self,
        maker: Maker<'_>,
        organization: &OrganizationId,
        id: ApiKeyId,
        grace_seconds: u32,
    ) -> Result<(ApiKey, Secret), ChangeKeyError> {
        if grace_seconds > MAX_GRACE_SECONDS {
            let text = format!("grace is at most {MAX_GRACE_SECONDS} seconds");
            return Err(ChangeKeyError::Wrong(text));
        }
        let (old, found) = self.live_key(organization, id).await?;
        maker.check(&KeyRights::of(&old))?;
        self.check_room_for_key(organization).await?;
        let new = NewApiKey {
            organization: organization.clone(),
            kind: old.kind,
            name: old.name.clone(),
            scopes: old.scopes.clone(),
            rules: old.rules.clone(),
            created_by: maker.id(),
        };
        let now = self.now();
        let (key, text) = ApiKey::create(&self.keys, new, found.marks.epoch, now);
        // First the new one: where this ends half-way, the old one still works.
        self.keep_new_key(&key).await?;
        let replaced = Replaced {
            by: key.id,
            at: now,
            until: now + SignedDuration::from_secs(grace_seconds.into()),
        };
        let make = |current: &ApiKey| match &current.replaced {
            Some(other) if other.by != key.id => Err(ChangeKeyError::NotLive),
            _ => Ok(ApiKey {
                replaced: Some(replaced.clone()),
                ..current.clone()
            }),
        };
        let ended = self.change_confirmed(organization, id, None, make).await;
        if let Err(error @ (ChangeKeyError::NotLive | ChangeKeyError::NoSuchKey)) = ended {
            // Somebody came first: nobody has seen the new key, and nobody shall.
            let undone = self.revoke(Selector::ApiKey(key.id)).await;
            undone.map_err(|error| match error {
                RevokeError::Store(error) | RevokeError::Unconfirmed(error) => error,
                RevokeError::InFuture(_) => StoreError::Conflict,
            })?;
            return Err(error);
        }
        ended?;
        Ok((key, text))
    }

    /// A live key of the organization, and the organization.
    async fn live_key(
        &self,
        organization: &OrganizationId,
        id: ApiKeyId,
    ) -> Result<(Arc<ApiKey>, Arc<Organization>), ChangeKeyError> {
        port::reread::<ApiKey>(&*self.store, &id).await?;
        let both = port::read_both::<ApiKey, Organization>(&*self.store, &id, organization).await?;
        let (Some(key), Some(found)) = both else {
            return Err(ChangeKeyError::NoSuchKey);
        };
        if key.organization != *organization {
            return Err(ChangeKeyError::NoSuchKey);
        }
        let is_live = key.standing(&found.marks, self.now()) == KeyStanding::Live;
        if !is_live || key.replaced.is_some() {
            return Err(ChangeKeyError::NotLive);
        }
        Ok((key, found))
    }

    /// Makes a change of a live key, and waits until no node goes by an older state.
    async fn change_confirmed(
        &self,
        organization: &OrganizationId,
        id: ApiKeyId,
        seen: Option<Revision>,
        make: impl Fn(&ApiKey) -> Result<ApiKey, ChangeKeyError>,
    ) -> Result<(ApiKey, Revision), ChangeKeyError> {
        let mut seen = seen;
        for _ in 0..MAX_TRIES {
            let found = port::read_state::<ApiKey>(&*self.store, &id).await?;
            let found = found.filter(|(key, _)| key.organization == *organization);
            let (current, state) = found.ok_or(ChangeKeyError::NoSuchKey)?;
            if seen.is_some_and(|seen| seen != state) {
                return Err(ChangeKeyError::Changed);
            }
            let marks = port::read::<Organization>(&*self.store, organization).await?;
            let marks = marks.ok_or(ChangeKeyError::NoSuchKey)?.marks;
            if current.standing(&marks, self.now()) == KeyStanding::Revoked {
                return Err(ChangeKeyError::NotLive);
            }
            let changed = make(&current)?;
            let action = match changed.replaced == current.replaced {
                true => Action::KeyUpdate,
                false => Action::KeyRotate,
            };
            let line = self.key_note(action, &changed).line();
            let written = port::replace(&*self.store, &id, state, changed.clone(), line).await;
            let state = match written {
                Err(StoreError::Conflict) => continue,
                written => written?,
            };
            match self.store.confirm(&ApiKey::key(&id), Some(state)).await {
                // Somebody came after us, or a server took over that lacks our change.
                Err(StoreError::Conflict) => seen = None,
                Err(error) => return Err(ChangeKeyError::Unconfirmed(error)),
                Ok(_) => return Ok((changed, state)),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Checks rules that somebody wants.
    pub(super) fn check_rules(&self, rules: &KeyRules) -> Result<(), ChangeKeyError> {
        let wrong = |text: String| Err(ChangeKeyError::Wrong(text));
        if rules.allowed_origins.len() > MAX_ORIGINS {
            return wrong(format!("allowed_origins are at most {MAX_ORIGINS}"));
        }
        if rules.allowed_addresses.len() > MAX_RANGES {
            return wrong(format!("allowed_addresses are at most {MAX_RANGES}"));
        }
        let limits = rules.limits.clone();
        let narrowing = Narrowing {
            client_id: None,
            limits,
        };
        if let Err(error) = narrowing.check() {
            return wrong(error.to_string());
        }
        let longest = LONGEST_TOKEN_LIFE.as_secs() as u32;
        if rules
            .max_ttl_seconds
            .is_some_and(|ttl| !(1..=longest).contains(&ttl))
        {
            return wrong(format!("max_ttl is 1 to {longest} seconds"));
        }
        if rules.expires_at.is_some_and(|end| end <= self.now()) {
            return wrong("expires_at is in the future".into());
        }
        let is_rate = |number| (1..=MAX_RATE).contains(&number);
        if rules
            .rate
            .is_some_and(|rate| !is_rate(rate.per_second) || !is_rate(rate.burst))
        {
            return wrong(format!("rate is 1 to {MAX_RATE} per second, and as burst"));
        }
        Ok(())
    }
}
