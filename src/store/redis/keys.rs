//! Every key that this program uses in Redis. `docs/runbook.md` has the same table, and a test
//! holds the two together.
//!
//! `tg` is the prefix (`store.prefix`), `NN` the shard: 00 to 63, CRC-32 of the record's name. The
//! shard stands in braces, so that all keys of one shard lie in one slot of a Redis Cluster and one
//! script can change them together.
//!
//! | key | type | expires | written by | holds |
//! |---|---|---|---|---|
//! | `tg:{sNN}:org:<id>` | string | no | put | an organization |
//! | `tg:{sNN}:alias:<uuid>` | string | no | put | the organization behind a UUID |
//! | `tg:{sNN}:policy:<org>` | string | no | put | topic rules |
//! | `tg:{sNN}:holder:<username>` | string | with its last credential; never for users made by hand | put | whom a username names, and its credentials |
//! | `tg:{sNN}:token:<uuid>` | string | with the token | put | whose token it is |
//! | `tg:{sNN}:key:<id>` | string | no | put | an API key |
//! | `tg:{sNN}:origin:<origin>` | string | no | put | that some organization allows a web origin |
//! | `tg:{sNN}:legacy:keys` | string | no | put | the API keys that were imported from another system, by hash |
//! | `tg:{sNN}:used:<id>` | string | 400 days after | put | when an API key was used last |
//! | `tg:{sNN}:tokens:<org>` | sorted set | with its last token | put | the organization's tokens in this shard, by their ends |
//! | `tg:{sNN}:keys:<org>` | sorted set | no | put | the organization's API keys in this shard, by when they were made |
//! | `tg:{sNN}:users:<org>` | sorted set | no | put | the organization's users in this shard that were made by hand |
//! | `tg:{sNN}:audit:<trail>:<org>` | sorted set | `audit.keep_days` after its last entry | put, audit | entries of the audit log, by id; `-` in place of an organization that is not known |
//! | `tg:{sNN}:log` | stream | no; about 1,000 entries are kept | put, confirm | the change log |
//! | `tg:{sNN}:nodes` | hash | no; silent nodes are removed | every node's log reader | node -> position, lease, beat |
//! | `tg:{s00}:limits` | hash | with its last node | every node, once a second | node -> when, and what it has used of which limits |
//! | `tg:{sNN}:aside:<name>` | any | no | `store check --fix` | what could not be read, moved out of the way |
//! | `tg:changes` | channel | - | put, confirm | the number of a shard whose log has grown; `~` behind it: nobody waits for its readers |

use crate::names::organization_id::OrganizationId;
use crate::store::audit::AuditLog;
use crate::store::list::ListKind;
use crate::store::record::{RecordKey, SHARDS};

/// How many entries a log keeps, about. A node that falls behind further drops its whole cache.
pub const LOG_LENGTH: usize = 1_000;

/// Names of keys under one prefix.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Under a prefix such as `tg`.
    pub fn with_prefix(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// Where a record lies.
    pub fn record(&self, key: &RecordKey) -> String {
        self.in_shard(key.shard(), &key.to_string())
    }

    /// A shard's change log.
    pub fn log(&self, shard: usize) -> String {
        self.in_shard(shard, "log")
    }

    /// The registry of nodes that read a shard's log.
    pub fn nodes(&self, shard: usize) -> String {
        self.in_shard(shard, "nodes")
    }

    /// A list of an organization in a shard.
    pub fn list(&self, shard: usize, kind: ListKind, organization: &OrganizationId) -> String {
        self.in_shard(shard, &format!("{}:{organization}", kind.as_str()))
    }

    /// What nodes tell each other of the limits. All of it is one small hash, whatever its shard.
    pub fn limits(&self) -> String {
        self.in_shard(0, "limits")
    }

    /// An organization's part of the audit log in a shard.
    pub fn audit(&self, shard: usize, log: &AuditLog) -> String {
        self.in_shard(shard, &format!("audit:{}", log.name()))
    }

    /// Where something is moved that cannot be read.
    pub fn aside(&self, shard: usize, name: &str) -> String {
        self.in_shard(shard, &format!("aside:{name}"))
    }

    /// The channel that tells which logs have grown.
    pub fn changes(&self) -> String {
        format!("{}:changes", self.prefix)
    }

    /// A name within a shard.
    pub fn in_shard(&self, shard: usize, name: &str) -> String {
        format!("{}:{{s{shard:02}}}:{name}", self.prefix)
    }

    /// The pattern of every key, for `SCAN`.
    pub fn pattern(&self) -> String {
        format!("{}:{{s*", self.prefix)
    }

    /// Shard and name of a key; `None`: it is not one of ours.
    pub fn split<'a>(&self, key: &'a str) -> Option<(usize, &'a str)> {
        let rest = key.strip_prefix(&self.prefix)?.strip_prefix(":{s")?;
        let (shard, name) = rest.split_once("}:")?;
        let number = shard.parse().ok().filter(|number| *number < SHARDS)?;
        (shard.len() == 2).then_some((number, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_where_it_is_from() {
        let keys = Keys::with_prefix("tg");
        let key: RecordKey = "org:org_k7xm4pqr2n5t".parse().unwrap();
        let name = keys.record(&key);
        assert_eq!(
            keys.split(&name),
            Some((key.shard(), "org:org_k7xm4pqr2n5t"))
        );
        assert_eq!(keys.log(7), "tg:{s07}:log");
        for other in [
            "",
            "tg:{s64}:log",
            "tg:{s7}:log",
            "xx:{s07}:log",
            "tg:changes",
        ] {
            assert_eq!(keys.split(other), None, "{other}");
        }
    }
}
