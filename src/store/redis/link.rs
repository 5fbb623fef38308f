//! The connections of one process to the servers. They are made together and given up together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use redis::{RedisError, RedisResult};
use tokio::sync::{Mutex, Notify};

use crate::metrics::StoreCallLabel;
use crate::store::redis::Shared;
use crate::store::redis::address::{Host, Servers};
use crate::store::redis::connection::{Connection, Connector, Hints, in_words};
use crate::store::redis::readers::{Door, Readers};
use crate::store::redis::sentinel::Sentinels;

/// How many reads in a row may stay without an answer before the link counts as broken. Of other
/// calls one is enough: they are few, and each has somebody who waits for what it does.
const SILENT_READS: u32 = 3;

/// Connections to the same servers, each for work that must not hold up the others'.
pub struct Link {
    /// The server, or the Cluster by one of its nodes.
    pub server: String,
    /// Read records.
    pub readers: Arc<Readers>,
    /// Writes records and reads the logs.
    pub write: Connection,
    /// Waits for replicas, and would hold up everything else meanwhile.
    pub confirm: Connection,
    /// Held by whoever waits for replicas: until the server has answered, it does not even look at
    /// what comes next on that connection.
    pub turn: Mutex<()>,
    silent_reads: AtomicU32,
    broken: Notify,
}

/// A link, and what a node beyond that listens to.
pub struct Attached {
    /// The connections.
    pub link: Arc<Link>,
    /// Is told of changes.
    pub listener: Connection,
    /// What it was told.
    pub hints: Arc<Hints>,
    /// Who says that the server is the master, and which server that was.
    pub sentinels: Option<(Sentinels, Host)>,
}

impl Link {
    /// A call was answered.
    pub fn answered(&self, call: StoreCallLabel) {
        // Most of the time it is zero already, and a store would take the line from other cores.
        if call == StoreCallLabel::Read && self.silent_reads.load(Ordering::Relaxed) != 0 {
            self.silent_reads.store(0, Ordering::Relaxed);
        }
    }

    /// A call ended in an error: the connection's, or just the server's opinion of the call.
    pub fn failed(&self, call: StoreCallLabel, error: &RedisError) {
        if error.is_timeout() {
            self.was_silent(call);
        } else if error.is_io_error() {
            self.broken.notify_one();
        }
    }

    /// A call was not answered in time.
    pub fn was_silent(&self, call: StoreCallLabel) {
        let is_read = call == StoreCallLabel::Read;
        if !is_read || self.silent_reads.fetch_add(1, Ordering::Relaxed) + 1 >= SILENT_READS {
            self.broken.notify_one();
        }
    }

    /// Whether the servers answer on the connections that may have nothing to do for long.
    pub async fn ping(&self) -> RedisResult<()> {
        let confirm = async {
            // One that is in use is watched by whoever uses it.
            match self.turn.try_lock() {
                Ok(_turn) => self.confirm.ping().await,
                Err(_) => Ok(()),
            }
        };
        tokio::try_join!(self.readers.ping(), confirm).map(drop)
    }

    /// Waits until it has to be given up.
    pub async fn broken(&self) {
        self.broken.notified().await;
    }
}

/// Finds the servers and connects to them.
///
/// # Errors
/// What is wrong, in words.
pub async fn attach(shared: &Shared) -> Result<Attached, String> {
    let settings = &shared.settings;
    let address = &settings.address;
    let connector = Connector::new(address, settings.authorities.clone(), settings.timeout);
    match &address.servers {
        Servers::One { host, database } => {
            to_one(shared, &connector, host.clone(), *database, None).await
        }
        Servers::Sentinel {
            sentinels,
            master,
            database,
        } => {
            let (user, password) = settings.sentinel_login.clone();
            let sentinels = Sentinels::new(connector.with_login(user, password), sentinels, master);
            let host = sentinels.master().await?;
            to_one(shared, &connector, host, *database, Some(sentinels)).await
        }
        Servers::Cluster(nodes) => to_cluster(shared, &connector, nodes).await,
    }
}

async fn to_one(
    shared: &Shared,
    connector: &Connector,
    host: Host,
    database: i64,
    sentinels: Option<Sentinels>,
) -> Result<Attached, String> {
    let hints = Arc::default();
    let channel = shared.keys.changes();
    let connecting = async {
        let one = || connector.one(&host, database);
        let listener = connector.listener(&host, &channel, &hints);
        RedisResult::Ok(tokio::try_join!(one(), one(), one(), listener)?)
    };
    let connected = connecting.await;
    let problem = |error| format!("Redis at {host}: {}", in_words(&error));
    let (read, write, confirm, listener) = connected.map_err(problem)?;
    let run_ids = tokio::try_join!(read.run_id(), write.run_id(), confirm.run_id());
    let (run_id, others) = run_ids
        .map(|(first, second, third)| (first, [second, third]))
        .map_err(problem)?;
    if others.iter().any(|other| *other != run_id) {
        return Err(format!("{host} leads to several servers"));
    }
    let door = Door {
        connector: connector.clone(),
        host: host.clone(),
        database,
        run_id,
    };
    // A visitor reads from one thread.
    let readers = Readers::new(read, shared.freshness.is_some().then_some(door));
    Ok(Attached {
        link: Arc::new(Link::new(host.to_string(), readers, write, confirm)),
        listener,
        hints,
        sentinels: sentinels.map(|sentinels| (sentinels, host)),
    })
}

async fn to_cluster(
    shared: &Shared,
    connector: &Connector,
    nodes: &[Host],
) -> Result<Attached, String> {
    let hints = Arc::default();
    let channel = shared.keys.changes();
    let connecting = async {
        let cluster = || connector.cluster(nodes);
        RedisResult::Ok(tokio::try_join!(cluster(), cluster())?)
    };
    let connected = connecting.await;
    let (write, confirm) =
        connected.map_err(|error| format!("the Redis Cluster: {}", in_words(&error)))?;
    // Each client of a Cluster has its own idea of who the masters are, and the idea that reads the
    // logs is the one that is proven right.
    let readers = Readers::new(write.clone(), None);
    let mut problem = String::new();
    // Every node tells of the changes on all of them.
    for node in nodes {
        match connector.listener(node, &channel, &hints).await {
            Ok(listener) => {
                return Ok(Attached {
                    link: Arc::new(Link::new(node.to_string(), readers, write, confirm)),
                    listener,
                    hints,
                    sentinels: None,
                });
            }
            Err(error) => problem = format!("Redis at {node}: {}", in_words(&error)),
        }
    }
    Err(problem)
}

impl Link {
    fn new(server: String, readers: Arc<Readers>, write: Connection, confirm: Connection) -> Self {
        Self {
            server,
            readers,
            write,
            confirm,
            turn: Mutex::new(()),
            silent_reads: AtomicU32::new(0),
            broken: Notify::new(),
        }
    }
}
