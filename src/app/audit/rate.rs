//! How many refusals a second are written: a flood of bad calls must not fill the log.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

use crate::names::organization_id::OrganizationId;

/// How many a second are written of an organization by one node.
pub const A_SECOND: u64 = 10;
/// Organizations share so many counters.
const COUNTERS: usize = 1_024;

/// A counter for each second. Nobody's refusals have one for themselves.
pub struct Rate {
    counters: Box<[AtomicU64]>,
    nobody: AtomicU64,
    hasher: RandomState,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            nobody: AtomicU64::new(0),
            hasher: RandomState::default(),
        }
    }
}

impl Rate {
    /// Whether one more may be written in this second.
    pub fn allows(&self, organization: Option<&OrganizationId>, second: i64) -> bool {
        let counter = match organization {
            None => &self.nobody,
            Some(id) => {
                let hash = self.hasher.hash_one(id.as_str());
                &self.counters[hash as usize % COUNTERS]
            }
        };
        // The upper half says which second it is.
        let second = (second as u64) << 32;
        let counted = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seen| {
            let count = if seen >> 32 << 32 == second {
                seen & 0xffff_ffff
            } else {
                0
            };
            (count < A_SECOND).then_some(second | (count + 1))
        });
        counted.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_a_second_and_each_for_itself() {
        let rate = Rate::default();
        let id = OrganizationId::random();
        let written = |organization, second| {
            (0..1_000)
                .filter(|_| rate.allows(organization, second))
                .count() as u64
        };
        assert_eq!(written(Some(&id), 7), A_SECOND);
        assert_eq!(written(Some(&id), 7), 0);
        assert_eq!(
            written(None, 7),
            A_SECOND,
            "others are written all the same"
        );
        assert_eq!(written(Some(&id), 8), A_SECOND, "in the next second again");
    }
}
