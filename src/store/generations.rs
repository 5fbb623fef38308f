//! A table of counters that tells whether something read before is still current.
//!
//! Whoever loads a record notes its counter first; whoever changes the record bumps the counter
//! afterwards. A loaded value whose counter has moved may be older than the change and is thrown
//! away. So an invalidation cannot be lost to a load that was in flight.

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

const COUNTER_BITS: u32 = 16;
const COUNTERS: usize = 1 << COUNTER_BITS;

/// The table. Several keys share a counter; that costs a needless reload now and then.
#[derive(Debug)]
pub struct Generations {
    counters: Box<[AtomicU64]>,
    /// Random per process, so that nobody can choose names that share a counter.
    hasher: RandomState,
}

/// The state of a key's counter at some moment.
///
/// The counter's place in the lower 16 bits, its value above: one goes with every cached record.
/// No process lives to see a counter reach 2^48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Generation(u64);

impl Default for Generations {
    fn default() -> Self {
        Self {
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::default(),
        }
    }
}

impl Generations {
    /// Notes the state of a key's counter. Call it before reading what it guards.
    pub fn note(&self, key: &impl Hash) -> Generation {
        let counter = self.counter_of(key);
        self.now(counter)
    }

    /// Whether nothing has been invalidated under this counter since it was noted.
    pub fn is_current(&self, noted: Generation) -> bool {
        self.now(noted.counter()) == noted
    }

    /// Invalidates a key: whatever was noted before is no longer current.
    pub fn bump(&self, key: &impl Hash) {
        let counter = self.counter_of(key);
        self.counters[counter].fetch_add(1, Ordering::SeqCst);
    }

    /// Invalidates everything.
    pub fn bump_all(&self) {
        for counter in &self.counters {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counter_of(&self, key: &impl Hash) -> usize {
        self.hasher.hash_one(key) as usize % COUNTERS
    }

    fn now(&self, counter: usize) -> Generation {
        let value = self.counters[counter].load(Ordering::SeqCst);
        Generation(value << COUNTER_BITS | counter as u64)
    }
}

impl Generation {
    fn counter(self) -> usize {
        self.0 as usize % COUNTERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bump_ends_what_was_noted_before_it() {
        let generations = Generations::default();
        let (a, b) = (generations.note(&"a"), generations.note(&"b"));
        generations.bump(&"a");
        assert!(!generations.is_current(a));
        assert!(generations.is_current(b) || a.counter() == b.counter());
        assert!(generations.is_current(generations.note(&"a")));
        let noted = generations.note(&"b");
        generations.bump_all();
        assert!(!generations.is_current(noted));
    }
}
