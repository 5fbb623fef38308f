//! The audit log: what is written, and what can be read of it.
//!
//! The entry of a change is written in the same step as the change (`store/port.rs`, [`Write`]), so
//! neither can be without the other. What changes nothing (refusals, decisions) goes through a queue
//! that nobody waits for; where it is full, entries are dropped and counted.
//!
//! Who calls travels beside the work, as a tracing span does ([`caller`]): a use case cannot be
//! called in another's name by mistake, and one that forgets to say who writes `nobody`.
//!
//! [`Write`]: crate::store::port::Write

pub mod caller;
mod decision;
pub mod query;
mod rate;
mod writer;

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::SignedDuration;
use tokio::sync::{Semaphore, mpsc};
use uuid::{ContextV7, Uuid};

use crate::app::App;
use crate::app::audit::rate::Rate;
use crate::metrics::AuditLossLabel;
use crate::names::organization_id::OrganizationId;
use crate::org::audit::text::Text;
use crate::org::audit::{Action, Entry, Outcome, Trail, first_id};
use crate::store::audit::{AuditLog, Keep, Line};

/// The most entries that wait to be written.
const QUEUE: usize = 4_096;
/// The most pages that are read at a time.
const PAGES_AT_A_TIME: usize = 4;

/// What is written, and for how long it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// For how many days entries are kept.
    pub keep_days: u32,
    /// The most entries of each sort that an organization has.
    pub max_entries: u64,
    /// Which answers to brokers are written.
    pub decisions: Decisions,
    /// One of how many of those is.
    pub one_in: u64,
}

/// Which answers to brokers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decisions {
    /// None; hooks pay nothing.
    None,
    /// Those that say no.
    Denies,
    /// All.
    All,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep_days: 90,
            max_entries: 100_000,
            decisions: Decisions::None,
            one_in: 1,
        }
    }
}

/// What the use cases share of the audit log.
pub(in crate::app) struct Audit {
    settings: Settings,
    /// Ids of one process are in the order in which they were made.
    ids: Mutex<ContextV7>,
    queue: mpsc::Sender<Line>,
    waiting: Mutex<Option<mpsc::Receiver<Line>>>,
    /// Limits how many pages are read at a time: an export has many.
    reading: Semaphore,
    refusals: Rate,
    decisions_seen: AtomicU64,
}

/// An entry that is being made.
#[must_use]
pub(in crate::app) struct Note(Line);

impl Note {
    /// On whom or what.
    pub fn on(mut self, target: &dyn fmt::Display) -> Self {
        self.0.entry.target = Some(Text::of(target));
        self
    }

    /// What else there is to say.
    pub fn with(mut self, name: &str, value: &dyn fmt::Display) -> Self {
        self.0.entry.detail(name, value);
        self
    }

    /// The same, where there is something to say.
    pub fn with_some(self, name: &str, value: Option<&dyn fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// How it ended, with the code of the answer. Without it, it is done.
    pub fn ended(mut self, outcome: Outcome, code: Option<&str>) -> Self {
        self.0.entry.outcome = outcome;
        self.0.entry.code = code.map(Text::new);
        self
    }

    /// Ready to be written.
    pub fn line(self) -> Box<Line> {
        Box::new(self.0)
    }
}

impl Audit {
    pub fn new(settings: Settings) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        Self {
            settings,
            ids: Mutex::new(ContextV7::new()),
            queue,
            waiting: Mutex::new(Some(waiting)),
            reading: Semaphore::new(PAGES_AT_A_TIME),
            refusals: Rate::default(),
            decisions_seen: AtomicU64::new(0),
        }
    }
}

impl App {
    /// The same with other settings of the audit log.
    pub fn with_audit(mut self, settings: Settings) -> Self {
        self.audit = Audit::new(settings);
        self
    }

    /// An entry about something that whoever calls does now in an organization.
    pub(in crate::app) fn note(&self, action: Action, organization: &OrganizationId) -> Note {
        self.note_of(action, Some(organization.clone()))
    }

    fn note_of(&self, action: Action, organization: Option<OrganizationId>) -> Note {
        let caller = caller::current();
        let actor = caller.actor;
        let trail = Trail::of(action, &actor);
        let entry = Entry {
            id: self.next_id(),
            time: self.clock.now(),
            organization: organization.clone(),
            actor: Text::of(&actor),
            action: Text::new(action.as_str()),
            target: None,
            from: caller.from,
            request_id: caller.request_id,
            outcome: Outcome::Ok,
            code: None,
            details: std::collections::BTreeMap::new(),
        };
        Note(Line {
            log: AuditLog {
                trail,
                organization,
            },
            entry,
            keep: self.keep(),
        })
    }

    fn keep(&self) -> Keep {
        let Settings {
            keep_days,
            max_entries,
            ..
        } = self.audit.settings;
        let kept = SignedDuration::from_hours(24 * i64::from(keep_days));
        let oldest = self.clock.now().checked_sub(kept);
        Keep {
            entries: max_entries,
            from: oldest.map_or(Uuid::nil(), first_id),
            seconds: u64::from(keep_days) * 86_400,
        }
    }

    fn next_id(&self) -> Uuid {
        let now = self.clock.now();
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        Uuid::new_v7(uuid::Timestamp::from_unix(
            &self.audit.ids,
            seconds,
            nanoseconds,
        ))
    }

    /// Writes that a call was refused, or failed, without waiting for it. Only so many a second are
    /// written of each organization.
    pub fn audit_refusal(&self, call: &str, outcome: Outcome, code: &str) {
        let organization = caller::current().organization;
        let second = self.clock.now().as_second();
        let trail = Trail::Refusals;
        if !self.audit.refusals.allows(organization.as_ref(), second) {
            let reason = AuditLossLabel::Rate;
            self.metrics.audit_lost(trail.into(), reason, 1);
            return;
        }
        let note = self.note_of(Action::CallRefused, organization);
        self.write_later(note.with("call", &call).ended(outcome, Some(code)));
    }

    /// Whether an answer to a broker is to be written.
    pub fn audits_decision(&self, is_yes: bool) -> bool {
        let Settings {
            decisions, one_in, ..
        } = self.audit.settings;
        let is_wanted = match decisions {
            Decisions::None => return false,
            Decisions::Denies => !is_yes,
            Decisions::All => true,
        };
        let seen = &self.audit.decisions_seen;
        is_wanted
            && seen
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(one_in.max(1))
    }

    /// Leaves an entry to be written. Nobody waits; where too many wait already it is dropped.
    pub(in crate::app) fn write_later(&self, note: Note) {
        let trail = note.0.log.trail;
        if self.audit.queue.try_send(note.0).is_err() {
            let reason = AuditLossLabel::QueueFull;
            self.metrics.audit_lost(trail.into(), reason, 1);
        }
    }
}
