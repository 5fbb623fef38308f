//! Whom a username names: one record with the identity behind it and all its credentials.
//!
//! Everything that a CONNECT, PUBLISH or SUBSCRIBE needs to know of a user lies in this one record,
//! except for what its organization has revoked at once: those are the organization's marks.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::credential::human_password::HumanPassword;
use crate::credential::minted_password::Minted;
use crate::credential::terms::{Limits, Terms};
use crate::keyring::Digest;
use crate::names::claims::Claims;
use crate::names::key_id::RingKeyId;
use crate::names::marks::{Epoch, Marks};
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::names::username::{LocalName, Username};

/// The most credentials that one username may have at a time.
pub const MAX_CREDENTIALS: usize = 64;
/// The most narrower tokens that are remembered after their end: their sessions may still be open, and
/// must not become wider when the token has gone. With more of them the oldest are forgotten.
const MAX_ENDED_NARROW: usize = 32;
/// The most narrower tokens, those that are remembered included. The rest is for plain logins.
const MAX_NARROW: usize = 48;

/// Whom a username names, with the credentials that may CONNECT as it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The local part of the username.
    pub name: LocalName,
    /// Its organization.
    pub organization: OrganizationId,
    /// Who it is. A username is never given to anybody else.
    pub identity: HolderIdentity,
    /// Live and, until their time is up, revoked credentials.
    pub credentials: Vec<Credential>,
}

/// Who stands behind a username.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderIdentity {
    /// A subject of an identity provider.
    Subject {
        /// The provider.
        provider: Uuid,
        /// What the provider calls the subject (`sub`).
        subject: String,
    },
    /// A user made by hand, with a password of its own.
    Static,
}

/// A stored right to CONNECT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// What has to be shown for it.
    #[serde(flatten)]
    pub kind: CredentialKind,
    /// What topic rules may use: what the provider said of the subject when it was made.
    #[serde(default, skip_serializing_if = "Claims::is_empty")]
    pub claims: Claims,
    /// When it was made.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub issued_at: Timestamp,
    /// The organization's epoch when it was made.
    #[serde(default, skip_serializing_if = "Epoch::is_first")]
    pub epoch: Epoch,
    /// From this moment on it is no longer good. `None`: until it is revoked.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::timestamp::second::optional"
    )]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked. It stays until its time is up, so that a refusal can say why. Boxed: a
    /// server remembers a million credentials, and few of them are revoked.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "boxed_second"
    )]
    pub revoked_at: Option<Box<Timestamp>>,
    /// What it has beyond a plain login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Box<Terms>>,
}

/// What has to be shown for a credential.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A minted password.
    Token {
        /// The token's id.
        id: TokenId,
        /// The pepper of `digest`.
        pepper: RingKeyId,
        /// HMAC-SHA-256(pepper, secret), as URL-safe base64 in the store.
        #[serde(with = "digest_text")]
        digest: Digest,
    },
    /// A password that somebody chose.
    Password(Box<HumanPassword>),
}

/// How a credential stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Good.
    Live,
    /// Ended by an operator or its owner.
    Revoked,
    /// Ended by time.
    Expired,
}

impl CredentialKind {
    /// A fresh minted password, as it is stored.
    pub fn of(minted: &Minted) -> Self {
        CredentialKind::Token {
            id: minted.id,
            pepper: minted.pepper,
            digest: minted.digest,
        }
    }
}

impl Credential {
    /// How it stands at `now` under its organization's marks. Revocation tells before expiry: it is
    /// the stronger word.
    pub fn standing(&self, marks: &Marks, now: Timestamp) -> Standing {
        if self.is_revoked(marks) {
            Standing::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            Standing::Expired
        } else {
            Standing::Live
        }
    }

    fn is_revoked(&self, marks: &Marks) -> bool {
        self.revoked_at.is_some() || marks.end(self.epoch, self.issued_at)
    }

    /// Whether a client with this id may connect with it.
    pub fn fits_client(&self, client_id: &str) -> bool {
        let bound = self
            .terms
            .as_ref()
            .and_then(|terms| terms.client_id.as_deref());
        bound.is_none_or(|bound| bound == client_id)
    }

    /// Whether a session with this client id may have been opened with it.
    pub fn may_have_opened(&self, client_id: &str) -> bool {
        let terms = self.terms.as_deref();
        terms.is_none_or(|terms| terms.may_have_opened(client_id))
    }

    /// What it may do at most; `None`: as much as the organization's policy allows.
    pub fn limits(&self) -> Option<&Limits> {
        self.terms.as_deref()?.limits.as_ref()
    }

    fn is_narrow_and_ended(&self, now: Timestamp) -> bool {
        self.limits().is_some() && self.has_ended(now)
    }

    fn has_ended(&self, now: Timestamp) -> bool {
        self.revoked_at.is_some() || self.expires_at.is_some_and(|end| end <= now)
    }

    /// How long it lives from a refresh on.
    pub fn life(&self) -> Option<SignedDuration> {
        let terms = self.terms.as_deref();
        if let Some(seconds) = terms.and_then(|terms| terms.life_seconds) {
            return Some(SignedDuration::from_secs(seconds.into()));
        }
        let began = terms.and_then(|terms| terms.refreshed_at);
        let began = began.unwrap_or(self.issued_at);
        self.expires_at.map(|end| end.duration_since(began))
    }

    /// The token's id, where it is a token.
    pub fn token_id(&self) -> Option<TokenId> {
        match &self.kind {
            CredentialKind::Token { id, .. } => Some(*id),
            CredentialKind::Password(_) => None,
        }
    }
}

impl Holder {
    /// The whole username.
    pub fn username(&self) -> Username {
        Username {
            local: self.name.clone(),
            organization: self.organization.clone(),
        }
    }

    /// The credentials that are good at `now` under their organization's marks.
    pub fn live(&self, marks: &Marks, now: Timestamp) -> impl Iterator<Item = &Credential> {
        self.credentials
            .iter()
            .filter(move |credential| credential.standing(marks, now) == Standing::Live)
    }

    /// Those of them with which a session with this client id may have been opened.
    pub fn live_for<'a>(
        &'a self,
        client_id: &'a str,
        marks: &Marks,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Credential> {
        let marks = *marks;
        self.credentials.iter().filter(move |credential| {
            credential.may_have_opened(client_id)
                && credential.standing(&marks, now) == Standing::Live
        })
    }

    /// What a session with this client id may do at most. Brokers do not say with which credential it
    /// was opened, so all that may have been it count, also those that are over: nobody gets a wider
    /// right by letting a narrower one end.
    pub fn limits_for<'a>(&'a self, client_id: &'a str) -> impl Iterator<Item = &'a Limits> {
        let may_be = self.credentials.iter();
        may_be
            .filter(move |credential| credential.may_have_opened(client_id))
            .filter_map(Credential::limits)
    }

    /// The token's credential, live or not.
    pub fn token(&self, id: TokenId) -> Option<&Credential> {
        self.credentials
            .iter()
            .find(|credential| credential.token_id() == Some(id))
    }

    /// The password's credential, live or not.
    pub fn password(&self) -> Option<(&Credential, &HumanPassword)> {
        self.credentials
            .iter()
            .find_map(|credential| match &credential.kind {
                CredentialKind::Password(password) => Some((credential, &**password)),
                CredentialKind::Token { .. } => None,
            })
    }

    /// Replaces the digest of a token's secret by one under another pepper. Returns whether there
    /// was anything to replace.
    pub fn renew_digest(&mut self, token: TokenId, newer: RingKeyId, renewed: Digest) -> bool {
        for credential in &mut self.credentials {
            match &mut credential.kind {
                CredentialKind::Token { id, pepper, digest } if *id == token => {
                    let old = *pepper != newer;
                    (*pepper, *digest) = (newer, renewed);
                    return old;
                }
                _ => {}
            }
        }
        false
    }

    /// Drops credentials whose time is up. Of narrower ones the last stay.
    pub fn drop_expired(&mut self, now: Timestamp) {
        let narrow = self.credentials.iter();
        let narrow = narrow.filter(|one| one.is_narrow_and_ended(now)).count();
        let mut too_many = narrow.saturating_sub(MAX_ENDED_NARROW);
        self.credentials.retain(|credential| {
            if credential.is_narrow_and_ended(now) {
                let stays = too_many == 0;
                too_many = too_many.saturating_sub(1);
                return stays;
            }
            credential.expires_at.is_none_or(|end| end > now)
        });
    }

    /// The claims in which all live credentials agree that a session with this client id may have
    /// been opened with. Brokers do not say which it was, so a claim in which they differ is as good
    /// as missing.
    pub fn common_claims<'a>(
        &'a self,
        client_id: &'a str,
        marks: &Marks,
        now: Timestamp,
    ) -> Cow<'a, Claims> {
        let live = self.live_for(client_id, marks, now);
        let mut live = live.map(|credential| &credential.claims);
        let mut common = live.next().map_or_else(Cow::default, Cow::Borrowed);
        for claims in live {
            if *claims != *common {
                common = Cow::Owned(common.shared_with(claims));
            }
        }
        common
    }

    /// Adds a credential. Those whose time is up make room, where that is not enough those that were
    /// revoked, and then the oldest plain token: whoever logs in often enough must not be shut out by
    /// logins that nobody uses any more.
    ///
    /// # Errors
    /// [`TooManyCredentials`] when all [`MAX_CREDENTIALS`] are others, or [`MAX_NARROW`] narrower
    /// tokens are there and this is one more.
    pub fn add(
        &mut self,
        credential: Credential,
        marks: &Marks,
        now: Timestamp,
    ) -> Result<(), TooManyCredentials> {
        self.drop_expired(now);
        let narrow = self.credentials.iter().filter(|one| one.limits().is_some());
        if credential.limits().is_some() && narrow.count() >= MAX_NARROW {
            return Err(TooManyCredentials);
        }
        if self.credentials.len() >= MAX_CREDENTIALS {
            self.credentials
                .retain(|one| !one.is_revoked(marks) || one.limits().is_some());
        }
        if self.credentials.len() >= MAX_CREDENTIALS {
            let oldest = self.oldest_plain_token().ok_or(TooManyCredentials)?;
            self.credentials.remove(oldest);
        }
        self.credentials.push(credential);
        Ok(())
    }

    /// One that was refreshed is in use, so it goes last.
    fn oldest_plain_token(&self) -> Option<usize> {
        let plain = |credential: &Credential| {
            credential.token_id().is_some() && credential.limits().is_none()
        };
        let refreshed = |credential: &Credential| {
            let terms = credential.terms.as_deref();
            terms.and_then(|terms| terms.refreshed_at)
        };
        let tokens = self.credentials.iter().enumerate();
        let tokens = tokens.filter(|(_, credential)| plain(credential));
        let oldest = tokens.min_by_key(|(_, one)| (refreshed(one), one.issued_at));
        oldest.map(|(place, _)| place)
    }

    /// Revokes the credentials that `chosen` picks, expired ones too: another node's clock may not
    /// have come so far. What is a narrower form of one of them ends with it.
    pub fn revoke(&mut self, chosen: impl Fn(&Credential) -> bool, now: Timestamp) {
        let picked = self.credentials.iter().filter(|one| chosen(one));
        let mut ended: Vec<TokenId> = picked.filter_map(Credential::token_id).collect();
        for credential in self.credentials.iter_mut().filter(|c| chosen(c)) {
            credential.revoked_at.get_or_insert_with(|| Box::new(now));
        }
        // A narrower form may have narrower forms itself.
        while let Some(parent) = ended.pop() {
            for child in &mut self.credentials {
                let of_it = child
                    .terms
                    .as_ref()
                    .is_some_and(|one| one.parent == Some(parent));
                if of_it && child.revoked_at.is_none() {
                    child.revoked_at = Some(Box::new(now));
                    ended.extend(child.token_id());
                }
            }
        }
    }

    /// When the whole record is of no more use: the last end of its credentials. `None`: never by
    /// itself, because a credential has no end or the name must stay taken.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self.identity {
            HolderIdentity::Static => None,
            HolderIdentity::Subject { .. } => {
                let ends = self
                    .credentials
                    .iter()
                    .map(|credential| credential.expires_at);
                ends.collect::<Option<Vec<_>>>()
                    .and_then(|ends| ends.into_iter().max())
            }
        }
    }
}

/// The username has [`MAX_CREDENTIALS`] credentials already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the user has {MAX_CREDENTIALS} live tokens; let some expire or revoke them")]
pub struct TooManyCredentials;

impl std::fmt::Debug for CredentialKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CredentialKind::Token { id, .. } => write!(f, "Token({id})"),
            CredentialKind::Password(_) => f.write_str("Password"),
        }
    }
}

/// Seconds of Unix time, boxed where there are any.
mod boxed_second {
    use jiff::Timestamp;
    use jiff::fmt::serde::timestamp::second::optional;
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(
        at: &Option<Box<Timestamp>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        optional::serialize(&at.as_deref().copied(), serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Box<Timestamp>>, D::Error> {
        optional::deserialize(deserializer).map(|at| at.map(Box::new))
    }
}

/// Digests as URL-safe base64: a third of the size of a JSON array of numbers.
pub mod digest_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::keyring::Digest;

    /// Writes the text.
    pub fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(digest))
    }

    /// Reads the text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| D::Error::custom("not base64"))?;
        bytes
            .try_into()
            .map_err(|_| D::Error::custom("a digest has 32 bytes"))
    }
}

#[cfg(test)]
mod tests;
