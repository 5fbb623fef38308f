//! How often something may be done: `50/s burst 100`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most in a period, and the largest burst.
const MOST: u32 = 1_000_000;

/// A number of times in a period, and how many of them may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    number: u32,
    period: Period,
    burst: u32,
}

/// What a rate is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// `s`
    Second,
    /// `min`
    Minute,
    /// `h`
    Hour,
}

/// The text is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rate is like `50/s burst 100`: a number from 1 to 1000000, `/s`, `/min` or `/h`, and how many \
     may come at once"
)]
pub struct NotARate;

impl Rate {
    /// So many in a period, so many of them at once; both are brought within 1 to 1,000,000.
    pub const fn new(number: u32, period: Period, burst: u32) -> Self {
        Self {
            number: within(number),
            period,
            burst: within(burst),
        }
    }

    /// How many may come at once.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// The time in which one is earned, in nanoseconds.
    pub fn nanos_for_one(self) -> u64 {
        self.period.seconds() * 1_000_000_000 / u64::from(self.number)
    }
}

const fn within(number: u32) -> u32 {
    match number {
        0 => 1,
        number if number > MOST => MOST,
        number => number,
    }
}

impl Period {
    fn seconds(self) -> u64 {
        match self {
            Period::Second => 1,
            Period::Minute => 60,
            Period::Hour => 3_600,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Period::Second => "s",
            Period::Minute => "min",
            Period::Hour => "h",
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = self.period.as_str();
        write!(f, "{}/{period} burst {}", self.number, self.burst)
    }
}

impl FromStr for Rate {
    type Err = NotARate;

    /// Without a burst it is as large as the number.
    fn from_str(text: &str) -> Result<Self, NotARate> {
        let (rate, burst) = match text.split_once(" burst ") {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let (number, period) = rate.trim().split_once('/').ok_or(NotARate)?;
        let all = [Period::Second, Period::Minute, Period::Hour];
        let period = all.into_iter().find(|one| one.as_str() == period);
        let number = number_in(number)?;
        Ok(Self {
            number,
            period: period.ok_or(NotARate)?,
            burst: burst.map_or(Ok(number), number_in)?,
        })
    }
}

fn number_in(text: &str) -> Result<u32, NotARate> {
    let number = text.trim().parse().ok();
    let number = number.filter(|number| (1..=MOST).contains(number));
    number.ok_or(NotARate)
}

impl TryFrom<String> for Rate {
    type Error = NotARate;

    fn try_from(text: String) -> Result<Self, NotARate> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_as_it_is_written() {
        for text in ["50/s burst 100", "10/min burst 20", "1/h burst 1"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        let short: Rate = "7/min".parse().unwrap();
        assert_eq!(short, Rate::new(7, Period::Minute, 7));
        assert_eq!(short.nanos_for_one(), 60_000_000_000 / 7);
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for bad in [
            "",
            "5",
            "5/",
            "0/s",
            "5/s burst 0",
            "-1/s",
            "5/day",
            "1000001/s",
            "5/s burst",
            "5/s 9",
            "5/s burst 9 burst 9",
        ] {
            assert_eq!(bad.parse::<Rate>(), Err(NotARate), "{bad}");
        }
    }
}
