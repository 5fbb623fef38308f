//! An identity provider, as data: whose tokens, how they are signed, who their subjects become.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::keyring::{CannotOpen, Keyring, Sealed};
use crate::names::organization_id::{is_base32, push_base32};
use crate::names::username::{LocalName, SERVICE_NAME, is_clean};
use crate::secret::Secret;

/// The longest username prefix: it leaves room for a UUID or a hashed subject behind it.
pub const MAX_PREFIX_LENGTH: usize = 24;
/// The shortest shared secret for HS256, in bytes (RFC 7518 section 3.2).
pub const MIN_SHARED_SECRET: usize = 32;

const HASHED_SUBJECT_LENGTH: usize = 20;

/// An identity provider of an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// The id, which the contract calls `integration_id`.
    pub id: Uuid,
    /// What its owner calls it; unique in the organization.
    pub name: String,
    /// Which product it is.
    pub kind: ProviderKind,
    /// The exact `iss` of its tokens.
    pub issuer: String,
    /// The accepted `aud` values; a token needs one of them.
    pub audiences: Vec<String>,
    /// How its tokens are signed. The algorithm is fixed here and never taken from a token.
    pub key: ProviderKey,
    /// What the usernames of its subjects begin with.
    pub username_prefix: String,
    /// Whether a token without an `email` claim is refused.
    pub require_email: bool,
    /// Whether new exchanges are accepted.
    pub enabled: bool,
}

/// Which product a provider is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Supabase Auth.
    Supabase,
}

/// How a provider signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKey {
    /// HMAC-SHA-256 with a shared secret, which the store holds encrypted.
    Hs256(Sealed),
}

/// Why a provider cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProvider {
    /// Under [`MIN_SHARED_SECRET`].
    #[error(
        "the shared secret has {0} bytes; HS256 needs at least {MIN_SHARED_SECRET} \
         (RFC 7518 section 3.2): set a longer one at the provider"
    )]
    ShortSecret(usize),
    /// Not `https://host` (or `http://` on loopback).
    #[error(
        "the project URL is `https://<host>` (or http:// on a loopback host), with nothing behind"
    )]
    ProjectUrl,
    /// Not clean, or too long.
    #[error("a username prefix is 1 to {MAX_PREFIX_LENGTH} of A-Z a-z 0-9 _ -")]
    Prefix,
    /// Empty or too long.
    #[error("a name is 1 to {0} bytes without control characters")]
    Name(usize),
}

impl ProviderKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ProviderKind::Supabase => "supabase",
        }
    }
}

impl Provider {
    /// The username of a subject: the subject itself where it is clean, else a hash of it.
    ///
    /// A clean subject that looks like such a hash is hashed too; otherwise somebody could choose
    /// a subject that gives another's username.
    pub fn local_name(&self, subject: &str) -> LocalName {
        let plain = format!("{}{subject}", self.username_prefix);
        let looks_hashed = subject.len() == HASHED_SUBJECT_LENGTH && is_base32(subject);
        if !subject.is_empty()
            && !looks_hashed
            && plain != SERVICE_NAME
            && let Ok(name) = plain.parse()
        {
            return name;
        }
        let mut name = self.username_prefix.clone();
        push_base32(
            &subject_hash(self.id, subject),
            HASHED_SUBJECT_LENGTH,
            &mut name,
        );
        name.parse()
            .expect("a clean prefix with base32 behind it is a local name")
    }

    /// The shared secret in clear.
    ///
    /// # Errors
    /// [`CannotOpen`] when the pepper it was sealed with is gone.
    pub fn shared_secret(&self, keys: &Keyring) -> Result<Secret, CannotOpen> {
        match &self.key {
            ProviderKey::Hs256(sealed) => keys.open(sealed, &sealing_context(self.id)),
        }
    }

    /// The same provider with its secret encrypted under the newest pepper; `None`: it is already,
    /// or it cannot be opened.
    pub fn resealed(&self, keys: &Keyring) -> Option<Self> {
        let ProviderKey::Hs256(sealed) = &self.key;
        if !keys.is_old(sealed) {
            return None;
        }
        let secret = self.shared_secret(keys).ok()?;
        let key = ProviderKey::Hs256(keys.seal(&secret, &sealing_context(self.id)));
        Some(Self {
            key,
            ..self.clone()
        })
    }

    /// Encrypts the shared secret of the provider with this id.
    ///
    /// # Errors
    /// [`BadProvider::ShortSecret`].
    pub fn seal_shared_secret(
        id: Uuid,
        secret: &Secret,
        keys: &Keyring,
    ) -> Result<ProviderKey, BadProvider> {
        let length = secret.expose().len();
        if length < MIN_SHARED_SECRET {
            return Err(BadProvider::ShortSecret(length));
        }
        Ok(ProviderKey::Hs256(keys.seal(secret, &sealing_context(id))))
    }

    /// Whether a text can be a username prefix.
    pub fn is_prefix(text: &str) -> bool {
        !text.is_empty() && text.len() <= MAX_PREFIX_LENGTH && is_clean(text)
    }
}

fn sealing_context(id: Uuid) -> String {
    format!("provider {id}")
}

fn subject_hash(provider: Uuid, subject: &str) -> [u8; 32] {
    // The UUID has a fixed length, so no other (provider, subject) gives the same input.
    Sha256::new()
        .chain_update(provider.as_bytes())
        .chain_update(subject)
        .finalize()
        .into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A provider such as Supabase gives, for tests of this rank.
    pub(crate) fn supabase(keys: &Keyring, name: &str, url: &str, prefix: &str) -> Provider {
        let id = Uuid::new_v4();
        let secret = Secret::new("0123456789abcdef0123456789abcdef");
        Provider {
            id,
            name: name.into(),
            kind: ProviderKind::Supabase,
            issuer: format!("{url}/auth/v1"),
            audiences: vec!["authenticated".into()],
            key: Provider::seal_shared_secret(id, &secret, keys).unwrap(),
            username_prefix: prefix.into(),
            require_email: true,
            enabled: true,
        }
    }

    #[test]
    fn clean_subjects_stay_and_all_others_are_hashed() {
        let provider = supabase(&Keyring::random(), "one", "https://a.example", "user_");
        let name = |subject: &str| provider.local_name(subject).as_str().to_owned();
        assert_eq!(name("8f14e45f-ceea-4677"), "user_8f14e45f-ceea-4677");
        for odd in ["", "auth0|abc", "a@b.c", "ü", "a/b", &"x".repeat(60)] {
            assert_eq!(
                name(odd).len(),
                "user_".len() + HASHED_SUBJECT_LENGTH,
                "{odd}"
            );
            assert_eq!(name(odd), name(odd));
        }
        assert_ne!(name("auth0|a"), name("auth0|b"));
    }

    #[test]
    fn a_subject_cannot_complete_a_reserved_word() {
        for (prefix, subject) in [("n", "ull"), ("un", "defined"), ("s", "erver")] {
            let provider = supabase(&Keyring::random(), "one", "https://a.example", prefix);
            let name = provider.local_name(subject);
            assert_eq!(
                name.as_str().len(),
                prefix.len() + HASHED_SUBJECT_LENGTH,
                "{subject}"
            );
        }
    }

    #[test]
    fn nobody_can_choose_a_subject_that_is_anothers_hash() {
        let provider = supabase(&Keyring::random(), "one", "https://a.example", "user_");
        let victim = provider.local_name("auth0|victim");
        let chosen = victim.as_str().strip_prefix("user_").unwrap();
        assert_ne!(provider.local_name(chosen), victim);
    }

    #[test]
    fn the_same_subject_of_another_provider_hashes_to_another_name() {
        let keys = Keyring::random();
        let one = supabase(&keys, "one", "https://a.example", "user_");
        let two = supabase(&keys, "two", "https://b.example", "user_");
        assert_ne!(one.local_name("auth0|a"), two.local_name("auth0|a"));
    }

    #[test]
    fn short_secrets_are_refused_and_sealed_ones_belong_to_their_provider() {
        let keys = Keyring::random();
        let short = Provider::seal_shared_secret(Uuid::nil(), &Secret::new("x".repeat(31)), &keys);
        assert_eq!(short, Err(BadProvider::ShortSecret(31)));
        let provider = supabase(&keys, "one", "https://a.example", "user_");
        assert!(provider.shared_secret(&keys).is_ok());
        let moved = Provider {
            id: Uuid::new_v4(),
            ..provider
        };
        assert!(moved.shared_secret(&keys).is_err());
    }
}
