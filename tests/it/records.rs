//! Records that earlier versions wrote, read by this one.
//!
//! `tests/golden/records/v<number>.ndjson` was exported by the version that first wrote records so,
//! and never changes. Whatever is added to a record later must be a field with a default; whatever
//! cannot be one makes a new version of the record, which older servers refuse.

mod write;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use ticketgate::credential::api_key::PresentedApiKey;
use ticketgate::credential::holder::{CredentialKind, Holder, HolderIdentity};
use ticketgate::credential::minted_password::MintedPassword;
use ticketgate::credential::scope::Scope;
use ticketgate::keyring::{KeyList, Keyring};
use ticketgate::names::username::Username;
use ticketgate::org::organization::{Organization, TokenLife};
use ticketgate::org::provider::ProviderKind;
use ticketgate::secret::Secret;
use ticketgate::store::record::{BadRecord, Record, RecordKey};

use crate::support::world::{JWT_SECRET, ORIGIN, PROJECT_URL};

/// A version of the records.
struct Version {
    records: &'static str,
    shown: &'static str,
}

const FIRST: Version = Version {
    records: include_str!("../golden/records/v1.ndjson"),
    shown: include_str!("../golden/records/v1.shown.json"),
};
const SECOND: Version = Version {
    records: include_str!("../golden/records/v2.ndjson"),
    shown: include_str!("../golden/records/v2.shown.json"),
};
const ALL: [Version; 2] = [FIRST, SECOND];

/// When the records were made.
const START: i64 = 4_102_444_800;

/// What was shown once when the records were made.
#[derive(Deserialize)]
pub struct Shown {
    pub seal: String,
    pub pepper: String,
    pub organization: String,
    pub logins: Vec<Login>,
    pub keys: Vec<String>,
}

#[derive(Deserialize)]
pub struct Login {
    pub username: String,
    pub password: String,
    pub live: bool,
}

/// What the first version showed.
pub fn shown() -> Shown {
    FIRST.shown()
}

impl Shown {
    fn keys(&self) -> Keyring {
        let list = |line: &str| KeyList::parse(&Secret::new(line)).unwrap();
        Keyring::new(list(&self.seal), list(&self.pepper))
    }
}

impl Version {
    fn shown(&self) -> Shown {
        serde_json::from_str(self.shown).unwrap()
    }

    /// The records, as JSON.
    fn values(&self) -> BTreeMap<RecordKey, Value> {
        let lines = self.records.lines();
        let lines = lines.map(|line| serde_json::from_str(line).unwrap());
        let records = lines.filter_map(|mut line: Value| {
            let key = line.get("key")?.as_str()?.parse().unwrap();
            Some((key, line["value"].take()))
        });
        records.collect()
    }

    fn read(&self) -> BTreeMap<RecordKey, Record> {
        let decode = |(key, value): (RecordKey, Value)| {
            let record = Record::decode(&key, &value.to_string());
            let record = record.unwrap_or_else(|error| panic!("{key}: {error}"));
            (key, record)
        };
        self.values().into_iter().map(decode).collect()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn holder(records: &BTreeMap<RecordKey, Record>, username: &Username) -> Holder {
    match &records[&RecordKey::Holder(username.clone())] {
        Record::Holder(holder) => (**holder).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_type_of_record_is_there_and_reads() {
    for version in ALL {
        let records = version.read();
        assert_eq!(records.len(), 18);
        let mut kinds: Vec<String> = records.keys().map(RecordKey::to_string).collect();
        kinds
            .iter_mut()
            .for_each(|key| key.truncate(key.find(':').unwrap()));
        kinds.dedup();
        kinds.sort();
        assert_eq!(
            kinds,
            ["alias", "holder", "key", "org", "origin", "policy", "token"]
        );
        for (key, record) in &records {
            assert!(record.own_key().is_none_or(|own| own == *key), "{key}");
            let again = Record::decode(key, &record.encode());
            assert_eq!(again.as_ref(), Ok(record));
        }
    }
}

#[test]
fn logins_are_who_they_were() {
    for version in ALL {
        let (shown, records) = (version.shown(), version.read());
        let keys = shown.keys();
        for Login {
            username,
            password,
            live,
        } in &shown.logins
        {
            let username: Username = username.parse().unwrap();
            let holder = holder(&records, &username);
            let Ok(minted) = MintedPassword::verify(password, &keys) else {
                let (credential, human) = holder.password().unwrap();
                assert!(
                    human.verify(&Secret::new(password.as_str()), &keys),
                    "{username}"
                );
                assert_eq!(
                    (credential.expires_at, &credential.revoked_at),
                    (None, &None)
                );
                assert_eq!(holder.identity, HolderIdentity::Static);
                assert_eq!(records[&RecordKey::Holder(username)].expires_at(), None);
                continue;
            };
            let credential = holder.token(minted.id).unwrap();
            let CredentialKind::Token { pepper, digest, .. } = &credential.kind else {
                panic!("found by its token id")
            };
            assert_eq!(minted.digest(*pepper, &keys), Some(*digest), "{username}");
            let end = credential.expires_at.unwrap();
            assert_eq!(
                end,
                credential.issued_at + jiff::SignedDuration::from_hours(1)
            );
            assert_eq!(
                credential.revoked_at.as_deref(),
                (!live).then(|| at(START + 10)).as_ref()
            );
            let Record::Token(index) = &records[&RecordKey::Token(minted.id)] else {
                panic!("an index")
            };
            assert_eq!((index.username(), index.expires_at), (username, end));
        }
    }
}

#[test]
fn holders_have_their_claims_and_ends() {
    for version in ALL {
        let (shown, records) = (version.shown(), version.read());
        let named = |name: &str| {
            holder(
                &records,
                &format!("{name}@{}", shown.organization).parse().unwrap(),
            )
        };
        let alice = named("user_alice");
        assert_eq!(alice.credentials.len(), 2);
        assert_eq!(alice.expires_at(), Some(at(START + 3_600)));
        assert!(
            matches!(&alice.identity, HolderIdentity::Subject { subject, .. } if subject == "alice")
        );
        let claims = &alice.credentials[0].claims;
        for (name, value) in [
            ("email", "alice@example.com"),
            ("role", "authenticated"),
            ("session_id", "5e5510n"),
            ("user_id", "alice"),
        ] {
            assert_eq!(claims.get(name), Some(value));
        }
        let both = named("both");
        assert_eq!(both.expires_at(), None);
        let [password, token] = &both.credentials[..] else {
            panic!("two")
        };
        assert!(password.claims.is_empty());
        assert_eq!(token.claims.get("email"), Some("zoë@example.com"));
        assert_eq!(token.claims.get("agent_id"), Some("7"));
        assert_eq!(token.issued_at, at(START + 10));
    }
}

#[test]
fn organizations_have_their_providers_rules_and_keys() {
    for version in ALL {
        let (shown, records) = (version.shown(), version.read());
        let (keys, id) = (shown.keys(), shown.organization.parse().unwrap());
        let Record::Organization(organization) = &records[&RecordKey::Organization(id)] else {
            panic!("an organization")
        };
        let Organization {
            id, alias, name, ..
        } = &**organization;
        assert_eq!(
            (name.as_str(), organization.created_at),
            ("demo", at(START))
        );
        assert_eq!(
            organization.token_life,
            TokenLife {
                default_seconds: 3_600,
                max_seconds: 86_400
            }
        );
        assert!(organization.allows_origin(&ORIGIN.parse().unwrap()));
        assert!(records.contains_key(&RecordKey::Origin(ORIGIN.parse().unwrap())));
        let issuer = format!("{PROJECT_URL}/auth/v1");
        let provider = organization.provider_by_issuer(&issuer).unwrap();
        assert_eq!(
            (provider.kind, provider.username_prefix.as_str()),
            (ProviderKind::Supabase, "user_")
        );
        assert!(provider.enabled && provider.require_email);
        assert_eq!(provider.audiences, ["authenticated"]);
        assert_eq!(
            provider.shared_secret(&keys).unwrap().unwrap().expose(),
            JWT_SECRET
        );
        let Record::Alias(led_to) = &records[&RecordKey::Alias(*alias)] else {
            panic!("an alias")
        };
        assert_eq!(&led_to.organization, id);
        let Record::Policy(policy) = &records[&RecordKey::Policy(id.clone())] else {
            panic!("a policy")
        };
        assert_eq!(policy.acl().rules().len(), 2);

        // Those that there were then: what came later is for keys that are made later.
        let scopes: [&[Scope]; 3] = [
            &Scope::ALL[..4],
            &[Scope::TokensExchange],
            &[Scope::TokensRevoke, Scope::Publish],
        ];
        for (text, scopes) in shown.keys.iter().zip(scopes) {
            let presented = PresentedApiKey::verify(text, &keys).unwrap();
            let Record::ApiKey(key) = &records[&RecordKey::ApiKey(presented.id)] else {
                panic!("a key")
            };
            assert!(key.is_of(&presented, &keys), "{key:?}");
            assert_eq!((&key.organization, key.name.as_str()), (id, "a key"));
            assert_eq!(key.scopes, scopes);
            assert!(text.ends_with(&key.last_four));
        }
    }
}

/// Objects whose keys are not the names of fields: the one key of an enum's variant, and the names
/// of claims. A newer version cannot add to them; it needs a new version of the record.
const NO_FIELDS: [&str; 3] = ["/identity", "/claims", "/key"];

/// Puts an unknown field into the object at `path`, and into all objects below it.
fn widen(value: &mut Value, path: &str) -> usize {
    let mut added = 0;
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                added += widen(field, &format!("{path}/{name}"));
            }
            if !NO_FIELDS.iter().any(|end| path.ends_with(end)) {
                let unknown = serde_json::json!({ "a": [1, "x", null] });
                fields.insert("of_a_newer_version".into(), unknown);
                added += 1;
            }
        }
        Value::Array(items) => {
            for item in items {
                added += widen(item, path);
            }
        }
        _ => {}
    }
    added
}

#[test]
fn fields_that_a_newer_version_adds_are_ignored_in_every_object() {
    for version in ALL {
        let records = version.read();
        let mut added = 0;
        for (key, mut value) in version.values() {
            added += widen(&mut value, "");
            let read = Record::decode(&key, &value.to_string());
            assert_eq!(read.as_ref(), Ok(&records[&key]), "{key}: {value}");
        }
        // Two for each record, and the nested ones: providers, subjects, credentials.
        assert!(added > 2 * records.len() + 10, "{added}");
    }
}

#[test]
fn an_enum_or_a_map_takes_no_unknown_field() {
    for (key, value) in FIRST.values() {
        for path in [
            "/record/identity/subject",
            "/record/credentials/0/claims",
            "/record/providers/0/key/hs256",
        ] {
            let parent = path.rsplit_once('/').unwrap().0;
            let pointer = if path.ends_with("claims") {
                path
            } else {
                parent
            };
            let mut value = value.clone();
            let Some(Value::Object(fields)) = value.pointer_mut(pointer) else {
                continue;
            };
            fields.insert("of_a_newer_version".into(), serde_json::json!({}));
            let read = Record::decode(&key, &value.to_string());
            assert!(
                matches!(read, Err(BadRecord::Unreadable(_))),
                "{key} {path}"
            );
        }
    }
}

#[test]
fn a_record_of_a_newer_version_is_refused_as_such() {
    let texts = FIRST.read().into_values().map(|record| record.encode());
    let versions = texts.map(|text| serde_json::from_str::<Value>(&text).unwrap()["v"].as_u64());
    let next = versions.max().unwrap().unwrap() as u16 + 1;
    for (key, mut value) in FIRST.values() {
        // An API key has a version of its own, for one with rules.
        let next = next + u16::from(matches!(key, RecordKey::ApiKey(_)));
        value["v"] = next.into();
        let newer = Err(BadRecord::Newer(next));
        assert_eq!(Record::decode(&key, &value.to_string()), newer, "{key}");
        value["record"] = serde_json::json!({ "quite": "different" });
        assert_eq!(Record::decode(&key, &value.to_string()), newer, "{key}");
    }
}

#[test]
fn a_field_that_was_added_later_takes_its_default_where_it_is_missing() {
    for (key, mut value) in FIRST.values() {
        let Value::Object(fields) = &mut value["record"] else {
            panic!("{key}")
        };
        match key {
            RecordKey::Organization(_) => {
                for name in ["token_life", "allowed_origins", "providers"] {
                    fields.remove(name);
                }
                let Ok(Record::Organization(read)) = Record::decode(&key, &value.to_string())
                else {
                    panic!("{key}")
                };
                assert_eq!(read.token_life, TokenLife::default());
                assert!(read.allowed_origins.is_empty() && read.providers.is_empty());
            }
            RecordKey::Holder(_) => {
                for credential in fields["credentials"].as_array_mut().unwrap() {
                    let fields = credential.as_object_mut().unwrap();
                    for name in ["claims", "expires_at", "revoked_at"] {
                        fields.remove(name);
                    }
                }
                let Ok(Record::Holder(read)) = Record::decode(&key, &value.to_string()) else {
                    panic!("{key}")
                };
                for credential in &read.credentials {
                    assert!(credential.claims.is_empty());
                    assert_eq!(
                        (credential.expires_at, &credential.revoked_at),
                        (None, &None)
                    );
                }
            }
            _ => {}
        }
    }
}
