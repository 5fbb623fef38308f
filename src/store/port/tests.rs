//! Typed reads and writes on a store that always comes second, and reads of several records.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use uuid::Uuid;

use super::*;
use crate::names::organization_id::OrganizationId;
use crate::store::record::{Alias, KnownOrigin};

/// A store whose every change comes second.
struct Contended {
    peeked: Option<Option<Found>>,
    got: Option<Found>,
    gets: AtomicUsize,
    puts: AtomicUsize,
}

impl Contended {
    fn holding(record: Option<Record>) -> Self {
        let revision = Revision(1);
        Self {
            peeked: None,
            got: record.map(|record| Found { record, revision }),
            gets: AtomicUsize::new(0),
            puts: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl Store for Contended {
    fn peek(&self, _: &RecordKey) -> Option<Option<Found>> {
        self.peeked.clone()
    }

    async fn get(&self, _: &RecordKey) -> Result<Option<Found>, StoreError> {
        self.gets.fetch_add(1, SeqCst);
        Ok(self.got.clone())
    }

    async fn put(&self, _: Write) -> Result<Revision, StoreError> {
        self.puts.fetch_add(1, SeqCst);
        Err(StoreError::Conflict)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn place(&self, _: &RecordKey) -> Result<Option<Place>, StoreError> {
        Ok(None)
    }

    fn status(&self) -> Status {
        Status {
            kind: "contended",
            shared: None,
        }
    }
}

fn alias() -> Alias {
    Alias {
        organization: OrganizationId::random(),
    }
}

#[tokio::test]
async fn an_update_that_always_comes_second_ends_in_a_conflict() {
    let store = Contended::holding(Some(alias().into_record()));
    let set = |_: Option<&Alias>| Ok::<_, StoreError>(Change::Set(alias()));
    let outcome = update(&store, &Uuid::nil(), set).await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
    assert_eq!(store.puts.load(SeqCst), MAX_TRIES);
}

#[tokio::test]
async fn what_is_known_at_a_glance_is_not_read() {
    let record = alias();
    for known in [Some(record.clone()), None] {
        let mut store = Contended::holding(Some(alias().into_record()));
        let found = known.clone().map(|known| Found {
            record: known.into_record(),
            revision: Revision(1),
        });
        store.peeked = Some(found);
        let read = read::<Alias>(&store, &Uuid::nil()).await.unwrap();
        assert_eq!(read.as_deref(), known.as_ref());
        assert_eq!(store.gets.load(SeqCst), 0);
    }
}

#[tokio::test]
async fn a_record_of_another_type_is_bad() {
    let store = Contended::holding(Some(KnownOrigin {}.into_record()));
    let read = read::<Alias>(&store, &Uuid::nil()).await;
    assert!(matches!(read, Err(StoreError::Bad { .. })), "{read:?}");
    let set = |_: Option<&Alias>| Ok::<_, StoreError>(Change::Set(alias()));
    let outcome = update(&store, &Uuid::nil(), set).await;
    assert!(
        matches!(outcome, Err(StoreError::Bad { .. })),
        "{outcome:?}"
    );
    assert_eq!(store.puts.load(SeqCst), 0);
}
