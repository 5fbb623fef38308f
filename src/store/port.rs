//! The trait that every store implements, and what callers do with it.
//!
//! Writing is compare-and-set: a change names the revision that it was made from and is refused
//! when another change came first. So two writers never overwrite each other, on one node or many,
//! and every change is one atomic step on one record.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clock::Stopwatch;
use crate::store::generations::Generation;
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

/// How far a change has got when [`Store::confirm`] returns: no node serves an older state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmation {
    /// The nodes of the deployment, this one included.
    pub nodes: usize,
    /// Those of them that have said so. The others were silent until their lease had run out.
    pub confirmed: usize,
    /// The replicas that have the change, where the settings ask for some.
    pub replicas: Option<usize>,
}

/// Where a record lies, for an operator who looks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What the store itself calls it.
    pub name: String,
    /// When the store will drop it by itself.
    pub expires_at: Option<Timestamp>,
    /// The part of the store that it lies in, where there are several.
    pub shard: Option<usize>,
    /// Up to where this node has read that part's change log.
    pub log_position: Option<String>,
}

/// How a store is doing, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `embedded`, `redis`, `sentinel` or `cluster`.
    pub kind: &'static str,
    /// The part that follows other nodes; `None`: there are none.
    pub shared: Option<SharedStatus>,
}

/// How this node follows the changes that others make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedStatus {
    /// What this node is called in the registry of nodes.
    pub node: String,
    /// The server that it talks to; `None`: there is no connection.
    pub server: Option<String>,
    /// Why there is none, or why it does not do.
    pub problem: Option<String>,
    /// How long the cache may serve after the log was read.
    pub lease_milliseconds: u64,
    /// The nodes seen in the registry, this one included.
    pub nodes: usize,
    /// Every shard, in order.
    pub shards: Vec<ShardStatus>,
}

/// How far this node has read one shard's change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardStatus {
    /// Up to where; `None`: not at all yet.
    pub position: Option<String>,
    /// How long ago the log was read last, in milliseconds; `None`: never.
    pub read_milliseconds_ago: Option<u64>,
    /// Whether the cache may serve.
    pub fresh: bool,
}

/// One thing in a store, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The text of its key, as [`RecordKey`] prints it.
    pub name: String,
    /// When the store will drop it by itself.
    pub expires_at: Option<Timestamp>,
    /// What lies there.
    pub content: Content,
}

/// What lies under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text, most likely that of a record.
    Text {
        /// The text that [`Record::decode`] reads.
        text: String,
        /// Its state; `None`: it was not written by this program.
        revision: Option<Revision>,
    },
    /// Something that no record can be, such as a list.
    WrongType(String),
}

/// Some of the things in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In no order. One that was written during the scan may come twice or not at all.
    pub things: Vec<Stored>,
    /// Where to go on; `None`: these were the last.
    pub next: Option<String>,
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

    /// Reads a record that somebody has good reason to believe newer than what is cached: a login
    /// that another node has just minted. A cache may keep to what it has read a moment ago.
    async fn reread(&self, key: &RecordKey) -> Result<Option<Found>, StoreError> {
        self.get(key).await
    }

    /// Notes the state of a record before it is read, for [`is_current`](Store::is_current).
    fn note(&self, _key: &RecordKey) -> Generation {
        Generation::default()
    }

    /// Whether what was read after `noted` is still what a read would find. A decision on several
    /// records asks this after the last one was read.
    fn is_current(&self, _noted: Generation) -> bool {
        true
    }

    /// Whether a decision may still be answered whose first read was made after `asked` began to
    /// run. It may not where this process has slept since, and a revoke was not held up by it.
    fn may_answer(&self, _asked: Stopwatch) -> bool {
        true
    }

    /// Waits until no node serves a state of the record that is older than the last change that
    /// has returned. Calling it again does no harm.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nobody can say. The change stands; call again.
    async fn confirm(&self, _key: &RecordKey) -> Result<Confirmation, StoreError> {
        Ok(Confirmation {
            nodes: 1,
            confirmed: 1,
            replicas: None,
        })
    }

    /// Where the record lies; `None`: there is none.
    async fn place(&self, key: &RecordKey) -> Result<Option<Place>, StoreError>;

    /// How the store is doing.
    fn status(&self) -> Status;
}

/// What a store lets its operator do beyond what serving needs.
#[async_trait]
pub trait Inventory: Store {
    /// Some of the things in the store, from the start or from where an earlier page ended.
    async fn scan(&self, from: Option<&str>) -> Result<Page, StoreError>;

    /// Moves what lies under a name out of the way without losing it. Returns its new name.
    async fn set_aside(&self, name: &str) -> Result<String, StoreError>;
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

/// Reads two records as they stand at one moment: what was read first is read again when it has
/// changed until the second was there.
///
/// # Errors
/// The store's; also when they change faster than they can be read.
pub async fn read_both<A: Kept, B: Kept>(
    store: &dyn Store,
    a: &A::Key,
    b: &B::Key,
) -> Result<(Option<Arc<A>>, Option<Arc<B>>), StoreError> {
    for _ in 0..MAX_TRIES {
        let noted = [store.note(&A::key(a)), store.note(&B::key(b))];
        let both = tokio::try_join!(read::<A>(store, a), read::<B>(store, b))?;
        if noted.iter().all(|noted| store.is_current(*noted)) {
            return Ok(both);
        }
    }
    Err(StoreError::Unavailable(
        "the records change faster than they can be read".into(),
    ))
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
}
