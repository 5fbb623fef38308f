//! The operator's root keys: `root_` + at least 32 characters. They lie in files or the environment
//! of the server and in no store.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::names::base62;
use crate::secret::{Secret, constant_time_eq};

/// What every root key begins with. No API key, password or token does.
pub const PREFIX: &str = "root_";
/// The fewest characters behind the prefix.
pub const MIN_LENGTH: usize = 32;
/// The longest root key, in bytes.
pub const MAX_LENGTH: usize = 256;
/// The most root keys that are good at a time.
pub const MAX_KEYS: usize = 16;

/// The root keys of a deployment. Without any, nobody may do what takes one.
#[derive(Default)]
pub struct RootKeys(Vec<[u8; 32]>);

/// Why a list of root keys cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRootKeys {
    /// A line is no root key. The line itself is a secret and is not shown.
    #[error(
        "line {0} is not `root_` and at least 32 characters of A-Z a-z 0-9 _ -; \
         `ticketgate keys new-root` prints one"
    )]
    Line(usize),
    /// More than [`MAX_KEYS`].
    #[error("there are more than {MAX_KEYS} root keys; drop the oldest")]
    TooMany,
}

impl RootKeys {
    /// Reads one key a line; a comma serves as a line end, for environment variables. Empty lines
    /// and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`NotRootKeys`]; it never repeats what a line says.
    pub fn parse(text: &Secret) -> Result<Self, NotRootKeys> {
        let mut keys = Vec::new();
        for (number, line) in text.expose().split(['\n', ',']).enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if !is_root_key(line) {
                return Err(NotRootKeys::Line(number + 1));
            }
            keys.push(hash(line));
        }
        Self(keys).bounded()
    }

    /// Both lists.
    ///
    /// # Errors
    /// [`NotRootKeys::TooMany`].
    pub fn and(mut self, more: Self) -> Result<Self, NotRootKeys> {
        self.0.extend(more.0);
        self.bounded()
    }

    fn bounded(self) -> Result<Self, NotRootKeys> {
        if self.0.len() > MAX_KEYS {
            return Err(NotRootKeys::TooMany);
        }
        Ok(self)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the text is one of them. Every one is compared, each in constant time.
    pub fn has(&self, text: &Secret) -> bool {
        let text = text.expose();
        if !is_root_key(text) {
            return false;
        }
        let shown = hash(text);
        let same = |known: &[u8; 32]| constant_time_eq(known, &shown);
        self.0
            .iter()
            .fold(false, |found, known| found | same(known))
    }

    /// A fresh root key.
    pub fn fresh() -> Secret {
        Secret::new(format!("{PREFIX}{}", base62::random(43)))
    }
}

impl fmt::Debug for RootKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKeys({})", self.0.len())
    }
}

fn is_root_key(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    text.len() <= MAX_LENGTH
        && text
            .strip_prefix(PREFIX)
            .is_some_and(|rest| rest.len() >= MIN_LENGTH && rest.bytes().all(good))
}

/// Equal texts and nothing else have equal hashes, and all hashes are of one length.
fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::presented::Presented;

    #[test]
    fn a_root_key_is_its_own_kind_of_text() {
        let (one, other) = (RootKeys::fresh(), RootKeys::fresh());
        let file = format!("# of the year\n{}\n\n {} \n", one.expose(), other.expose());
        let keys = RootKeys::parse(&Secret::new(file)).unwrap();
        assert!(keys.has(&one) && keys.has(&other) && !keys.is_empty());
        assert!(!keys.has(&RootKeys::fresh()));
        assert!(!Presented::has_our_prefix(one.expose()));
        assert_eq!(format!("{keys:?}"), "RootKeys(2)");
        for forged in [
            "",
            "root_",
            &one.expose()[1..],
            &one.expose()[..one.expose().len() - 1],
            &one.expose().to_uppercase(),
            &format!("{} ", one.expose()),
            &format!("sk_{}", &one.expose()[5..]),
        ] {
            assert!(!keys.has(&Secret::new(forged)), "{forged}");
        }
        assert!(!RootKeys::default().has(&one));
    }

    #[test]
    fn short_and_other_texts_are_refused_without_being_shown() {
        for text in [
            "hunter2",
            "root_hunter2",
            "sk_0123456789012345678901234567890123",
        ] {
            let error = RootKeys::parse(&Secret::new(text)).unwrap_err();
            assert_eq!(error, NotRootKeys::Line(1));
            assert!(!error.to_string().contains("hunter2"));
        }
        let many = vec![RootKeys::fresh().expose().to_owned(); MAX_KEYS + 1].join(",");
        let error = RootKeys::parse(&Secret::new(many)).unwrap_err();
        assert_eq!(error, NotRootKeys::TooMany);
        assert!(RootKeys::parse(&Secret::new("")).unwrap().is_empty());
    }
}
