//! What a client shows as its password, told apart by its prefix and checked as far as arithmetic
//! goes.

use crate::credential::api_key::{ApiKeyKind, PresentedApiKey};
use crate::credential::minted_password::{self, Forged, MintedPassword};
use crate::keyring::Keyring;
use crate::secret::SecretStr;

/// A password after the checks that need no store.
#[derive(Debug)]
pub enum Presented<'a> {
    /// Sealed by this deployment.
    Minted(MintedPassword<'a>),
    /// An API key of this deployment.
    ApiKey(PresentedApiKey<'a>),
    /// Anything without our prefixes: a static user's password, perhaps.
    Human(&'a SecretStr<'a>),
}

impl<'a> Presented<'a> {
    /// Whether the text would be taken for a minted password or an API key.
    pub fn has_our_prefix(text: &str) -> bool {
        text.starts_with(minted_password::PREFIX) || ApiKeyKind::of(text).is_some()
    }

    /// Sorts and checks a password.
    ///
    /// # Errors
    /// [`Forged`] for a text with one of our prefixes that this deployment did not make.
    pub fn verify(password: &'a SecretStr<'a>, keys: &Keyring) -> Result<Self, Forged> {
        let text = password.expose();
        if text.starts_with(minted_password::PREFIX) {
            return MintedPassword::verify(text, keys).map(Self::Minted);
        }
        if ApiKeyKind::of(text).is_some() {
            return PresentedApiKey::verify(text, keys).map(Self::ApiKey);
        }
        Ok(Self::Human(password))
    }
}
