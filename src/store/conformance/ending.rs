//! What is over goes, nothing else does, and an operator can see when.

use uuid::Uuid;

use super::samples::{holder, later, some_alias};
use super::{POLL, SHORT, Subject, assert_conflict, get, put, read, write};
use crate::credential::holder::Holder;
use crate::store::port;
use crate::store::record::{Kept as _, RecordKey};

pub async fn what_has_expired_goes_and_nothing_else(subject: &Subject) {
    let store = &*subject.store;
    let (short, long, for_ever) = (
        holder("short", Some(later(&subject.clock, SHORT))),
        holder("long", Some(later(&subject.clock, 3_600))),
        holder("for_ever", None),
    );
    let mut first_life = None;
    for holder in [&short, &long, &for_ever] {
        let created = port::create(store, &holder.username(), holder.clone()).await;
        first_life.get_or_insert(created.expect("a first creation succeeds"));
    }
    // Its end was moved before it came.
    let mut renewed = holder("renewed", Some(later(&subject.clock, SHORT)));
    let created = port::create(store, &renewed.username(), renewed.clone()).await;
    renewed.credentials[0].expires_at = Some(later(&subject.clock, 3_600));
    let key = Holder::key(&renewed.username());
    put(
        store,
        &key,
        created.ok(),
        Some(renewed.clone().into_record()),
    )
    .await;

    subject.clock.advance(SHORT);
    let key = Holder::key(&short.username());
    loop {
        // A store may do its sweeping along with writes.
        put(store, &RecordKey::Alias(Uuid::new_v4()), None, some_alias()).await;
        if get(store, &key).await.is_none() {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    assert_conflict(store.put(write(&key, first_life, None)).await);
    let second_life = put(store, &key, None, Some(short.into_record())).await;
    assert_ne!(Some(second_life), first_life);
    for holder in [long, for_ever, renewed] {
        assert_eq!(read(store, &holder.username()).await, Some(holder));
    }
}
