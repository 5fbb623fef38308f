//! A Redis Cluster of three masters with a replica each.

use futures_util::future::join_all;

use crate::support::redis::RedisServer;
use crate::support::redis::options::{RedisOptions, Role};
use crate::support::redis::wait::{check, until};

/// Milliseconds of silence after which a node counts as failed.
const NODE_TIMEOUT: u16 = 1000;

/// The nodes.
pub struct Cluster {
    nodes: Vec<RedisServer>,
}

/// A line of CLUSTER NODES.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    port: u16,
    is_master: bool,
    is_healthy: bool,
    slots: Vec<(u16, u16)>,
}

impl Cluster {
    /// Starts six nodes, joins them, and waits until every replica has its copy.
    pub async fn start() -> Self {
        let cluster = Self {
            nodes: join_all((0..6).map(|_| start_node())).await,
        };
        cluster.join().await;
        cluster.wait_settled().await;
        cluster
    }

    /// `redis+cluster://127.0.0.1:p1,...`, all six nodes.
    pub fn url(&self) -> String {
        format!("redis+cluster://{}", self.addresses().join(","))
    }

    /// The node on this port.
    pub fn node(&self, port: u16) -> &RedisServer {
        let mut nodes = self.nodes.iter();
        nodes.find(|node| node.port() == port).unwrap()
    }

    /// The master that holds the key's slot, once all running nodes name the same one.
    pub async fn master_of(&self, key: &str) -> &RedisServer {
        let port = until(|| self.logs(), async || self.named_master(key).await).await;
        self.node(port)
    }

    /// SIGKILL for the master that holds the key's slot; returns its port.
    pub async fn kill_master_of(&self, key: &str) -> u16 {
        let master = self.master_of(key).await;
        master.kill();
        master.port()
    }

    /// SIGSTOP for the master that holds the key's slot; returns its port.
    pub async fn pause_master_of(&self, key: &str) -> u16 {
        let master = self.master_of(key).await;
        master.pause();
        master.port()
    }

    /// Waits until another node than `old` holds the key's slot, and all running nodes say so and
    /// that all slots are served. Returns that node.
    pub async fn wait_for_promotion(&self, key: &str, old: u16) -> &RedisServer {
        let promoted = async || {
            let port = self.named_master(key).await?;
            check(port != old, || format!("{old} still holds {key}"))?;
            self.is_settled().await?;
            Ok(port)
        };
        self.node(until(|| self.logs(), promoted).await)
    }

    /// Waits until all running nodes say that all slots are served, and all replicas among them
    /// have a copy: after a node came back.
    pub async fn wait_settled(&self) {
        until(|| self.logs(), async || self.is_settled().await).await;
    }

    async fn join(&self) {
        let addresses = self.addresses();
        let mut command = vec!["--cluster", "create"];
        command.extend(addresses.iter().map(String::as_str));
        command.extend(["--cluster-replicas", "1", "--cluster-yes"]);
        self.nodes[0].cli(&command).await;
    }

    fn addresses(&self) -> Vec<String> {
        let address = |node: &RedisServer| format!("127.0.0.1:{}", node.port());
        self.nodes.iter().map(address).collect()
    }

    fn running(&self) -> impl Iterator<Item = &RedisServer> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    async fn named_master(&self, key: &str) -> Result<u16, String> {
        let node = self.running().next().ok_or("no node runs")?;
        let slot = node.try_cli(&["CLUSTER", "KEYSLOT", key]).await?;
        let slot = slot.parse().map_err(|_| slot)?;
        let view = self.common_view().await?;
        let master = view.iter().find(|line| line.holds(slot));
        Ok(master.ok_or(format!("nobody holds {key}"))?.port)
    }

    /// What all running nodes say of each other; an error while they differ.
    async fn common_view(&self) -> Result<Vec<Line>, String> {
        let mut common = None;
        for node in self.running() {
            let view = view_of(node).await?;
            let is_common = common.as_ref().is_none_or(|common| *common == view);
            check(is_common, || format!("{common:?} but {view:?}"))?;
            common = Some(view);
        }
        common.ok_or("no node runs".to_owned())
    }

    async fn is_settled(&self) -> Result<(), String> {
        for node in self.running() {
            let state: String = node.fact(&["CLUSTER", "INFO"], "cluster_state").await?;
            check(state == "ok", || format!("{}: {state}", node.port()))?;
            has_copy(node).await?;
        }
        let view = self.common_view().await?;
        let right = |line: &Line| line.is_healthy == self.node(line.port).is_running();
        let right = view.len() == self.nodes.len() && view.iter().all(right);
        check(right, || format!("they think: {view:?}"))
    }

    fn logs(&self) -> String {
        let tails = self.nodes.iter().map(RedisServer::log_tail);
        tails.collect::<Vec<_>>().join("\n")
    }
}

impl Line {
    fn holds(&self, slot: u16) -> bool {
        let mut slots = self.slots.iter();
        self.is_master && slots.any(|(first, last)| (*first..=*last).contains(&slot))
    }
}

async fn start_node() -> RedisServer {
    RedisOptions::default()
        .role(Role::ClusterNode)
        .durable()
        .setting(&format!("cluster-node-timeout {NODE_TIMEOUT}"))
        .start()
        .await
}

async fn has_copy(node: &RedisServer) -> Result<(), String> {
    let command = ["INFO", "replication"];
    let role: String = node.fact(&command, "role").await?;
    if role == "slave" {
        let link: String = node.fact(&command, "master_link_status").await?;
        check(link == "up", || {
            format!("{}: its link is {link}", node.port())
        })?;
    }
    Ok(())
}

/// What a node says of all nodes, itself included, by port.
async fn view_of(node: &RedisServer) -> Result<Vec<Line>, String> {
    let text = node.try_cli(&["CLUSTER", "NODES"]).await?;
    let lines = text.lines().map(|line| parse(line).ok_or(line.to_owned()));
    let mut lines = lines.collect::<Result<Vec<_>, _>>()?;
    lines.sort_unstable();
    Ok(lines)
}

/// `<id> <ip:port@bus> <flags> <master> <ping> <pong> <epoch> <link> <slot> <slot-slot>...`
fn parse(line: &str) -> Option<Line> {
    let fields: Vec<&str> = line.split(' ').collect();
    let (address, _bus) = fields.get(1)?.split_once('@')?;
    let flags: Vec<&str> = fields.get(2)?.split(',').collect();
    let slots = fields.iter().skip(8).map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some((first.parse().ok()?, last.parse().ok()?))
    });
    Some(Line {
        port: address.rsplit_once(':')?.1.parse().ok()?,
        is_master: flags.contains(&"master"),
        is_healthy: !flags.iter().any(|flag| flag.starts_with("fail")),
        slots: slots.collect::<Option<_>>()?,
    })
}
