//! Tells on standard error how far long work has come.

use std::time::{Duration, Instant};

/// How often.
const EVERY: Duration = Duration::from_secs(2);

/// Work in equal steps.
pub struct Progress {
    what: String,
    total: u64,
    done: u64,
    told: Instant,
}

impl Progress {
    /// Says what is to be done.
    pub fn begin(what: impl Into<String>, total: u64) -> Self {
        let what = what.into();
        eprintln!("{what}: {total}");
        Self {
            what,
            total,
            done: 0,
            told: Instant::now(),
        }
    }

    /// So many steps more are done.
    pub fn add(&mut self, steps: u64) {
        self.done += steps;
        if self.told.elapsed() >= EVERY && self.done < self.total {
            let percent = self.done * 100 / self.total;
            eprintln!("{}: {percent} %", self.what);
            self.told = Instant::now();
        }
    }
}
