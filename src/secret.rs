//! Text and bytes that must never leave: no `Display`, no `Serialize`, a `Debug` that says only
//! that there is something, wiped from memory when dropped.

use std::borrow::Cow;
use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What `Debug` prints in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// An owned secret text: a minted password, an API key, an identity provider's shared secret.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Every call of this is a place to review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// A secret text that may still lie in the request that carried it.
///
/// The hook path borrows: a password is compared and forgotten, never stored.
#[derive(Clone)]
pub struct SecretStr<'a>(Cow<'a, str>);

impl<'a> SecretStr<'a> {
    /// Wraps a borrowed or owned text.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self(text.into())
    }

    /// The text itself. Every call of this is a place to review.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The same secret, owned and wiped on drop, for work that outlives the request.
    pub fn to_secret(&self) -> Secret {
        Secret::new(self.0.as_ref())
    }
}

impl Drop for SecretStr<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

impl fmt::Debug for SecretStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// 256 bits of key material.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// Takes the bytes over.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Fresh bytes from the operating system.
    ///
    /// # Panics
    /// When the operating system cannot give random bytes: nothing safe can be done then.
    pub fn random() -> Self {
        Self(random_bytes())
    }

    /// The bytes themselves. Every call of this is a place to review.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// When the operating system cannot give random bytes: nothing safe can be done then.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Equality whose time tells nothing about where two values differ (their lengths are not hidden).
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_every_kind_of_secret() {
        let shown = format!(
            "{:?} {:?} {:?}",
            Secret::new("hunter2"),
            SecretStr::new("hunter2"),
            SecretKey::new([b'h'; 32])
        );
        assert_eq!(shown, "[redacted] [redacted] [redacted]");
    }

    #[test]
    fn equality_needs_the_same_length_and_the_same_bytes() {
        assert!(constant_time_eq(b"abc", b"abc"));
        assert!(!constant_time_eq(b"abc", b"abd"));
        assert!(!constant_time_eq(b"abc", b"abcd"));
    }
}
