//! What a store needs to know of the audit log: which log, which entry, how much is kept.

use uuid::Uuid;

use crate::names::organization_id::OrganizationId;
use crate::org::audit::{Entry, Trail};

/// One log: entries that are kept together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuditLog {
    /// Which sort of entries.
    pub trail: Trail,
    /// Whose; `None`: of no organization that is known.
    pub organization: Option<OrganizationId>,
}

impl AuditLog {
    /// What it is called in a store: `<trail>:<organization>`, with `-` for none.
    pub fn name(&self) -> String {
        let organization = self
            .organization
            .as_ref()
            .map_or("-", OrganizationId::as_str);
        format!("{}:{organization}", self.trail.as_str())
    }
}

/// How much of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The most entries. A store that keeps a log in parts divides this among them.
    pub entries: u64,
    /// Entries before this id go.
    pub from: Uuid,
    /// For how long entries are kept, in seconds.
    pub seconds: u64,
}

/// An entry on its way into its log.
#[derive(Debug, Clone)]
pub struct Line {
    /// Where it goes.
    pub log: AuditLog,
    /// What it says.
    pub entry: Entry,
    /// What it leaves of those before it.
    pub keep: Keep,
}

/// Which entries to read, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// From this id on.
    pub from: Uuid,
    /// Up to this one, which is not among them.
    pub before: Uuid,
}

impl Stretch {
    /// All of them.
    pub const ALL: Stretch = Stretch {
        from: Uuid::nil(),
        before: Uuid::max(),
    };
}
