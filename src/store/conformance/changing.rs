//! A change is made from the current state or not at all.

use uuid::Uuid;

use super::samples::{alias, some_alias};
use super::{Subject, assert_conflict, assert_peek, count, get, put, read, reads_back, write};
use crate::names::organization_id::OrganizationId;
use crate::org::organization::Organization;
use crate::store::port::{self, Change, Found, Revision, StoreError};
use crate::store::record::{Alias, Kept as _, RecordKey};

pub async fn creating_twice_conflicts(subject: &Subject) {
    let store = &*subject.store;
    let (key, first) = (Uuid::new_v4(), alias());
    reads_back(store, &key, first.clone()).await;
    for again in [first.clone(), alias()] {
        assert_conflict(port::create(store, &key, again).await);
        assert_eq!(read(store, &key).await.as_ref(), Some(&first));
    }
}

pub async fn only_the_current_state_can_be_changed(subject: &Subject) {
    let store = &*subject.store;
    let key = RecordKey::Alias(Uuid::new_v4());
    let old = put(store, &key, None, some_alias()).await;
    let record = alias().into_record();
    let revision = put(store, &key, Some(old), Some(record.clone())).await;
    let unharmed = Some(Found { record, revision });
    let made_up = [0, revision.0 + 1, u64::MAX].map(Revision);
    for expected in [old].into_iter().chain(made_up).map(Some).chain([None]) {
        for record in [some_alias(), None] {
            let change = write(&key, expected, record);
            assert_conflict(store.put(change.clone()).await);
            assert_eq!(get(store, &key).await, unharmed, "after {change:?}");
        }
    }
    // The same wrong ideas about a record that is not there.
    let absent = RecordKey::Alias(Uuid::new_v4());
    for expected in made_up.into_iter().chain([revision]).map(Some) {
        for record in [some_alias(), None] {
            let change = write(&absent, expected, record);
            assert_conflict(store.put(change.clone()).await);
            assert_eq!(get(store, &absent).await, None, "after {change:?}");
        }
    }
}

pub async fn a_deleted_record_is_gone(subject: &Subject) {
    let store = &*subject.store;
    let key = RecordKey::Alias(Uuid::new_v4());
    let current = put(store, &key, None, some_alias()).await;
    assert!(get(store, &key).await.is_some());
    put(store, &key, Some(current), None).await;
    assert_eq!(get(store, &key).await, None);
    for record in [some_alias(), None] {
        assert_conflict(store.put(write(&key, Some(current), record)).await);
        assert_eq!(get(store, &key).await, None);
    }
    let record = alias().into_record();
    let revision = put(store, &key, None, Some(record.clone())).await;
    assert_eq!(get(store, &key).await, Some(Found { record, revision }));
}

/// Otherwise a change made from the first life of a record could hit its second one.
pub async fn a_revision_is_never_used_again(subject: &Subject) {
    let store = &*subject.store;
    let key = RecordKey::Alias(Uuid::new_v4());
    let same = alias().into_record();
    let mut used = Vec::new();
    for _ in 0..10 {
        let created = put(store, &key, None, Some(same.clone())).await;
        let updated = put(store, &key, Some(created), Some(same.clone())).await;
        for old in used.iter().copied().chain([created]) {
            assert_conflict(store.put(write(&key, Some(old), None)).await);
        }
        put(store, &key, Some(updated), None).await;
        for revision in [created, updated] {
            assert!(!used.contains(&revision), "{revision:?} was used before");
            used.push(revision);
        }
    }
}

pub async fn an_update_sees_the_current_state(subject: &Subject) {
    let store = &*subject.store;
    let key = OrganizationId::random();
    for expected in 0..5 {
        assert_eq!(count(store, &key).await.expect("an update"), expected);
    }
    let organization: Organization = read(store, &key).await.expect("a record");
    assert_eq!(organization.token_life.default_seconds, 5);
}

pub async fn an_update_that_keeps_or_fails_writes_nothing(subject: &Subject) {
    let store = &*subject.store;
    let key = Uuid::new_v4();
    let keep = |_: Option<&Alias>| Ok::<_, StoreError>(Change::Keep);
    let kept = port::update(store, &key, keep).await.expect("an update");
    assert_eq!((kept.written, kept.revision), (false, None));
    assert_eq!(read::<Alias>(store, &key).await, None);

    let record = alias();
    reads_back(store, &key, record.clone()).await;
    let before = get(store, &Alias::key(&key)).await;
    let kept = port::update(store, &key, keep).await.expect("an update");
    let revision = before.as_ref().map(|found| found.revision);
    assert_eq!((kept.written, kept.revision), (false, revision));
    let fail = |_: Option<&Alias>| Err::<Change<Alias>, _>(StoreError::Overloaded);
    let failed = port::update(store, &key, fail).await;
    assert!(matches!(failed, Err(StoreError::Overloaded)), "{failed:?}");
    assert_eq!(get(store, &Alias::key(&key)).await, before);
}

pub async fn peeking_agrees_with_reading(subject: &Subject) {
    let store = &*subject.store;
    let key = RecordKey::Alias(Uuid::new_v4());
    assert_peek(store, &key, None);
    let mut current = None;
    for absent in [false, false, true, false, true, true, false] {
        let record = some_alias().filter(|_| !absent);
        let change = write(&key, current, record.clone());
        let revision = store.put(change).await.expect("the state is current");
        let found = record.map(|record| Found { record, revision });
        assert_peek(store, &key, found.as_ref());
        assert_eq!(get(store, &key).await, found);
        assert_peek(store, &key, found.as_ref());
        assert_conflict(store.put(write(&key, Some(Revision(0)), None)).await);
        assert_peek(store, &key, found.as_ref());
        current = found.map(|found| found.revision);
    }
}
