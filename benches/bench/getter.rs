//! Plain reads from Redis: what a miss costs at least. The same client library as the server's,
//! one connection, many reads on it at a time.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::stdin;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::ensure;
use clap::Args;
use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, cmd};
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;

use crate::place::TIMEOUT;
use crate::turn::{Latencies, Mark, Turn};

/// Whom to ask for what.
#[derive(Args)]
pub struct Arguments {
    /// Where Redis is.
    url: String,
    /// Its process.
    redis: u32,
    /// The keys, one a line.
    keys: PathBuf,
}

/// One turn, a line on standard input: every key is read once.
#[derive(Serialize, Deserialize)]
pub struct Job {
    /// How many reads are under way at a time.
    pub concurrent: usize,
}

/// A turn that is under way.
struct Reads<'a> {
    keys: &'a [String],
    next: Cell<usize>,
    latencies: RefCell<Latencies>,
}

/// Does the jobs on standard input until it ends.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let text = fs::read_to_string(&arguments.keys)?;
    let keys: Vec<String> = text.lines().map(str::to_owned).collect();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let connection = runtime.block_on(connect(&arguments.url))?;
    for line in stdin().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        let turn = read_all(&job, &connection, &keys, arguments.redis);
        println!("{}", serde_json::to_string(&runtime.block_on(turn)?)?);
    }
    Ok(())
}

/// As the server connects.
async fn connect(url: &str) -> anyhow::Result<MultiplexedConnection> {
    let info = url.into_connection_info()?;
    let login = info.redis_settings().clone();
    let login = login.set_protocol(ProtocolVersion::RESP3);
    let client = Client::open(info.set_redis_settings(login))?;
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(TIMEOUT));
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    Ok(connecting.await?)
}

async fn read_all(
    job: &Job,
    connection: &MultiplexedConnection,
    keys: &[String],
    redis: u32,
) -> anyhow::Result<Turn> {
    let reads = Reads {
        keys,
        next: Cell::new(0),
        latencies: RefCell::new(Latencies::with_room_for(keys.len())),
    };
    let first = Mark::now(std::process::id(), redis)?;
    try_join_all((0..job.concurrent).map(|_| reads.one_after_another(connection.clone()))).await?;
    let last = Mark::now(std::process::id(), redis)?;
    let latencies = reads.latencies.into_inner();
    Ok(Turn::between(&first, &last, latencies, keys.len() as u64))
}

impl Reads<'_> {
    async fn one_after_another(&self, mut connection: MultiplexedConnection) -> anyhow::Result<()> {
        while let Some(key) = self.keys.get(self.next.replace(self.next.get() + 1)) {
            let began = Instant::now();
            let text: Option<String> = cmd("GET").arg(key).query_async(&mut connection).await?;
            let found = text.is_some_and(|text| text.starts_with('{'));
            ensure!(found, "{key} is not there");
            self.latencies.borrow_mut().push(began.elapsed());
        }
        Ok(())
    }
}
