//! Whether a caller of the API may do what it asks for, and which keys it may make.
//!
//! The order is fixed. Until the key is proved good, every refusal is the same to the caller; what
//! it learns from then on is about its own key.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::credential::api_key::{ApiKey, ApiKeyKind, KeyStanding, PresentedApiKey};
use crate::credential::key_rules::{KeyRules, Wider};
use crate::credential::scope::Scope;
use crate::keyring::Keyring;
use crate::names::origin::Origin;
use crate::org::organization::Organization;

/// What somebody wants to do with a key, and from where.
#[derive(Debug, Clone, Copy)]
pub struct KeyUse<'a> {
    /// What for.
    pub scope: Scope,
    /// The caller's address; `None`: nobody can tell.
    pub address: Option<IpAddr>,
    /// The web origin of the page that calls; `None`: no browser.
    pub origin: Option<&'a Origin>,
}

/// Why a key is refused, in the order in which that is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    /// It is not the key that is stored under its id.
    WrongSecret,
    /// It was revoked.
    Revoked,
    /// Its time is up.
    Expired,
    /// Another has taken its place, and the grace is over.
    Replaced,
    /// It is not for this address.
    Address,
    /// It, or its organization, is not for pages of this origin.
    Origin,
    /// Its kind may never do this.
    Kind(Scope),
    /// It lacks the scope.
    Scope(Scope),
}

/// Decides whether a presented API key is good: `key` is what is stored under its id.
///
/// # Errors
/// Why it is not.
pub fn authenticate_key(
    presented: &PresentedApiKey<'_>,
    organization: &Organization,
    key: &ApiKey,
    keys: &Keyring,
    now: Timestamp,
) -> Result<(), KeyRefusal> {
    if !key.is_of(presented, keys) {
        return Err(KeyRefusal::WrongSecret);
    }
    match key.standing(&organization.marks, now) {
        KeyStanding::Live => Ok(()),
        KeyStanding::Revoked => Err(KeyRefusal::Revoked),
        KeyStanding::Expired => Err(KeyRefusal::Expired),
        KeyStanding::Replaced => Err(KeyRefusal::Replaced),
    }
}

/// Decides whether a good key may be used like this.
///
/// # Errors
/// Why it may not.
pub fn authorize_key(
    organization: &Organization,
    key: &ApiKey,
    wanted: &KeyUse<'_>,
) -> Result<(), KeyRefusal> {
    if !key.rules.admits_address(wanted.address) {
        return Err(KeyRefusal::Address);
    }
    let of_organization = |origin| organization.allows_origin(origin);
    if !key.rules.admits_origin(wanted.origin) || !wanted.origin.is_none_or(of_organization) {
        return Err(KeyRefusal::Origin);
    }
    if !wanted.scope.fits(key.kind) {
        return Err(KeyRefusal::Kind(wanted.scope));
    }
    if !key.has(wanted.scope) {
        return Err(KeyRefusal::Scope(wanted.scope));
    }
    Ok(())
}

/// The rights of a key that is to be made, changed or rotated.
#[derive(Debug, Clone, Copy)]
pub struct KeyRights<'a> {
    /// What kind of caller it is for.
    pub kind: ApiKeyKind,
    /// What it may do.
    pub scopes: &'a [Scope],
    /// How it is narrower than that.
    pub rules: &'a KeyRules,
}

/// Why a key cannot have such rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchRights {
    /// No key of the kind may have the scope.
    #[error("a publishable key cannot have the scope `{}`: it may exchange, and publish", .0.as_str())]
    Kind(Scope),
    /// A key that everybody has could publish everywhere.
    #[error("a publishable key that may publish says on what topics: add `topics`")]
    OpenPublish,
    /// The key that makes it has not got it itself.
    #[error("a key cannot give what it lacks itself: {0}")]
    Beyond(Wider),
    /// The same for a scope.
    #[error("a key cannot give what it lacks itself: the scope `{}`", .0.as_str())]
    BeyondScope(Scope),
}

impl<'a> KeyRights<'a> {
    /// Those that a key has.
    pub fn of(key: &'a ApiKey) -> Self {
        Self {
            kind: key.kind,
            scopes: &key.scopes,
            rules: &key.rules,
        }
    }

    /// Whether a key of its kind can have them at all.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check_kind(&self) -> Result<(), NoSuchRights> {
        let foreign = self.scopes.iter().find(|scope| !scope.fits(self.kind));
        if let Some(scope) = foreign {
            return Err(NoSuchRights::Kind(*scope));
        }
        let topics = self
            .rules
            .limits
            .as_ref()
            .and_then(|one| one.topics.as_ref());
        let is_open = self.kind == ApiKeyKind::Publishable && topics.is_none();
        if is_open && self.scopes.contains(&Scope::Publish) {
            return Err(NoSuchRights::OpenPublish);
        }
        Ok(())
    }

    /// Whether they are nowhere beyond what `maker` may do itself.
    ///
    /// # Errors
    /// Where they are.
    pub fn check_within(&self, maker: &ApiKey) -> Result<(), NoSuchRights> {
        // A secret key is the service user's password too.
        if self.kind == ApiKeyKind::Secret && maker.kind != ApiKeyKind::Secret {
            return Err(NoSuchRights::Beyond(Wider("the kind `secret`")));
        }
        let beyond = self.scopes.iter().find(|scope| !maker.has(**scope));
        if let Some(scope) = beyond {
            return Err(NoSuchRights::BeyondScope(*scope));
        }
        self.rules
            .check_within(&maker_rules(maker))
            .map_err(NoSuchRights::Beyond)
    }
}

/// A key in its grace makes none that outlives it.
fn maker_rules(maker: &ApiKey) -> KeyRules {
    KeyRules {
        expires_at: maker.ends_at(),
        ..maker.rules.clone()
    }
}

#[cfg(test)]
mod tests;
