//! Whether a Cluster's master that answers can be believed.
//!
//! A master that was stopped while its replica took over goes on, when it wakes up, as if nothing
//! had happened: for the few milliseconds until the others have told it. A node that has not heard
//! from it for a while can not tell it from one that is back for good, so a first answer renews no
//! lease; only a later one does. (Behind Sentinels most of those vouch for the master at each
//! renewal, and a single server has no rival.)

use std::time::Duration;

use crate::clock::Moment;
use crate::store::record::SHARDS;

/// What is thought of the master of each shard.
pub struct Trust {
    shards: [State; SHARDS],
    lease: Duration,
    /// How much later the second answer has to be asked for.
    patience: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Lost,
    /// It has answered what was asked then.
    Back(Moment),
    Good,
}

impl Trust {
    /// In nobody yet.
    pub fn none(lease: Duration, patience: Duration) -> Self {
        Self {
            shards: [State::Lost; SHARDS],
            lease,
            patience,
        }
    }

    /// The shard's log could not be read.
    pub fn lose(&mut self, shard: usize) {
        self.shards[shard] = State::Lost;
    }

    /// The shard's log was read by a read that began at `began`, when the lease was so old. Returns
    /// whether that renews it.
    pub fn may_renew(&mut self, shard: usize, began: Moment, age: Option<Duration>) -> bool {
        let is_over = age.is_none_or(|age| age >= self.lease);
        let state = match self.shards[shard] {
            State::Good if is_over => State::Back(began),
            State::Lost => State::Back(began),
            State::Back(first) if began.since(first) >= self.patience => State::Good,
            other => other,
        };
        self.shards[shard] = state;
        state == State::Good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(milliseconds: u64) -> Moment {
        Moment::from_nanos(milliseconds * MS)
    }

    fn age(milliseconds: u64) -> Option<Duration> {
        Some(Duration::from_millis(milliseconds))
    }

    #[test]
    fn only_an_unbroken_row_of_answers_renews_a_lease() {
        let mut trust = Trust::none(Duration::from_secs(1), Duration::from_millis(100));
        assert!(!trust.may_renew(7, at(0), None));
        assert!(!trust.may_renew(7, at(99), None), "too soon");
        assert!(trust.may_renew(7, at(100), None));
        assert!(trust.may_renew(7, at(101), age(1)));
        assert!(!trust.may_renew(8, at(101), None), "each for itself");

        trust.lose(7);
        assert!(!trust.may_renew(7, at(350), age(249)), "after a failure");
        assert!(trust.may_renew(7, at(600), age(499)));

        assert!(!trust.may_renew(7, at(1600), age(1000)), "after a silence");
        assert!(!trust.may_renew(7, at(1650), age(1050)));
        assert!(trust.may_renew(7, at(1700), age(1100)));
    }
}
