//! API keys: `sk_`, `pk_` or `rk_`, perhaps `live_` or `test_`, then 48 base62 characters:
//! key id (10), secret (32), CRC-32 (6) of everything before it.
//!
//! The last 11 characters of the secret are a seal tag over what stands before them, so that a key
//! that this deployment did not make is refused by arithmetic, as a forged password is. The CRC
//! is for others: a secret scanner can tell a key from a text that looks like one.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::credential::key_rules::KeyRules;
use crate::credential::legacy_key::{self, LegacyHash};
use crate::credential::minted_password::Forged;
use crate::credential::scope::{self, Scope};
use crate::keyring::{Digest, Keyring};
use crate::names::base62::{self, LENGTH_OF_32_BITS, LENGTH_OF_64_BITS};
use crate::names::key_id::{API_KEY_ID_LENGTH, ApiKeyId, RingKeyId};
use crate::names::marks::{Epoch, Marks};
use crate::names::organization_id::OrganizationId;
use crate::secret::{self, Secret};

const SECRET_LENGTH: usize = 32;
const BODY_LENGTH: usize = API_KEY_ID_LENGTH + SECRET_LENGTH + LENGTH_OF_32_BITS;

/// What kind of caller a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiKeyKind {
    /// `sk_`: a company's own servers; every scope.
    Secret,
    /// `pk_`: safe in a browser; exchange only, unless more is granted.
    Publishable,
    /// `rk_`: one job; the scopes it was given.
    Restricted,
}

/// The stored side of an API key. The key itself is shown once and never stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The public id.
    pub id: ApiKeyId,
    /// Whose key it is.
    pub organization: OrganizationId,
    /// What kind of caller it is for.
    pub kind: ApiKeyKind,
    /// What its owner calls it.
    pub name: String,
    /// What it may do, as far as its kind allows ([`ApiKey::has`]).
    #[serde(deserialize_with = "scope::known")]
    pub scopes: Vec<Scope>,
    /// The last four characters, to tell keys apart in a list.
    pub last_four: String,
    /// The pepper of `digest`.
    pub pepper: RingKeyId,
    /// HMAC-SHA-256(pepper, secret).
    pub digest: Digest,
    /// When it was made.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub created_at: Timestamp,
    /// The organization's epoch when it was made.
    #[serde(default, skip_serializing_if = "Epoch::is_first")]
    pub epoch: Epoch,
    /// When it was revoked.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::timestamp::second::optional"
    )]
    pub revoked_at: Option<Timestamp>,
    /// How it is narrower than that.
    #[serde(default, skip_serializing_if = "KeyRules::is_empty")]
    pub rules: KeyRules,
    /// Which key has made it; `None`: the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<ApiKeyId>,
    /// That another key has taken its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Replaced>,
    /// Whether another system has made it; then the digest is of its hash.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legacy: bool,
}

/// When a key was used last. It has a record of its own: the key's stays as it is in every cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLastUse {
    /// To the minute.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub at: Timestamp,
}

/// What a rotation has made of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The key in its place.
    pub by: ApiKeyId,
    /// When that was.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub at: Timestamp,
    /// At this moment the replaced key is over.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub until: Timestamp,
}

/// What a new key is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// Whose it is.
    pub organization: OrganizationId,
    /// What kind of caller it is for.
    pub kind: ApiKeyKind,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// How it is narrower than that.
    pub rules: KeyRules,
    /// Which key makes it; `None`: the operator.
    pub created_by: Option<ApiKeyId>,
}

/// How a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStanding {
    /// It is good.
    Live,
    /// It was revoked, or a mark has ended it.
    Revoked,
    /// Its time is up.
    Expired,
    /// Another key has taken its place, and the grace is over.
    Replaced,
}

/// An API key whose checksum and seal have been verified. It may still be revoked.
#[derive(Clone, Copy)]
pub struct PresentedApiKey<'a> {
    /// The public id, to look it up.
    pub id: ApiKeyId,
    /// The kind that its prefix says.
    pub kind: ApiKeyKind,
    secret: &'a str,
    legacy: bool,
}

impl ApiKeyKind {
    /// Every kind.
    pub const ALL: [ApiKeyKind; 3] = [
        ApiKeyKind::Secret,
        ApiKeyKind::Publishable,
        ApiKeyKind::Restricted,
    ];

    /// What the key begins with.
    pub fn prefix(self) -> &'static str {
        match self {
            ApiKeyKind::Secret => "sk_",
            ApiKeyKind::Publishable => "pk_",
            ApiKeyKind::Restricted => "rk_",
        }
    }

    /// The scopes that a key of this kind gets when none are named.
    pub fn default_scopes(self) -> Vec<Scope> {
        match self {
            ApiKeyKind::Secret => Scope::ALL.to_vec(),
            ApiKeyKind::Publishable => vec![Scope::TokensExchange],
            ApiKeyKind::Restricted => Vec::new(),
        }
    }

    /// The kind whose prefix the text begins with, and the text behind it.
    pub fn of(text: &str) -> Option<(ApiKeyKind, &str)> {
        ApiKeyKind::ALL
            .into_iter()
            .find_map(|kind| text.strip_prefix(kind.prefix()).map(|rest| (kind, rest)))
    }
}

impl ApiKey {
    /// Makes a key. The second value is the key itself, to be shown once.
    pub fn create(keys: &Keyring, new: NewApiKey, epoch: Epoch, now: Timestamp) -> (Self, Secret) {
        let id = ApiKeyId::random();
        let mut text = format!("{}{id}", new.kind.prefix());
        text.push_str(&base62::random(SECRET_LENGTH - LENGTH_OF_64_BITS));
        let tag = keys
            .seal_tag(keys.seal_id(), &text)
            .expect("the newest seal key is in the ring");
        base62::encode(u128::from(tag), LENGTH_OF_64_BITS, &mut text);
        let secret_at = text.len() - SECRET_LENGTH;
        let pepper = keys.pepper_id();
        let digest = keys
            .digest(pepper, &text[secret_at..])
            .expect("the newest pepper is in the ring");
        let checksum = crc32fast::hash(text.as_bytes());
        base62::encode(u128::from(checksum), LENGTH_OF_32_BITS, &mut text);
        let last_four = text[text.len() - 4..].to_owned();
        let key = Self {
            id,
            organization: new.organization,
            kind: new.kind,
            name: new.name,
            scopes: new.scopes,
            last_four,
            pepper,
            digest,
            created_at: now,
            epoch,
            revoked_at: None,
            rules: new.rules,
            created_by: new.created_by,
            replaced: None,
            legacy: false,
        };
        (key, Secret::new(text))
    }

    /// The record of a key that another system has made. Such is a secret key.
    pub fn import(
        keys: &Keyring,
        new: NewApiKey,
        hash: &LegacyHash,
        last_four: String,
        epoch: Epoch,
        now: Timestamp,
    ) -> Self {
        let kind = ApiKeyKind::Secret;
        let (made, _) = Self::create(keys, NewApiKey { kind, ..new }, epoch, now);
        let digest = keys.digest(made.pepper, hash.expose());
        Self {
            digest: digest.expect("the newest pepper is in the ring"),
            last_four,
            legacy: true,
            ..made
        }
    }

    /// What the key itself begins with.
    pub fn prefix(&self) -> &'static str {
        match self.legacy {
            true => legacy_key::PREFIX,
            false => self.kind.prefix(),
        }
    }

    /// Whether this record is of the presented key, in constant time.
    pub fn is_of(&self, presented: &PresentedApiKey<'_>, keys: &Keyring) -> bool {
        let digest = keys.digest(self.pepper, presented.secret);
        let same = digest.is_some_and(|digest| secret::constant_time_eq(&digest, &self.digest));
        same && self.kind == presented.kind && self.legacy == presented.legacy
    }

    /// The digest under the newest pepper, with that pepper's id; `None`: it is already.
    pub fn renewed_digest(
        &self,
        presented: &PresentedApiKey<'_>,
        keys: &Keyring,
    ) -> Option<(RingKeyId, Digest)> {
        let newest = keys.pepper_id();
        if self.pepper == newest {
            return None;
        }
        Some((newest, keys.digest(newest, presented.secret)?))
    }

    /// How it stands under its organization's marks.
    pub fn standing(&self, marks: &Marks, now: Timestamp) -> KeyStanding {
        if self.revoked_at.is_some() || marks.end(self.epoch, self.created_at) {
            return KeyStanding::Revoked;
        }
        if self.rules.expires_at.is_some_and(|end| end <= now) {
            return KeyStanding::Expired;
        }
        match &self.replaced {
            Some(replaced) if replaced.until <= now => KeyStanding::Replaced,
            _ => KeyStanding::Live,
        }
    }

    /// Whether it is good under its organization's marks.
    pub fn is_live(&self, marks: &Marks, now: Timestamp) -> bool {
        self.standing(marks, now) == KeyStanding::Live
    }

    /// When it ends by itself.
    pub fn ends_at(&self) -> Option<Timestamp> {
        let grace = self.replaced.as_ref().map(|replaced| replaced.until);
        self.rules.expires_at.into_iter().chain(grace).min()
    }

    /// Whether the service user may connect with it: a secret key that may publish, from everywhere
    /// and whatever the policy allows. Brokers do not say with which key a session was opened, nor
    /// from where, so what is narrower could not be held.
    pub fn may_connect(&self) -> bool {
        let KeyRules {
            allowed_origins,
            allowed_addresses,
            limits,
            ..
        } = &self.rules;
        let is_plain =
            allowed_origins.is_empty() && allowed_addresses.is_empty() && limits.is_none();
        let is_ours = self.kind == ApiKeyKind::Secret && !self.legacy;
        is_ours && self.has(Scope::Publish) && is_plain
    }

    /// Whether the key has the scope: its record says so, and its kind may have it. A publishable
    /// key publishes only where it says on what topics.
    pub fn has(&self, scope: Scope) -> bool {
        let open = self.kind == ApiKeyKind::Publishable && !self.has_topics();
        self.scopes.contains(&scope) && scope.fits(self.kind) && !(open && scope == Scope::Publish)
    }

    /// What it may do in fact.
    pub fn held_scopes(&self) -> impl Iterator<Item = Scope> {
        let held = self.scopes.iter().copied();
        held.filter(|scope| self.has(*scope))
    }

    fn has_topics(&self) -> bool {
        let limits = self.rules.limits.as_ref();
        limits.is_some_and(|limits| limits.topics.is_some())
    }
}

impl KeyLastUse {
    /// For how long it is kept that a key was used, in days.
    pub const KEPT_DAYS: i64 = 400;

    /// When it is forgotten.
    pub fn kept_until(&self) -> Timestamp {
        self.at + SignedDuration::from_hours(24 * Self::KEPT_DAYS)
    }
}

impl<'a> PresentedApiKey<'a> {
    /// Checks prefix, length, checksum and seal.
    ///
    /// # Errors
    /// [`Forged`] for everything that [`ApiKey::create`] with these keys did not make.
    pub fn verify(text: &'a str, keys: &Keyring) -> Result<Self, Forged> {
        let (kind, rest) = ApiKeyKind::of(text).ok_or(Forged)?;
        let body = ["live_", "test_"]
            .iter()
            .find_map(|infix| rest.strip_prefix(infix));
        let body = body.unwrap_or(rest);
        if body.len() != BODY_LENGTH || !base62::is_base62(body) {
            return Err(Forged);
        }
        let (checked, checksum) = text.split_at(text.len() - LENGTH_OF_32_BITS);
        if base62::decode(checksum) != Some(u128::from(crc32fast::hash(checked.as_bytes()))) {
            return Err(Forged);
        }
        let (sealed, tag) = checked.split_at(checked.len() - LENGTH_OF_64_BITS);
        let tag = base62::decode(tag)
            .and_then(|tag| u64::try_from(tag).ok())
            .ok_or(Forged)?;
        if !keys.seal_verifies(sealed, tag) {
            return Err(Forged);
        }
        let (id, secret) = body[..API_KEY_ID_LENGTH + SECRET_LENGTH].split_at(API_KEY_ID_LENGTH);
        Ok(Self {
            id: id.parse().map_err(|_| Forged)?,
            kind,
            secret,
            legacy: false,
        })
    }

    /// A key of another system that was imported as the key of this id.
    pub fn legacy(id: ApiKeyId, hash: &'a LegacyHash) -> Self {
        Self {
            id,
            kind: ApiKeyKind::Secret,
            secret: hash.expose(),
            legacy: true,
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("id", &self.id)
            .field("organization", &self.organization)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PresentedApiKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedApiKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
