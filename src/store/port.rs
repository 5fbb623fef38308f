//! The trait that every store implements, and what callers do with it.
//!
//! Writing is compare-and-set: a change names the revision that it was made from and is refused
//! when another change came first. So two writers never overwrite each other, on one node or many,
//! and every change is one atomic step on one record.

use std::sync::Arc;

use async_trait::async_trait;

use crate::store::record::{BadRecord, Kept, Record, RecordKey};

/// How often a change is tried again after another one came first.
const MAX_TRIES: usize = 64;

/// Says which state of a record a change was made from. Never used again for another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A record and its revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The record.
    pub record: Record,
    /// Its state.
    pub revision: Revision,
}

/// A change of one record.
#[derive(Debug, Clone)]
pub struct Write {
    /// Which record.
    pub key: RecordKey,
    /// The state that the change was made from; `None`: there must be no such record.
    pub expected: Option<Revision>,
    /// The new state; `None`: the record goes.
    pub record: Option<Record>,
}

/// Why a store call failed. Nothing was changed, unless it says so.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another change came first.
    #[error("another change of the record came first")]
    Conflict,
    /// The store cannot be reached or did not answer in time. A write may have happened.
    #[error("the store is not available: {0}")]
    Unavailable(Arc<str>),
    /// Too many writes wait already.
    #[error("the store has too many writes waiting; try again in a moment")]
    Overloaded,
    /// What is stored is not what it should be.
    #[error("{key}: {error}")]
    Bad {
        /// Which record.
        key: RecordKey,
        /// What is wrong with it.
        error: BadRecord,
    },
}

/// What to do with a record after looking at it.
#[derive(Debug)]
pub enum Change<T> {
    /// Leave it.
    Keep,
    /// Store this in its place.
    Set(T),
}

/// A place where records live.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What is known without waiting: `None` means that [`get`](Store::get) has to be asked. Only
    /// a cache knows anything.
    fn peek(&self, _key: &RecordKey) -> Option<Option<Found>> {
        None
    }

    /// Reads a record; `None`: there is none. One whose time is up may be there or not.
    async fn get(&self, key: &RecordKey) -> Result<Option<Found>, StoreError>;

    /// Changes a record and returns its new revision. When this returns, the change is durable and
    /// this process will never read the older state again. A caller that gives up waiting does not
    /// take the change back.
    async fn put(&self, write: Write) -> Result<Revision, StoreError>;

    /// Whether reads and writes can be expected to work.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// Reads a typed record. A hit in a cache waits for nothing.
pub async fn read<T: Kept>(store: &dyn Store, key: &T::Key) -> Result<Option<Arc<T>>, StoreError> {
    Ok(find::<T>(store, &T::key(key))
        .await?
        .map(|(record, _)| record))
}

/// Creates a record.
///
/// # Errors
/// [`StoreError::Conflict`] when there is one already.
pub async fn create<T: Kept>(
    store: &dyn Store,
    key: &T::Key,
    record: T,
) -> Result<Revision, StoreError> {
    let record = Some(record.into_record());
    store
        .put(Write {
            key: T::key(key),
            expected: None,
            record,
        })
        .await
}

/// Changes a record by `change`, which sees the current state and may be called again when another
/// change came first. Returns whether anything was written.
///
/// # Errors
/// What `change` returns, or the store's error.
pub async fn update<T: Kept, E: From<StoreError>>(
    store: &dyn Store,
    key: &T::Key,
    mut change: impl FnMut(Option<&T>) -> Result<Change<T>, E>,
) -> Result<bool, E> {
    let key = T::key(key);
    for _ in 0..MAX_TRIES {
        let found = find::<T>(store, &key).await?;
        let (current, expected) = found.unzip();
        let Change::Set(record) = change(current.as_deref())? else {
            return Ok(false);
        };
        let record = Some(record.into_record());
        match store
            .put(Write {
                key: key.clone(),
                expected,
                record,
            })
            .await
        {
            Ok(_) => return Ok(true),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict.into())
}

async fn find<T: Kept>(
    store: &dyn Store,
    key: &RecordKey,
) -> Result<Option<(Arc<T>, Revision)>, StoreError> {
    let found = match store.peek(key) {
        Some(known) => known,
        None => store.get(key).await?,
    };
    let Some(Found { record, revision }) = found else {
        return Ok(None);
    };
    match T::from_record(record) {
        Some(record) => Ok(Some((record, revision))),
        None => {
            let error = BadRecord::Unreadable("it is of another type".into());
            Err(StoreError::Bad {
                key: key.clone(),
                error,
            })
        }
    }
}

#[cfg(test)]
mod tests {
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
}
