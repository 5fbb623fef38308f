//! Passwords that people choose: Argon2id, and a memory of the last success in this process.

use std::fmt;
use std::sync::OnceLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use serde::{Deserialize, Serialize};

use crate::keyring::{Digest, Keyring};
use crate::secret::{self, Secret};

/// The longest password that is hashed, in bytes.
pub const MAX_LENGTH: usize = 1024;

/// An Argon2id hash in PHC form (19 MiB, 2 passes, 1 lane: the OWASP minimum).
///
/// Verifying takes about 20 ms of a core. After one success the entry remembers a keyed digest of
/// the password that only this process can make, so a reconnect costs an HMAC. The memory lives
/// and dies with the cached record.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct HumanPassword {
    phc: String,
    #[serde(skip)]
    accepted: OnceLock<Digest>,
}

impl HumanPassword {
    /// Hashes a password. Takes about 20 ms: not for an event loop.
    ///
    /// # Panics
    /// When the operating system cannot give a random salt.
    pub fn hash(password: &Secret) -> Self {
        let phc = Argon2::default()
            .hash_password(password.expose().as_bytes())
            .expect("default parameters and a bounded password can be hashed")
            .to_string();
        Self {
            phc,
            accepted: OnceLock::new(),
        }
    }

    /// Whether a password that was accepted before in this process is presented again.
    /// `None`: unknown, [`verify`](Self::verify) has to tell.
    pub fn remembers(&self, password: &str, keys: &Keyring) -> Option<bool> {
        let accepted = self.accepted.get()?;
        let same = secret::constant_time_eq(accepted, &keys.process_digest(password));
        same.then_some(true)
    }

    /// Remembers a password that is known to be right for this very hash.
    pub fn accept(&self, password: &str, keys: &Keyring) {
        self.accepted.get_or_init(|| keys.process_digest(password));
    }

    /// Tells this hash from another one, in this process.
    pub fn digest(&self, keys: &Keyring) -> Digest {
        keys.process_digest(&self.phc)
    }

    /// Verifies with Argon2id and remembers a success. Takes about 20 ms: not for an event loop.
    pub fn verify(&self, password: &Secret, keys: &Keyring) -> bool {
        if password.expose().len() > MAX_LENGTH {
            return false;
        }
        let Ok(hash) = PasswordHash::new(&self.phc) else {
            return false;
        };
        let password = password.expose();
        let good = Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok();
        if good {
            self.accept(password, keys);
        }
        good
    }

    /// A hash of nothing anybody knows, to spend the same time on an unknown name.
    pub fn decoy() -> Self {
        Self::hash(&Secret::new(crate::names::base62::random(32)))
    }
}

impl Clone for HumanPassword {
    fn clone(&self) -> Self {
        Self {
            phc: self.phc.clone(),
            accepted: OnceLock::new(),
        }
    }
}

impl PartialEq for HumanPassword {
    fn eq(&self, other: &Self) -> bool {
        self.phc == other.phc
    }
}

impl Eq for HumanPassword {}

impl fmt::Debug for HumanPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(secret::REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_remembered_and_nothing_else_is() {
        let keys = Keyring::random();
        let stored = HumanPassword::hash(&Secret::new("correct horse"));
        assert!(stored.phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(stored.remembers("correct horse", &keys), None);
        assert!(!stored.verify(&Secret::new("wrong"), &keys));
        assert_eq!(stored.remembers("wrong", &keys), None);
        assert!(stored.verify(&Secret::new("correct horse"), &keys));
        assert_eq!(stored.remembers("correct horse", &keys), Some(true));
        assert_eq!(stored.remembers("wrong", &keys), None);
        assert_eq!(stored.clone().remembers("correct horse", &keys), None);
    }

    #[test]
    fn an_over_long_password_is_refused_unhashed() {
        let keys = Keyring::random();
        let stored = HumanPassword::hash(&Secret::new("x"));
        assert!(!stored.verify(&Secret::new("x".repeat(MAX_LENGTH + 1)), &keys));
    }
}
