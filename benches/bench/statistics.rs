//! Medians and quartiles: what a single slow round cannot move.

use std::fmt;

use serde::Serialize;

/// The middle half of some values.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// A quarter of them is lower.
    pub low: f64,
    /// Half of them is lower.
    pub median: f64,
    /// A quarter of them is higher.
    pub high: f64,
}

impl Spread {
    /// Of one value at least.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let values = sorted(values);
        Self {
            low: at_share(&values, 0.25),
            median: at_share(&values, 0.5),
            high: at_share(&values, 0.75),
        }
    }
}

impl fmt::Display for Spread {
    /// `median (low-high)`, each with the digits behind the point that the format asks for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, median, high } = self;
        let digits = f.precision().unwrap_or(0);
        write!(f, "{median:.digits$} ({low:.digits$}-{high:.digits$})")
    }
}

/// The values in order.
pub fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The value that stands at a share of a sorted list: 0.5 is the middle, 1.0 the last.
///
/// # Panics
/// For an empty list.
pub fn at_share<T: Copy>(sorted: &[T], share: f64) -> T {
    let last = sorted.len() - 1;
    sorted[(last as f64 * share).round() as usize]
}
