//! A cache in front of another store, with the same interface.
//!
//! It never serves a state older than the last change that has returned (`docs/architecture.md`,
//! "Freshness"): entries carry the generation that was noted before they were loaded, and a reader
//! discards one whose generation has moved. Loads of one key at a time are one load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use moka::Expiry;
use moka::future::Cache;

use crate::clock::Clock;
use crate::metrics::{CacheLabel, Metrics};
use crate::store::generations::{Generation, Generations};
use crate::store::port::{Found, Revision, Store, StoreError, Write};
use crate::store::record::RecordKey;

/// How often a load that was overtaken by an invalidation is tried again through the cache before
/// the store is asked directly.
const MAX_TRIES: usize = 4;

/// Limits of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The most records kept.
    pub capacity: u64,
    /// The longest that one is kept, in seconds.
    pub max_age_seconds: u64,
    /// The most names kept that are known not to exist.
    pub negative_capacity: u64,
    /// The longest that one of those is kept, in seconds.
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

/// The cache and the store behind it.
pub struct Cached {
    inner: Arc<dyn Store>,
    records: Cache<RecordKey, Entry>,
    /// Apart from the records, so that a flood of made-up names cannot push them out.
    absent: Cache<RecordKey, Generation>,
    generations: Generations,
    max_age: Duration,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

#[derive(Clone)]
struct Entry {
    found: Found,
    noted: Generation,
    /// How long it may be kept from when it was loaded.
    keep: Duration,
}

/// Why a load gave no entry; shared among those who waited for it.
enum NoEntry {
    Absent(Generation),
    Failed(StoreError),
}

struct KeepAsLongAsTheEntrySays;

impl Expiry<RecordKey, Entry> for KeepAsLongAsTheEntrySays {
    fn expire_after_create(&self, _: &RecordKey, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.keep)
    }

    fn expire_after_update(
        &self,
        _: &RecordKey,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.keep)
    }
}

impl Cached {
    /// Puts a cache in front of a store.
    pub fn new(
        inner: Arc<dyn Store>,
        settings: &Settings,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            inner,
            records: Cache::builder()
                .max_capacity(settings.capacity)
                .expire_after(KeepAsLongAsTheEntrySays)
                .build(),
            absent: Cache::builder()
                .max_capacity(settings.negative_capacity)
                .time_to_live(Duration::from_secs(settings.negative_max_age_seconds))
                .build(),
            generations: Generations::default(),
            max_age: Duration::from_secs(settings.max_age_seconds),
            clock,
            metrics,
        }
    }

    /// Makes sure that no state of the record read before this call is served after it.
    pub fn invalidate(&self, key: &RecordKey) {
        self.generations.bump(key);
    }

    /// The same for every record.
    pub fn invalidate_all(&self) {
        self.generations.bump_all();
    }

    /// One load through the cache. `None`: it was overtaken by an invalidation.
    async fn load(&self, key: &RecordKey) -> Option<Result<Option<Found>, StoreError>> {
        let loading = async {
            let noted = self.generations.note(key);
            match self.inner.get(key).await {
                Ok(Some(found)) => {
                    let keep = self.time_left(&found);
                    Ok(Entry { found, noted, keep })
                }
                Ok(None) => Err(NoEntry::Absent(noted)),
                Err(error) => Err(NoEntry::Failed(error)),
            }
        };
        match self.records.try_get_with_by_ref(key, loading).await {
            Ok(entry) if self.generations.is_current(entry.noted) => Some(Ok(Some(entry.found))),
            Ok(_) => {
                self.records.invalidate(key).await;
                None
            }
            Err(none) => match &*none {
                NoEntry::Failed(error) => Some(Err(error.clone())),
                NoEntry::Absent(noted) if self.generations.is_current(*noted) => {
                    self.absent.insert(key.clone(), *noted).await;
                    Some(Ok(None))
                }
                NoEntry::Absent(_) => None,
            },
        }
    }

    fn time_left(&self, found: &Found) -> Duration {
        let Some(end) = found.record.expires_at() else {
            return self.max_age;
        };
        let left = end.duration_since(self.clock.now()).as_secs();
        Duration::from_secs(u64::try_from(left).unwrap_or(0)).min(self.max_age)
    }

    fn known(&self, key: &RecordKey) -> Result<Option<Found>, CacheLabel> {
        let stale = match get_now(&self.records, key) {
            Some(entry) if self.generations.is_current(entry.noted) => {
                return Ok(Some(entry.found));
            }
            found => found.is_some(),
        };
        match get_now(&self.absent, key) {
            Some(noted) if self.generations.is_current(noted) => Ok(None),
            absent if stale || absent.is_some() => Err(CacheLabel::Stale),
            _ => Err(CacheLabel::Miss),
        }
    }
}

#[async_trait]
impl Store for Cached {
    fn peek(&self, key: &RecordKey) -> Option<Option<Found>> {
        let known = self.known(key);
        self.metrics.cache(match &known {
            Ok(Some(_)) => CacheLabel::Hit,
            Ok(None) => CacheLabel::NegativeHit,
            Err(label) => *label,
        });
        known.ok()
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Found>, StoreError> {
        for _ in 0..MAX_TRIES {
            match self.known(key) {
                Ok(known) => return Ok(known),
                // An entry that is no longer current would be handed out again instead of loaded.
                Err(CacheLabel::Stale) => self.records.invalidate(key).await,
                Err(_) => {}
            }
            if let Some(loaded) = self.load(key).await {
                return loaded;
            }
        }
        // Whatever this read returns was current after the call began, which is all we promise.
        self.inner.get(key).await
    }

    async fn put(&self, write: Write) -> Result<Revision, StoreError> {
        let key = write.key.clone();
        // Bumped whatever the outcome, and also when the caller gives up waiting: the write may
        // have happened.
        let _bump = BumpWhenDone {
            generations: &self.generations,
            key: &key,
        };
        self.inner.put(write).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}

struct BumpWhenDone<'a> {
    generations: &'a Generations,
    key: &'a RecordKey,
}

impl Drop for BumpWhenDone<'_> {
    fn drop(&mut self) {
        self.generations.bump(self.key);
    }
}

/// What the cache has, without waiting. A lookup that would have to wait counts as a miss.
fn get_now<V: Clone + Send + Sync + 'static>(
    cache: &Cache<RecordKey, V>,
    key: &RecordKey,
) -> Option<V> {
    cache.get(key).now_or_never().flatten()
}
