//! Medians and quartiles: what a single slow round cannot move.

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
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        Self {
            low: at_share(&values, 0.25),
            median: at_share(&values, 0.5),
            high: at_share(&values, 0.75),
        }
    }
}

/// The value that stands at a share of a sorted list: 0.5 is the middle.
///
/// # Panics
/// For an empty list.
pub fn at_share<T: Copy>(sorted: &[T], share: f64) -> T {
    let last = sorted.len() - 1;
    sorted[(last as f64 * share).round() as usize]
}
