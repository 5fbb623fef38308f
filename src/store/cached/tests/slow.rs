//! A store that a test can hold, and a cache over it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::clock::ManualClock;
use crate::metrics::Metrics;
use crate::names::organization_id::OrganizationId;
use crate::org::audit::Entry;
use crate::store::audit::{AuditLog, Line, Stretch};
use crate::store::cached::{Cached, Settings};
use crate::store::embedded::Embedded;
use crate::store::flights::Loaded;
use crate::store::freshness::Freshness;
use crate::store::list::{ListKind, ListPlace, Listed};
use crate::store::port::{Found, Revision, Store, StoreError, Write};
use crate::store::record::{Record, RecordKey};
use crate::store::status::{Place, Status};

/// The longest that a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(60);

/// A store whose calls a test can hold at a point of its choice.
pub struct Slow {
    /// The store itself.
    pub inner: Arc<dyn Store>,
    /// Whether every read fails.
    pub fails: AtomicBool,
    /// Whether reads let others go first before they answer.
    pub dawdles: bool,
    reads: AtomicUsize,
    random: RandomState,
    holds: Mutex<HashMap<(Point, RecordKey), Hold>>,
}

/// Where a call can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// The state has been read and not yet returned.
    Read,
    /// A write was taken and not yet made.
    Taken,
    /// A write was made and not yet answered.
    Made,
}

/// The store's end of a held call.
struct Hold {
    reached: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

/// The test's end of a held call. Dropping it lets the call go on.
pub struct Held {
    reached: oneshot::Receiver<()>,
    _release: oneshot::Sender<()>,
}

impl Slow {
    fn over(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            fails: AtomicBool::new(false),
            dawdles: false,
            reads: AtomicUsize::new(0),
            random: RandomState::new(),
            holds: Mutex::default(),
        }
    }

    /// Holds the next call for the key at that point.
    pub fn hold(&self, point: Point, key: &RecordKey) -> Held {
        let (reaching, reached) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let hold = Hold {
            reached: reaching,
            released,
        };
        let mut holds = self.holds.lock().unwrap();
        holds.insert((point, key.clone()), hold);
        Held {
            reached,
            _release: release,
        }
    }

    /// How often it has been read.
    pub fn reads(&self) -> usize {
        self.reads.load(SeqCst)
    }

    async fn pass(&self, point: Point, key: &RecordKey) {
        let hold = self.holds.lock().unwrap().remove(&(point, key.clone()));
        if let Some(Hold { reached, released }) = hold {
            let _ = reached.send(());
            let _ = released.await;
        }
    }
}

impl Held {
    /// Waits until the call is there.
    pub async fn reached(&mut self) {
        in_time(&mut self.reached).await.expect("it is held once");
    }
}

#[async_trait]
impl Store for Arc<Slow> {
    async fn get(&self, key: &RecordKey) -> Loaded {
        let number = self.reads.fetch_add(1, SeqCst);
        let found = self.inner.get(key).await;
        self.pass(Point::Read, key).await;
        let turns = self.random.hash_one(number) % 8;
        for _ in 0..if self.dawdles { turns } else { 0 } {
            tokio::task::yield_now().await;
        }
        match self.fails.load(SeqCst) {
            true => Err(StoreError::Unavailable("the test said so".into())),
            false => found,
        }
    }

    /// A write that was taken is made, whether anybody waits for it or not: that is how the
    /// embedded store and every store behind a network do it.
    async fn put(&self, write: Write) -> Result<Revision, StoreError> {
        let store = Arc::clone(self);
        let making = tokio::spawn(async move {
            let key = write.key.clone();
            store.pass(Point::Taken, &key).await;
            let outcome = store.inner.put(write).await;
            store.pass(Point::Made, &key).await;
            outcome
        });
        making.await.unwrap()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }

    async fn place(&self, key: &RecordKey) -> Result<Option<Place>, StoreError> {
        self.inner.place(key).await
    }

    async fn list(
        &self,
        kind: ListKind,
        organization: &OrganizationId,
        now: Timestamp,
        from: Option<ListPlace>,
        limit: usize,
    ) -> Result<Listed, StoreError> {
        let inner = &self.inner;
        inner.list(kind, organization, now, from, limit).await
    }

    async fn count(
        &self,
        kind: ListKind,
        organization: &OrganizationId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.inner.count(kind, organization, now).await
    }

    async fn append_audit(&self, lines: Vec<Line>) -> Result<(), StoreError> {
        self.inner.append_audit(lines).await
    }

    async fn read_audit(
        &self,
        log: &AuditLog,
        stretch: Stretch,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.read_audit(log, stretch, limit).await
    }

    fn status(&self) -> Status {
        self.inner.status()
    }
}

/// A cache over a slow store over an embedded one in memory.
pub struct Stack {
    /// The cache.
    pub cached: Arc<Cached>,
    /// The store behind it.
    pub slow: Arc<Slow>,
    /// Everybody's clock.
    pub clock: Arc<ManualClock>,
}

impl Stack {
    /// With room for everything.
    pub fn new() -> Self {
        Self::with(&Settings::default(), |_| {})
    }

    /// With these limits, over a store adjusted in this way.
    pub fn with(settings: &Settings, adjust: impl FnOnce(&mut Slow)) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_000).unwrap()));
        let metrics = Arc::<Metrics>::default();
        let embedded = Embedded::in_memory(clock.clone(), metrics.clone());
        let mut slow = Slow::over(Arc::new(embedded));
        adjust(&mut slow);
        let slow = Arc::new(slow);
        let inner = Arc::new(Arc::clone(&slow));
        let freshness = Arc::new(Freshness::alone());
        let cached = Cached::new(inner, settings, freshness, clock.clone(), metrics);
        let cached = Arc::new(cached);
        Self {
            cached,
            slow,
            clock,
        }
    }

    /// Puts the record into this state behind the cache's back.
    pub async fn set(&self, key: &RecordKey, record: Option<Record>) -> Option<Found> {
        if record.is_some() || self.slow.inner.get(key).await.unwrap().is_some() {
            let write = self.replacing(key, record).await;
            self.slow.inner.put(write).await.unwrap();
        }
        self.slow.inner.get(key).await.unwrap()
    }

    /// The write that puts it into this state, from whichever it is in.
    pub async fn replacing(&self, key: &RecordKey, record: Option<Record>) -> Write {
        let current = self.slow.inner.get(key).await.unwrap();
        Write {
            key: key.clone(),
            expected: current.map(|found| found.revision),
            record,
            audit: None,
        }
    }
}

/// A read that has begun.
pub type Reader<'a> = Pin<Box<dyn Future<Output = Loaded> + Send + 'a>>;

/// Reads as everybody does: at a glance where that is possible.
pub async fn look(store: &Cached, key: &RecordKey) -> Loaded {
    match store.peek(key) {
        Some(known) => Ok(known),
        None => store.get(key).await,
    }
}

/// Readers that have begun and wait for a held load.
pub fn waiting<'a>(count: usize, store: &'a Cached, key: &'a RecordKey) -> Vec<Reader<'a>> {
    let reader = |_| {
        let mut reader: Reader = Box::pin(look(store, key));
        assert!(still_waits(&mut reader), "the load is held");
        reader
    };
    (0..count).map(reader).collect()
}

/// Whether the reader has no answer after it was given a turn.
pub fn still_waits(reader: &mut Reader) -> bool {
    reader.now_or_never().is_none()
}

/// Waits, but not for ever.
pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(DEADLINE, future).await;
    outcome.expect("nobody waits for ever")
}
