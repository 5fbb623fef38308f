//! What an API key may do.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One right of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Exchange an identity token for a minted one.
    #[serde(rename = "tokens:exchange")]
    TokensExchange,
    /// Mint a token without an identity token.
    #[serde(rename = "tokens:create")]
    TokensCreate,
    /// Revoke tokens.
    #[serde(rename = "tokens:revoke")]
    TokensRevoke,
    /// Publish over HTTP.
    #[serde(rename = "publish")]
    Publish,
}

/// The text names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a scope is one of: tokens:exchange, tokens:create, tokens:revoke, publish")]
pub struct NotAScope;

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 4] = [
        Scope::TokensExchange,
        Scope::TokensCreate,
        Scope::TokensRevoke,
        Scope::Publish,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::TokensExchange => "tokens:exchange",
            Scope::TokensCreate => "tokens:create",
            Scope::TokensRevoke => "tokens:revoke",
            Scope::Publish => "publish",
        }
    }
}

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        Scope::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(NotAScope)
    }
}
