//! API keys that another system has made: `cs_` and whatever it put behind that. Nothing in such a
//! key proves that anybody made it, so the deployment keeps one list of all that were imported, by
//! their hashes, and whatever is not in it is refused without a look at any key.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::names::key_id::ApiKeyId;
use crate::secret::Secret;

/// What every such key begins with.
pub const PREFIX: &str = "cs_";
/// The most that a deployment imports.
pub const MAX_KEYS: usize = 1_000;
/// The fewest and the most bytes of such a key.
const LENGTH: std::ops::RangeInclusive<usize> = 20..=256;
/// How much of the hash the list says, in hexadecimal digits: 128 bits.
const LISTED: usize = 32;

/// SHA-256 of a whole key, in hexadecimal digits. What is stored of it is stored as of any secret.
#[derive(Clone)]
pub struct LegacyHash(Secret);

/// The text is not a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sha256 is 64 hexadecimal digits: the SHA-256 of the whole key")]
pub struct NotAHash;

/// Which keys were imported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegacyKeys {
    /// The front of a hash -> the key.
    ids: BTreeMap<String, ApiKeyId>,
}

/// Why a key is not taken into the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotImport {
    /// It is there.
    #[error("this key was imported already")]
    Known,
    /// There is no room.
    #[error("{MAX_KEYS} keys were imported already; make new ones instead")]
    TooMany,
}

impl LegacyHash {
    /// Of a key that somebody shows; `None`: it does not look like one.
    pub fn of(text: &Secret) -> Option<Self> {
        let text = text.expose();
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !text.starts_with(PREFIX) || !LENGTH.contains(&text.len()) || !plain {
            return None;
        }
        let hash = Sha256::digest(text);
        let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self(Secret::new(digits)))
    }

    /// The digits.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    fn listed(&self) -> &str {
        &self.expose()[..LISTED]
    }
}

impl FromStr for LegacyHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let good = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        good.then(|| Self(Secret::new(text.to_ascii_lowercase())))
            .ok_or(NotAHash)
    }
}

impl LegacyKeys {
    /// The key of this hash.
    pub fn find(&self, hash: &LegacyHash) -> Option<ApiKeyId> {
        self.ids.get(hash.listed()).copied()
    }

    /// Takes a key in.
    ///
    /// # Errors
    /// [`CannotImport`].
    pub fn insert(&mut self, hash: &LegacyHash, id: ApiKeyId) -> Result<(), CannotImport> {
        if self.ids.contains_key(hash.listed()) {
            return Err(CannotImport::Known);
        }
        if self.ids.len() >= MAX_KEYS {
            return Err(CannotImport::TooMany);
        }
        self.ids.insert(hash.listed().to_owned(), id);
        Ok(())
    }

    /// Everything that is in either list.
    pub fn and(mut self, other: &Self) -> Self {
        let more = other.ids.iter().map(|(hash, id)| (hash.clone(), *id));
        self.ids.extend(more);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "cs_live_0123456789abcdef";

    #[test]
    fn a_key_is_found_by_its_own_hash_only() {
        let hash = LegacyHash::of(&Secret::new(KEY)).unwrap();
        // By `sha256sum`.
        let digits = "c257b1e60a602c2c9853c93ccc9e47b2e15f31b273244bbf47b122808d9ba03a";
        assert_eq!(hash.expose(), digits);
        let same: LegacyHash = hash.expose().to_uppercase().parse().unwrap();
        assert_eq!(same.expose(), hash.expose());
        let (mut keys, id) = (LegacyKeys::default(), ApiKeyId::random());
        assert_eq!(keys.find(&hash), None);
        keys.insert(&hash, id).unwrap();
        assert_eq!(keys.find(&hash), Some(id));
        assert_eq!(keys.insert(&hash, id), Err(CannotImport::Known));
        let other = LegacyHash::of(&Secret::new(format!("{KEY}0"))).unwrap();
        assert_eq!(keys.find(&other), None);
        assert_eq!(LegacyKeys::default().and(&keys), keys);
        let text = serde_json::to_string(&keys).unwrap();
        assert!(!text.contains(hash.expose()), "not the whole of it");
        assert_eq!(serde_json::from_str::<LegacyKeys>(&text).unwrap(), keys);
    }

    #[test]
    fn what_does_not_look_like_one_has_no_hash() {
        for text in [
            "",
            "cs_",
            "cs_short",
            "sk_live_0123456789abcdef",
            "cs_with a space 0123456",
        ] {
            assert!(LegacyHash::of(&Secret::new(text)).is_none(), "{text}");
        }
        let long = format!("cs_{}", "x".repeat(254));
        assert!(LegacyHash::of(&Secret::new(long)).is_none());
        for text in ["", "xyz", &"0".repeat(63), &"g".repeat(64)] {
            assert!(text.parse::<LegacyHash>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_list_is_bounded() {
        let mut keys = LegacyKeys::default();
        let hash = |n: usize| format!("{n:064x}").chars().rev().collect::<String>();
        for n in 0..MAX_KEYS {
            let hash = hash(n).parse().unwrap();
            keys.insert(&hash, ApiKeyId::random()).unwrap();
        }
        let one_more = hash(MAX_KEYS).parse().unwrap();
        let refused = keys.insert(&one_more, ApiKeyId::random());
        assert_eq!(refused, Err(CannotImport::TooMany));
    }
}
