//! What Redis holds, for an operator: all of our keys, page by page, on every master.

use async_trait::async_trait;
use futures_util::future::join_all;
use jiff::Timestamp;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, FromRedisValue, RedisError, RedisResult, cmd};

use crate::metrics::StoreCallLabel;
use crate::store::inventory::{Content, Inventory, Page, Stored};
use crate::store::list::{ListKind, ListRow};
use crate::store::port::StoreError;
use crate::store::record::RecordKey;
use crate::store::redis::address::Host;
use crate::store::redis::connection::{Connection, NO_HURRY};
use crate::store::redis::keys::LOG_LENGTH;
use crate::store::redis::link::Link;
use crate::store::redis::{Redis, Shared, lists, revision_in, scripts};

/// How many keys one page looks at, about.
const PAGE: usize = 512;
/// Behind an expiry that Redis reports as a number below zero there is none, or no key.
const NO_KEY: i64 = -2;

/// Where a scan stands: on which master, of how many, and the master's own cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    master: usize,
    masters: usize,
    within: u64,
}

#[async_trait]
impl Inventory for Redis {
    async fn scan(&self, from: Option<&str>) -> Result<Page, StoreError> {
        let shared = &self.shared;
        let link = shared.link()?;
        let masters = masters(shared, &link).await?;
        let cursor = match from {
            None => Cursor {
                master: 0,
                masters: masters.len(),
                within: 0,
            },
            Some(text) => Cursor::read(text, masters.len())?,
        };
        let mut command = cmd("SCAN");
        command.arg(cursor.within);
        command.arg("MATCH").arg(shared.keys.pattern());
        command.arg("COUNT").arg(PAGE);
        let master = masters[cursor.master].as_ref();
        let scanning = to_master::<(u64, Vec<Vec<u8>>)>(link.readers.shared(), master, command);
        let (within, found) = shared.call(StoreCallLabel::Read, &link, scanning).await?;
        let keys = found.iter().filter_map(|key| std::str::from_utf8(key).ok());
        let reading = keys.filter_map(|key| shared.thing(&link, key));
        let things = join_all(reading).await;
        let things = things.into_iter().filter_map(Result::transpose);
        Ok(Page {
            things: things.collect::<Result<_, _>>()?,
            next: cursor.next(within).map(Cursor::text),
        })
    }

    async fn set_aside(&self, name: &str) -> Result<String, StoreError> {
        let shared = &self.shared;
        let link = shared.link()?;
        let (shard, key) = shared.lies_at(name);
        let aside = shared.keys.aside(shard, name);
        let call = scripts::SET_ASIDE.call(
            [key, aside, shared.keys.log(shard)],
            [
                LOG_LENGTH.to_string(),
                name.to_owned(),
                shared.keys.changes(),
                format!("{shard}{NO_HURRY}"),
            ],
        );
        let moving = link.write.run::<String>(&call);
        let aside = shared.call(StoreCallLabel::Write, &link, moving).await?;
        Some(aside)
            .filter(|aside| !aside.is_empty())
            .ok_or(StoreError::Conflict)
    }

    async fn is_listed(&self, key: &RecordKey, row: &ListRow) -> Result<bool, StoreError> {
        lists::has(&self.shared, key.shard(), row).await
    }
}

impl Shared {
    /// Reads what lies under a key; `None` where the key is no record's place.
    fn thing<'a>(
        &'a self,
        link: &'a Link,
        key: &'a str,
    ) -> Option<impl Future<Output = Result<Option<Stored>, StoreError>> + 'a> {
        let (shard, name) = self.keys.split(key)?;
        let is_list = |kind: &ListKind| {
            let rest = name.strip_prefix(kind.as_str());
            rest.is_some_and(|rest| rest.starts_with(':'))
        };
        let is_ours = matches!(name, "log" | "nodes" | "limits") || name.starts_with("aside:");
        let is_ours = is_ours || name.starts_with("audit:");
        if is_ours || ListKind::ALL.iter().any(is_list) {
            return None;
        }
        let misplaced = name
            .parse::<RecordKey>()
            .is_ok_and(|record| record.shard() != shard);
        Some(async move {
            let mut end = cmd("EXPIRETIME");
            let asking = link.readers.shared().send::<i64>(end.arg(key));
            let end = self.call(StoreCallLabel::Read, link, asking).await?;
            if end == NO_KEY {
                return Ok(None);
            }
            let content = self.content(link, key).await?;
            Ok(content.map(|content| Stored {
                // A record in a wrong shard is found by its whole key only.
                name: if misplaced { key } else { name }.to_owned(),
                expires_at: Timestamp::from_second(end).ok().filter(|_| end >= 0),
                content: if misplaced {
                    Content::WrongType(format!(
                        "record in shard {shard:02}, where it is not looked for"
                    ))
                } else {
                    content
                },
            }))
        })
    }

    async fn content(&self, link: &Link, key: &str) -> Result<Option<Content>, StoreError> {
        let mut command = cmd("TYPE");
        let asking = link.readers.shared().send::<String>(command.arg(key));
        let kind = self.call(StoreCallLabel::Read, link, asking).await?;
        match kind.as_str() {
            "none" => return Ok(None),
            "string" => {}
            _ => return Ok(Some(Content::WrongType(kind))),
        }
        let mut command = cmd("GET");
        let reading = link
            .readers
            .shared()
            .send::<Option<Vec<u8>>>(command.arg(key));
        let text = self.call(StoreCallLabel::Read, link, reading).await?;
        Ok(text.map(|text| match String::from_utf8(text) {
            Ok(text) => Content::Text {
                revision: revision_in(&text),
                text,
            },
            Err(_) => Content::WrongType("string that is not UTF-8".into()),
        }))
    }

    /// Shard and key of what [`scan`](Inventory::scan) called `name`.
    fn lies_at(&self, name: &str) -> (usize, String) {
        if let Some((shard, _)) = self.keys.split(name) {
            return (shard, name.to_owned());
        }
        let shard = crate::store::record::shard_of(name);
        (shard, self.keys.in_shard(shard, name))
    }
}

impl Cursor {
    fn read(text: &str, masters: usize) -> Result<Self, StoreError> {
        let numbers = text.split(' ').map(|number| number.parse::<u64>().ok());
        let numbers: Option<Vec<u64>> = numbers.collect();
        match numbers.as_deref() {
            Some([master, count, within])
                if *count == masters as u64 && *master < masters as u64 =>
            {
                Ok(Self {
                    master: *master as usize,
                    masters,
                    within: *within,
                })
            }
            _ => Err(StoreError::Unavailable(
                "the Cluster's masters have changed during the scan; start it again".into(),
            )),
        }
    }

    fn next(self, within: u64) -> Option<Self> {
        let master = self.master + usize::from(within == 0);
        (master < self.masters).then_some(Self {
            master,
            within,
            ..self
        })
    }

    fn text(self) -> String {
        format!("{} {} {}", self.master, self.masters, self.within)
    }
}

/// The masters in a fixed order; one `None` stands for the server that there is.
async fn masters(shared: &Shared, link: &Link) -> Result<Vec<Option<Host>>, StoreError> {
    let Connection::Cluster(_) = link.readers.shared() else {
        return Ok(vec![None]);
    };
    let mut command = cmd("CLUSTER");
    command.arg("NODES");
    let asking = to_master::<String>(link.readers.shared(), None, command);
    let nodes = shared.call(StoreCallLabel::Read, link, asking).await?;
    let mut masters: Vec<Host> = nodes.lines().filter_map(master_in).collect();
    masters.sort_by_key(Host::to_string);
    Ok(masters.into_iter().map(Some).collect())
}

/// `<id> <host>:<port>@<bus port>[,<name>] <flags> ... <slots>`: the address of a master with slots.
fn master_in(line: &str) -> Option<Host> {
    let mut words = line.split(' ');
    let address = words.nth(1)?;
    let flags = words.next()?;
    let is_master = flags.split(',').any(|flag| flag == "master");
    let is_down = flags
        .split(',')
        .any(|flag| flag == "fail" || flag == "noaddr");
    let has_slots = words.nth(5).is_some();
    let (name, port) = address.split('@').next()?.rsplit_once(':')?;
    let host = || {
        Some(Host {
            name: name.to_owned(),
            port: port.parse().ok()?,
        })
    };
    (is_master && !is_down && has_slots).then(host).flatten()
}

async fn to_master<T: FromRedisValue>(
    connection: &Connection,
    master: Option<&Host>,
    command: Cmd,
) -> RedisResult<T> {
    let Connection::Cluster(cluster) = connection else {
        return connection.send(&command).await;
    };
    let node = match master {
        None => SingleNodeRoutingInfo::RandomPrimary,
        Some(Host { name, port }) => SingleNodeRoutingInfo::ByAddress {
            host: name.clone(),
            port: *port,
        },
    };
    let mut cluster = cluster.clone();
    let reply = cluster.route_command(command, RoutingInfo::SingleNode(node));
    T::from_redis_value(reply.await?).map_err(RedisError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_visits_every_master_once() {
        let mut cursor = Cursor::read("0 2 0", 2).unwrap();
        let mut visited = Vec::new();
        for within in [7, 0, 9, 0] {
            visited.push(cursor.master);
            let Some(next) = cursor.next(within) else {
                break;
            };
            cursor = Cursor::read(&next.text(), 2).unwrap();
        }
        assert_eq!(visited, [0, 0, 1, 1]);
        for text in ["", "0 3 0", "2 2 0", "x 2 0", "0 2"] {
            assert!(Cursor::read(text, 2).is_err(), "{text}");
        }
    }

    #[test]
    fn masters_are_told_from_what_is_none() {
        let line = |flags: &str, slots: &str| {
            format!("07c3 127.0.0.1:30004@31004,name {flags} - 0 1426238317239 4 connected{slots}")
        };
        let master = master_in(&line("myself,master", " 0-5460")).unwrap();
        assert_eq!(master.to_string(), "127.0.0.1:30004");
        for (flags, slots) in [("slave", " 0-1"), ("master", ""), ("master,fail", " 0-1")] {
            assert_eq!(master_in(&line(flags, slots)), None, "{flags}");
        }
    }
}
