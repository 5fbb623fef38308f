//! Keeps the buckets: one for each API key, organization and address that is not idle.
//!
//! Memory is bounded. A bucket that is full again is no different from a new one and makes room for
//! others; one that is not full is never dropped, so nobody wins anything by making up names. Where
//! there is no room left, addresses share one bucket. Keys and organizations have to exist to get here,
//! so those beyond [`MOST`] that are busy in one moment are not limited one by one; the number of
//! calls at a time (`api.in_flight`) is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::limits::bucket::{Bucket, Quota};
use crate::limits::ledger::{Foreign, Heard, Ledger};
use crate::limits::rate::{Period, Rate};
use crate::limits::whose::{Kind, Whose};

/// The most buckets of one kind.
pub const MOST: usize = 65_536;
/// The shortest time between two searches for full buckets where there is no room, in nanoseconds.
const SEARCH_PAUSE: u64 = 1_000_000_000;

/// How often what may be done; `None`: as often as anybody likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Calls with one API key that has no rate of its own.
    pub key: Option<Rate>,
    /// Calls for one organization.
    pub organization: Option<Rate>,
    /// New tokens of one organization that has no rate of its own.
    pub mint: Option<Rate>,
    /// Failures from one address.
    pub failures: Option<Rate>,
    /// How often nodes tell each other; `None`: each for itself.
    pub share_every: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            key: Some(Rate::new(50, Period::Second, 100)),
            organization: Some(Rate::new(200, Period::Second, 400)),
            mint: None,
            failures: Some(Rate::new(10, Period::Minute, 20)),
            share_every: Some(Duration::from_secs(1)),
        }
    }
}

/// Too often.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("too many requests: the limit of {} is reached; try again in {} s", kind.text(), quota.retry_seconds)]
pub struct Limited {
    /// Which limit.
    pub kind: Kind,
    /// How it stands.
    pub quota: Quota,
}

/// All buckets of one server.
#[derive(Debug)]
pub struct Limiter {
    settings: Settings,
    clock: Arc<dyn Clock>,
    tables: [Mutex<Table>; 4],
    ledger: Mutex<Ledger>,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Table {
    buckets: HashMap<Whose, Bucket>,
    /// Of those that have found no room.
    shared: Bucket,
    searched_at: u64,
}

impl Limiter {
    /// Nothing is used yet.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            settings,
            clock,
            tables: Default::default(),
            ledger: Mutex::default(),
            heard: Mutex::default(),
        }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Counts one. `own` is a rate of its own, which goes before that of the settings. `None`: it is
    /// not limited.
    ///
    /// # Errors
    /// [`Limited`]; nothing is counted then.
    pub fn take(&self, whose: &Whose, own: Option<Rate>) -> Result<Option<Quota>, Limited> {
        self.on_bucket(whose, own, |bucket, rate, now| {
            let taken = bucket.take(rate, now).map_err(limited(whose))?;
            self.tell(whose, rate);
            Ok(taken)
        })
    }

    /// Whether one would be counted, and how it stands; nothing is counted.
    ///
    /// # Errors
    /// [`Limited`].
    pub fn look(&self, whose: &Whose, own: Option<Rate>) -> Result<Option<Quota>, Limited> {
        self.on_bucket(whose, own, |bucket, rate, now| {
            match bucket.quota(rate, now) {
                quota if quota.remaining == 0 => Err(limited(whose)(quota)),
                quota => Ok(quota),
            }
        })
    }

    /// Counts one that has been done, whether there was room for it or not.
    pub fn charge(&self, whose: &Whose, own: Option<Rate>) -> Option<Quota> {
        let charged = self.on_bucket(whose, own, |bucket, rate, now| {
            bucket.charge(rate, now, 1);
            self.tell(whose, rate);
            Ok(bucket.quota(rate, now))
        });
        charged.ok().flatten()
    }

    /// What the other nodes have to hear.
    pub fn report(&self) -> String {
        locked(&self.ledger).report()
    }

    /// Takes in what all other nodes have said.
    pub fn take_in(&self, reports: Vec<(String, String)>) {
        let news = locked(&self.heard).take_in(reports);
        for foreign in news {
            self.charge_foreign(&foreign);
        }
    }

    /// Nothing was heard for long: what the others have used since is not counted all at once.
    pub fn lose_touch(&self) {
        *locked(&self.heard) = Heard::default();
    }

    /// How many buckets are kept of a kind.
    pub fn kept(&self, kind: Kind) -> usize {
        locked(&self.tables[kind as usize]).buckets.len()
    }

    fn charge_foreign(&self, foreign: &Foreign) {
        if foreign.whose.kind() == Kind::Address && self.settings.failures.is_none() {
            return;
        }
        // The rate is the other node's: this one may not have met the key yet.
        let _ = self.on_bucket(&foreign.whose, Some(foreign.rate), |bucket, rate, now| {
            bucket.charge(rate, now, foreign.number);
            Ok(bucket.quota(rate, now))
        });
    }

    fn rate(&self, kind: Kind) -> Option<Rate> {
        match kind {
            Kind::Key => self.settings.key,
            Kind::Organization => self.settings.organization,
            Kind::Mint => self.settings.mint,
            Kind::Address => self.settings.failures,
        }
    }

    fn tell(&self, whose: &Whose, rate: Rate) {
        if self.settings.share_every.is_some() {
            locked(&self.ledger).note(whose, rate);
        }
    }

    fn on_bucket(
        &self,
        whose: &Whose,
        own: Option<Rate>,
        work: impl FnOnce(&mut Bucket, Rate, u64) -> Result<Quota, Limited>,
    ) -> Result<Option<Quota>, Limited> {
        let kind = whose.kind();
        let Some(rate) = own.or_else(|| self.rate(kind)) else {
            return Ok(None);
        };
        let now = self.now();
        let mut table = locked(&self.tables[kind as usize]);
        let Some(bucket) = table.bucket(whose, now) else {
            return Ok(None);
        };
        work(bucket, rate, now).map(Some)
    }

    /// In nanoseconds of the wall clock; buckets bear that it is set back.
    fn now(&self) -> u64 {
        u64::try_from(self.clock.now().as_nanosecond()).unwrap_or(0)
    }
}

impl Table {
    /// The bucket; `None`: there is no room, and what has none is not limited.
    fn bucket(&mut self, whose: &Whose, now: u64) -> Option<&mut Bucket> {
        if !self.buckets.contains_key(whose) && !self.has_room(now) {
            return (whose.kind() == Kind::Address).then_some(&mut self.shared);
        }
        Some(self.buckets.entry(whose.clone()).or_default())
    }

    fn has_room(&mut self, now: u64) -> bool {
        // A search looks at every bucket, so a flood must not be able to ask for one each time.
        if self.buckets.len() >= MOST && now.abs_diff(self.searched_at) >= SEARCH_PAUSE {
            self.searched_at = now;
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        self.buckets.len() < MOST
    }
}

fn limited(whose: &Whose) -> impl FnOnce(Quota) -> Limited {
    let kind = whose.kind();
    move |quota| Limited { kind, quota }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "limiter/tests.rs"]
mod tests;
