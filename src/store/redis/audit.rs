//! The audit log: sorted sets in which the ids of the entries are the order.
//!
//! An entry of a change lies in the shard of the record that was changed, so that one script writes
//! both. A log of changes therefore has a part in every shard, and is read by merging them.

use std::collections::VecDeque;

use futures_util::future::{join_all, try_join_all};
use redis::cmd;

use crate::metrics::StoreCallLabel;
use crate::names::organization_id::OrganizationId;
use crate::org::audit::{Entry, Trail};
use crate::store::audit::{AuditLog, Line, Stretch};
use crate::store::port::StoreError;
use crate::store::record::{RecordKey, SHARDS};
use crate::store::redis::keys::Keys;
use crate::store::redis::{Shared, scripts};

/// How many parts are read at a time.
const AT_ONCE: usize = 16;
/// The fewest entries that are read of a part at a time.
const SHORTEST_READ: usize = 8;

/// A part of a log while it is read.
struct Part {
    shard: usize,
    /// What was read and not handed out yet, newest first: the members as they are.
    read: VecDeque<String>,
    /// Where to read on.
    stretch: Stretch,
    /// Whether there is nothing more to read.
    ended: bool,
}

/// What a script needs to append an entry: the member, the id that all before it are too old, the
/// most entries of this part, and for how long the part is kept.
pub fn arguments(line: &Line) -> [String; 4] {
    let Line { log, entry, keep } = line;
    let text = serde_json::to_string(entry).expect("an entry is JSON");
    let most = match parts(log) {
        1 => keep.entries,
        parts => keep.entries.div_ceil(parts),
    };
    [
        format!("{}{text}", entry.id),
        keep.from.to_string(),
        most.max(1).to_string(),
        keep.seconds.to_string(),
    ]
}

/// The same with the key, for a change that an entry may go with. Without one the key stands for
/// nothing.
pub fn of_change(keys: &Keys, shard: usize, line: Option<&Line>) -> (String, [String; 4]) {
    match line {
        None => (keys.log(shard), Default::default()),
        Some(line) => (keys.audit(shard, &line.log), arguments(line)),
    }
}

/// Adds entries that go with no change: to the part in their organization's shard.
pub async fn append(shared: &Shared, lines: Vec<Line>) -> Result<(), StoreError> {
    let appending = lines.iter().map(|line| async move {
        let shard = home(line.log.organization.as_ref());
        let link = shared.link_for(shard)?;
        let key = shared.keys.audit(shard, &line.log);
        let call = scripts::APPEND_AUDIT.call([key], arguments(line));
        let appending = link.write.run::<u64>(&call);
        let dropped = shared.call(StoreCallLabel::Write, &link, appending).await?;
        shared.metrics.audit_trimmed(line.log.trail.into(), dropped);
        Ok::<_, StoreError>(())
    });
    try_join_all(appending).await.map(drop)
}

/// Reads some entries, newest first.
pub async fn read(
    shared: &Shared,
    log: &AuditLog,
    stretch: Stretch,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    if stretch.from >= stretch.before {
        return Ok(Vec::new());
    }
    let shards = match parts(log) {
        1 => vec![home(log.organization.as_ref())],
        _ => (0..SHARDS).collect(),
    };
    let at_a_time = (limit / shards.len() * 2).max(SHORTEST_READ).min(limit);
    let start = |shard| Part {
        shard,
        read: VecDeque::new(),
        stretch,
        ended: false,
    };
    let mut parts: Vec<Part> = shards.into_iter().map(start).collect();
    let mut found = Vec::new();
    while found.len() < limit {
        fill(shared, log, &mut parts, at_a_time).await?;
        let newest = parts
            .iter_mut()
            .max_by(|a, b| a.read.front().cmp(&b.read.front()));
        let Some(member) = newest.and_then(|part| part.read.pop_front()) else {
            break;
        };
        found.extend(parse(&member));
    }
    Ok(found)
}

/// Reads on wherever nothing is left.
async fn fill(
    shared: &Shared,
    log: &AuditLog,
    parts: &mut [Part],
    at_a_time: usize,
) -> Result<(), StoreError> {
    let mut empty: Vec<&mut Part> = parts
        .iter_mut()
        .filter(|part| part.read.is_empty() && !part.ended)
        .collect();
    for some in empty.chunks_mut(AT_ONCE) {
        let reading = some
            .iter_mut()
            .map(|part| part.read_on(shared, log, at_a_time));
        for read in join_all(reading).await {
            read?;
        }
    }
    Ok(())
}

impl Part {
    async fn read_on(
        &mut self,
        shared: &Shared,
        log: &AuditLog,
        limit: usize,
    ) -> Result<(), StoreError> {
        let link = shared.link_for(self.shard)?;
        let mut command = cmd("ZREVRANGEBYLEX");
        command.arg(shared.keys.audit(self.shard, log));
        command.arg(format!("({}", self.stretch.before));
        command.arg(format!("[{}", self.stretch.from));
        command.arg("LIMIT").arg(0).arg(limit);
        let reading = link.readers.shared().send::<Vec<String>>(&command);
        let members = shared.call(StoreCallLabel::Read, &link, reading).await?;
        self.ended = members.len() < limit;
        match members.last().map(|last| id(last)) {
            Some(Some(last)) => self.stretch.before = last,
            Some(None) => self.ended = true,
            None => {}
        }
        self.read.extend(members);
        Ok(())
    }
}

fn id(member: &str) -> Option<uuid::Uuid> {
    member.get(..36)?.parse().ok()
}

fn parse(member: &str) -> Option<Entry> {
    let read = serde_json::from_str(member.get(36..).unwrap_or_default());
    if let Err(error) = &read {
        tracing::warn!(%error, "an entry of the audit log cannot be read");
    }
    read.ok()
}

/// The shard of what belongs to an organization and to no record.
fn home(organization: Option<&OrganizationId>) -> usize {
    organization.map_or(0, |id| RecordKey::Organization(id.clone()).shard())
}

/// In how many parts a log lies.
fn parts(log: &AuditLog) -> u64 {
    match (log.trail, &log.organization) {
        (Trail::Changes | Trail::Tokens, Some(_)) => SHARDS as u64,
        _ => 1,
    }
}
