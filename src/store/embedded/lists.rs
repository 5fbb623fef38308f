//! The lists of each organization's tokens, keys and users, kept in the same transaction as the
//! records.

use jiff::Timestamp;
use redb::{
    Database, ReadableDatabase as _, ReadableTable, Table, TableDefinition, TableHandle as _,
};

use crate::names::organization_id::OrganizationId;
use crate::store::list::{ListKind, ListPlace, ListRow, Listed};
use crate::store::record::{Record, RecordKey};

/// (Organization, what it is ordered by, thing as the list names it).
type Rows = TableDefinition<'static, (&'static str, i64, &'static str), ()>;
/// Organization -> how many there are in the list.
type Counts = TableDefinition<'static, &'static str, u64>;

const fn tables(kind: ListKind) -> (Rows, Counts) {
    match kind {
        ListKind::Tokens => (
            TableDefinition::new("tokens"),
            TableDefinition::new("token_counts"),
        ),
        ListKind::Keys => (
            TableDefinition::new("keys"),
            TableDefinition::new("key_counts"),
        ),
        ListKind::Users => (
            TableDefinition::new("users"),
            TableDefinition::new("user_counts"),
        ),
    }
}

/// The lists, open for writing.
pub struct Lists<'a> {
    tokens: List<'a>,
    keys: List<'a>,
    users: List<'a>,
}

struct List<'a> {
    rows: Table<'a, (&'static str, i64, &'static str), ()>,
    counts: Table<'a, &'static str, u64>,
}

impl<'a> Lists<'a> {
    /// Opens them, or makes empty ones.
    pub fn open(transaction: &'a redb::WriteTransaction) -> Result<Self, redb::Error> {
        let open = |kind| {
            let (rows, counts) = tables(kind);
            Ok::<_, redb::Error>(List {
                rows: transaction.open_table(rows)?,
                counts: transaction.open_table(counts)?,
            })
        };
        Ok(Self {
            tokens: open(ListKind::Tokens)?,
            keys: open(ListKind::Keys)?,
            users: open(ListKind::Users)?,
        })
    }

    /// Takes in what a record adds.
    pub fn insert(&mut self, key: &RecordKey, record: &Record) -> Result<(), redb::Error> {
        match ListRow::of(key, record) {
            Some(row) => self.list(row.kind).insert(&row),
            None => Ok(()),
        }
    }

    /// Takes out what a record has added, given as the texts of its key and record.
    pub fn remove(&mut self, key: &str, text: &str) -> Result<(), redb::Error> {
        let row = key.parse().ok().and_then(|key| {
            let record = Record::decode(&key, text).ok()?;
            ListRow::of(&key, &record)
        });
        match row {
            Some(row) => self.list(row.kind).remove(&row),
            None => Ok(()),
        }
    }

    fn list(&mut self, kind: ListKind) -> &mut List<'a> {
        match kind {
            ListKind::Tokens => &mut self.tokens,
            ListKind::Keys => &mut self.keys,
            ListKind::Users => &mut self.users,
        }
    }
}

impl List<'_> {
    fn insert(&mut self, row: &ListRow) -> Result<(), redb::Error> {
        let place = (row.organization.as_str(), row.order, row.name.as_str());
        if self.rows.insert(place, ())?.is_none() {
            self.count(&row.organization, |count| count + 1)?;
        }
        Ok(())
    }

    fn remove(&mut self, row: &ListRow) -> Result<(), redb::Error> {
        let place = (row.organization.as_str(), row.order, row.name.as_str());
        if self.rows.remove(place)?.is_some() {
            self.count(&row.organization, |count| count.saturating_sub(1))?;
        }
        Ok(())
    }

    fn count(
        &mut self,
        organization: &OrganizationId,
        change: impl Fn(u64) -> u64,
    ) -> Result<(), redb::Error> {
        let organization = organization.as_str();
        let before = self.counts.get(organization)?.map_or(0, |row| row.value());
        match change(before) {
            0 => drop(self.counts.remove(organization)?),
            count => drop(self.counts.insert(organization, count)?),
        }
        Ok(())
    }
}

/// Whether the file was made before keys and users were listed.
pub fn are_missing(transaction: &redb::WriteTransaction) -> Result<bool, redb::Error> {
    let (rows, _) = tables(ListKind::Keys);
    let mut known = transaction.list_tables()?;
    Ok(!known.any(|table| table.name() == rows.name()))
}

/// Takes in every key and user there is.
pub fn fill(
    lists: &mut Lists<'_>,
    records: &impl ReadableTable<&'static str, (u64, i64, &'static str)>,
) -> Result<(), redb::Error> {
    // `;` follows `:`.
    for names in ["key:".."key;", "holder:".."holder;"] {
        for row in records.range::<&str>(names)? {
            let (name, row) = row?;
            let Ok(key) = name.value().parse::<RecordKey>() else {
                continue;
            };
            // One that cannot be read is for `store check` to tell of.
            if let Ok(record) = Record::decode(&key, row.value().2) {
                lists.insert(&key, &record)?;
            }
        }
    }
    Ok(())
}

/// Some rows of a list.
pub fn list(
    database: &Database,
    kind: ListKind,
    organization: &OrganizationId,
    now: Timestamp,
    from: Option<ListPlace>,
    limit: usize,
) -> Result<Listed, redb::Error> {
    let transaction = database.begin_read()?;
    let rows = transaction.open_table(tables(kind).0)?;
    let from = from.unwrap_or_else(|| ListPlace::start(kind, 0, now));
    let start = (organization.as_str(), from.order, from.name.as_str());
    let end = (organization.as_str(), i64::MAX, "");
    let mut listed = Listed::default();
    let mut last = None;
    for row in rows.range(start..end)? {
        let (row, _) = row?;
        let (_, order, name) = row.value();
        if (order, name) == (from.order, from.name.as_str()) {
            continue;
        }
        if listed.names.len() >= limit {
            listed.next = last;
            break;
        }
        let name = name.to_owned();
        listed.names.push(name.clone());
        last = Some(ListPlace {
            shard: 0,
            order,
            name,
        });
    }
    Ok(listed)
}

/// How many there are, with tokens whose time is up and that are not swept yet.
pub fn count(
    database: &Database,
    kind: ListKind,
    organization: &OrganizationId,
) -> Result<u64, redb::Error> {
    let transaction = database.begin_read()?;
    let counts = transaction.open_table(tables(kind).1)?;
    Ok(counts
        .get(organization.as_str())?
        .map_or(0, |row| row.value()))
}

/// Whether a row is in its list.
pub fn has(database: &Database, row: &ListRow) -> Result<bool, redb::Error> {
    let transaction = database.begin_read()?;
    let rows = transaction.open_table(tables(row.kind).0)?;
    let place = (row.organization.as_str(), row.order, row.name.as_str());
    Ok(rows.get(place)?.is_some())
}
