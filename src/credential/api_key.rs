//! API keys: `sk_`, `pk_` or `rk_`, perhaps `live_` or `test_`, then 48 base62 characters:
//! key id (10), secret (32), CRC-32 (6) of everything before it.
//!
//! The last 11 characters of the secret are a seal tag over what stands before them, so that a key
//! that this deployment did not make is refused by arithmetic, as a forged password is. The CRC
//! is for others: a secret scanner can tell a key from a text that looks like one.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::credential::minted_password::Forged;
use crate::credential::scope::Scope;
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
    /// What it may do.
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
}

/// An API key whose checksum and seal have been verified. It may still be revoked.
#[derive(Clone, Copy)]
pub struct PresentedApiKey<'a> {
    /// The public id, to look it up.
    pub id: ApiKeyId,
    /// The kind that its prefix says.
    pub kind: ApiKeyKind,
    secret: &'a str,
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
    pub fn create(
        keys: &Keyring,
        organization: OrganizationId,
        kind: ApiKeyKind,
        name: String,
        scopes: Vec<Scope>,
        epoch: Epoch,
        now: Timestamp,
    ) -> (Self, Secret) {
        let id = ApiKeyId::random();
        let mut text = format!("{}{id}", kind.prefix());
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
            organization,
            kind,
            name,
            scopes,
            last_four,
            pepper,
            digest,
            created_at: now,
            epoch,
            revoked_at: None,
        };
        (key, Secret::new(text))
    }

    /// Whether this record is of the presented key, in constant time.
    pub fn is_of(&self, presented: &PresentedApiKey<'_>, keys: &Keyring) -> bool {
        let digest = keys.digest(self.pepper, presented.secret);
        let same = digest.is_some_and(|digest| secret::constant_time_eq(&digest, &self.digest));
        same && self.kind == presented.kind
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

    /// Whether it is good under its organization's marks.
    pub fn is_live(&self, marks: &Marks) -> bool {
        self.revoked_at.is_none() && !marks.end(self.epoch, self.created_at)
    }

    /// Whether the service user may connect with it: a secret key that may publish.
    pub fn may_connect(&self) -> bool {
        self.kind == ApiKeyKind::Secret && self.has(Scope::Publish)
    }

    /// Whether the key has the scope.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
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
        })
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
mod tests {
    use super::*;

    fn created(keys: &Keyring, kind: ApiKeyKind) -> (ApiKey, Secret) {
        let now = Timestamp::UNIX_EPOCH;
        ApiKey::create(
            keys,
            OrganizationId::random(),
            kind,
            "ci".into(),
            vec![],
            Epoch::default(),
            now,
        )
    }

    #[test]
    fn a_key_is_over_when_it_is_revoked_or_older_than_a_mark() {
        let (key, _) = created(&Keyring::random(), ApiKeyKind::Secret);
        let mut marks = Marks::default();
        assert!(key.is_live(&marks));
        marks.revoke_issued_before(Timestamp::UNIX_EPOCH);
        assert!(key.is_live(&marks), "issued at the tick");
        let revoked = ApiKey {
            revoked_at: Some(Timestamp::UNIX_EPOCH),
            ..key.clone()
        };
        assert!(!revoked.is_live(&marks));
        marks.revoke_all();
        assert!(!key.is_live(&marks));
    }

    #[test]
    fn an_older_record_is_of_the_first_epoch_and_not_revoked() {
        let (key, _) = created(&Keyring::random(), ApiKeyKind::Secret);
        let text = serde_json::to_string(&key).unwrap();
        assert!(
            !text.contains("epoch") && !text.contains("revoked"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<ApiKey>(&text).unwrap(), key);
        let mut marks = Marks::default();
        marks.revoke_all();
        let later = ApiKey {
            epoch: marks.epoch,
            revoked_at: Some(Timestamp::UNIX_EPOCH),
            ..key
        };
        let text = serde_json::to_string(&later).unwrap();
        assert_eq!(serde_json::from_str::<ApiKey>(&text).unwrap(), later);
    }

    #[test]
    fn every_kind_reads_back() {
        let keys = Keyring::random();
        for kind in ApiKeyKind::ALL {
            let (key, text) = created(&keys, kind);
            assert_eq!(text.expose().len(), 3 + 48);
            let presented = PresentedApiKey::verify(text.expose(), &keys).unwrap();
            assert_eq!((presented.id, presented.kind), (key.id, kind));
            assert!(key.is_of(&presented, &keys));
            assert!(text.expose().ends_with(&key.last_four));
        }
    }

    #[test]
    fn one_key_is_not_another() {
        let keys = Keyring::random();
        let (first, _) = created(&keys, ApiKeyKind::Secret);
        let (_, second) = created(&keys, ApiKeyKind::Secret);
        assert!(!first.is_of(
            &PresentedApiKey::verify(second.expose(), &keys).unwrap(),
            &keys
        ));
    }

    #[test]
    fn a_swapped_prefix_a_changed_letter_or_a_cut_is_forged() {
        let keys = Keyring::random();
        let (_, text) = created(&keys, ApiKeyKind::Publishable);
        let text = text.expose();
        let swapped = text.replace("pk_", "sk_");
        let recased: String = text
            .chars()
            .rev()
            .map(|c| c.to_ascii_uppercase())
            .rev()
            .collect();
        for forged in [
            "",
            "sk_",
            &swapped,
            &recased,
            &text[..50],
            &text[1..],
            "sk_live_",
        ] {
            assert!(PresentedApiKey::verify(forged, &keys).is_err(), "{forged}");
        }
    }

    #[test]
    fn a_right_checksum_does_not_make_a_key() {
        let keys = Keyring::random();
        let (_, foreign) = created(&Keyring::random(), ApiKeyKind::Secret);
        assert!(PresentedApiKey::verify(foreign.expose(), &keys).is_err());
    }
}
