//! The published names of API keys.

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::app::api_keys::list::{KeyEntry, KeyPage};
use crate::credential::api_key::{ApiKey, ApiKeyKind, KeyStanding};
use crate::credential::key_rules::KeyRate;
use crate::credential::scope::Scope;
use crate::http::wire::{cursor_text, permissions, whole_seconds};
use crate::names::origin::Origin;
use crate::secret::Secret;

/// The body of `POST /v2/keys`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKeyBody {
    /// `secret`, `publishable` or `restricted`.
    pub kind: ApiKeyKind,
    /// What to call it.
    pub name: String,
    /// What it may do; none: what its kind usually may.
    pub scopes: Option<Vec<Scope>>,
    /// Web origins that may use it.
    #[serde(default)]
    pub allowed_origins: Vec<Origin>,
    /// Addresses that may use it: CIDR ranges.
    #[serde(default)]
    pub allowed_addresses: Vec<IpNet>,
    /// `publish`, `subscribe`: what it may do at most.
    pub permissions: Option<Vec<String>>,
    /// The only topics, perhaps with placeholders.
    pub topics: Option<Vec<String>>,
    /// The longest life of a token minted with it, in seconds.
    pub max_ttl: Option<u32>,
    /// When it is over.
    pub expires_at: Option<Timestamp>,
    /// How often it may be used.
    pub rate: Option<RateBody>,
    /// The organization, which has to be the caller's own.
    pub organization_id: Option<String>,
    /// Read where the caller is checked.
    #[serde(default, rename = "secret_key")]
    _secret_key: Option<serde::de::IgnoredAny>,
}

/// The body of `PATCH /v2/keys/{id}`. What is left out stays; `null` takes a rule away.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyChangeBody {
    /// What to call it.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Option<Vec<Scope>>,
    /// Web origins that may use it.
    #[serde(deserialize_with = "said")]
    pub allowed_origins: Option<Option<Vec<Origin>>>,
    /// Addresses that may use it.
    #[serde(deserialize_with = "said")]
    pub allowed_addresses: Option<Option<Vec<IpNet>>>,
    /// What it may do at most.
    #[serde(deserialize_with = "said")]
    pub permissions: Option<Option<Vec<String>>>,
    /// The only topics.
    #[serde(deserialize_with = "said")]
    pub topics: Option<Option<Vec<String>>>,
    /// The longest life of a token minted with it, in seconds.
    #[serde(deserialize_with = "said")]
    pub max_ttl: Option<Option<u32>>,
    /// When it is over.
    #[serde(deserialize_with = "said")]
    pub expires_at: Option<Option<Timestamp>>,
    /// How often it may be used.
    #[serde(deserialize_with = "said")]
    pub rate: Option<Option<RateBody>>,
    /// Read where the caller is checked.
    #[serde(rename = "secret_key")]
    _secret_key: Option<serde::de::IgnoredAny>,
}

/// The body of `POST /v2/organizations/{organization}/keys/import`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportKeyBody {
    /// SHA-256 of the whole key `cs_...`, in hexadecimal digits.
    pub sha256: String,
    /// What to call it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The last four characters of the key, to tell it in a list.
    #[serde(default)]
    pub last_four: String,
    /// The longest life of a token minted with it, in seconds.
    pub max_ttl: Option<u32>,
    /// When it is over: a good moment to make it anew.
    pub expires_at: Option<Timestamp>,
}

/// How often a key may be used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateBody {
    /// Requests per second, in the long run.
    pub per_second: u32,
    /// Requests at once; none: as many as in a second.
    pub burst: Option<u32>,
}

/// The body of `POST /v2/keys/{id}/rotate`; it may be left out.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RotateBody {
    /// For how many seconds the old key works on.
    pub grace: u32,
    /// Read where the caller is checked.
    #[serde(rename = "secret_key")]
    _secret_key: Option<serde::de::IgnoredAny>,
}

/// An API key as its owner sees it.
#[derive(Serialize)]
pub struct KeyReply {
    id: String,
    organization_id: String,
    name: String,
    kind: ApiKeyKind,
    prefix: String,
    last_four: String,
    status: &'static str,
    scopes: Vec<Scope>,
    allowed_origins: Vec<Origin>,
    allowed_addresses: Vec<IpNet>,
    permissions: Vec<&'static str>,
    topics: Option<Vec<String>>,
    max_ttl: Option<u32>,
    rate: Option<RateBody>,
    created_at: String,
    created_by: Option<String>,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    last_used_at: Option<String>,
    replaced_by: Option<String>,
    replaced_at: Option<String>,
    grace_ends_at: Option<String>,
    /// The key itself, this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// The reply of `GET /v2/keys`.
#[derive(Serialize)]
pub struct KeysReply {
    keys: Vec<KeyReply>,
    next_cursor: Option<String>,
}

impl From<RateBody> for KeyRate {
    fn from(body: RateBody) -> Self {
        Self {
            per_second: body.per_second,
            burst: body.burst.unwrap_or(body.per_second),
        }
    }
}

impl KeyReply {
    /// Of a key that was just made, with the key itself.
    pub fn new_key(key: &ApiKey, text: &Secret) -> Self {
        Self {
            key: Some(text.expose().to_owned()),
            ..Self::of(key, KeyStanding::Live)
        }
    }

    /// Of a key.
    pub fn of(key: &ApiKey, standing: KeyStanding) -> Self {
        let (rules, replaced) = (&key.rules, key.replaced.as_ref());
        let limits = rules.limits.as_ref();
        Self {
            id: key.id.to_string(),
            organization_id: key.organization.to_string(),
            name: key.name.clone(),
            kind: key.kind,
            prefix: match key.legacy {
                true => key.prefix().to_owned(),
                false => format!("{}{}", key.prefix(), &key.id.as_str()[..4]),
            },
            last_four: key.last_four.clone(),
            status: match standing {
                KeyStanding::Live if replaced.is_some() => "replaced",
                KeyStanding::Live => "active",
                KeyStanding::Revoked => "revoked",
                KeyStanding::Expired => "expired",
                KeyStanding::Replaced => "over",
            },
            scopes: key.held_scopes().collect(),
            allowed_origins: rules.allowed_origins.clone(),
            allowed_addresses: rules.allowed_addresses.clone(),
            permissions: permissions(limits),
            topics: limits.and_then(|limits| limits.topics.clone()),
            max_ttl: rules.max_ttl_seconds,
            rate: rules.rate.map(|rate| RateBody {
                per_second: rate.per_second,
                burst: Some(rate.burst),
            }),
            created_at: whole_seconds(key.created_at),
            created_by: key.created_by.map(|id| id.to_string()),
            expires_at: rules.expires_at.map(whole_seconds),
            revoked_at: key.revoked_at.map(whole_seconds),
            last_used_at: None,
            replaced_by: replaced.map(|one| one.by.to_string()),
            replaced_at: replaced.map(|one| whole_seconds(one.at)),
            grace_ends_at: replaced.map(|one| whole_seconds(one.until)),
            key: None,
        }
    }
}

impl From<&KeyEntry> for KeyReply {
    fn from(entry: &KeyEntry) -> Self {
        Self {
            last_used_at: entry.last_used_at.map(whole_seconds),
            ..Self::of(&entry.key, entry.standing)
        }
    }
}

impl KeysReply {
    /// Of a page.
    pub fn new(page: &KeyPage) -> Self {
        Self {
            keys: page.keys.iter().map(KeyReply::from).collect(),
            next_cursor: page.next.as_ref().map(cursor_text),
        }
    }
}

/// Tells a field that says `null` from one that is left out.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
