//! A token bucket in one number: the moment at which it will be full again (the generic cell rate
//! algorithm, ITU-T I.371). Taking one moves the moment away; time brings it nearer.

use crate::limits::rate::Rate;

const NANOS: u64 = 1_000_000_000;
/// How many bursts the use of other nodes may put a bucket into debt.
const MOST_DEBT: u64 = 15;

/// What is left of a rate. A new one is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// In nanoseconds of whatever clock the caller has.
    full_at: u64,
}

/// How a bucket stands, as its owner is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many may come at once.
    pub limit: u32,
    /// How many may come now.
    pub remaining: u32,
    /// Seconds until as many as `limit` may come at once; rounded up.
    pub reset_seconds: u64,
    /// Seconds after which one may come; 0: now. Rounded up, so that who waits that long is admitted.
    pub retry_seconds: u64,
}

impl Bucket {
    /// Takes one out at `now`.
    ///
    /// # Errors
    /// How it stands where there is none; nothing is taken then.
    pub fn take(&mut self, rate: Rate, now: u64) -> Result<Quota, Quota> {
        self.settle(rate, now);
        let before = self.quota(rate, now);
        if before.remaining == 0 {
            return Err(before);
        }
        self.charge(rate, now, 1);
        Ok(self.quota(rate, now))
    }

    /// Takes some out whether they are there or not; what is missing has to be earned first.
    pub fn charge(&mut self, rate: Rate, now: u64, number: u64) {
        let price = rate.nanos_for_one().saturating_mul(number);
        self.full_at = self.full_at.max(now).saturating_add(price);
        self.settle(rate, now);
    }

    /// How it stands.
    pub fn quota(&self, rate: Rate, now: u64) -> Quota {
        let (price, size) = (rate.nanos_for_one(), size(rate));
        let missing = self.full_at.saturating_sub(now);
        let there = size.saturating_sub(missing);
        Quota {
            limit: rate.burst(),
            remaining: u32::try_from(there / price).unwrap_or(u32::MAX),
            reset_seconds: missing.div_ceil(NANOS),
            retry_seconds: missing
                .saturating_add(price)
                .saturating_sub(size)
                .div_ceil(NANOS),
        }
    }

    /// Whether it is full: then it is no different from a new one, and need not be kept.
    pub fn is_full(&self, now: u64) -> bool {
        self.full_at <= now
    }

    /// Brings it back within what can be: the clock may have been set back, or the rate changed.
    fn settle(&mut self, rate: Rate, now: u64) {
        let longest = size(rate).saturating_mul(1 + MOST_DEBT);
        self.full_at = self.full_at.min(now.saturating_add(longest));
    }
}

/// A whole bucket, in the time that it takes to earn it.
fn size(rate: Rate) -> u64 {
    rate.nanos_for_one().saturating_mul(u64::from(rate.burst()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::rate::Period;

    const RATE: Rate = Rate::new(2, Period::Second, 4);

    fn seconds(number: u64) -> u64 {
        1_000 * NANOS + number * NANOS
    }

    #[test]
    fn a_burst_then_as_many_as_are_earned() {
        let mut bucket = Bucket::default();
        let now = seconds(0);
        let remaining: Vec<_> = (0..4)
            .map(|_| bucket.take(RATE, now).unwrap().remaining)
            .collect();
        assert_eq!(remaining, [3, 2, 1, 0]);
        let refused = bucket.take(RATE, now).unwrap_err();
        assert_eq!((refused.retry_seconds, refused.reset_seconds), (1, 2));
        // Half a second earns one; being refused costs nothing.
        assert!(bucket.take(RATE, now + NANOS / 2 - 1).is_err());
        assert!(bucket.take(RATE, now + NANOS / 2).is_ok());
        assert!(bucket.take(RATE, now + NANOS / 2).is_err());
        assert!(!bucket.is_full(seconds(2)));
        assert!(bucket.is_full(seconds(3)));
    }

    #[test]
    fn whoever_waits_as_long_as_told_is_admitted() {
        for text in [
            "1/h burst 1",
            "7/min burst 3",
            "3/s burst 2",
            "50/s burst 100",
            "11/min",
        ] {
            let rate: Rate = text.parse().unwrap();
            let (mut bucket, mut now) = (Bucket::default(), seconds(0));
            for charged in 0..40 {
                bucket.charge(rate, now, charged % 5);
                let told = loop {
                    match bucket.take(rate, now) {
                        Ok(_) => {}
                        Err(quota) => break quota,
                    }
                };
                assert!(told.retry_seconds > 0, "{text}");
                now += told.retry_seconds * NANOS;
                assert!(bucket.take(rate, now).is_ok(), "{text} {told:?}");
            }
        }
    }

    #[test]
    fn the_use_of_others_is_a_debt_within_bounds() {
        let (mut bucket, now) = (Bucket::default(), seconds(0));
        bucket.charge(RATE, now, 6);
        assert_eq!(bucket.take(RATE, now).unwrap_err().retry_seconds, 2);
        bucket.charge(RATE, now, u64::MAX);
        assert_eq!(bucket.quota(RATE, now).reset_seconds, 2 * (1 + MOST_DEBT));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let mut bucket = Bucket::default();
        bucket.take(RATE, seconds(100_000)).unwrap();
        let refused = bucket.take(RATE, seconds(0)).unwrap_err();
        assert!(refused.retry_seconds <= 2 * (1 + MOST_DEBT), "{refused:?}");
    }
}
