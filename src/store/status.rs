//! What a store tells its operator of itself.

use jiff::Timestamp;

/// Where a record lies, for an operator who looks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What the store itself calls it.
    pub name: String,
    /// When the store will drop it by itself.
    pub expires_at: Option<Timestamp>,
    /// The part of the store that it lies in, where there are several.
    pub shard: Option<usize>,
    /// Up to where this node has read that part's change log.
    pub log_position: Option<String>,
}

/// How a store is doing, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `embedded`, `redis`, `sentinel` or `cluster`.
    pub kind: &'static str,
    /// The part that follows other nodes; `None`: there are none.
    pub shared: Option<SharedStatus>,
}

/// How this node follows the changes that others make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedStatus {
    /// What this node is called in the registry of nodes.
    pub node: String,
    /// The server that it talks to; `None`: there is no connection.
    pub server: Option<String>,
    /// Why there is none, or why it does not do.
    pub problem: Option<String>,
    /// How long the cache may serve after the log was read.
    pub lease_milliseconds: u64,
    /// The nodes seen in the registry, this one included.
    pub nodes: usize,
    /// Every shard, in order.
    pub shards: Vec<ShardStatus>,
}

/// How far this node has read one shard's change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardStatus {
    /// Up to where; `None`: not at all yet.
    pub position: Option<String>,
    /// How long ago the log was read last, in milliseconds; `None`: never.
    pub read_milliseconds_ago: Option<u64>,
    /// Whether the cache may serve.
    pub fresh: bool,
}
