//! An operator can see everything that lies in a store, and move a thing out of the way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use uuid::Uuid;

use super::samples::{alias, api_key, holder, later, organization, origin, policy, some_alias};
use super::{
    InventorySubject, POLL, SHORT, assert_conflict, assert_ends, get, put, read, reads_back, write,
};
use crate::credential::holder::Holder;
use crate::keyring::Keyring;
use crate::names::token_id::TokenId;
use crate::store::inventory::{Content, Inventory, Page, Stored};
use crate::store::port::{Found, Revision, StoreError};
use crate::store::record::{Alias, Kept as _, KnownOrigin, Record, RecordKey, TokenIndex};

pub async fn an_empty_store_shows_nothing(subject: &InventorySubject) {
    assert_eq!(all(&*subject.store).await, BTreeMap::new());
}

pub async fn every_type_of_record_is_shown_as_it_lies_there(subject: &InventorySubject) {
    let store = &*subject.store;
    let end = later(&subject.clock, 3_600);
    let organization = organization("Zoë's\n\"things\" {}", &Keyring::random());
    let id = organization.id.clone();
    let api_key = api_key(id.clone());
    let (ends, for_ever) = (holder("ends", Some(end)), holder("for_ever", None));
    let index = TokenIndex {
        name: ends.name.clone(),
        organization: id.clone(),
        expires_at: end,
    };
    let written = [
        (RecordKey::Alias(organization.alias), alias().into_record()),
        (RecordKey::Policy(id.clone()), policy(500).into_record()),
        (RecordKey::Organization(id), organization.into_record()),
        (RecordKey::Holder(ends.username()), ends.into_record()),
        (
            RecordKey::Holder(for_ever.username()),
            for_ever.into_record(),
        ),
        (RecordKey::Token(TokenId::random()), index.into_record()),
        (RecordKey::ApiKey(api_key.id), api_key.into_record()),
        (
            RecordKey::Origin(origin("https://a.example:8443")),
            KnownOrigin {}.into_record(),
        ),
    ];
    let mut expected = BTreeMap::new();
    for (key, record) in written {
        let revision = put(store, &key, None, Some(record.clone())).await;
        expected.insert(key, Found { record, revision });
    }
    let shown = all(store).await;
    assert_eq!(shown.len(), expected.len());
    for thing in shown.into_values() {
        let (key, found) = found(&thing);
        assert_ends(thing.expires_at, found.record.expires_at());
        assert_eq!(expected.remove(&key), Some(found), "{key}");
    }
}

pub async fn many_records_come_in_pages(subject: &InventorySubject) {
    const MANY: usize = 2_000;
    let store = &*subject.store;
    let expected = many(store, MANY).await;
    let (mut shown, mut pages, mut from) = (BTreeMap::new(), 0, None);
    loop {
        let Page { things, next } = page(store, from.as_deref()).await;
        assert!(things.len() <= MANY / 2, "{} on one page", things.len());
        pages += 1;
        shown.extend(
            things
                .iter()
                .map(|thing| (thing.name.clone(), found(thing).1.revision)),
        );
        let Some(next) = next else { break };
        from = Some(next);
    }
    assert!(pages > 1);
    assert_eq!(shown, expected);
}

pub async fn what_stays_is_shown_while_others_write(subject: &InventorySubject) {
    let store = &*subject.store;
    let staying = many(store, 1_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, busy) = (Arc::clone(&stop), Arc::clone(&subject.store));
    let writing = tokio::spawn(async move {
        while !stopped.load(Ordering::SeqCst) {
            let key = RecordKey::Alias(Uuid::new_v4());
            let current = put(&*busy, &key, None, some_alias()).await;
            put(&*busy, &key, Some(current), None).await;
        }
    });
    for _ in 0..5 {
        let shown = all(store).await;
        for name in staying.keys() {
            assert!(shown.contains_key(name), "{name} was there all the time");
        }
    }
    stop.store(true, Ordering::SeqCst);
    writing.await.expect("others can write meanwhile");
}

pub async fn what_was_seen_can_be_changed(subject: &InventorySubject) {
    let store = &*subject.store;
    let key = Uuid::new_v4();
    reads_back(store, &key, alias()).await;
    let shown = all(store).await;
    let (key, seen) = found(shown.values().next().expect("one record"));
    let changed = put(store, &key, Some(seen.revision), some_alias()).await;
    assert_conflict(store.put(write(&key, Some(seen.revision), None)).await);
    put(store, &key, Some(changed), None).await;
    assert_eq!(
        all(store).await,
        BTreeMap::new(),
        "what was deleted is not shown"
    );
}

pub async fn what_is_set_aside_is_out_of_the_way(subject: &InventorySubject) {
    let store = &*subject.store;
    let (aside, other) = (Uuid::new_v4(), Uuid::new_v4());
    let name = Alias::key(&aside).to_string();
    let missing = store.set_aside(&name).await;
    assert!(matches!(missing, Err(StoreError::Conflict)), "{missing:?}");

    reads_back(store, &other, alias()).await;
    let mut names = vec![name.clone()];
    let mut old: Vec<Revision> = Vec::new();
    // Whatever takes the name can be set aside as well, and pushes nothing out.
    for _ in 0..3 {
        reads_back(store, &aside, alias()).await;
        let key = Alias::key(&aside);
        let revision = get(store, &key).await.expect("it is there").revision;
        assert!(!old.contains(&revision));
        old.push(revision);
        let moved = store.set_aside(&name).await.expect("it is there");
        assert!(!names.contains(&moved), "{moved} has another in it");
        names.push(moved);
        assert_eq!(get(store, &key).await, None);
        assert_eq!(store.place(&key).await.expect("it can say"), None);
        assert_conflict(store.put(write(&key, Some(revision), some_alias())).await);
        let shown: Vec<String> = all(store).await.into_keys().collect();
        assert_eq!(shown, [Alias::key(&other).to_string()]);
    }
}

pub async fn what_is_set_aside_leaves_its_expiry_behind(subject: &InventorySubject) {
    let store = &*subject.store;
    let mut holder = holder("twice", Some(later(&subject.clock, SHORT)));
    let key = Holder::key(&holder.username());
    put(store, &key, None, Some(holder.clone().into_record())).await;
    store
        .set_aside(&key.to_string())
        .await
        .expect("it is there");
    holder.credentials[0].expires_at = None;
    reads_back(store, &holder.username(), holder.clone()).await;

    // Until a record with the first one's end is gone, that end has come everywhere.
    let index = TokenIndex {
        name: holder.name.clone(),
        organization: holder.organization.clone(),
        expires_at: later(&subject.clock, SHORT),
    };
    let gone = RecordKey::Token(TokenId::random());
    put(store, &gone, None, Some(index.into_record())).await;
    subject.clock.advance(SHORT);
    while get(store, &gone).await.is_some() {
        put(store, &RecordKey::Alias(Uuid::new_v4()), None, some_alias()).await;
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(read(store, &holder.username()).await, Some(holder));
}

/// Creates records, and returns their names and revisions.
async fn many(store: &dyn Inventory, number: usize) -> BTreeMap<String, Revision> {
    let creations = (0..number).map(|_| async move {
        let key = RecordKey::Alias(Uuid::new_v4());
        let revision = put(store, &key, None, some_alias()).await;
        (key.to_string(), revision)
    });
    join_all(creations).await.into_iter().collect()
}

/// Everything that is shown, by its name. A thing may be shown twice.
async fn all(store: &dyn Inventory) -> BTreeMap<String, Stored> {
    let (mut shown, mut from) = (BTreeMap::new(), None);
    loop {
        let Page { things, next } = page(store, from.as_deref()).await;
        shown.extend(things.into_iter().map(|thing| (thing.name.clone(), thing)));
        let Some(next) = next else { return shown };
        from = Some(next);
    }
}

async fn page(store: &dyn Inventory, from: Option<&str>) -> Page {
    let page = store.scan(from).await;
    page.expect("a store that works can show what is in it")
}

/// The record in a thing.
fn found(thing: &Stored) -> (RecordKey, Found) {
    let key: RecordKey = thing.name.parse().expect("the name of a record");
    let Content::Text { text, revision } = &thing.content else {
        panic!("{key} is no text");
    };
    let record = Record::decode(&key, text).expect("the text of a record");
    let revision = revision.expect("what was put has a revision");
    (key, Found { record, revision })
}
