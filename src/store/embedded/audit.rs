//! The audit log, kept in the same transaction as the changes that it tells of.

use std::ops::Bound;

use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, Table,
    TableDefinition,
};
use uuid::Uuid;

use crate::org::audit::Entry;
use crate::store::audit::{AuditLog, Line, Stretch};

/// (Log, id of the entry) -> the entry as JSON.
const ENTRIES: TableDefinition<(&str, u128), &str> = TableDefinition::new("audit");
/// Log -> (how many entries it has, for how many seconds they are kept).
const LOGS: TableDefinition<&str, (u64, u64)> = TableDefinition::new("audit_logs");
/// How many logs are looked at for old entries at a time.
const LOGS_AT_A_TIME: usize = 64;
/// The most old entries that are dropped at a time from one log.
const DROPPED_AT_A_TIME: usize = 1_024;

/// The log, open for writing.
pub struct Audit<'a> {
    entries: Table<'a, (&'static str, u128), &'static str>,
    logs: Table<'a, &'static str, (u64, u64)>,
}

impl<'a> Audit<'a> {
    /// Opens it, or makes an empty one.
    pub fn open(transaction: &'a redb::WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            entries: transaction.open_table(ENTRIES)?,
            logs: transaction.open_table(LOGS)?,
        })
    }

    /// Adds an entry. Returns how many made room for it before their time was up.
    pub fn append(&mut self, line: &Line) -> Result<u64, redb::Error> {
        let log = line.log.name();
        let log = log.as_str();
        let text = serde_json::to_string(&line.entry).expect("an entry is JSON");
        let known = self.logs.get(log)?.map_or(0, |row| row.value().0);
        let place = (log, line.entry.id.as_u128());
        let added = self.entries.insert(place, text.as_str())?.is_none();
        let count = known + u64::from(added);
        let old = self.drop_before(log, line.keep.from, DROPPED_AT_A_TIME)?;
        let count = count.saturating_sub(old);
        let over = count.saturating_sub(line.keep.entries.max(1));
        // A limit that was lowered is reached step by step.
        let dropped = self.drop_before(log, Uuid::max(), over.min(2) as usize)?;
        let count = count.saturating_sub(dropped);
        self.logs.insert(log, (count, line.keep.seconds))?;
        Ok(dropped)
    }

    /// Drops what is older than its log keeps it, of some logs behind `after`. Returns where to go on.
    pub fn sweep(
        &mut self,
        now: i64,
        after: Option<&str>,
    ) -> Result<(bool, Option<String>), redb::Error> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found = Vec::new();
        for row in self
            .logs
            .range::<&str>((start, Bound::Unbounded))?
            .take(LOGS_AT_A_TIME)
        {
            let (name, row) = row?;
            found.push((name.value().to_owned(), row.value()));
        }
        let next = found.last().map(|(name, _)| name.clone());
        let next = next.filter(|_| found.len() == LOGS_AT_A_TIME);
        let mut changed = false;
        for (name, (count, seconds)) in found {
            let oldest = u128::try_from(now)
                .unwrap_or(0)
                .saturating_sub(seconds.into());
            let oldest = Uuid::from_u128((oldest * 1_000) << 80);
            let dropped = self.drop_before(&name, oldest, DROPPED_AT_A_TIME)?;
            if dropped == 0 {
                continue;
            }
            changed = true;
            match count.saturating_sub(dropped) {
                0 => drop(self.logs.remove(name.as_str())?),
                left => drop(self.logs.insert(name.as_str(), (left, seconds))?),
            }
        }
        Ok((changed, next))
    }

    fn drop_before(&mut self, log: &str, end: Uuid, limit: usize) -> Result<u64, redb::Error> {
        if limit == 0 || self.entries.is_empty()? {
            return Ok(0);
        }
        let range = (log, 0)..(log, end.as_u128());
        let mut old = Vec::new();
        for row in self.entries.range(range)?.take(limit) {
            old.push(row?.0.value().1);
        }
        for id in &old {
            self.entries.remove((log, *id))?;
        }
        Ok(old.len() as u64)
    }
}

/// Reads some entries, newest first.
pub fn read(
    database: &Database,
    log: &AuditLog,
    stretch: Stretch,
    limit: usize,
) -> Result<Vec<Entry>, redb::Error> {
    let transaction = database.begin_read()?;
    let entries = transaction.open_table(ENTRIES)?;
    let log = log.name();
    let (from, before) = (stretch.from.as_u128(), stretch.before.as_u128());
    let mut found = Vec::new();
    if from >= before {
        return Ok(found);
    }
    for row in entries
        .range((log.as_str(), from)..(log.as_str(), before))?
        .rev()
    {
        if found.len() == limit {
            break;
        }
        let (_, text) = row?;
        match serde_json::from_str(text.value()) {
            Ok(entry) => found.push(entry),
            Err(error) => tracing::warn!(%error, log, "an entry of the audit log cannot be read"),
        }
    }
    Ok(found)
}
