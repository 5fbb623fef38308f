//! A master with two replicas, and three sentinels that watch over them.

use std::collections::HashMap;

use futures_util::future::join_all;

use crate::support::redis::RedisServer;
use crate::support::redis::options::{RedisOptions, Role};
use crate::support::redis::wait::{check, until};

/// What the sentinels call the master.
pub const MASTER_NAME: &str = "mymaster";

/// Milliseconds of silence after which a sentinel takes a server for dead.
const DOWN_AFTER: u16 = 500;

/// How often the sentinels ask and tell, in milliseconds: more often than by themselves, so that
/// they meet, and find a server that came back, in no time.
///
/// PING must be rarer than five times per second of INFO, or no replica counts as known well enough
/// to be promoted, and more frequent than DOWN_AFTER, or a dead master looks alive at each new
/// attempt to connect.
const PERIODS: [[&str; 2]; 4] = [
    ["PUBLISH-PERIOD", "100"],
    ["INFO-PERIOD", "100"],
    ["PING-PERIOD", "300"],
    ["ASK-PERIOD", "100"],
];

/// The servers and the sentinels; a quorum is two.
pub struct Sentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl Sentinels {
    /// Starts them, and waits until the sentinels know each other and both replicas.
    pub async fn start() -> Self {
        let master = RedisOptions::default().durable().start().await;
        let replica = || RedisOptions::default().durable().replica_of(&master);
        let replicas = join_all([replica().start(), replica().start()]).await;
        let port = master.port();
        let mut all = Self {
            servers: std::iter::once(master).chain(replicas).collect(),
            sentinels: Vec::new(),
        };
        // A sentinel asks the master for its replicas at once, and then not for ten seconds.
        until(|| all.logs(), async || all.follows(port).await).await;
        all.sentinels = join_all((0..3).map(|_| start_sentinel(port))).await;
        until(|| all.logs(), async || all.agree(port).await).await;
        all
    }

    /// `redis+sentinel://127.0.0.1:p1,127.0.0.1:p2,127.0.0.1:p3/mymaster`
    pub fn url(&self) -> String {
        let address = |sentinel: &RedisServer| format!("127.0.0.1:{}", sentinel.port());
        let addresses: Vec<String> = self.sentinels.iter().map(address).collect();
        format!("redis+sentinel://{}/{MASTER_NAME}", addresses.join(","))
    }

    /// One of the three sentinels.
    pub fn sentinel(&self, index: usize) -> &RedisServer {
        &self.sentinels[index]
    }

    /// The master and its replicas.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The server on this port.
    pub fn server(&self, port: u16) -> &RedisServer {
        let mut servers = self.servers.iter();
        servers.find(|server| server.port() == port).unwrap()
    }

    /// The master, once all running sentinels name the same one.
    pub async fn master(&self) -> &RedisServer {
        let port = until(|| self.logs(), async || self.named_master().await).await;
        self.server(port)
    }

    /// SIGKILL for the master; returns its port.
    pub async fn kill_master(&self) -> u16 {
        let master = self.master().await;
        master.kill();
        master.port()
    }

    /// SIGSTOP for the master; returns its port.
    pub async fn pause_master(&self) -> u16 {
        let master = self.master().await;
        master.pause();
        master.port()
    }

    /// Waits until another server than `old` is the master, as all running sentinels say and all
    /// other running servers live by. Returns the new one.
    pub async fn wait_for_failover(&self, old: u16) -> &RedisServer {
        let moved = async || {
            let port = self.named_master().await?;
            check(port != old, || format!("{old} is still the master"))?;
            self.agree(port).await?;
            Ok(port)
        };
        self.server(until(|| self.logs(), moved).await)
    }

    /// Waits until every running server is the master that all running sentinels name, or follows
    /// it: after a server came back.
    pub async fn wait_settled(&self) {
        let settled = async || self.agree(self.named_master().await?).await;
        until(|| self.logs(), settled).await;
    }

    async fn named_master(&self) -> Result<u16, String> {
        let mut named = None;
        for sentinel in running(&self.sentinels) {
            let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME];
            let address = sentinel.try_cli(&command).await?;
            let port = address.lines().nth(1).and_then(|port| port.parse().ok());
            let same = port.is_some() && named.is_none_or(|other| other == port);
            check(same, || format!("sentinels name {named:?} and {address}"))?;
            named = Some(port);
        }
        named.flatten().ok_or("no sentinel runs".to_owned())
    }

    async fn agree(&self, master: u16) -> Result<(), String> {
        for sentinel in running(&self.sentinels) {
            self.knows_everybody(sentinel, master).await?;
        }
        self.follows(master).await
    }

    async fn knows_everybody(&self, sentinel: &RedisServer, master: u16) -> Result<(), String> {
        let command = ["SENTINEL", "MASTER", MASTER_NAME];
        let master = master.to_string();
        let facts = pairs(&sentinel.try_cli(&command).await?);
        for (name, expected) in [
            ("port", master.as_str()),
            ("flags", "master"),
            ("num-slaves", "2"),
            ("num-other-sentinels", "2"),
        ] {
            let value = facts.get(name).map(String::as_str);
            check(value == Some(expected), || {
                format!("sentinel {}: {name} is {value:?}", sentinel.port())
            })?;
        }
        Ok(())
    }

    /// Whether `master` is one, and every other running server has a copy of it and listens.
    async fn follows(&self, master: u16) -> Result<(), String> {
        for server in running(&self.servers) {
            let expected = if server.port() == master {
                vec![("role", "master".to_owned())]
            } else {
                vec![
                    ("role", "slave".to_owned()),
                    ("master_port", master.to_string()),
                    ("master_link_status", "up".to_owned()),
                ]
            };
            for (name, expected) in expected {
                let value: String = server.fact(&["INFO", "replication"], name).await?;
                check(value == expected, || {
                    format!("server {}: {name} is {value}", server.port())
                })?;
            }
        }
        Ok(())
    }

    fn logs(&self) -> String {
        let all = self.servers.iter().chain(&self.sentinels);
        all.map(|server| server.log_tail() + "\n").collect()
    }
}

async fn start_sentinel(master: u16) -> RedisServer {
    let sentinel = RedisOptions::default()
        .role(Role::Sentinel)
        .setting(&format!(
            "sentinel monitor {MASTER_NAME} 127.0.0.1 {master} 2"
        ))
        .setting(&format!(
            "sentinel down-after-milliseconds {MASTER_NAME} {DOWN_AFTER}"
        ))
        .setting(&format!("sentinel failover-timeout {MASTER_NAME} 2000"))
        .start()
        .await;
    for period in PERIODS {
        sentinel
            .cli(&[&["SENTINEL", "DEBUG"], &period[..]].concat())
            .await;
    }
    sentinel
}

fn running(servers: &[RedisServer]) -> impl Iterator<Item = &RedisServer> {
    servers.iter().filter(|server| server.is_running())
}

/// Lines that are name and value in turn.
fn pairs(text: &str) -> HashMap<String, String> {
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.chunks_exact(2);
    pairs
        .map(|pair| (pair[0].to_owned(), pair[1].to_owned()))
        .collect()
}
