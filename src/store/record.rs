//! What the store holds: typed records under typed keys, as versioned JSON.
//!
//! Version 1 wrote every record as its type is. Version 2 writes holders and token indexes in the
//! forms of [`compact`], and marks of revocation, which version 1 would not have heeded. Version 3 is
//! an API key with rules of its own, which version 2 would not have heeded either.

pub mod compact;
mod key;

use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::acl::document::{self, Mistake};
use crate::acl::rule::Acl;
use crate::credential::api_key::{ApiKey, KeyLastUse};
use crate::credential::holder::Holder;
use crate::credential::legacy_key::LegacyKeys;
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::OrganizationId;
use crate::names::origin::Origin;
use crate::names::token_id::TokenId;
use crate::names::username::{LocalName, Username};
use crate::org::organization::Organization;
use crate::secret;
use crate::store::record::compact::{HolderText, IndexText};

pub use crate::store::record::key::{NotAKey, RecordKey, SHARDS, shard_of};

/// The version that this code writes. Older ones are read; unknown fields are ignored.
const VERSION: u16 = 2;
/// The version of an API key that is narrower than version 2 can say.
const NARROWED_KEY: u16 = 3;

/// A record. Cloning one costs a reference count.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// Under [`RecordKey::Organization`].
    Organization(Arc<Organization>),
    /// Under [`RecordKey::Alias`].
    Alias(Arc<Alias>),
    /// Under [`RecordKey::Policy`].
    Policy(Arc<Policy>),
    /// Under [`RecordKey::Holder`].
    Holder(Arc<Holder>),
    /// Under [`RecordKey::Token`].
    Token(Arc<TokenIndex>),
    /// Under [`RecordKey::ApiKey`].
    ApiKey(Arc<ApiKey>),
    /// Under [`RecordKey::Origin`].
    Origin(Arc<KnownOrigin>),
    /// Under [`RecordKey::KeyUse`].
    KeyUse(Arc<KeyLastUse>),
    /// Under [`RecordKey::LegacyKeys`].
    LegacyKeys(Arc<LegacyKeys>),
}

/// Which organization a UUID is the alias of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The organization.
    pub organization: OrganizationId,
}

/// Whose a token is, to find it by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenIndex {
    /// The local part of the username.
    pub name: LocalName,
    /// Its organization.
    pub organization: OrganizationId,
    /// When the token has expired and the index is of no more use.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
}

/// That some organization allows an origin: what a CORS preflight has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownOrigin {}

/// The policy of an organization: the document as written, and the rules that it means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PolicyDocument", into = "PolicyDocument")]
pub struct Policy {
    document: String,
    acl: Acl,
}

#[derive(Serialize, Deserialize)]
struct PolicyDocument {
    document: String,
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    v: u16,
    record: T,
}

/// Stored text that is not the record it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// Written by a newer version.
    #[error("the record has version {0}, this server reads up to {VERSION}: upgrade it")]
    Newer(u16),
    /// Not readable.
    #[error("the record cannot be read: {0}")]
    Unreadable(String),
}

/// A type that is stored under a key type of its own.
pub trait Kept: Clone + Send + Sync + 'static {
    /// What names one.
    type Key: Sync;

    /// The name in the store.
    fn key(key: &Self::Key) -> RecordKey;
    /// As one of the records.
    fn into_record(self) -> Record;
    /// Back from a record; `None` for another type.
    fn from_record(record: Record) -> Option<Arc<Self>>;
}

macro_rules! kept {
    ($type:ident, $key:ty, $variant:ident) => {
        impl Kept for $type {
            type Key = $key;

            fn key(key: &$key) -> RecordKey {
                RecordKey::$variant(key.clone())
            }

            fn into_record(self) -> Record {
                Record::$variant(Arc::new(self))
            }

            fn from_record(record: Record) -> Option<Arc<Self>> {
                match record {
                    Record::$variant(record) => Some(record),
                    _ => None,
                }
            }
        }
    };
}

kept!(Organization, OrganizationId, Organization);
kept!(Alias, Uuid, Alias);
kept!(Policy, OrganizationId, Policy);
kept!(Holder, Username, Holder);
kept!(TokenIndex, TokenId, Token);
kept!(ApiKey, ApiKeyId, ApiKey);
kept!(KnownOrigin, Origin, Origin);
kept!(KeyLastUse, ApiKeyId, KeyUse);

impl Kept for LegacyKeys {
    /// There is one for the whole deployment.
    type Key = ();

    fn key((): &()) -> RecordKey {
        RecordKey::LegacyKeys
    }

    fn into_record(self) -> Record {
        Record::LegacyKeys(Arc::new(self))
    }

    fn from_record(record: Record) -> Option<Arc<Self>> {
        match record {
            Record::LegacyKeys(record) => Some(record),
            _ => None,
        }
    }
}

impl Policy {
    /// Reads and compiles a document.
    ///
    /// # Errors
    /// All mistakes in it.
    pub fn parse(document: String) -> Result<Self, Vec<Mistake>> {
        let acl = document::parse(&document)?;
        Ok(Self { document, acl })
    }

    /// The document as it was written.
    pub fn document(&self) -> &str {
        &self.document
    }

    /// The rules that it means.
    pub fn acl(&self) -> &Acl {
        &self.acl
    }
}

impl TryFrom<PolicyDocument> for Policy {
    type Error = String;

    fn try_from(stored: PolicyDocument) -> Result<Self, String> {
        Self::parse(stored.document).map_err(|mistakes| mistakes[0].to_string())
    }
}

impl From<Policy> for PolicyDocument {
    fn from(policy: Policy) -> Self {
        Self {
            document: policy.document,
        }
    }
}

impl TokenIndex {
    /// Whose the token is.
    pub fn username(&self) -> Username {
        Username {
            local: self.name.clone(),
            organization: self.organization.clone(),
        }
    }
}

impl Record {
    /// When the record is of no more use and may be swept. `None`: never by itself.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Record::Holder(holder) => holder.expires_at(),
            Record::Token(index) => Some(index.expires_at),
            Record::KeyUse(used) => Some(used.kept_until()),
            Record::Organization(_)
            | Record::Alias(_)
            | Record::Policy(_)
            | Record::ApiKey(_)
            | Record::Origin(_)
            | Record::LegacyKeys(_) => None,
        }
    }

    /// The key that the record itself says; `None`: a record of this type says none.
    pub fn own_key(&self) -> Option<RecordKey> {
        match self {
            Record::Organization(record) => Some(RecordKey::Organization(record.id.clone())),
            Record::Holder(record) => Some(RecordKey::Holder(record.username())),
            Record::ApiKey(record) => Some(RecordKey::ApiKey(record.id)),
            Record::Alias(_)
            | Record::Policy(_)
            | Record::Token(_)
            | Record::Origin(_)
            | Record::KeyUse(_)
            | Record::LegacyKeys(_) => None,
        }
    }

    /// The text that is stored.
    pub fn encode(&self) -> String {
        match self {
            Record::Organization(record) => encode(&**record),
            Record::Alias(record) => encode(&**record),
            Record::Policy(record) => encode(&**record),
            Record::Holder(record) => encode(&HolderText::from(&**record)),
            Record::Token(record) => encode(&IndexText::from(&**record)),
            Record::ApiKey(record) => encode_as(key_version(record), &**record),
            Record::Origin(record) => encode(&**record),
            Record::KeyUse(record) => encode(&**record),
            Record::LegacyKeys(record) => encode(&**record),
        }
    }

    /// What it says, for people: every field by its name, without hashes and encrypted secrets.
    pub fn redacted(&self) -> serde_json::Value {
        let value = match self {
            Record::Organization(record) => serde_json::to_value(&**record),
            Record::Alias(record) => serde_json::to_value(&**record),
            Record::Policy(record) => serde_json::to_value(&**record),
            Record::Holder(record) => serde_json::to_value(&**record),
            Record::Token(record) => serde_json::to_value(&**record),
            Record::ApiKey(record) => serde_json::to_value(&**record),
            Record::Origin(record) => serde_json::to_value(&**record),
            Record::KeyUse(record) => serde_json::to_value(&**record),
            Record::LegacyKeys(record) => serde_json::to_value(&**record),
        };
        let mut value = value.expect("records have text keys and finite numbers");
        redact(&mut value);
        value
    }

    /// Reads the text stored under `key`.
    ///
    /// # Errors
    /// [`BadRecord`]; its text never repeats what is stored.
    pub fn decode(key: &RecordKey, text: &str) -> Result<Self, BadRecord> {
        Ok(match key {
            RecordKey::Organization(_) => Record::Organization(decode(text)?),
            RecordKey::Alias(_) => Record::Alias(decode(text)?),
            RecordKey::Policy(_) => Record::Policy(decode(text)?),
            RecordKey::Holder(username) => Record::Holder(decode_holder(username, text)?),
            RecordKey::Token(_) => Record::Token(decode_index(text)?),
            RecordKey::ApiKey(_) => Record::ApiKey(decode_up_to(NARROWED_KEY, text)?),
            RecordKey::Origin(_) => Record::Origin(decode(text)?),
            RecordKey::KeyUse(_) => Record::KeyUse(decode(text)?),
            RecordKey::LegacyKeys => Record::LegacyKeys(decode(text)?),
        })
    }
}

/// The oldest version that heeds all that is in the record.
fn key_version(key: &ApiKey) -> u16 {
    let is_plain = key.rules.is_empty() && key.replaced.is_none();
    if is_plain { VERSION } else { NARROWED_KEY }
}

fn encode<T: Serialize>(record: &T) -> String {
    encode_as(VERSION, record)
}

fn encode_as<T: Serialize>(v: u16, record: &T) -> String {
    serde_json::to_string(&Envelope { v, record })
        .expect("records have text keys and finite numbers, which JSON can hold")
}

/// The form of version 2, or else that of version 1.
fn decode_holder(username: &Username, text: &str) -> Result<Arc<Holder>, BadRecord> {
    let mut holder = match serde_json::from_str::<Envelope<HolderText<'_>>>(text) {
        Ok(Envelope { v: 2, record }) => record.holder(username).ok_or_else(contradictory)?,
        _ => decode::<Holder>(text).map(Arc::unwrap_or_clone)?,
    };
    // Most have one credential, and a list that grew while it was read has room for four.
    holder.credentials.shrink_to_fit();
    Ok(Arc::new(holder))
}

fn decode_index(text: &str) -> Result<Arc<TokenIndex>, BadRecord> {
    match serde_json::from_str::<Envelope<IndexText>>(text) {
        Ok(Envelope { v: 2, record }) => record.index().map(Arc::new).ok_or_else(contradictory),
        _ => decode(text),
    }
}

fn contradictory() -> BadRecord {
    BadRecord::Unreadable("it contradicts itself".into())
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<Arc<T>, BadRecord> {
    decode_up_to(VERSION, text)
}

fn decode_up_to<T: DeserializeOwned>(newest: u16, text: &str) -> Result<Arc<T>, BadRecord> {
    #[derive(Deserialize)]
    struct JustVersion {
        v: u16,
    }
    match serde_json::from_str::<Envelope<T>>(text) {
        Ok(envelope) if envelope.v <= newest => Ok(Arc::new(envelope.record)),
        Ok(envelope) => Err(BadRecord::Newer(envelope.v)),
        Err(error) => match serde_json::from_str::<JustVersion>(text) {
            Ok(JustVersion { v }) if v > newest => Err(BadRecord::Newer(v)),
            _ => Err(BadRecord::Unreadable(format!(
                "{:?} error",
                error.classify()
            ))),
        },
    }
}

/// The fields that hold hashes and encrypted secrets, in every version.
const SECRET_FIELDS: [&str; 4] = ["digest", "password", "key", "more_keys"];

fn redact(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                if SECRET_FIELDS.contains(&name.as_str()) {
                    *value = secret::REDACTED.into();
                } else {
                    redact(value);
                }
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(redact),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_ignore_unknown_fields_and_refuse_newer_versions() {
        let organization = OrganizationId::random();
        let key = RecordKey::Alias(Uuid::nil());
        let record = Record::Alias(Arc::new(Alias {
            organization: organization.clone(),
        }));
        let text = record.encode();
        assert_eq!(Record::decode(&key, &text), Ok(record.clone()));
        let wider = text.replace("\"organization\"", "\"colour\":\"red\",\"organization\"");
        assert_eq!(Record::decode(&key, &wider), Ok(record));
        let newer = text.replace("\"v\":2", "\"v\":3");
        assert_eq!(Record::decode(&key, &newer), Err(BadRecord::Newer(3)));
        assert_eq!(
            Record::decode(&key, r#"{"v":9,"record":7}"#),
            Err(BadRecord::Newer(9))
        );
        assert!(matches!(
            Record::decode(&key, "{"),
            Err(BadRecord::Unreadable(_))
        ));
    }

    #[test]
    fn a_policy_is_stored_as_written_and_compiled_when_read() {
        let document = r#"{"rules":[{"user":"*","topic":"a/{username}","permission":"both"}]}"#;
        let policy = Policy::parse(document.into()).unwrap();
        let key = RecordKey::Policy(OrganizationId::random());
        let text = Record::Policy(Arc::new(policy.clone())).encode();
        let Ok(Record::Policy(read)) = Record::decode(&key, &text) else {
            panic!("a policy")
        };
        assert_eq!(*read, policy);
        let broken = text.replace("both", "bath");
        assert!(Record::decode(&key, &broken).is_err());
    }
}
