//! Whom a username names: one record with the identity behind it and all its credentials.
//!
//! Everything that a CONNECT, PUBLISH or SUBSCRIBE needs to know of a user lies in this one
//! record, so that a broker's question costs one read at most.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::credential::human_password::HumanPassword;
use crate::keyring::Digest;
use crate::names::claims::Claims;
use crate::names::key_id::RingKeyId;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::names::username::{LocalName, Username};

/// The most credentials that one username may have at a time.
pub const MAX_CREDENTIALS: usize = 64;

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
    /// From this moment on it is no longer good. `None`: until it is revoked.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::timestamp::second::optional"
    )]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked. It stays until its time is up, so that a refusal can say why.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::timestamp::second::optional"
    )]
    pub revoked_at: Option<Timestamp>,
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
    Password(HumanPassword),
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

impl Credential {
    /// How it stands at `now`. Revocation tells before expiry: it is the stronger word.
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.revoked_at.is_some() {
            Standing::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            Standing::Expired
        } else {
            Standing::Live
        }
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

    /// The credentials that are good at `now`.
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = &Credential> {
        self.credentials
            .iter()
            .filter(move |credential| credential.standing(now) == Standing::Live)
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
                CredentialKind::Password(password) => Some((credential, password)),
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

    /// Drops credentials whose time is up.
    pub fn drop_expired(&mut self, now: Timestamp) {
        self.credentials
            .retain(|credential| credential.expires_at.is_none_or(|end| end > now));
    }

    /// The claims in which all live credentials agree. Brokers do not say with which of them a
    /// session was opened, so a claim in which they differ is as good as missing.
    pub fn common_claims(&self, now: Timestamp) -> Cow<'_, Claims> {
        let mut live = self.live(now).map(|credential| &credential.claims);
        let mut common = live.next().map_or_else(Cow::default, Cow::Borrowed);
        for claims in live {
            if *claims != *common {
                common = Cow::Owned(common.shared_with(claims));
            }
        }
        common
    }

    /// Adds a credential. Those whose time is up make room, and where that is not enough those that
    /// were revoked.
    ///
    /// # Errors
    /// [`TooManyCredentials`] when [`MAX_CREDENTIALS`] live ones are there already.
    pub fn add(
        &mut self,
        credential: Credential,
        now: Timestamp,
    ) -> Result<(), TooManyCredentials> {
        self.drop_expired(now);
        if self.credentials.len() >= MAX_CREDENTIALS {
            self.credentials
                .retain(|credential| credential.revoked_at.is_none());
        }
        if self.credentials.len() >= MAX_CREDENTIALS {
            return Err(TooManyCredentials);
        }
        self.credentials.push(credential);
        Ok(())
    }

    /// Revokes the credentials that `chosen` picks; returns how many were live until now.
    pub fn revoke(&mut self, chosen: impl Fn(&Credential) -> bool, now: Timestamp) -> usize {
        let live = |credential: &&mut Credential| credential.standing(now) == Standing::Live;
        let mut revoked = 0;
        for credential in self
            .credentials
            .iter_mut()
            .filter(live)
            .filter(|c| chosen(c))
        {
            credential.revoked_at = Some(now);
            revoked += 1;
        }
        revoked
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
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn token(end: i64) -> Credential {
        let kind = CredentialKind::Token {
            id: TokenId::random(),
            pepper: RingKeyId::random(),
            digest: [7; 32],
        };
        Credential {
            kind,
            claims: Claims::default(),
            issued_at: at(0),
            expires_at: Some(at(end)),
            revoked_at: None,
        }
    }

    fn holder(credentials: Vec<Credential>) -> Holder {
        Holder {
            name: "u".parse().unwrap(),
            organization: OrganizationId::random(),
            identity: HolderIdentity::Subject {
                provider: Uuid::nil(),
                subject: "s".into(),
            },
            credentials,
        }
    }

    #[test]
    fn a_credential_ends_at_the_tick_of_its_expiry() {
        let credential = token(10);
        assert_eq!(credential.standing(at(9)), Standing::Live);
        assert_eq!(credential.standing(at(10)), Standing::Expired);
        let revoked = Credential {
            revoked_at: Some(at(5)),
            ..credential
        };
        assert_eq!(revoked.standing(at(9)), Standing::Revoked);
        assert_eq!(revoked.standing(at(11)), Standing::Revoked);
    }

    #[test]
    fn revoking_counts_only_what_was_live() {
        let mut holder = holder(vec![token(10), token(20), token(30)]);
        assert_eq!(holder.revoke(|_| true, at(15)), 2);
        assert_eq!(holder.revoke(|_| true, at(15)), 0);
        assert_eq!(holder.live(at(15)).count(), 0);
    }

    #[test]
    fn the_number_of_credentials_is_bounded_and_the_dead_make_room() {
        let mut holder = holder(vec![]);
        for _ in 0..MAX_CREDENTIALS {
            holder.add(token(10), at(0)).unwrap();
        }
        assert_eq!(holder.add(token(10), at(0)), Err(TooManyCredentials));
        assert_eq!(holder.credentials.len(), MAX_CREDENTIALS);
        assert_eq!(holder.add(token(20), at(10)), Ok(()));
        assert_eq!(holder.credentials.len(), 1);
    }

    #[test]
    fn the_revoked_make_room_only_where_it_is_needed() {
        let mut holder = holder((0..MAX_CREDENTIALS).map(|_| token(10)).collect());
        holder.revoke(|_| true, at(1));
        assert_eq!(holder.add(token(10), at(2)), Ok(()));
        assert_eq!(holder.credentials.len(), 1);
    }

    #[test]
    fn claims_count_where_all_live_credentials_agree() {
        let with = |role: &str, end| {
            let mut credential = token(end);
            credential.claims.insert("email", "a@b");
            credential.claims.insert("role", role);
            credential
        };
        let holder = holder(vec![with("admin", 10), with("guest", 20)]);
        let role = |now| holder.common_claims(at(now)).get("role").map(str::to_owned);
        assert_eq!(role(5), None);
        assert_eq!(role(15).as_deref(), Some("guest"));
        assert_eq!(holder.common_claims(at(5)).get("email"), Some("a@b"));
        assert!(holder.common_claims(at(25)).is_empty());
    }

    #[test]
    fn the_record_ends_with_its_last_credential_and_reads_back() {
        let mut holder = holder(vec![token(10), token(30)]);
        assert_eq!(holder.expires_at(), Some(at(30)));
        let text = serde_json::to_string(&holder).unwrap();
        assert_eq!(serde_json::from_str::<Holder>(&text).unwrap(), holder);
        holder.identity = HolderIdentity::Static;
        assert_eq!(holder.expires_at(), None);
    }
}
