//! Wire forms of the audit log. An entry goes out as it is stored.

use serde::{Deserialize, Serialize};

use crate::app::audit::query::AuditPage;
use crate::org::audit::Entry;

/// What is asked of the audit log, in a query or over the local socket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditBody {
    /// Whose log; over the local socket, `None` is the log of calls that were of no organization.
    pub organization_id: Option<String>,
    /// Sorts of entries, with commas between.
    pub trail: Option<String>,
    /// From this time on, RFC 3339.
    pub since: Option<String>,
    /// Before this time.
    pub until: Option<String>,
    /// By whom.
    pub actor: Option<String>,
    /// An action, or what stands before the `.` of several.
    pub action: Option<String>,
    /// On whom or what.
    pub target: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// The most entries of the page.
    pub limit: Option<usize>,
    /// Where to go on.
    pub cursor: Option<String>,
}

/// The reply of `GET /v2/audit`.
#[derive(Debug, Serialize, Deserialize)]
pub struct AuditReply {
    /// Newest first.
    pub entries: Vec<Entry>,
    /// Where to go on; `None`: these were the last.
    pub next_cursor: Option<String>,
}

impl AuditReply {
    /// Of a page.
    pub fn new(page: AuditPage) -> Self {
        Self {
            entries: page.entries,
            next_cursor: page.next.map(|next| next.to_string()),
        }
    }
}

/// An entry as a line of an export. Line ends within its texts are escaped.
pub fn line(entry: &Entry) -> String {
    let mut line = serde_json::to_string(entry).expect("an entry is JSON");
    line.push('\n');
    line
}
