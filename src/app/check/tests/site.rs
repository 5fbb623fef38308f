//! A small site, to be damaged.

use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::check::problem::{Finding, Outcome};
use crate::app::check::{Event, Options, check};
use crate::app::shelf::Shelf;
use crate::clock::ManualClock;
use crate::credential::api_key::ApiKey;
use crate::credential::holder::{Credential, Holder};
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::org::organization::Organization;
use crate::store::record::{Alias, Kept as _, KnownOrigin, Policy, RecordKey, TokenIndex};

pub const NOW: i64 = 1_000;
const ORIGIN: &str = "https://app.example.com";

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// An organization with a user whose token ends at 2000.
pub struct Site {
    pub shelf: Shelf,
    pub organization: Organization,
    pub holder: Holder,
    pub token: TokenId,
}

impl Site {
    pub fn new() -> Self {
        let organization: Organization = read(json!({
            "id": OrganizationId::random(),
            "alias": Uuid::new_v4(),
            "name": "demo",
            "allowed_origins": [ORIGIN],
            "created_at": 0,
        }));
        let token = TokenId::random();
        let site = Self {
            shelf: Shelf::default(),
            holder: holder(&organization.id, vec![credential(token, 2_000)]),
            organization,
            token,
        };
        let (shelf, id) = (&site.shelf, site.organization.id.clone());
        let policy = r#"{"rules":[{"user":"*","topic":"a/#","permission":"both"}]}"#;
        shelf.keep(Policy::key(&id), Policy::parse(policy.into()).unwrap());
        shelf.keep(
            site.alias(),
            Alias {
                organization: id.clone(),
            },
        );
        shelf.keep(site.origin(), KnownOrigin {});
        let key: ApiKey = read(json!({
            "id": ApiKeyId::random(),
            "organization": id,
            "kind": "secret",
            "name": "k",
            "scopes": [],
            "last_four": "abcd",
            "pepper": "Ab3z",
            "digest": vec![7; 32],
            "created_at": 0,
        }));
        shelf.keep(ApiKey::key(&key.id), key);
        shelf.keep(
            Organization::key(&site.organization.id),
            site.organization.clone(),
        );
        shelf.keep(site.holder_key(), site.holder.clone());
        shelf.keep(site.index(), site.index_of(&site.holder));
        site
    }

    pub fn alias(&self) -> RecordKey {
        Alias::key(&self.organization.alias)
    }

    pub fn origin(&self) -> RecordKey {
        KnownOrigin::key(&ORIGIN.parse().unwrap())
    }

    pub fn policy(&self) -> RecordKey {
        Policy::key(&self.organization.id)
    }

    pub fn holder_key(&self) -> RecordKey {
        Holder::key(&self.holder.username())
    }

    pub fn index(&self) -> RecordKey {
        TokenIndex::key(&self.token)
    }

    pub fn index_of(&self, holder: &Holder) -> TokenIndex {
        TokenIndex {
            name: holder.name.clone(),
            organization: holder.organization.clone(),
            expires_at: at(2_000),
        }
    }

    /// Checks; returns what was found, as name, kind and outcome.
    pub async fn check(&self, fix: bool) -> Vec<(String, &'static str, Outcome)> {
        let (mut found, options) = (
            Vec::new(),
            Options {
                fix,
                patience: Duration::ZERO,
            },
        );
        let mut tell = |event: Event<'_>| {
            if let Event::Found(finding) = event {
                let Finding {
                    name,
                    problem,
                    outcome,
                } = finding.clone();
                assert!(!problem.to_string().is_empty() && !problem.advice().is_empty());
                found.push((name, problem.kind(), outcome));
            }
        };
        let clock = ManualClock::at(at(NOW));
        let report = check(&self.shelf, &clock, options, &mut tell)
            .await
            .unwrap();
        assert_eq!(report.found, found.len() as u64);
        assert_eq!(report.kinds.values().sum::<u64>(), report.found);
        found
    }
}

pub fn holder(organization: &OrganizationId, credentials: Vec<Credential>) -> Holder {
    read(json!({
        "name": "user_alice",
        "organization": organization,
        "identity": { "subject": { "provider": Uuid::nil(), "subject": "alice" } },
        "credentials": credentials,
    }))
}

pub fn credential(id: TokenId, end: i64) -> Credential {
    let digest = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    read(json!({
        "token": { "id": id, "pepper": "Ab3z", "digest": digest },
        "issued_at": 0,
        "expires_at": end,
    }))
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}
