//! The names of records, and where in a shared store a name lies.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::metrics::RecordLabel;
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::OrganizationId;
use crate::names::origin::Origin;
use crate::names::token_id::TokenId;
use crate::names::username::Username;

/// Into how many parts records are divided, by a hash of their names. Part of the format of a
/// shared store: it never changes.
pub const SHARDS: usize = 64;

/// The name of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKey {
    /// An organization.
    Organization(OrganizationId),
    /// The organization that a UUID is the alias of.
    Alias(Uuid),
    /// The policy of an organization.
    Policy(OrganizationId),
    /// Whom a username names.
    Holder(Username),
    /// Whose a token is.
    Token(TokenId),
    /// An API key.
    ApiKey(ApiKeyId),
    /// Whether some organization allows a web origin.
    Origin(Origin),
    /// When an API key was used last.
    KeyUse(ApiKeyId),
    /// The API keys that were imported from another system.
    LegacyKeys,
}

/// The part of a shared store that something of this name lies in.
pub fn shard_of(name: &str) -> usize {
    crc32fast::hash(name.as_bytes()) as usize % SHARDS
}

impl RecordKey {
    /// The part of a shared store that it lies in, below [`SHARDS`]: CRC-32 of its text.
    pub fn shard(&self) -> usize {
        shard_of(&self.to_string())
    }

    /// The metric label of its kind.
    pub fn label(&self) -> RecordLabel {
        match self {
            RecordKey::Organization(_) => RecordLabel::Organization,
            RecordKey::Alias(_) => RecordLabel::Alias,
            RecordKey::Policy(_) => RecordLabel::Policy,
            RecordKey::Holder(_) => RecordLabel::Holder,
            RecordKey::Token(_) => RecordLabel::Token,
            RecordKey::ApiKey(_) => RecordLabel::ApiKey,
            RecordKey::Origin(_) => RecordLabel::Origin,
            RecordKey::KeyUse(_) => RecordLabel::KeyUse,
            RecordKey::LegacyKeys => RecordLabel::LegacyKeys,
        }
    }
}

impl fmt::Display for RecordKey {
    /// The key's text in the store: a kind, a colon, a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordKey::Organization(id) => write!(f, "org:{id}"),
            RecordKey::Alias(alias) => write!(f, "alias:{alias}"),
            RecordKey::Policy(organization) => write!(f, "policy:{organization}"),
            RecordKey::Holder(username) => write!(f, "holder:{username}"),
            RecordKey::Token(id) => write!(f, "token:{id}"),
            RecordKey::ApiKey(id) => write!(f, "key:{id}"),
            RecordKey::Origin(origin) => write!(f, "origin:{origin}"),
            RecordKey::KeyUse(id) => write!(f, "used:{id}"),
            RecordKey::LegacyKeys => f.write_str("legacy:keys"),
        }
    }
}

/// The text is not the key of a record that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not the name of a record, such as `holder:user_1@org_k7xm4pqr2n5t`")]
pub struct NotAKey;

impl FromStr for RecordKey {
    type Err = NotAKey;

    /// Reads what [`Display`](fmt::Display) writes, and nothing else: a name in another spelling
    /// would be another record.
    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let (kind, name) = text.split_once(':').ok_or(NotAKey)?;
        let key = match kind {
            "org" => name.parse().map(RecordKey::Organization).ok(),
            "alias" => name.parse().map(RecordKey::Alias).ok(),
            "policy" => name.parse().map(RecordKey::Policy).ok(),
            "holder" => name.parse().map(RecordKey::Holder).ok(),
            "token" => name.parse().map(RecordKey::Token).ok(),
            "key" => name.parse().map(RecordKey::ApiKey).ok(),
            "origin" => name.parse().map(RecordKey::Origin).ok(),
            "used" => name.parse().map(RecordKey::KeyUse).ok(),
            "legacy" => (name == "keys").then_some(RecordKey::LegacyKeys),
            _ => None,
        };
        key.filter(|key| key.to_string() == text).ok_or(NotAKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_in_their_one_spelling() {
        let organization = OrganizationId::random();
        let username = format!("u@{organization}").parse().unwrap();
        let keys = [
            RecordKey::Organization(organization.clone()),
            RecordKey::Alias(Uuid::from_u128(7)),
            RecordKey::Policy(organization),
            RecordKey::Holder(username),
            RecordKey::Token(TokenId::random()),
            RecordKey::ApiKey(ApiKeyId::random()),
            RecordKey::Origin("https://app.example:8443".parse().unwrap()),
            RecordKey::KeyUse(ApiKeyId::random()),
            RecordKey::LegacyKeys,
        ];
        for key in keys {
            let text = key.to_string();
            assert_eq!(text.parse(), Ok(key.clone()));
            assert!(key.shard() < SHARDS);
            let (kind, name) = text.split_once(':').unwrap();
            for other in [
                name.to_owned(),
                format!("{kind}: {name}"),
                format!("{text}\n"),
                format!("{}:{name}", kind.to_uppercase()),
                format!("other:{name}"),
            ] {
                assert_eq!(other.parse::<RecordKey>(), Err(NotAKey), "{other}");
            }
        }
        let upper = "alias:00000000-0000-0000-0000-00000000000A";
        assert_eq!(upper.parse::<RecordKey>(), Err(NotAKey));
    }

    #[test]
    fn the_shard_of_a_key_never_changes() {
        let key: RecordKey = "org:org_k7xm4pqr2n5t".parse().unwrap();
        assert_eq!(key.shard(), 3);
    }
}
