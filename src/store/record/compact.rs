//! The texts of the records that there are most of, from version 2 on.
//!
//! There is one holder and one index for every login, a million of each in a large deployment, so
//! their texts say nothing twice: a name that stands in the key, a 128-bit number in 36 characters,
//! a word of ten letters where one of two will do. Version 1 wrote both as the types are.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use uuid::Uuid;

use crate::credential::holder::{Credential, CredentialKind, Holder, HolderIdentity, digest_text};
use crate::credential::human_password::HumanPassword;
use crate::credential::terms::Terms;
use crate::keyring::Digest;
use crate::names::base62::{self, LENGTH_OF_128_BITS};
use crate::names::claims::Claims;
use crate::names::key_id::RingKeyId;
use crate::names::marks::Epoch;
use crate::names::token_id::TokenId;
use crate::names::username::Username;
use crate::store::record::TokenIndex;

/// A [`Holder`] under its username.
#[derive(Serialize, Deserialize)]
pub struct HolderText<'a> {
    /// Whose it is; none: a user made by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<SubjectText<'a>>,
    logins: Vec<LoginText<'a>>,
}

#[derive(Serialize, Deserialize)]
struct SubjectText<'a> {
    /// The provider. Its first name is still read.
    #[serde(rename = "idp", alias = "provider")]
    provider: Number,
    #[serde(rename = "sub", alias = "subject")]
    subject: Cow<'a, str>,
}

/// A [`Credential`]: a token with its pepper and digest, or a password.
#[derive(Serialize, Deserialize)]
struct LoginText<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<TokenText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<Cow<'a, HumanPassword>>,
    #[serde(default, skip_serializing_if = "is_empty")]
    claims: Cow<'a, Claims>,
    /// Unix time in seconds, as all times here.
    from: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<i64>,
    #[serde(default, skip_serializing_if = "Epoch::is_first")]
    epoch: Epoch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    terms: Option<Cow<'a, Terms>>,
}

#[derive(Serialize, Deserialize)]
struct TokenText {
    id: Number,
    pepper: RingKeyId,
    #[serde(with = "digest_text")]
    digest: Digest,
}

/// A [`TokenIndex`] under the token's id.
#[derive(Serialize, Deserialize)]
pub struct IndexText {
    of: String,
    to: i64,
}

/// 128 bits as 22 base62 characters.
struct Number(u128);

impl<'a> From<&'a Holder> for HolderText<'a> {
    fn from(holder: &'a Holder) -> Self {
        let of = match &holder.identity {
            HolderIdentity::Static => None,
            HolderIdentity::Subject { provider, subject } => Some(SubjectText {
                provider: Number(provider.as_u128()),
                subject: Cow::Borrowed(subject),
            }),
        };
        let logins = holder.credentials.iter().map(LoginText::from).collect();
        Self { of, logins }
    }
}

impl<'a> From<&'a Credential> for LoginText<'a> {
    fn from(credential: &'a Credential) -> Self {
        let (token, password) = match &credential.kind {
            CredentialKind::Token { id, pepper, digest } => {
                let token = TokenText {
                    id: Number(id.to_u128()),
                    pepper: *pepper,
                    digest: *digest,
                };
                (Some(token), None)
            }
            CredentialKind::Password(password) => (None, Some(Cow::Borrowed(&**password))),
        };
        Self {
            token,
            password,
            claims: Cow::Borrowed(&credential.claims),
            from: credential.issued_at.as_second(),
            to: credential.expires_at.map(Timestamp::as_second),
            revoked: credential.revoked_at.as_deref().map(|at| at.as_second()),
            epoch: credential.epoch,
            terms: credential.terms.as_deref().map(Cow::Borrowed),
        }
    }
}

impl HolderText<'_> {
    /// The holder of this username; `None` where the text contradicts itself.
    pub fn holder(self, username: &Username) -> Option<Holder> {
        let identity = match self.of {
            None => HolderIdentity::Static,
            Some(SubjectText { provider, subject }) => HolderIdentity::Subject {
                provider: Uuid::from_u128(provider.0),
                subject: subject.into_owned(),
            },
        };
        let logins = self.logins.into_iter();
        Some(Holder {
            name: username.local.clone(),
            organization: username.organization.clone(),
            identity,
            credentials: logins.map(LoginText::credential).collect::<Option<_>>()?,
        })
    }
}

impl LoginText<'_> {
    fn credential(self) -> Option<Credential> {
        let kind = match (self.token, self.password) {
            (Some(TokenText { id, pepper, digest }), None) => CredentialKind::Token {
                id: TokenId::from_u128(id.0),
                pepper,
                digest,
            },
            (None, Some(password)) => CredentialKind::Password(Box::new(password.into_owned())),
            _ => return None,
        };
        Some(Credential {
            kind,
            claims: self.claims.into_owned(),
            issued_at: time(self.from)?,
            epoch: self.epoch,
            expires_at: optional_time(self.to)?,
            revoked_at: optional_time(self.revoked)?.map(Box::new),
            terms: self.terms.map(|terms| Box::new(terms.into_owned())),
        })
    }
}

impl From<&TokenIndex> for IndexText {
    fn from(index: &TokenIndex) -> Self {
        Self {
            of: index.username().to_string(),
            to: index.expires_at.as_second(),
        }
    }
}

impl IndexText {
    /// The index; `None` where the text contradicts itself.
    pub fn index(self) -> Option<TokenIndex> {
        let Username {
            local,
            organization,
        } = self.of.parse().ok()?;
        Some(TokenIndex {
            name: local,
            organization,
            expires_at: time(self.to)?,
        })
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(LENGTH_OF_128_BITS);
        base62::encode(self.0, LENGTH_OF_128_BITS, &mut text);
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let number = base62::decode(&text).filter(|_| text.len() == LENGTH_OF_128_BITS);
        let number = number.ok_or_else(|| D::Error::custom("not 22 base62 characters"))?;
        Ok(Number(number))
    }
}

fn is_empty(claims: &Claims) -> bool {
    claims.is_empty()
}

fn time(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}

/// The outer `None`: not a time.
fn optional_time(seconds: Option<i64>) -> Option<Option<Timestamp>> {
    match seconds {
        None => Some(None),
        Some(seconds) => time(seconds).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::{BadRecord, Kept as _, Record, RecordKey};

    const ORG: &str = "org_k7xm4pqr2n5t";

    fn holder(credentials: &str, identity: &str) -> (RecordKey, String) {
        let key = format!("holder:u@{ORG}").parse().unwrap();
        let text = format!(
            r#"{{"v":1,"record":{{"name":"u","organization":"{ORG}","identity":{identity},"credentials":[{credentials}]}}}}"#
        );
        (key, text)
    }

    fn samples() -> Vec<(RecordKey, String)> {
        let digest = "A".repeat(43);
        let token = format!(
            r#"{{"token":{{"id":"3f0c2a8e-6a54-4a57-9a0e-0d4f6b1c2d3e","pepper":"Ab3z","digest":"{digest}"}},"claims":{{"email":"zoë@x","q":"\"\\"}},"issued_at":-5,"epoch":7,"expires_at":10,"revoked_at":3}}"#
        );
        let password = r#"{"password":"$argon2id$x","issued_at":0}"#;
        let subject =
            r#"{"subject":{"provider":"00000000-0000-0000-0000-000000000001","subject":"a\"|é"}}"#;
        let index = format!(
            r#"{{"v":1,"record":{{"name":"u","organization":"{ORG}","expires_at":1795479357}}}}"#
        );
        vec![
            holder(&token, subject),
            holder(&format!("{token},{token}"), subject),
            holder(password, r#""static""#),
            holder("", r#""static""#),
            (RecordKey::Token(TokenId::random()), index),
        ]
    }

    #[test]
    fn what_version_1_wrote_reads_the_same_from_version_2() {
        for (key, text) in samples() {
            let record = Record::decode(&key, &text).unwrap();
            let compact = record.encode();
            assert!(compact.starts_with("{\"v\":2,"), "{compact}");
            assert!(compact.len() < text.len(), "{compact}");
            assert_eq!(Record::decode(&key, &compact), Ok(record));
        }
    }

    #[test]
    fn a_text_that_contradicts_itself_is_no_record() {
        let key: RecordKey = format!("holder:u@{ORG}").parse().unwrap();
        for login in [
            r#"{"from":0}"#,
            r#"{"from":9223372036854775807,"password":"x"}"#,
            r#"{"from":0,"password":"x","token":{"id":"0000000000000000000001","pepper":"Ab3z","digest":"AA"}}"#,
            r#"{"from":0,"token":{"id":"1","pepper":"Ab3z","digest":"AA"}}"#,
        ] {
            let text = format!(r#"{{"v":2,"record":{{"logins":[{login}]}}}}"#);
            let read = Record::decode(&key, &text);
            assert!(matches!(read, Err(BadRecord::Unreadable(_))), "{login}");
        }
        let index = TokenIndex::key(&TokenId::random());
        let read = Record::decode(&index, r#"{"v":2,"record":{"of":"nobody","to":1}}"#);
        assert!(matches!(read, Err(BadRecord::Unreadable(_))), "{read:?}");
    }

    #[test]
    fn for_people_hashes_are_left_out() {
        for (key, text) in samples() {
            let record = Record::decode(&key, &text).unwrap();
            let shown = record.redacted().to_string();
            assert!(
                !shown.contains("argon2id") && !shown.contains("AAAA"),
                "{shown}"
            );
        }
    }
}
