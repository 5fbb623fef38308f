//! How far long work is, on standard error: a line that changes for people, a line now and then for
//! a log.

use std::io::{IsTerminal as _, Write as _, stderr, stdout};

/// How many steps there are between two lines of a log.
const LOG_EVERY: u64 = 100_000;

/// Shows it.
pub struct Progress {
    terminal: bool,
    logged: u64,
}

impl Progress {
    /// Shows nothing yet.
    pub fn new() -> Self {
        Self {
            terminal: stderr().is_terminal(),
            logged: 0,
        }
    }

    /// So many steps are made.
    pub fn step(&mut self, steps: u64, text: &str) {
        if self.terminal {
            eprint!("\r{text}\x1b[K");
            let _ = stderr().flush();
        } else if steps / LOG_EVERY > self.logged {
            self.logged = steps / LOG_EVERY;
            eprintln!("{text}");
        }
    }

    /// Something that is said once.
    pub fn note(&mut self, text: &str) {
        self.clear();
        eprintln!("{text}");
    }

    /// A line of the result.
    pub fn print(&mut self, text: &str) {
        self.clear();
        // Whoever reads the result may have seen enough.
        let _ = writeln!(stdout(), "{text}");
    }

    /// Takes the changing line away.
    pub fn clear(&mut self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}
