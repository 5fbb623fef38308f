//! What every answer from memory leans on (`docs/architecture.md`, "Freshness").
//!
//! A *generation* tells whether a record was changed since it was read, as far as this node has
//! heard. A *lease* tells whether this node would have heard: it is renewed by reading the change
//! logs, and past it nothing that was read before may be served. Both are noted before a read
//! begins, so that neither an invalidation nor a pause of the process can be lost to a read that
//! was on its way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Moment, Monotonic, Stopwatch};
use crate::store::generations::{Generation, Generations};
use crate::store::record::{RecordKey, SHARDS};

/// Generations and leases of one node.
#[derive(Debug)]
pub struct Freshness {
    generations: Generations,
    leases: Option<Leases>,
    clock: Monotonic,
}

#[derive(Debug)]
struct Leases {
    length: Duration,
    /// Whether a read of a record is as good as a read of the log.
    reads_count: bool,
    /// For each shard the moment at which its last good log read began, plus one; zero: none yet.
    read_at: [AtomicU64; SHARDS],
}

/// What was noted before a read began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// The state of the record's counter.
    pub generation: Generation,
    shard: u8,
    at: Moment,
}

impl Freshness {
    /// Of the only process that writes to its store: there is nobody to hear from.
    pub fn alone() -> Self {
        Self {
            generations: Generations::default(),
            leases: None,
            clock: Monotonic::start(),
        }
    }

    /// Of one of several nodes: what was read serves for `length` after it or the log was.
    pub fn leased(length: Duration) -> Self {
        Self::with_leases(length, true)
    }

    /// The same where a record may come from a server that has been deposed, and only a read of the
    /// log proves the opposite: what was read serves for `length` after the log was.
    pub fn leased_by_log(length: Duration) -> Self {
        Self::with_leases(length, false)
    }

    fn with_leases(length: Duration, reads_count: bool) -> Self {
        let leases = Leases {
            length,
            reads_count,
            read_at: [const { AtomicU64::new(0) }; SHARDS],
        };
        Self {
            leases: Some(leases),
            ..Self::alone()
        }
    }

    /// Notes how things stand, before a read of the record.
    pub fn note(&self, key: &RecordKey) -> Noted {
        Noted {
            generation: self.generations.note(key),
            // Only a leased node asks for it, and hashing the name costs.
            shard: self.leases.as_ref().map_or(0, |_| key.shard() as u8),
            at: self.clock.now(),
        }
    }

    /// The state of a record's counter.
    pub fn generation(&self, key: &RecordKey) -> Generation {
        self.generations.note(key)
    }

    /// Whether no change has been heard of since.
    pub fn is_current(&self, generation: Generation) -> bool {
        self.generations.is_current(generation)
    }

    /// Whether what was read after `noted` may be served now: no change was heard of since, and
    /// one would have been.
    pub fn may_serve(&self, noted: &Noted) -> bool {
        // The generation last: a lease that was renewed in between, by a read of the log that
        // brought the change, would else make up for a generation that was looked at before.
        self.has_lease(noted) && self.is_current(noted.generation)
    }

    fn has_lease(&self, noted: &Noted) -> bool {
        let Some(leases) = &self.leases else {
            return true;
        };
        let read_at = leases.read_at[usize::from(noted.shard)].load(Ordering::SeqCst);
        let log = read_at.checked_sub(1).map(Moment::from_nanos);
        let as_of = if leases.reads_count {
            log.max(Some(noted.at))
        } else {
            log
        };
        as_of.is_some_and(|as_of| self.clock.now().since(as_of) < leases.length)
    }

    /// How long ago it was noted.
    pub fn age(&self, noted: &Noted) -> Duration {
        self.clock.now().since(noted.at)
    }

    /// Whether a decision that began with `asked` may still be answered. What it was made of may
    /// have been current then and not now, if the process was stopped in between.
    pub fn may_answer(&self, asked: Stopwatch) -> bool {
        self.leases
            .as_ref()
            .is_none_or(|leases| asked.elapsed() < leases.length)
    }

    /// How long ago the shard's lease was renewed; `None`: never, or there are no leases.
    pub fn lease_age(&self, shard: usize) -> Option<Duration> {
        let read_at = self.leases.as_ref()?.read_at[shard].load(Ordering::SeqCst);
        let read_at = Moment::from_nanos(read_at.checked_sub(1)?);
        Some(self.clock.now().since(read_at))
    }

    /// Whether the cache may serve records of the shard.
    pub fn is_fresh(&self, shard: usize) -> bool {
        let Some(leases) = &self.leases else {
            return true;
        };
        self.lease_age(shard).is_some_and(|age| age < leases.length)
    }

    /// How long a lease lasts; `None`: for ever.
    pub fn lease(&self) -> Option<Duration> {
        self.leases.as_ref().map(|leases| leases.length)
    }

    /// The moment to give to [`renew`](Freshness::renew), taken before the log is read.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The shard's log was read from the last position to its end by a read that began at
    /// `began`, and everything in it has been invalidated.
    pub fn renew(&self, shard: usize, began: Moment) {
        if let Some(leases) = &self.leases {
            leases.read_at[shard].fetch_max(began.nanos() + 1, Ordering::SeqCst);
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
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key() -> RecordKey {
        RecordKey::Alias(Uuid::nil())
    }

    #[test]
    fn alone_only_a_change_ends_what_was_read() {
        let freshness = Freshness::alone();
        let noted = freshness.note(&key());
        assert!(freshness.may_serve(&noted) && freshness.is_fresh(0));
        freshness.invalidate(&key());
        assert!(!freshness.may_serve(&noted));
        let noted = freshness.note(&key());
        freshness.invalidate_all();
        assert!(!freshness.may_serve(&noted));
    }

    #[test]
    fn past_the_lease_nothing_serves_that_was_read_before() {
        let freshness = Freshness::leased(Duration::ZERO);
        let noted = freshness.note(&key());
        freshness.renew(key().shard(), freshness.now());
        assert!(!freshness.may_serve(&noted));
        assert!(!freshness.is_fresh(key().shard()));
        assert!(!freshness.may_answer(Stopwatch::start()));
    }

    #[test]
    fn a_lease_is_of_its_shard_and_never_goes_back() {
        let freshness = Freshness::leased(Duration::from_secs(60));
        let early = freshness.now();
        assert!((0..SHARDS).all(|shard| !freshness.is_fresh(shard)));
        freshness.renew(3, freshness.now());
        let age = freshness.lease_age(3).unwrap();
        freshness.renew(3, early);
        assert!(freshness.is_fresh(3) && !freshness.is_fresh(4));
        assert!(freshness.lease_age(3).unwrap() < age + Duration::from_secs(1));
        // What was just read serves by itself: the read was as good as a look at the log.
        assert!(freshness.may_serve(&freshness.note(&key())));
    }

    #[test]
    fn where_a_server_may_be_deposed_only_the_log_counts() {
        let freshness = Freshness::leased_by_log(Duration::from_secs(60));
        let noted = freshness.note(&key());
        assert!(!freshness.may_serve(&noted), "the log was never read");
        freshness.renew(key().shard(), freshness.now());
        assert!(freshness.may_serve(&noted));
        let freshness = Freshness::leased_by_log(Duration::ZERO);
        freshness.renew(key().shard(), freshness.now());
        assert!(!freshness.may_serve(&freshness.note(&key())));
    }
}
