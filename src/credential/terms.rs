//! What a token has beyond a plain login: a client it is bound to, a narrower right, refreshes.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::credential::holder::digest_text;
use crate::keyring::Digest;
use crate::names::key_id::RingKeyId;
use crate::names::token_id::TokenId;

/// How long an earlier password works after a refresh has replaced it, in seconds.
pub const GRACE_SECONDS: i64 = 30;
/// The most earlier passwords that are good at a time. Where a token is refreshed more often than
/// that within the grace, the oldest is over before its time.
const MAX_EARLIER: usize = 4;
/// The most client ids that a narrower token can be used with.
pub const MAX_CLIENTS: usize = 16;
/// The longest client id that a token can be bound to, in bytes.
pub const MAX_CLIENT_ID: usize = 256;
/// The most topics of a narrower right.
pub const MAX_TOPICS: usize = 32;

/// The terms of a credential. Most have none, so they are kept in a box.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// The only MQTT client id that may use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The client ids that a narrower token without a `client_id` has connected with. Which sessions
    /// are its own decides whom its limits are for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// The token that this one is a narrower form of: it ends with that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<TokenId>,
    /// What it may do at most; the organization's policy has to allow it as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// How long it lives from a refresh on, where that is not as long as it lived first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub life_seconds: Option<u32>,
    /// When it was refreshed last.
    #[serde(
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::timestamp::second::optional"
    )]
    pub refreshed_at: Option<Timestamp>,
    /// Passwords that a refresh has replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Earlier>,
}

/// A narrower right than that of the organization's policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Whether it may publish.
    pub publish: bool,
    /// Whether it may subscribe.
    pub subscribe: bool,
    /// The only topics: filters, perhaps with placeholders. `None`: no narrower than the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
}

/// A password that a refresh has replaced.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// The pepper of `digest`.
    pub pepper: RingKeyId,
    /// As that of the credential.
    #[serde(with = "digest_text")]
    pub digest: Digest,
    /// From this moment on it is no longer good.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub until: Timestamp,
}

/// A narrower token needs a client id by which its sessions can be told from others, and has
/// [`MAX_CLIENTS`] at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotItsClient;

impl Terms {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a session with this client id may have been opened under these terms. A narrower token
    /// knows its sessions; any other may have opened all that it is not kept from.
    pub fn may_have_opened(&self, client_id: &str) -> bool {
        match &self.client_id {
            Some(bound) => bound == client_id,
            None => self.limits.is_none() || self.has_connected(client_id),
        }
    }

    fn has_connected(&self, client_id: &str) -> bool {
        self.clients.iter().any(|known| known == client_id)
    }

    /// Whether a session with this client id has to be noted before it is opened.
    pub fn has_to_note(&self, client_id: &str) -> bool {
        self.limits.is_some() && self.client_id.is_none() && !self.has_connected(client_id)
    }

    /// Notes a session.
    ///
    /// # Errors
    /// [`NotItsClient`] where it cannot be.
    pub fn note(&mut self, client_id: &str) -> Result<(), NotItsClient> {
        if client_id.is_empty()
            || client_id.len() > MAX_CLIENT_ID
            || self.clients.len() >= MAX_CLIENTS
        {
            return Err(NotItsClient);
        }
        self.clients.push(client_id.to_owned());
        Ok(())
    }

    /// Notes a password that is replaced now.
    pub fn replace(&mut self, pepper: RingKeyId, digest: Digest, now: Timestamp) {
        self.earlier.retain(|earlier| earlier.until > now);
        if self.earlier.len() >= MAX_EARLIER {
            self.earlier.remove(0);
        }
        self.earlier.push(Earlier {
            pepper,
            digest,
            until: now + SignedDuration::from_secs(GRACE_SECONDS),
        });
    }
}

impl std::fmt::Debug for Earlier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Earlier(until {})", self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_password_has_its_grace_and_few_are_kept() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let pepper = RingKeyId::random();
        let mut terms = Terms::default();
        assert!(terms.is_empty());
        for second in 0..6 {
            terms.replace(pepper, [second as u8; 32], at(second));
        }
        let untils: Vec<_> = terms.earlier.iter().map(|one| one.until).collect();
        assert_eq!(untils, [at(32), at(33), at(34), at(35)]);
        terms.replace(pepper, [9; 32], at(34));
        let untils: Vec<_> = terms.earlier.iter().map(|one| one.until).collect();
        assert_eq!(untils, [at(35), at(64)]);
        let text = serde_json::to_string(&terms).unwrap();
        assert_eq!(serde_json::from_str::<Terms>(&text).unwrap(), terms);
        assert_eq!(serde_json::to_string(&Terms::default()).unwrap(), "{}");
    }
}
