//! The lists of each organization's tokens: one sorted set for each shard, by the ends of the tokens.

use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;
use redis::cmd;

use crate::metrics::StoreCallLabel;
use crate::names::organization_id::OrganizationId;
use crate::store::port::{ListedToken, ListedTokens, StoreError, TokenPlace};
use crate::store::record::SHARDS;
use crate::store::redis::Shared;

/// How many shards are asked at a time.
const AT_ONCE: usize = 16;
/// The most names that end in the same second and are looked at for one page.
const LONGEST_TIE: usize = 100_000;

/// Some of the tokens of an organization, shard by shard.
pub async fn list(
    shared: &Shared,
    organization: &OrganizationId,
    now: Timestamp,
    from: Option<TokenPlace>,
    limit: usize,
) -> Result<ListedTokens, StoreError> {
    let start = |shard| TokenPlace::start(shard, now.as_second());
    let mut from = from.unwrap_or_else(|| start(0));
    let mut listed = ListedTokens {
        tokens: Vec::new(),
        next: None,
    };
    while from.shard < SHARDS {
        let shards = from.shard..(from.shard + AT_ONCE).min(SHARDS);
        let end = shards.end;
        let places = shards.map(|shard| match shard == from.shard {
            true => from.clone(),
            false => start(shard),
        });
        // One more than fits tells whether there are more.
        let reading = places.map(|place| names(shared, organization, place, limit + 1));
        for (shard, names) in join_all(reading).await.into_iter().enumerate() {
            for (name, ends) in names? {
                if listed.tokens.len() >= limit {
                    return Ok(listed);
                }
                listed.tokens.extend(ListedToken::parse(&name));
                listed.next = Some(TokenPlace {
                    shard: from.shard + shard,
                    ends,
                    name,
                });
            }
        }
        from = start(end);
    }
    listed.next = None;
    Ok(listed)
}

/// Names behind a place in its shard, with their ends.
async fn names(
    shared: &Shared,
    organization: &OrganizationId,
    from: TokenPlace,
    limit: usize,
) -> Result<Vec<(String, i64)>, StoreError> {
    let link = shared.link_for(from.shard)?;
    let key = shared.keys.tokens(from.shard, organization);
    let mut found = Vec::new();
    let mut offset = 0;
    // Names that end in the same second are in the order of their bytes: those up to the place are
    // read over.
    while offset < LONGEST_TIE {
        let mut command = cmd("ZRANGEBYSCORE");
        command.arg(&key).arg(from.ends).arg("+inf");
        command
            .arg("WITHSCORES")
            .arg("LIMIT")
            .arg(offset)
            .arg(limit);
        let reading = link.readers.shared().send::<Vec<(String, i64)>>(&command);
        let page = shared.call(StoreCallLabel::Read, &link, reading).await?;
        offset += page.len();
        let is_last = page.len() < limit;
        let place = (from.ends, from.name.as_str());
        let behind = page
            .into_iter()
            .filter(|(name, ends)| (*ends, name.as_str()) > place);
        found.extend(behind);
        if is_last || found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

/// How many end after `now`.
pub async fn count(
    shared: &Shared,
    organization: &OrganizationId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let counts = (0..SHARDS).map(|shard| async move {
        let link = shared.link_for(shard)?;
        let mut command = cmd("ZCOUNT");
        command.arg(shared.keys.tokens(shard, organization));
        command.arg(now.as_second() + 1).arg("+inf");
        let counting = link.readers.shared().send::<u64>(&command);
        shared.call(StoreCallLabel::Read, &link, counting).await
    });
    Ok(try_join_all(counts).await?.into_iter().sum())
}
