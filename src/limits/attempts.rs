//! Slows whoever guesses passwords: not a user and not an address, but the pair of them.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::limits::address::AddressGroup;

/// How often a pair may fail before it has to wait.
pub const FREE_FAILURES: u32 = 5;
/// After how long without a failure a pair is forgotten, in seconds.
pub const FORGET_AFTER: i64 = 600;
/// The longest wait, in seconds.
pub const LONGEST_WAIT: i64 = 30;
/// The most pairs that are remembered.
const MOST: usize = 65_536;

/// Who tries, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair(u64);

/// Pairs that have failed of late.
///
/// A pair has to fail to be remembered, and a failed password costs a slow hash, of which there are few
/// at a time; so the table cannot be filled faster than it forgets. Where it is full all the same,
/// new pairs are not slowed.
#[derive(Debug, Default)]
pub struct Attempts {
    hasher: RandomState,
    failed: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    pairs: HashMap<u64, Failed>,
    /// When room was searched for, in seconds: each search looks at every pair.
    searched_at: i64,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    times: u32,
    last: i64,
}

impl Attempts {
    /// The pair of a username and an address.
    pub fn pair(&self, username: &str, address: IpAddr) -> Pair {
        Pair(self.hasher.hash_one((username, AddressGroup::of(address))))
    }

    /// For how many more seconds the pair has to wait; 0: it may try.
    pub fn wait(&self, pair: Pair, now: Timestamp) -> i64 {
        let failed = self.locked().pairs.get(&pair.0).copied();
        failed.map_or(0, |failed| failed.wait(now.as_second()))
    }

    /// The pair has failed once more.
    pub fn failed(&self, pair: Pair, now: Timestamp) {
        let now = now.as_second();
        let mut table = self.locked();
        if !table.pairs.contains_key(&pair.0) && !table.has_room(now) {
            return;
        }
        let failed = table.pairs.entry(pair.0).or_insert(Failed {
            times: 0,
            last: now,
        });
        if failed.is_over(now) {
            failed.times = 0;
        }
        failed.times = failed.times.saturating_add(1);
        failed.last = now;
    }

    /// The pair has shown the right password.
    pub fn succeeded(&self, pair: Pair) {
        self.locked().pairs.remove(&pair.0);
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn has_room(&mut self, now: i64) -> bool {
        if self.pairs.len() >= MOST && self.searched_at != now {
            self.searched_at = now;
            self.pairs.retain(|_, failed| !failed.is_over(now));
        }
        self.pairs.len() < MOST
    }
}

impl Failed {
    /// One second after the last of the free failures, then twice as long each time.
    fn wait(self, now: i64) -> i64 {
        let Some(beyond) = self.times.checked_sub(FREE_FAILURES) else {
            return 0;
        };
        let wait = 1_i64
            .checked_shl(beyond)
            .filter(|wait| (1..LONGEST_WAIT).contains(wait));
        let wait = wait.unwrap_or(LONGEST_WAIT);
        // A clock that is set back makes nobody wait longer.
        (self.last + wait - now).clamp(0, wait)
    }

    fn is_over(self, now: i64) -> bool {
        (now - self.last).abs() >= FORGET_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn pair(attempts: &Attempts, username: &str, address: &str) -> Pair {
        attempts.pair(username, address.parse().unwrap())
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        let attempts = Attempts::default();
        let alice = pair(&attempts, "alice", "192.0.2.1");
        let mut waits = Vec::new();
        let mut now = 0;
        for _ in 0..100 {
            attempts.failed(alice, at(now));
            let wait = attempts.wait(alice, at(now));
            waits.push(wait);
            now += wait;
            assert_eq!(attempts.wait(alice, at(now)), 0);
        }
        assert_eq!(waits[..12], [0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert!(waits[12..].iter().all(|wait| *wait == 30));
    }

    #[test]
    fn only_the_pair_waits() {
        let attempts = Attempts::default();
        let attacker = pair(&attempts, "alice", "2001:db8::1");
        (0..20).for_each(|_| attempts.failed(attacker, at(0)));
        for (username, address, waits) in [
            ("alice", "2001:db8::1", true),
            ("alice", "2001:db8::2", true),
            ("alice", "2001:db8:0:1::1", false),
            ("alice", "192.0.2.1", false),
            ("bob", "2001:db8::1", false),
        ] {
            let wait = attempts.wait(pair(&attempts, username, address), at(0));
            assert_eq!(wait > 0, waits, "{username} {address}");
        }
    }

    #[test]
    fn a_success_and_time_are_forgiving() {
        let attempts = Attempts::default();
        let alice = pair(&attempts, "alice", "192.0.2.1");
        (0..20).for_each(|_| attempts.failed(alice, at(0)));
        attempts.succeeded(alice);
        assert_eq!(attempts.wait(alice, at(0)), 0);
        (0..20).for_each(|_| attempts.failed(alice, at(0)));
        attempts.failed(alice, at(FORGET_AFTER));
        assert_eq!(attempts.wait(alice, at(FORGET_AFTER)), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_longer() {
        let attempts = Attempts::default();
        let alice = pair(&attempts, "alice", "192.0.2.1");
        (0..20).for_each(|_| attempts.failed(alice, at(5_000)));
        assert_eq!(attempts.wait(alice, at(0)), LONGEST_WAIT);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..2 * MOST {
            let someone = pair(&attempts, &number.to_string(), "192.0.2.1");
            attempts.failed(someone, at(0));
        }
        assert_eq!(attempts.locked().pairs.len(), MOST);
        let late = pair(&attempts, "late", "192.0.2.1");
        attempts.failed(late, at(FORGET_AFTER));
        assert_eq!(attempts.locked().pairs.len(), 1);
    }
}
