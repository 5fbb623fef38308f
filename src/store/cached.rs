//! A cache in front of another store, with the same interface.
//!
//! It never serves a state older than the last change that has returned (`docs/architecture.md`,
//! "Freshness"): entries carry the generation that was noted before they were loaded, and a reader
//! discards one whose generation has moved. Loads of one key at a time are one load.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use foldhash::quality::RandomState;
use jiff::Timestamp;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use tokio::time::sleep;

use crate::clock::{Clock, Moment, Stopwatch};
use crate::metrics::{CacheLabel, Metrics};
use crate::names::organization_id::OrganizationId;
use crate::org::audit;
use crate::store::audit::{AuditLog, Line, Stretch};
use crate::store::flights::{Flights, Loaded};
use crate::store::freshness::{Freshness, Noted};
use crate::store::generations::Generation;
use crate::store::list::{ListKind, ListPlace, Listed};
use crate::store::port::{Confirmation, Found, Revision, Store, StoreError, Write};
use crate::store::record::RecordKey;
use crate::store::status::{Place, Status};

/// How often a load that was overtaken by an invalidation is tried again before we give up.
const MAX_TRIES: usize = 64;

/// The longest that reading one record may take. A broker has been answered long before.
const LONGEST_LOAD: Duration = Duration::from_secs(5);

/// How old what the cache holds must be to be read again for somebody who believes it outdated.
const REREAD_AFTER: Duration = Duration::from_millis(100);

/// Limits of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The most records kept. They make room for others, and stay until then.
    pub capacity: usize,
    /// The longest that one is served, in seconds.
    pub max_age_seconds: u64,
    /// The most names kept that are known not to exist.
    pub negative_capacity: usize,
    /// The longest that one of those is served, in seconds.
    pub negative_max_age_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity: 1_000_000,
            max_age_seconds: 600,
            negative_capacity: 100_000,
            negative_max_age_seconds: 30,
        }
    }
}

/// The cache and the store behind it. Writing needs a Tokio runtime.
pub struct Cached {
    parts: Arc<Parts>,
    flights: Flights,
    metrics: Arc<Metrics>,
}

type Table<T> = Cache<RecordKey, T, UnitWeighter, RandomState>;

/// What loads and writes hold on to: they may outlast the call that began them.
struct Parts {
    inner: Arc<dyn Store>,
    records: Table<Entry>,
    /// Apart from the records, so that a flood of made-up names cannot push them out.
    absent: Table<Seen>,
    freshness: Arc<Freshness>,
    max_age: Duration,
    negative_max_age: Duration,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
struct Entry {
    found: Found,
    seen: Seen,
}

/// How long something that was read may be served.
#[derive(Clone, Copy)]
struct Seen {
    noted: Noted,
    /// Served no longer than until then, however fresh.
    until: Moment,
}

impl Cached {
    /// Puts a cache in front of a store. Whoever hears of changes made elsewhere invalidates them
    /// in `freshness`.
    pub fn new(
        inner: Arc<dyn Store>,
        settings: &Settings,
        freshness: Arc<Freshness>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let parts = Parts {
            inner,
            records: table(settings.capacity),
            absent: table(settings.negative_capacity),
            freshness,
            max_age: Duration::from_secs(settings.max_age_seconds),
            negative_max_age: Duration::from_secs(settings.negative_max_age_seconds),
            clock,
        };
        Self {
            parts: Arc::new(parts),
            flights: Flights::with_limit(LONGEST_LOAD),
            metrics,
        }
    }

    /// What its answers lean on.
    pub fn freshness(&self) -> &Freshness {
        &self.parts.freshness
    }
}

fn table<T: Clone>(capacity: usize) -> Table<T> {
    let hasher = RandomState::default();
    Cache::with(
        capacity,
        capacity as u64,
        UnitWeighter,
        hasher,
        DefaultLifecycle::default(),
    )
}

impl Parts {
    /// Reads the record and keeps what it finds, unless an invalidation came in between.
    async fn load(self: Arc<Self>, key: RecordKey, noted: Noted) -> Loaded {
        // Another load may have ended after the reader looked.
        if let Ok(known) = self.known(&key) {
            return Ok(known);
        }
        let loaded = self.inner.get(&key).await?;
        if self.freshness.may_serve(&noted) {
            match loaded.clone() {
                Some(found) => {
                    let seen = self.seen(noted, self.time_left(&found));
                    self.records.insert(key, Entry { found, seen });
                }
                None => self
                    .absent
                    .insert(key, self.seen(noted, self.negative_max_age)),
            }
        }
        Ok(loaded)
    }

    /// How long it is until the record may be read for somebody who believes it outdated. Whoever
    /// shows a dead login again and again would else have the store read each time.
    fn rest(&self, key: &RecordKey) -> Duration {
        let seen = match self.records.get(key) {
            Some(entry) => Some(entry.seen),
            None => self.absent.get(key),
        };
        let age = seen.map(|seen| self.freshness.age(&seen.noted));
        age.map_or(Duration::ZERO, |age| REREAD_AFTER.saturating_sub(age))
    }

    fn seen(&self, noted: Noted, keep: Duration) -> Seen {
        Seen {
            noted,
            until: self.freshness.now().plus(keep),
        }
    }

    fn may_serve(&self, seen: &Seen) -> bool {
        self.freshness.may_serve(&seen.noted) && self.freshness.now() < seen.until
    }

    fn time_left(&self, found: &Found) -> Duration {
        let Some(end) = found.record.expires_at() else {
            return self.max_age;
        };
        let left = end.duration_since(self.clock.now()).as_secs();
        Duration::from_secs(u64::try_from(left).unwrap_or(0)).min(self.max_age)
    }

    fn known(&self, key: &RecordKey) -> Result<Option<Found>, CacheLabel> {
        let stale = match self.records.get(key) {
            Some(entry) if self.may_serve(&entry.seen) => return Ok(Some(entry.found)),
            found => found.is_some(),
        };
        match self.absent.get(key) {
            Some(seen) if self.may_serve(&seen) => Ok(None),
            absent if stale || absent.is_some() => Err(CacheLabel::Stale),
            _ => Err(CacheLabel::Miss),
        }
    }
}

#[async_trait]
impl Store for Cached {
    fn peek(&self, key: &RecordKey) -> Option<Option<Found>> {
        let known = self.parts.known(key);
        self.metrics.cache(match &known {
            Ok(Some(_)) => CacheLabel::Hit,
            Ok(None) => CacheLabel::NegativeHit,
            Err(label) => *label,
        });
        known.ok()
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Found>, StoreError> {
        let Self { parts, flights, .. } = self;
        for _ in 0..MAX_TRIES {
            if let Ok(known) = parts.known(key) {
                return Ok(known);
            }
            let load = |noted| Arc::clone(parts).load(key.clone(), noted);
            let (noted, load) = flights.join(key, &parts.freshness, load);
            let loaded = load.await;
            // Not what was true when we began, if a change has returned since: a revoked
            // credential is not let in by a load that was on its way.
            if parts.freshness.may_serve(&noted) {
                return loaded;
            }
        }
        Err(StoreError::Unavailable(
            "the record changes faster than it can be read".into(),
        ))
    }

    async fn put(&self, write: Write) -> Result<Revision, StoreError> {
        let parts = Arc::clone(&self.parts);
        // A task of its own: the store may make a write after its caller has given up, and what
        // others have loaded until then is old from that moment on.
        let writing = tokio::spawn(async move {
            let key = write.key.clone();
            // Whatever the outcome: a write that failed may have happened all the same.
            let _bump = BumpWhenDone {
                freshness: &parts.freshness,
                key: &key,
            };
            parts.inner.put(write).await
        });
        writing
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the write was broken off".into())))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.parts.inner.ready().await
    }

    async fn reread(&self, key: &RecordKey) -> Result<Option<Found>, StoreError> {
        if self.parts.rest(key).is_zero() {
            self.parts.freshness.invalidate(key);
        }
        self.get(key).await
    }

    async fn read_newer(&self, key: &RecordKey) -> Result<Option<Found>, StoreError> {
        let Parts { freshness, .. } = &*self.parts;
        let before = freshness.generation(key);
        sleep(self.parts.rest(key)).await;
        // Else somebody has, since we were asked: what is read after that is new enough.
        if freshness.is_current(before) {
            freshness.invalidate(key);
        }
        self.get(key).await
    }

    fn note(&self, key: &RecordKey) -> Generation {
        self.parts.freshness.generation(key)
    }

    fn is_current(&self, noted: Generation) -> bool {
        self.parts.freshness.is_current(noted)
    }

    fn may_answer(&self, asked: Stopwatch) -> bool {
        self.parts.freshness.may_answer(asked)
    }

    async fn confirm(
        &self,
        key: &RecordKey,
        state: Option<Revision>,
    ) -> Result<Confirmation, StoreError> {
        let confirmed = self.parts.inner.confirm(key, state).await;
        if matches!(confirmed, Err(StoreError::Conflict)) {
            // What is known here is what the store does not have.
            self.parts.freshness.invalidate(key);
        }
        confirmed
    }

    async fn place(&self, key: &RecordKey) -> Result<Option<Place>, StoreError> {
        self.parts.inner.place(key).await
    }

    async fn list(
        &self,
        kind: ListKind,
        organization: &OrganizationId,
        now: Timestamp,
        from: Option<ListPlace>,
        limit: usize,
    ) -> Result<Listed, StoreError> {
        let inner = &self.parts.inner;
        inner.list(kind, organization, now, from, limit).await
    }

    async fn count(
        &self,
        kind: ListKind,
        organization: &OrganizationId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.parts.inner.count(kind, organization, now).await
    }

    async fn append_audit(&self, lines: Vec<Line>) -> Result<(), StoreError> {
        self.parts.inner.append_audit(lines).await
    }

    async fn read_audit(
        &self,
        log: &AuditLog,
        stretch: Stretch,
        limit: usize,
    ) -> Result<Vec<audit::Entry>, StoreError> {
        self.parts.inner.read_audit(log, stretch, limit).await
    }

    fn status(&self) -> Status {
        self.parts.inner.status()
    }
}

struct BumpWhenDone<'a> {
    freshness: &'a Freshness,
    key: &'a RecordKey,
}

impl Drop for BumpWhenDone<'_> {
    fn drop(&mut self) {
        self.freshness.invalidate(self.key);
    }
}

#[cfg(test)]
mod tests;
