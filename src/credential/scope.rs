//! What an API key may do.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::credential::api_key::ApiKeyKind;

/// One right of an API key. `<what>:write` does not contain `<what>:read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Exchange an identity token for a minted one.
    TokensExchange,
    /// Mint a token without an identity token.
    TokensCreate,
    /// Revoke tokens.
    TokensRevoke,
    /// Publish over HTTP.
    Publish,
    /// See MQTT users.
    UsersRead,
    /// Make, change and delete MQTT users.
    UsersWrite,
    /// See topic rules.
    PoliciesRead,
    /// Change topic rules.
    PoliciesWrite,
    /// See API keys, never their secrets.
    KeysRead,
    /// Make, change, rotate and revoke API keys, none beyond the key itself.
    KeysWrite,
    /// See identity providers.
    ProvidersRead,
    /// Add, change and remove identity providers.
    ProvidersWrite,
    /// See sessions.
    SessionsRead,
    /// Close sessions.
    SessionsWrite,
    /// See the organization's settings.
    OrgRead,
    /// Change the organization's settings.
    OrgWrite,
    /// Read the audit log.
    AuditRead,
}

/// The text names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a scope is one of: {}", Scope::ALL.map(Scope::as_str).join(", "))]
pub struct NotAScope;

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 17] = [
        Scope::TokensExchange,
        Scope::TokensCreate,
        Scope::TokensRevoke,
        Scope::Publish,
        Scope::UsersRead,
        Scope::UsersWrite,
        Scope::PoliciesRead,
        Scope::PoliciesWrite,
        Scope::KeysRead,
        Scope::KeysWrite,
        Scope::ProvidersRead,
        Scope::ProvidersWrite,
        Scope::SessionsRead,
        Scope::SessionsWrite,
        Scope::OrgRead,
        Scope::OrgWrite,
        Scope::AuditRead,
    ];

    /// The name on the wire and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::TokensExchange => "tokens:exchange",
            Scope::TokensCreate => "tokens:create",
            Scope::TokensRevoke => "tokens:revoke",
            Scope::Publish => "publish",
            Scope::UsersRead => "users:read",
            Scope::UsersWrite => "users:write",
            Scope::PoliciesRead => "policies:read",
            Scope::PoliciesWrite => "policies:write",
            Scope::KeysRead => "keys:read",
            Scope::KeysWrite => "keys:write",
            Scope::ProvidersRead => "providers:read",
            Scope::ProvidersWrite => "providers:write",
            Scope::SessionsRead => "sessions:read",
            Scope::SessionsWrite => "sessions:write",
            Scope::OrgRead => "org:read",
            Scope::OrgWrite => "org:write",
            Scope::AuditRead => "audit:read",
        }
    }

    /// Whether a key of this kind may have it. A publishable key is in everybody's hands: it
    /// exchanges, which takes an identity token as well, and publishes where it has topic rules.
    pub fn fits(self, kind: ApiKeyKind) -> bool {
        match kind {
            ApiKeyKind::Secret | ApiKeyKind::Restricted => true,
            ApiKeyKind::Publishable => matches!(self, Scope::TokensExchange | Scope::Publish),
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

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Reads the scopes of a record. One that a later version has added is left out: without it the key
/// is narrower, and the rest of it works.
///
/// # Errors
/// When it is no list of texts.
pub fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Scope>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_one_name_and_reads_back() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            let text = serde_json::to_string(&scope).unwrap();
            assert_eq!(serde_json::from_str::<Scope>(&text).unwrap(), scope);
        }
        for text in ["", "*", "keys", "keys:Write", "keys:write ", "admin"] {
            assert_eq!(text.parse::<Scope>(), Err(NotAScope), "{text}");
        }
    }

    #[test]
    fn a_publishable_key_fits_two_scopes_only() {
        let fits = |scope: &Scope| scope.fits(ApiKeyKind::Publishable);
        let all: Vec<_> = Scope::ALL.into_iter().filter(fits).collect();
        assert_eq!(all, [Scope::TokensExchange, Scope::Publish]);
    }
}
