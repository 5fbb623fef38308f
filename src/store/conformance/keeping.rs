//! Records are kept exactly as they were given, each under its own name.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::samples::{alias, api_key, holder, later, organization, origin, policy, username};
use super::{Subject, get, read, reads_back};
use crate::credential::holder::HolderIdentity;
use crate::keyring::Keyring;
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::store::port::{self, Found};
use crate::store::record::{Alias, Kept as _, KnownOrigin, Policy, RecordKey, TokenIndex};

pub async fn an_empty_store_is_ready_and_has_nothing(subject: &Subject) {
    let store = &*subject.store;
    store.ready().await.expect("an open store is ready");
    for key in [
        RecordKey::Organization(OrganizationId::random()),
        RecordKey::Alias(Uuid::new_v4()),
        RecordKey::Policy(OrganizationId::random()),
        RecordKey::Holder(username("nobody")),
        RecordKey::Token(TokenId::random()),
        RecordKey::ApiKey(ApiKeyId::random()),
        RecordKey::Origin(origin("https://nobody.example")),
    ] {
        assert_eq!(get(store, &key).await, None, "{key}");
        assert_eq!(get(store, &key).await, None, "{key}, the second time");
    }
}

pub async fn every_type_of_record_reads_back(subject: &Subject) {
    let store = &*subject.store;
    let keys = Keyring::random();
    let organization = organization("Acme", &keys);
    let id = organization.id.clone();
    let alias = Alias {
        organization: id.clone(),
    };
    let api_key = api_key(id.clone());
    let holder = holder("alice", Some(later(&subject.clock, 3_600)));
    let token = TokenIndex {
        name: holder.name.clone(),
        organization: id.clone(),
        expires_at: later(&subject.clock, 3_600),
    };
    let origin = origin("https://app.example:8443");

    reads_back(store, &organization.alias, alias).await;
    reads_back(store, &id, policy(3)).await;
    reads_back(store, &id, organization).await;
    reads_back(store, &holder.username(), holder).await;
    reads_back(store, &TokenId::random(), token).await;
    reads_back(store, &api_key.id.clone(), api_key).await;
    reads_back(store, &origin, KnownOrigin {}).await;
}

pub async fn any_text_reads_back(subject: &Subject) {
    let store = &*subject.store;
    let keys = Keyring::random();
    for text in [
        "",
        " ",
        "\0",
        "\u{7f}\u{1b}[31m\r\n\t",
        "'); DROP TABLE records; --",
        r#"","v":9,"record":{"#,
        r"\u0000 \ / {} [] %s %00",
        "Zoë Ωmega 名前 مرحبا 👩‍👩‍👧 e\u{301} \u{202e}rtl\u{feff}\u{fffd}\u{10ffff}",
        &"long ".repeat(50_000),
        &"長".repeat(50_000),
    ] {
        let organization = organization(text, &keys);
        reads_back(store, &organization.id.clone(), organization).await;
        let mut holder = holder("texts", None);
        holder.organization = OrganizationId::random();
        holder.identity = HolderIdentity::Subject {
            provider: Uuid::nil(),
            subject: text.into(),
        };
        reads_back(store, &holder.username(), holder).await;
    }
    reads_back(store, &OrganizationId::random(), policy(5_000)).await;
}

/// Types share the text of a name, tenants share local names, and case matters.
pub async fn names_that_look_alike_are_apart(subject: &Subject) {
    let store = &*subject.store;
    let organization = organization("one id, two records", &Keyring::random());
    let id = organization.id.clone();
    reads_back(store, &id, organization.clone()).await;
    assert_eq!(read::<Policy>(store, &id).await, None, "of the same id");
    reads_back(store, &id, policy(1)).await;
    assert_eq!(read(store, &id).await, Some(organization));

    let (here, there) = (OrganizationId::random(), OrganizationId::random());
    for organization in [here, there] {
        for name in ["a", "A", "_a", "a_", "a-", "aa", "0", "00"] {
            let mut holder = holder(name, None);
            holder.organization = organization.clone();
            reads_back(store, &holder.username(), holder).await;
        }
    }
    for text in ["http://a", "https://a", "https://a:443", "https://a.a"] {
        reads_back(store, &origin(text), KnownOrigin {}).await;
    }
}

pub async fn many_records_are_kept(subject: &Subject) {
    const MANY: usize = 2_000;
    let mut writers = JoinSet::new();
    for _ in 0..MANY {
        let store = Arc::clone(&subject.store);
        writers.spawn(async move {
            let (alias, record) = (Uuid::new_v4(), alias());
            let revision = port::create(&*store, &alias, record.clone()).await;
            (alias, record, revision.expect("a first creation succeeds"))
        });
    }
    let written = writers.join_all().await;
    let revisions: HashSet<_> = written.iter().map(|(_, _, revision)| revision).collect();
    assert_eq!(revisions.len(), MANY, "every change has its own revision");
    for (alias, record, revision) in written {
        let found = get(&*subject.store, &Alias::key(&alias)).await;
        let record = record.into_record();
        assert_eq!(found, Some(Found { record, revision }));
    }
}
