//! Ids of minted tokens: a random UUID v4, so that the wire's `token_id` and the id inside the
//! password are one value.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id of a minted token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(Uuid);

/// The text is not a token id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token id is a UUID such as 3f0c2a8e-6a54-4a57-9a0e-0d4f6b1c2d3e")]
pub struct NotATokenId;

impl TokenId {
    /// A fresh random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id as a number, as the minted password carries it.
    pub fn to_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// The id of such a number.
    pub fn from_u128(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TokenId {
    type Err = NotATokenId;

    fn from_str(text: &str) -> Result<Self, NotATokenId> {
        Uuid::try_parse(text).map(Self).map_err(|_| NotATokenId)
    }
}
