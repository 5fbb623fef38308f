//! An identity provider, as data: whose tokens, how they are signed, who their subjects become.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::keyring::{CannotOpen, Keyring, Sealed};
use crate::names::claims::is_claim_name;
use crate::names::key_id::RingKeyId;
use crate::names::organization_id::{is_base32, push_base32};
use crate::names::username::{LocalName, SERVICE_NAME, is_clean};
use crate::org::claim_path::ClaimPath;
use crate::org::https_url::{HttpsUrl, NotAnHttpsUrl};
use crate::org::public_key::{Algorithm, BadKey, PublicKey};
use crate::secret::Secret;

/// The longest name, in bytes.
pub const MAX_NAME_LENGTH: usize = 128;
/// The longest username prefix: it leaves room for a UUID or a hashed subject behind it.
pub const MAX_PREFIX_LENGTH: usize = 24;
/// The shortest shared secret for HS256, in bytes (RFC 7518 section 3.2).
pub const MIN_SHARED_SECRET: usize = 32;

/// The longest name, issuer, audience or required value, in bytes.
pub const MAX_TEXT_LENGTH: usize = 256;
/// The most audiences, mapped claims, required claims or authorized parties.
pub const MAX_LIST: usize = 16;

const HASHED_SUBJECT_LENGTH: usize = 20;
/// Placeholders of topic rules that are no claims.
const NOT_CLAIMS: [&str; 3] = ["username", "client_id", "org_short_id"];

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
    /// The accepted `aud` values; a token needs one of them. None, which only Clerk may have: a
    /// token must name no audience.
    pub audiences: Vec<String>,
    /// How its tokens are signed. The algorithm is fixed here and never taken from a token.
    pub key: ProviderKey,
    /// Other ways beside it, while the provider goes over from one to another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_keys: Vec<ProviderKey>,
    /// What the usernames of its subjects begin with.
    pub username_prefix: String,
    /// Whether a token without an `email` claim is refused.
    pub require_email: bool,
    /// Where topic rules find a claim, by the claim's name there, beside the usual places.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claim_map: BTreeMap<String, ClaimPath>,
    /// What a token must say, and where: a value, or (`None`) anything.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub required_claims: BTreeMap<ClaimPath, Option<String>>,
    /// The accepted `azp` values, where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorized_parties: Vec<String>,
    /// Whether new exchanges are accepted.
    pub enabled: bool,
}

/// Which product a provider is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Supabase Auth.
    Supabase,
    /// Firebase Authentication.
    Firebase,
    /// Auth0.
    Auth0,
    /// Clerk.
    Clerk,
    /// Any other OpenID provider.
    Oidc,
    /// A signer of one's own, with a pasted key.
    Custom,
}

/// How a provider signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKey {
    /// HMAC-SHA-256 with a shared secret, which the store holds encrypted.
    Hs256(Sealed),
    /// One public key that was pasted, with the one algorithm it is good for.
    Public {
        /// The algorithm.
        algorithm: Algorithm,
        /// The key.
        key: PublicKey,
    },
    /// Keys that are fetched from the provider.
    KeySet {
        /// Where they are.
        source: KeySource,
        /// The algorithms that its tokens may have; each key is good for one of them.
        algorithms: BTreeSet<Algorithm>,
    },
}

/// Where a provider publishes its keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// A JWK Set (RFC 7517).
    Url(HttpsUrl),
    /// Named by the discovery document of this issuer (OpenID Connect Discovery 1.0).
    Discovery(HttpsUrl),
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::Url(url) => write!(f, "{url}"),
            KeySource::Discovery(issuer) => write!(f, "the discovery document of {issuer}"),
        }
    }
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
    /// Empty, too long or with control characters.
    #[error("{0} is 1 to {MAX_TEXT_LENGTH} bytes without spaces and control characters")]
    Text(&'static str),
    /// Not a bare host name.
    #[error("`{0}` is not a domain such as auth.example.com (without https:// and path)")]
    Domain(String),
    /// Not a Firebase project.
    #[error("a Firebase project id is 4 to 40 of a-z 0-9 - and begins with a letter")]
    ProjectId,
    /// Not an address that may be asked.
    #[error(transparent)]
    Url(#[from] NotAnHttpsUrl),
    /// A token for anybody would do.
    #[error(
        "name at least one --audience: without it, a token that the issuer made for another \
         application would be accepted too"
    )]
    NoAudience,
    /// Over [`MAX_LIST`].
    #[error("there are at most {MAX_LIST} {0}")]
    TooMany(&'static str),
    /// Rules could not name it.
    #[error(
        "a claim for topic rules is named with A-Z a-z 0-9 _ and not username, client_id or \
         org_short_id: `{0}`"
    )]
    ClaimName(String),
    /// Not a key that can be used.
    #[error("the key cannot be used: {0}")]
    Key(#[from] BadKey),
    /// Of another type than the algorithm needs.
    #[error("the key is not one for {0}")]
    KeyType(Algorithm),
    /// Nothing that signs.
    #[error("say at least one algorithm")]
    NoAlgorithm,
}

impl ProviderKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ProviderKind::Supabase => "supabase",
            ProviderKind::Firebase => "firebase",
            ProviderKind::Auth0 => "auth0",
            ProviderKind::Clerk => "clerk",
            ProviderKind::Oidc => "oidc",
            ProviderKind::Custom => "custom",
        }
    }
}

impl Provider {
    /// The username of a subject: the subject itself where it is clean, else a hash of it.
    ///
    /// A clean subject that looks like such a hash is hashed too; otherwise somebody could choose
    /// a subject that gives another's username.
    pub fn local_name(&self, subject: &str) -> LocalName {
        local_name(&self.username_prefix, self.id, subject)
    }

    /// The same provider under another id. Its secrets are sealed for that one.
    ///
    /// # Errors
    /// A secret cannot be opened.
    pub fn with_id(&self, id: Uuid, keys: &Keyring) -> Result<Self, CannotOpen> {
        let mut provider = self.clone();
        provider.id = id;
        for key in std::iter::once(&mut provider.key).chain(&mut provider.more_keys) {
            if let ProviderKey::Hs256(sealed) = key {
                let secret = keys.open(sealed, &sealing_context(self.id))?;
                *sealed = keys.seal(&secret, &sealing_context(id));
            }
        }
        Ok(provider)
    }

    /// Every way that its tokens may be signed.
    pub fn keys(&self) -> impl Iterator<Item = &ProviderKey> {
        std::iter::once(&self.key).chain(&self.more_keys)
    }

    /// The shared secret in clear; `None`: it signs with none.
    ///
    /// # Errors
    /// [`CannotOpen`] when the pepper it was sealed with is gone.
    pub fn shared_secret(&self, keys: &Keyring) -> Result<Option<Secret>, CannotOpen> {
        let sealed = self.keys().find_map(ProviderKey::sealed);
        sealed
            .map(|sealed| keys.open(sealed, &sealing_context(self.id)))
            .transpose()
    }

    /// Where its keys are fetched from, and the algorithms that they may be for.
    pub fn key_set(&self) -> Option<(&KeySource, &BTreeSet<Algorithm>)> {
        self.keys().find_map(|key| match key {
            ProviderKey::KeySet { source, algorithms } => Some((source, algorithms)),
            _ => None,
        })
    }

    /// The peppers that guard its secrets.
    pub fn peppers(&self) -> impl Iterator<Item = RingKeyId> {
        self.keys()
            .filter_map(ProviderKey::sealed)
            .map(Sealed::pepper)
    }

    /// The same provider with its secret encrypted under the newest pepper; `None`: it is already,
    /// or it cannot be opened.
    pub fn resealed(&self, keys: &Keyring) -> Option<Self> {
        let is_old = |key: &ProviderKey| key.sealed().is_some_and(|sealed| keys.is_old(sealed));
        if !self.keys().any(is_old) {
            return None;
        }
        let secret = self.shared_secret(keys).ok()??;
        let mut resealed = self.clone();
        for key in std::iter::once(&mut resealed.key).chain(&mut resealed.more_keys) {
            if let ProviderKey::Hs256(sealed) = key {
                *sealed = keys.seal(&secret, &sealing_context(self.id));
            }
        }
        Some(resealed)
    }

    /// Checks what its owner wrote.
    ///
    /// # Errors
    /// [`BadProvider`]: the first mistake.
    pub fn check(&self) -> Result<(), BadProvider> {
        if self.name.is_empty()
            || self.name.len() > MAX_NAME_LENGTH
            || self.name.chars().any(char::is_control)
        {
            return Err(BadProvider::Name(MAX_NAME_LENGTH));
        }
        if !Self::is_prefix(&self.username_prefix) {
            return Err(BadProvider::Prefix);
        }
        check_text("an issuer", &self.issuer)?;
        check_list("audiences", self.audiences.len())?;
        check_list("mapped claims", self.claim_map.len())?;
        check_list("required claims", self.required_claims.len())?;
        check_list("authorized parties", self.authorized_parties.len())?;
        for audience in &self.audiences {
            check_text("an audience", audience)?;
        }
        for party in &self.authorized_parties {
            check_text("an authorized party", party)?;
        }
        if self.audiences.is_empty() && self.kind != ProviderKind::Clerk {
            return Err(BadProvider::NoAudience);
        }
        for name in self.claim_map.keys() {
            if !is_claim_name(name) || NOT_CLAIMS.contains(&name.as_str()) {
                return Err(BadProvider::ClaimName(name.clone()));
            }
        }
        self.keys().try_for_each(ProviderKey::check)
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

impl ProviderKey {
    fn sealed(&self) -> Option<&Sealed> {
        match self {
            ProviderKey::Hs256(sealed) => Some(sealed),
            ProviderKey::Public { .. } | ProviderKey::KeySet { .. } => None,
        }
    }

    fn check(&self) -> Result<(), BadProvider> {
        match self {
            ProviderKey::Hs256(_) => Ok(()),
            ProviderKey::Public { algorithm, key } if !key.fits(*algorithm) => {
                Err(BadProvider::KeyType(*algorithm))
            }
            ProviderKey::Public { key, .. } => Ok(key.check()?),
            ProviderKey::KeySet { algorithms, .. } if algorithms.is_empty() => {
                Err(BadProvider::NoAlgorithm)
            }
            ProviderKey::KeySet { .. } => Ok(()),
        }
    }
}

fn check_text(what: &'static str, text: &str) -> Result<(), BadProvider> {
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if text.is_empty() || text.len() > MAX_TEXT_LENGTH || text.chars().any(odd) {
        return Err(BadProvider::Text(what));
    }
    Ok(())
}

fn check_list(what: &'static str, length: usize) -> Result<(), BadProvider> {
    if length > MAX_LIST {
        return Err(BadProvider::TooMany(what));
    }
    Ok(())
}

fn sealing_context(id: Uuid) -> String {
    format!("provider {id}")
}

/// The part of the username before the `@` that a provider with this prefix and id gives a subject.
pub fn local_name(prefix: &str, provider: Uuid, subject: &str) -> LocalName {
    let plain = format!("{prefix}{subject}");
    let looks_hashed = subject.len() == HASHED_SUBJECT_LENGTH && is_base32(subject);
    if !subject.is_empty()
        && !looks_hashed
        && plain != SERVICE_NAME
        && let Ok(name) = plain.parse()
    {
        return name;
    }
    let mut name = prefix.to_owned();
    push_base32(
        &subject_hash(provider, subject),
        HASHED_SUBJECT_LENGTH,
        &mut name,
    );
    name.parse()
        .expect("a clean prefix with base32 behind it is a local name")
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
            more_keys: Vec::new(),
            username_prefix: prefix.into(),
            require_email: true,
            claim_map: BTreeMap::new(),
            required_claims: BTreeMap::new(),
            authorized_parties: Vec::new(),
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

    #[test]
    fn every_kind_of_key_reads_back_and_older_records_have_no_more() {
        let keys = Keyring::random();
        let mut provider = supabase(&keys, "one", "https://a.example", "user_");
        let text = serde_json::to_string(&provider).unwrap();
        for name in ["more_keys", "claim_map", "required_claims", "parties"] {
            assert!(!text.contains(name), "as version 2 began: {text}");
        }
        let read = |text: &str| serde_json::from_str::<Provider>(text).unwrap();
        assert_eq!(read(&text), provider);
        let x = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE".to_owned();
        let algorithms = || [Algorithm::RS256, Algorithm::EdDSA].into();
        let url: HttpsUrl = "https://a.example/keys".parse().unwrap();
        provider.more_keys = vec![
            ProviderKey::Public {
                algorithm: Algorithm::EdDSA,
                key: PublicKey::Ed25519 { x },
            },
            ProviderKey::KeySet {
                source: KeySource::Url(url.clone()),
                algorithms: algorithms(),
            },
            ProviderKey::KeySet {
                source: KeySource::Discovery(url),
                algorithms: algorithms(),
            },
        ];
        provider.claim_map = [("role".into(), "app.role".parse().unwrap())].into();
        provider.required_claims = [("a.b".parse().unwrap(), None)].into();
        assert_eq!(provider.check(), Ok(()));
        let text = serde_json::to_string(&provider).unwrap();
        assert_eq!(read(&text), provider);
        let http = text.replace("https://a.example/keys", "http://a.example/keys");
        assert!(serde_json::from_str::<Provider>(&http).is_err());
    }

    #[test]
    fn what_an_owner_writes_is_checked() {
        let good = supabase(&Keyring::random(), "one", "https://a.example", "user_");
        let broken = |change: fn(&mut Provider)| {
            let mut provider = good.clone();
            change(&mut provider);
            provider.check().unwrap_err()
        };
        let none = broken(|provider| provider.audiences.clear());
        assert_eq!(none, BadProvider::NoAudience);
        let many = broken(|provider| provider.audiences = vec!["a".into(); 17]);
        assert_eq!(many, BadProvider::TooMany("audiences"));
        let spaced = broken(|provider| provider.issuer = "a b".into());
        assert_eq!(spaced, BadProvider::Text("an issuer"));
        let claim = broken(|provider| {
            provider.claim_map = [("client_id".into(), "x".parse().unwrap())].into();
        });
        assert_eq!(claim, BadProvider::ClaimName("client_id".into()));
        let wrong = broken(|provider| {
            provider.key = ProviderKey::Public {
                algorithm: Algorithm::RS256,
                key: PublicKey::Ed25519 { x: "AA".into() },
            };
        });
        assert_eq!(wrong, BadProvider::KeyType(Algorithm::RS256));
    }

    #[test]
    fn a_new_pepper_seals_the_secret_wherever_it_stands() {
        let keys = Keyring::random();
        let mut provider = supabase(&keys, "one", "https://a.example", "user_");
        assert_eq!(provider.resealed(&keys), None);
        let url: HttpsUrl = "https://a.example/keys".parse().unwrap();
        let set = ProviderKey::KeySet {
            source: KeySource::Url(url),
            algorithms: [Algorithm::RS256].into(),
        };
        provider.more_keys = vec![std::mem::replace(&mut provider.key, set)];
        assert_eq!(provider.peppers().collect::<Vec<_>>(), [keys.pepper_id()]);
        assert!(provider.shared_secret(&keys).unwrap().is_some());
        assert!(provider.key_set().is_some());
        assert!(provider.shared_secret(&Keyring::random()).is_err());
    }
}
