//! The lists of each organization: one sorted set for each shard.

use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;
use redis::cmd;

use crate::metrics::StoreCallLabel;
use crate::names::organization_id::OrganizationId;
use crate::store::list::{ListKind, ListPlace, ListRow, Listed};
use crate::store::port::{StoreError, Write};
use crate::store::record::{RecordKey, SHARDS};
use crate::store::redis::Shared;
use crate::store::redis::keys::Keys;

/// How many shards are asked at a time.
const AT_ONCE: usize = 16;
/// The most names that end in the same second and are looked at for one page.
const LONGEST_TIE: usize = 100_000;

/// Some rows of a list, shard by shard.
pub async fn list(
    shared: &Shared,
    kind: ListKind,
    organization: &OrganizationId,
    now: Timestamp,
    from: Option<ListPlace>,
    limit: usize,
) -> Result<Listed, StoreError> {
    let start = |shard| ListPlace::start(kind, shard, now);
    let mut from = from.unwrap_or_else(|| start(0));
    let mut listed = Listed::default();
    while from.shard < SHARDS {
        let shards = from.shard..(from.shard + AT_ONCE).min(SHARDS);
        let end = shards.end;
        let places = shards.map(|shard| match shard == from.shard {
            true => from.clone(),
            false => start(shard),
        });
        // One more than fits tells whether there are more.
        let reading = places.map(|place| names(shared, kind, organization, place, limit + 1));
        for (shard, names) in join_all(reading).await.into_iter().enumerate() {
            for (name, order) in names? {
                if listed.names.len() >= limit {
                    return Ok(listed);
                }
                listed.names.push(name.clone());
                listed.next = Some(ListPlace {
                    shard: from.shard + shard,
                    order,
                    name,
                });
            }
        }
        from = start(end);
    }
    listed.next = None;
    Ok(listed)
}

/// Names behind a place in its shard, with what they are ordered by.
async fn names(
    shared: &Shared,
    kind: ListKind,
    organization: &OrganizationId,
    from: ListPlace,
    limit: usize,
) -> Result<Vec<(String, i64)>, StoreError> {
    let link = shared.link_for(from.shard)?;
    let key = shared.keys.list(from.shard, kind, organization);
    let mut found = Vec::new();
    let mut offset = 0;
    // Names that end in the same second are in the order of their bytes: those up to the place are
    // read over.
    while offset < LONGEST_TIE {
        let mut command = cmd("ZRANGEBYSCORE");
        command.arg(&key).arg(from.order).arg("+inf");
        command
            .arg("WITHSCORES")
            .arg("LIMIT")
            .arg(offset)
            .arg(limit);
        let reading = link.readers.shared().send::<Vec<(String, i64)>>(&command);
        let page = shared.call(StoreCallLabel::Read, &link, reading).await?;
        offset += page.len();
        let is_last = page.len() < limit;
        let place = (from.order, from.name.as_str());
        let behind = page
            .into_iter()
            .filter(|(name, order)| (*order, name.as_str()) > place);
        found.extend(behind);
        if is_last || found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

/// How many there are, of tokens those that end after `now`.
pub async fn count(
    shared: &Shared,
    kind: ListKind,
    organization: &OrganizationId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let counts = (0..SHARDS).map(|shard| async move {
        let link = shared.link_for(shard)?;
        let mut command = cmd("ZCOUNT");
        command.arg(shared.keys.list(shard, kind, organization));
        let start = ListPlace::start(kind, shard, now);
        command.arg(start.order).arg("+inf");
        let counting = link.readers.shared().send::<u64>(&command);
        shared.call(StoreCallLabel::Read, &link, counting).await
    });
    Ok(try_join_all(counts).await?.into_iter().sum())
}

/// Whether a row is in the list of a record's shard.
pub async fn has(shared: &Shared, shard: usize, row: &ListRow) -> Result<bool, StoreError> {
    let link = shared.link_for(shard)?;
    let mut command = cmd("ZSCORE");
    command.arg(shared.keys.list(shard, row.kind, &row.organization));
    command.arg(&row.name);
    let asking = link.readers.shared().send::<Option<f64>>(&command);
    let found = shared.call(StoreCallLabel::Read, &link, asking).await?;
    Ok(found.is_some())
}

/// What [`scripts::PUT`](crate::store::redis::scripts::PUT) needs of a list: its key, and how the list
/// names the record and orders it. Without a row the key stands for nothing.
pub fn arguments(keys: &Keys, shard: usize, row: Option<ListRow>) -> (String, [String; 2]) {
    match row {
        None => (keys.log(shard), Default::default()),
        Some(row) => {
            let order = match row.kind.expires() {
                true => String::new(),
                false => row.order.to_string(),
            };
            (
                keys.list(shard, row.kind, &row.organization),
                [row.name, order],
            )
        }
    }
}

/// The row of a user who goes: its name says where it is. Other records that are listed never go
/// before their time.
pub fn row_of_gone(write: &Write) -> Option<ListRow> {
    match (&write.key, &write.record) {
        (RecordKey::Holder(username), None) => Some(ListRow {
            kind: ListKind::Users,
            organization: username.organization.clone(),
            order: 0,
            name: username.local.to_string(),
        }),
        _ => None,
    }
}
