//! The trait that every store implements, and what callers do with it.
//!
//! Writing is compare-and-set: a change names the revision that it was made from and is refused
//! when another change came first. So two writers never overwrite each other, on one node or many,
//! and every change is one atomic step on one record.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::try_join;

use crate::clock::Stopwatch;
use crate::names::organization_id::OrganizationId;
use crate::org::audit::Entry;
use crate::store::audit::{AuditLog, Line, Stretch};
use crate::store::generations::Generation;
use crate::store::list::{ListKind, ListPlace, Listed};
use crate::store::record::{BadRecord, Kept, Record, RecordKey};
use crate::store::status::{Place, Status};

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
    /// What the audit log says of it. Written in the same step: there is no change without its
    /// entry, and no entry without its change.
    pub audit: Option<Box<Line>>,
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

/// What became of a record that was looked at in order to change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Updated {
    /// Whether it was changed.
    pub written: bool,
    /// Its state now; `None`: there is no such record.
    pub revision: Option<Revision>,
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
    /// The same, with what the audit log says of it.
    Audited(T, Box<Line>),
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
    ///
    /// # Errors
    /// [`StoreError::Bad`] when something lies there that is no record, of whatever type.
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

    /// Reads a record that is known to have changed since it was cached. A cache may take its time
    /// where it has read the record a moment ago, but does not keep to that.
    async fn read_newer(&self, key: &RecordKey) -> Result<Option<Found>, StoreError> {
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

    /// Waits until no node serves a state of the record that is older than this one. Calling it
    /// again does no harm.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: the record is in another state by now. It was changed again, or a
    /// server took over that has not got the change. [`StoreError::Unavailable`]: nobody can say.
    async fn confirm(
        &self,
        _key: &RecordKey,
        _state: Option<Revision>,
    ) -> Result<Confirmation, StoreError> {
        Ok(Confirmation {
            nodes: 1,
            confirmed: 1,
            replicas: None,
        })
    }

    /// Where the record lies; `None`: there is none.
    async fn place(&self, key: &RecordKey) -> Result<Option<Place>, StoreError>;

    /// Some rows of a list of an organization, from the start or from where an earlier call ended.
    /// Tokens that have ended by `now` are left out.
    async fn list(
        &self,
        _kind: ListKind,
        _organization: &OrganizationId,
        _now: Timestamp,
        _from: Option<ListPlace>,
        _limit: usize,
    ) -> Result<Listed, StoreError> {
        Err(StoreError::Unavailable("this store has no list".into()))
    }

    /// How many there are.
    async fn count(
        &self,
        _kind: ListKind,
        _organization: &OrganizationId,
        _now: Timestamp,
    ) -> Result<u64, StoreError> {
        Err(StoreError::Unavailable("this store has no list".into()))
    }

    /// Adds entries to the audit log that go with no change.
    ///
    /// # Errors
    /// Some of them may have been added.
    async fn append_audit(&self, _lines: Vec<Line>) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("this store has no log".into()))
    }

    /// Reads at most `limit` entries of one log, newest first.
    async fn read_audit(
        &self,
        _log: &AuditLog,
        _stretch: Stretch,
        _limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        Err(StoreError::Unavailable("this store has no log".into()))
    }

    /// How the store is doing.
    fn status(&self) -> Status;
}

/// Reads a typed record. A hit in a cache waits for nothing.
pub async fn read<T: Kept>(store: &dyn Store, key: &T::Key) -> Result<Option<Arc<T>>, StoreError> {
    find_any(store, &T::key(key)).await
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
    create_with(store, key, record, None).await
}

/// The same, with what the audit log says of it.
///
/// # Errors
/// As [`create`].
pub async fn create_audited<T: Kept>(
    store: &dyn Store,
    key: &T::Key,
    record: T,
    line: Box<Line>,
) -> Result<Revision, StoreError> {
    create_with(store, key, record, Some(line)).await
}

async fn create_with<T: Kept>(
    store: &dyn Store,
    key: &T::Key,
    record: T,
    audit: Option<Box<Line>>,
) -> Result<Revision, StoreError> {
    let write = Write {
        key: T::key(key),
        expected: None,
        record: Some(record.into_record()),
        audit,
    };
    store.put(write).await
}

/// Reads a typed record and its state.
///
/// # Errors
/// The store's.
pub async fn read_state<T: Kept>(
    store: &dyn Store,
    key: &T::Key,
) -> Result<Option<(Arc<T>, Revision)>, StoreError> {
    find(store, &T::key(key)).await
}

/// Changes a record that is still in a state, with what the audit log says of it.
///
/// # Errors
/// [`StoreError::Conflict`] when it is in another.
pub async fn replace<T: Kept>(
    store: &dyn Store,
    key: &T::Key,
    state: Revision,
    record: T,
    line: Box<Line>,
) -> Result<Revision, StoreError> {
    let write = Write {
        key: T::key(key),
        expected: Some(state),
        record: Some(record.into_record()),
        audit: Some(line),
    };
    store.put(write).await
}

/// Changes a record by `change`, which sees the current state and may be called again when another
/// change came first.
///
/// # Errors
/// What `change` returns, or the store's error.
pub async fn update<T: Kept, E: From<StoreError>>(
    store: &dyn Store,
    key: &T::Key,
    mut change: impl FnMut(Option<&T>) -> Result<Change<T>, E>,
) -> Result<Updated, E> {
    let key = T::key(key);
    for _ in 0..MAX_TRIES {
        let found = find::<T>(store, &key).await?;
        let (current, expected) = found.unzip();
        let (record, audit) = match change(current.as_deref())? {
            Change::Set(record) => (record, None),
            Change::Audited(record, line) => (record, Some(line)),
            Change::Keep => {
                return Ok(Updated {
                    written: false,
                    revision: expected,
                });
            }
        };
        let write = Write {
            key: key.clone(),
            expected,
            record: Some(record.into_record()),
            audit,
        };
        match store.put(write).await {
            Ok(revision) => {
                return Ok(Updated {
                    written: true,
                    revision: Some(revision),
                });
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict.into())
}

/// Reads a typed record anew where it may be newer than what is cached ([`Store::reread`]).
///
/// # Errors
/// The store's.
pub async fn reread<T: Kept>(
    store: &dyn Store,
    key: &T::Key,
) -> Result<Option<Arc<T>>, StoreError> {
    let key = T::key(key);
    let found = store.reread(&key).await?;
    Ok(typed::<T>(&key, found)?.map(|(record, _)| record))
}

/// Reads two records at once, as they stand at one moment: what has changed until both are there
/// is read again.
///
/// # Errors
/// The store's; also when they change faster than they can be read.
pub async fn read_both<A: Kept, B: Kept>(
    store: &dyn Store,
    a: &A::Key,
    b: &B::Key,
) -> Result<(Option<Arc<A>>, Option<Arc<B>>), StoreError> {
    let keys = [A::key(a), B::key(b)];
    let [a, b] = &keys;
    let read = || async move { try_join!(find_any::<A>(store, a), find_any::<B>(store, b)) };
    at_one_moment(store, &keys, read).await
}

/// [`read_both`] for three records.
///
/// # Errors
/// As there.
pub async fn read_three<A: Kept, B: Kept, C: Kept>(
    store: &dyn Store,
    a: &A::Key,
    b: &B::Key,
    c: &C::Key,
) -> Result<(Option<Arc<A>>, Option<Arc<B>>, Option<Arc<C>>), StoreError> {
    let keys = [A::key(a), B::key(b), C::key(c)];
    let [a, b, c] = &keys;
    let read = || async move {
        try_join!(
            find_any::<A>(store, a),
            find_any::<B>(store, b),
            find_any::<C>(store, c)
        )
    };
    at_one_moment(store, &keys, read).await
}

/// Reads a record and those that it names, as they stand at one moment. Those that are not there are
/// left out.
///
/// # Errors
/// As [`read_both`].
pub async fn read_with<A: Kept, B: Kept>(
    store: &dyn Store,
    a: &A::Key,
    named: impl Fn(&A) -> Vec<B::Key>,
) -> Result<Option<(Arc<A>, Vec<Arc<B>>)>, StoreError> {
    let key = A::key(a);
    for _ in 0..MAX_TRIES {
        let mut noted = vec![store.note(&key)];
        let Some(found) = find_any::<A>(store, &key).await? else {
            return Ok(None);
        };
        let mut all = Vec::new();
        for name in named(&found) {
            let key = B::key(&name);
            noted.push(store.note(&key));
            all.extend(find_any::<B>(store, &key).await?);
        }
        if noted.into_iter().all(|noted| store.is_current(noted)) {
            return Ok(Some((found, all)));
        }
    }
    let problem = "the records change faster than they can be read";
    Err(StoreError::Unavailable(problem.into()))
}

/// Repeats `read` until none of `keys` has changed while it was at work.
async fn at_one_moment<T, F, const N: usize>(
    store: &dyn Store,
    keys: &[RecordKey; N],
    read: impl Fn() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for _ in 0..MAX_TRIES {
        let noted = keys.each_ref().map(|key| store.note(key));
        let found = read().await?;
        if noted.into_iter().all(|noted| store.is_current(noted)) {
            return Ok(found);
        }
    }
    let problem = "the records change faster than they can be read";
    Err(StoreError::Unavailable(problem.into()))
}

async fn find_any<T: Kept>(
    store: &dyn Store,
    key: &RecordKey,
) -> Result<Option<Arc<T>>, StoreError> {
    Ok(find::<T>(store, key).await?.map(|(record, _)| record))
}

async fn find<T: Kept>(
    store: &dyn Store,
    key: &RecordKey,
) -> Result<Option<(Arc<T>, Revision)>, StoreError> {
    let found = match store.peek(key) {
        Some(known) => known,
        None => store.get(key).await?,
    };
    typed(key, found)
}

fn typed<T: Kept>(
    key: &RecordKey,
    found: Option<Found>,
) -> Result<Option<(Arc<T>, Revision)>, StoreError> {
    let Some(Found { record, revision }) = found else {
        return Ok(None);
    };
    let record = T::from_record(record).ok_or_else(|| StoreError::Bad {
        key: key.clone(),
        error: BadRecord::Unreadable("it is of another type".into()),
    })?;
    Ok(Some((record, revision)))
}

#[cfg(test)]
mod tests;
