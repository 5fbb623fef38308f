//! What a test has ordered, and what the proxy has counted.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::support::proxy::Mode;
use crate::support::proxy::connection::{Connection, Direction};
use crate::support::proxy::hold::Held;

/// A question about bytes.
pub type Predicate = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// The orders in force.
#[derive(Clone)]
pub struct Control {
    pub mode: Mode,
    /// Which connections the mode is for, if not for all.
    pub only: Option<Predicate>,
    pub holds: Vec<Arc<Held>>,
    /// Where new connections lead, if not where they did at first.
    pub upstream: Option<u16>,
    pub stopped: bool,
    /// Counts the changes.
    pub revision: u64,
}

/// What happens to a chunk, or to the end of a stream.
pub enum Fate {
    Forward(Duration),
    Wait,
    Lose,
    Close,
}

/// What the test's thread and the proxy's share.
pub struct Shared {
    control: watch::Sender<Control>,
    /// The revision that the proxy's thread lives by.
    applied: Mutex<u64>,
    is_applied: Condvar,
    pub accepted: AtomicU64,
    pub sent: AtomicU64,
    pub received: AtomicU64,
    pub open: Mutex<Vec<Arc<Connection>>>,
}

impl Default for Shared {
    fn default() -> Self {
        let control = Control {
            mode: Mode::Pass,
            only: None,
            holds: Vec::new(),
            upstream: None,
            stopped: false,
            revision: 0,
        };
        Self {
            control: watch::Sender::new(control),
            applied: Mutex::default(),
            is_applied: Condvar::new(),
            accepted: AtomicU64::default(),
            sent: AtomicU64::default(),
            received: AtomicU64::default(),
            open: Mutex::default(),
        }
    }
}

impl Shared {
    /// Changes the orders, and returns when the proxy has followed. One that was dropped does not.
    pub fn change(&self, change: impl FnOnce(&mut Control)) {
        let mut wanted = 0;
        if self.control.borrow().stopped {
            return;
        }
        self.control.send_modify(|control| {
            change(control);
            control.revision += 1;
            wanted = control.revision;
        });
        let applied = self.applied.lock().unwrap();
        let late = |applied: &mut u64| *applied < wanted;
        let patience = Duration::from_secs(10);
        let waited = self.is_applied.wait_timeout_while(applied, patience, late);
        assert!(!waited.unwrap().1.timed_out(), "the proxy does not react");
    }

    /// The proxy lives by this revision now.
    pub fn applied(&self, revision: u64) {
        *self.applied.lock().unwrap() = revision;
        self.is_applied.notify_all();
    }

    /// The orders now, and a notice of each change.
    pub fn changes(&self) -> watch::Receiver<Control> {
        self.control.subscribe()
    }
}

impl Control {
    /// Whether nobody may connect at all.
    pub fn refuses_all(&self) -> bool {
        self.mode == Mode::Cut && self.only.is_none()
    }

    /// What happens to this connection.
    pub fn mode_of(&self, connection: &Connection) -> Mode {
        match &self.only {
            Some(only) if !connection.has_sent(&**only) => Mode::Pass,
            _ => self.mode,
        }
    }

    /// What happens to its next bytes.
    pub fn fate(&self, connection: &Connection, direction: Direction) -> Fate {
        let mode = self.mode_of(connection);
        let held = || self.holds.iter().any(|hold| hold.stops(connection));
        match mode {
            Mode::Cut => Fate::Close,
            _ if connection.has_lost_bytes() => Fate::Lose,
            Mode::Swallow => Fate::Lose,
            Mode::Stall => Fate::Wait,
            _ if direction == Direction::ToClient && held() => Fate::Wait,
            Mode::Delay(delay) => Fate::Forward(delay),
            Mode::Pass => Fate::Forward(Duration::ZERO),
        }
    }
}
