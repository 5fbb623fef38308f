//! The list of each organization's tokens, kept in the same transaction as their indexes.

use jiff::Timestamp;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition};

use crate::names::organization_id::OrganizationId;
use crate::store::port::{ListedToken, ListedTokens, TokenPlace};
use crate::store::record::{Record, RecordKey};

/// (Organization, end in seconds, token as the list names it).
const LIST: TableDefinition<(&str, i64, &str), ()> = TableDefinition::new("tokens");
/// Organization -> how many there are in the list.
const COUNTS: TableDefinition<&str, u64> = TableDefinition::new("token_counts");

/// The list, open for writing.
pub struct TokenList<'a> {
    list: Table<'a, (&'static str, i64, &'static str), ()>,
    counts: Table<'a, &'static str, u64>,
}

impl<'a> TokenList<'a> {
    /// Opens it, or makes an empty one.
    pub fn open(transaction: &'a redb::WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            list: transaction.open_table(LIST)?,
            counts: transaction.open_table(COUNTS)?,
        })
    }

    /// Takes in the token of an index.
    pub fn insert(&mut self, key: &RecordKey, record: &Record) -> Result<(), redb::Error> {
        let Some((organization, ends, name)) = row(key, record) else {
            return Ok(());
        };
        let known = self
            .list
            .insert((organization.as_str(), ends, name.as_str()), ())?
            .is_some();
        if !known {
            self.count(&organization, |count| count + 1)?;
        }
        Ok(())
    }

    /// Takes out the token of an index, given as the texts of its key and record. Others are left.
    pub fn remove(&mut self, key: &str, text: &str) -> Result<(), redb::Error> {
        if !key.starts_with("token:") {
            return Ok(());
        }
        let row = key.parse().ok().and_then(|key| {
            let record = Record::decode(&key, text).ok()?;
            row(&key, &record)
        });
        let Some((organization, ends, name)) = row else {
            return Ok(());
        };
        let known = self
            .list
            .remove((organization.as_str(), ends, name.as_str()))?
            .is_some();
        if known {
            self.count(&organization, |count| count.saturating_sub(1))?;
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

fn row(key: &RecordKey, record: &Record) -> Option<(OrganizationId, i64, String)> {
    let (RecordKey::Token(id), Record::Token(index)) = (key, record) else {
        return None;
    };
    let name = ListedToken::name(id, &index.name);
    Some((
        index.organization.clone(),
        index.expires_at.as_second(),
        name,
    ))
}

/// Some of the tokens of an organization.
pub fn list(
    database: &Database,
    organization: &OrganizationId,
    now: Timestamp,
    from: Option<TokenPlace>,
    limit: usize,
) -> Result<ListedTokens, redb::Error> {
    let transaction = database.begin_read()?;
    let list = transaction.open_table(LIST)?;
    let from = from.unwrap_or_else(|| TokenPlace::start(0, now.as_second()));
    let start = (organization.as_str(), from.ends, from.name.as_str());
    let end = (organization.as_str(), i64::MAX, "");
    let mut listed = ListedTokens {
        tokens: Vec::new(),
        next: None,
    };
    let mut last = None;
    for row in list.range(start..end)? {
        let (row, _) = row?;
        let (_, ends, name) = row.value();
        if (ends, name) == (from.ends, from.name.as_str()) {
            continue;
        }
        if listed.tokens.len() >= limit {
            listed.next = last;
            break;
        }
        last = Some(TokenPlace {
            shard: 0,
            ends,
            name: name.to_owned(),
        });
        listed.tokens.extend(ListedToken::parse(name));
    }
    Ok(listed)
}

/// How many there are, with those whose time is up and that are not swept yet.
pub fn count(database: &Database, organization: &OrganizationId) -> Result<u64, redb::Error> {
    let transaction = database.begin_read()?;
    let counts = transaction.open_table(COUNTS)?;
    Ok(counts
        .get(organization.as_str())?
        .map_or(0, |row| row.value()))
}
