//! An operator can ask where a record lies.

use uuid::Uuid;

use super::samples::{holder, later, some_alias, username};
use super::{Subject, assert_ends, put};
use crate::credential::holder::Holder;
use crate::store::port::Store;
use crate::store::record::{Kept as _, RecordKey};
use crate::store::status::Place;

pub async fn a_place_is_told_of_what_is_there_only(subject: &Subject) {
    let store = &*subject.store;
    let keys = [Uuid::new_v4(), Uuid::new_v4()].map(RecordKey::Alias);
    for key in &keys {
        assert_eq!(place(store, key).await, None);
    }
    let created = put(store, &keys[0], None, some_alias()).await;
    let first = place(store, &keys[0]).await.expect("it is there");
    assert_eq!(place(store, &keys[1]).await, None);
    put(store, &keys[1], None, some_alias()).await;
    let second = place(store, &keys[1]).await.expect("it is there");
    assert_ne!(first.name, second.name, "every record has its own place");
    for (place, key) in [(&first, &keys[0]), (&second, &keys[1])] {
        assert!(place.name.contains(&key.to_string()), "{}", place.name);
        assert!(place.shard.is_none_or(|shard| shard == key.shard()));
    }

    put(store, &keys[0], Some(created), None).await;
    assert_eq!(place(store, &keys[0]).await, None, "it is gone");
    put(store, &keys[0], None, some_alias()).await;
    let again = place(store, &keys[0]).await.expect("it is there again");
    assert_eq!(again.name, first.name, "the place of a name never changes");
}

pub async fn a_place_says_when_its_record_goes(subject: &Subject) {
    let store = &*subject.store;
    let ends = |seconds| Some(later(&subject.clock, seconds));
    let mut holder = holder("ends", ends(3_600));
    let key = Holder::key(&holder.username());
    let mut current = None;
    // Later, earlier, never, and again at a time.
    for end in [3_600, 7_200, 600]
        .map(ends)
        .into_iter()
        .chain([None, ends(60)])
    {
        holder.credentials[0].expires_at = end;
        let record = Some(holder.clone().into_record());
        current = Some(put(store, &key, current, record).await);
        let place = place(store, &key).await.expect("it is there");
        assert_ends(place.expires_at, end);
    }
    let nobody = RecordKey::Holder(username("nobody"));
    assert_eq!(place(store, &nobody).await, None);
}

async fn place(store: &dyn Store, key: &RecordKey) -> Option<Place> {
    let place = store.place(key).await;
    place.expect("a store that works can say where a record lies")
}
