//! The deployment's own keys: seals prove that we made a password, peppers guard what is stored.
//!
//! Both are lists, newest first: the newest makes, all of them verify. Every use has its own
//! prefix or derivation, so that a value made for one use is worthless for another.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::names::key_id::RingKeyId;
use crate::secret::{self, Secret, SecretKey};

/// The most keys that one list may hold: each old key costs an HMAC per verification.
pub const MAX_KEYS: usize = 16;

/// HMAC-SHA-256 of a secret under a pepper: what the store holds in its place.
pub type Digest = [u8; 32];

const SEALED_LABEL: &[u8] = b"ticketgate provider secret v1";

/// Every key of the deployment, ready for use.
pub struct Keyring {
    seals: KeyList,
    peppers: KeyList,
    /// Lives and dies with the process: what it protects is never stored.
    process: Hmac<Sha256>,
}

/// A list of keys with their ids, newest first.
pub struct KeyList(Vec<RingKey>);

struct RingKey {
    id: RingKeyId,
    key: SecretKey,
    /// The HMAC state after the key: verifying clones it instead of hashing the key again.
    mac: Hmac<Sha256>,
}

/// A secret that has to be read again (a provider's shared secret), encrypted with AES-256-GCM
/// under a key derived from a pepper.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    pepper: RingKeyId,
    /// URL-safe base64 of nonce (12 bytes) and ciphertext with tag.
    boxed: String,
}

/// Why a key list cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyListError {
    /// No key at all.
    #[error("the list holds no key; `ticketgate init` makes one")]
    Empty,
    /// More than [`MAX_KEYS`].
    #[error("the list holds more than {MAX_KEYS} keys; drop the oldest")]
    TooMany,
    /// A line is not `<id> <key>`. The line itself is a secret and is not shown.
    #[error(
        "line {0} is not `<4 characters of id> <43 characters of URL-safe base64>`; \
         `ticketgate keys new` prints such a line"
    )]
    Line(usize),
    /// An id occurs twice.
    #[error("the key id {0} occurs twice")]
    Twice(RingKeyId),
}

/// The sealed secret cannot be opened: its pepper is gone, or it was changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a stored secret cannot be opened with any pepper of this deployment")]
pub struct CannotOpen;

impl KeyList {
    /// Reads one key a line, `<id> <URL-safe base64 of 32 bytes>`, newest first. Empty lines and
    /// lines that begin with `#` are passed over; a comma serves as a line end, for environment
    /// variables.
    ///
    /// # Errors
    /// [`KeyListError`]; it never repeats what a line says.
    pub fn parse(text: &Secret) -> Result<Self, KeyListError> {
        let mut keys: Vec<RingKey> = Vec::new();
        for (number, line) in text.expose().split(['\n', ',']).enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = RingKey::parse(line).ok_or(KeyListError::Line(number + 1))?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(KeyListError::Twice(key.id));
            }
            keys.push(key);
        }
        match keys.len() {
            0 => Err(KeyListError::Empty),
            1..=MAX_KEYS => Ok(Self(keys)),
            _ => Err(KeyListError::TooMany),
        }
    }

    /// A fresh line for [`parse`](Self::parse).
    pub fn fresh_line() -> Secret {
        let key = URL_SAFE_NO_PAD.encode(SecretKey::random().expose());
        Secret::new(format!("{} {key}\n", RingKeyId::random()))
    }

    fn newest(&self) -> &RingKey {
        &self.0[0]
    }

    fn find(&self, id: RingKeyId) -> Option<&RingKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl RingKey {
    fn parse(line: &str) -> Option<Self> {
        let (id, key) = line.split_once(' ')?;
        let bytes = URL_SAFE_NO_PAD.decode(key.trim()).ok()?;
        let key = SecretKey::new(bytes.try_into().ok()?);
        Some(Self {
            id: id.parse().ok()?,
            mac: keyed(&key),
            key,
        })
    }

    fn mac(&self, message: &[u8]) -> Digest {
        let mut mac = self.mac.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }
}

impl Keyring {
    /// Joins the two lists.
    pub fn new(seals: KeyList, peppers: KeyList) -> Self {
        Self {
            seals,
            peppers,
            process: keyed(&SecretKey::random()),
        }
    }

    /// A keyring of fresh keys, for a first start and for tests.
    pub fn random() -> Self {
        let fresh = || KeyList::parse(&KeyList::fresh_line()).expect("a fresh line is a key");
        Self::new(fresh(), fresh())
    }

    /// The id of the seal key that makes new passwords.
    pub fn seal_id(&self) -> RingKeyId {
        self.seals.newest().id
    }

    /// The tag of a text under one seal key; `None` where this deployment has no such key.
    pub fn seal_tag(&self, id: RingKeyId, text: &str) -> Option<u64> {
        self.seals
            .find(id)
            .map(|key| first_64_bits(key.mac(text.as_bytes())))
    }

    /// Whether `tag` is the text's tag under any seal key of the deployment.
    pub fn seal_verifies(&self, text: &str, tag: u64) -> bool {
        self.seals.0.iter().any(|key| {
            let expected = first_64_bits(key.mac(text.as_bytes()));
            secret::constant_time_eq(&expected.to_be_bytes(), &tag.to_be_bytes())
        })
    }

    /// The id of the pepper that guards new digests.
    pub fn pepper_id(&self) -> RingKeyId {
        self.peppers.newest().id
    }

    /// Whether this deployment has a pepper.
    pub fn has_pepper(&self, id: RingKeyId) -> bool {
        self.peppers.find(id).is_some()
    }

    /// The digest of a secret under one pepper; `None` where this deployment has no such pepper.
    pub fn digest(&self, pepper: RingKeyId, secret: &str) -> Option<Digest> {
        self.peppers
            .find(pepper)
            .map(|key| key.mac(secret.as_bytes()))
    }

    /// A digest that only this process can make or compare, to remember a password that a slow
    /// hash has accepted. Never stored.
    pub fn process_digest(&self, text: &str) -> Digest {
        let mut mac = self.process.clone();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Encrypts a secret that has to be read again. `context` must be given again to open it.
    pub fn seal(&self, secret: &Secret, context: &str) -> Sealed {
        let pepper = self.peppers.newest();
        let mut text = secret.expose().as_bytes().to_vec();
        let nonce = sealing_key(pepper)
            .seal_in_place_append_tag(Aad::from(context), &mut text)
            .expect("a text far below the cipher's limit can be sealed");
        let boxed = [nonce.as_ref().as_slice(), text.as_slice()].concat();
        Sealed {
            pepper: pepper.id,
            boxed: URL_SAFE_NO_PAD.encode(boxed),
        }
    }

    /// Whether it was encrypted under another pepper than the newest.
    pub fn is_old(&self, sealed: &Sealed) -> bool {
        sealed.pepper != self.pepper_id()
    }

    /// Decrypts what [`seal`](Self::seal) made.
    ///
    /// # Errors
    /// [`CannotOpen`] when the pepper is gone, the context differs or the box was changed.
    pub fn open(&self, sealed: &Sealed, context: &str) -> Result<Secret, CannotOpen> {
        let pepper = self.peppers.find(sealed.pepper).ok_or(CannotOpen)?;
        let boxed = URL_SAFE_NO_PAD
            .decode(&sealed.boxed)
            .map_err(|_| CannotOpen)?;
        let (nonce, text) = boxed.split_at_checked(NONCE_LEN).ok_or(CannotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CannotOpen)?;
        let mut text = text.to_vec();
        let opened = sealing_key(pepper)
            .open_in_place(nonce, Aad::from(context), &mut text)
            .map_err(|_| CannotOpen)?;
        String::from_utf8(opened.to_vec())
            .map(Secret::new)
            .map_err(|_| CannotOpen)
    }
}

impl Sealed {
    /// The pepper that it was encrypted under.
    pub fn pepper(&self) -> RingKeyId {
        self.pepper
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("seal", &self.seal_id())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(secret::REDACTED)
    }
}

fn keyed(key: &SecretKey) -> Hmac<Sha256> {
    Hmac::new_from_slice(key.expose()).expect("HMAC takes a key of any length")
}

fn sealing_key(pepper: &RingKey) -> RandomizedNonceKey {
    let mut mac = keyed(&pepper.key);
    mac.update(SEALED_LABEL);
    let key: Digest = mac.finalize().into_bytes().into();
    RandomizedNonceKey::new(&AES_256_GCM, &key).expect("32 bytes are an AES-256 key")
}

fn first_64_bits(digest: Digest) -> u64 {
    u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lines: &[&str]) -> Result<KeyList, KeyListError> {
        KeyList::parse(&Secret::new(lines.join("\n")))
    }

    #[test]
    fn old_keys_verify_and_the_newest_makes() {
        let old = KeyList::fresh_line();
        let new = KeyList::fresh_line();
        let before = Keyring::new(KeyList::parse(&old).unwrap(), KeyList::parse(&old).unwrap());
        let both = || list(&[new.expose(), old.expose()]).unwrap();
        let after = Keyring::new(both(), both());

        let tag = before.seal_tag(before.seal_id(), "text").unwrap();
        assert!(after.seal_verifies("text", tag));
        assert_ne!(after.seal_id(), before.seal_id());
        assert_eq!(
            after.digest(before.pepper_id(), "s"),
            before.digest(before.pepper_id(), "s")
        );
        let sealed = before.seal(&Secret::new("jwt secret"), "org/provider");
        assert_eq!(
            after.open(&sealed, "org/provider").unwrap().expose(),
            "jwt secret"
        );
    }

    #[test]
    fn a_box_opens_only_in_its_context_unchanged_and_with_its_pepper() {
        let ring = Keyring::random();
        let sealed = ring.seal(&Secret::new("jwt secret"), "a");
        assert!(!sealed.boxed.contains("jwt"));
        assert_eq!(ring.open(&sealed, "b").unwrap_err(), CannotOpen);
        assert_eq!(
            Keyring::random().open(&sealed, "a").unwrap_err(),
            CannotOpen
        );
        let cut = Sealed {
            boxed: sealed.boxed[..8].into(),
            ..sealed.clone()
        };
        assert_eq!(ring.open(&cut, "a").unwrap_err(), CannotOpen);
    }

    #[test]
    fn a_bad_list_says_what_is_wrong_without_showing_it() {
        let line = KeyList::fresh_line();
        let error = |lines: &[&str]| list(lines).err().unwrap();
        assert_eq!(error(&[]), KeyListError::Empty);
        assert_eq!(error(&["# only a comment"]), KeyListError::Empty);
        assert_eq!(error(&["", "Ab3z tooshort"]), KeyListError::Line(2));
        assert!(matches!(
            error(&[line.expose(), line.expose()]),
            KeyListError::Twice(_)
        ));
        let many: Vec<_> = (0..=MAX_KEYS).map(|_| KeyList::fresh_line()).collect();
        let many: Vec<_> = many.iter().map(|line| line.expose().trim()).collect();
        assert_eq!(error(&many), KeyListError::TooMany);
        assert!(KeyList::parse(&Secret::new(many[..3].join(","))).is_ok());
    }
}
