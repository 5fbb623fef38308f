//! Clients that exchange identity tokens: one thread, raw HTTP over many connections, each with one
//! request under way.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::stdin;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::ensure;
use clap::Args;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use crate::http::{self, Reply};
use crate::turn::{Latencies, Mark, Turn};

/// Whom to load.
#[derive(Args)]
pub struct Arguments {
    address: SocketAddr,
    /// The server's process.
    server: u32,
}

/// One turn, a line on standard input: every token is exchanged once.
#[derive(Serialize, Deserialize)]
pub struct Job {
    /// Whose provider signed them.
    pub organization: String,
    /// The tokens, one a line.
    pub tokens: PathBuf,
    /// Over how many connections.
    pub connections: usize,
}

/// A turn that is under way.
struct Exchanges {
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    next: Cell<usize>,
    latencies: RefCell<Latencies>,
}

/// Does the jobs on standard input until it ends.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    for line in stdin().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        let turn = runtime.block_on(exchange_all(&job, arguments))?;
        println!("{}", serde_json::to_string(&turn)?);
    }
    Ok(())
}

async fn exchange_all(job: &Job, arguments: &Arguments) -> anyhow::Result<Turn> {
    let tokens = fs::read_to_string(&job.tokens)?;
    let request = |token| {
        let body = json!({"organization_id": job.organization, "token": token});
        http::request("POST", "/v2/tokens/exchange", &body.to_string())
    };
    let requests: Vec<_> = tokens.lines().map(request).collect();
    let count = requests.len();
    let exchanges = Exchanges {
        address: arguments.address,
        requests,
        next: Cell::new(0),
        latencies: RefCell::new(Latencies::with_room_for(count)),
    };
    let mark = || Mark::now(arguments.server, std::process::id());
    let first = mark()?;
    try_join_all((0..job.connections).map(|_| exchanges.one_after_another())).await?;
    let last = mark()?;
    let latencies = exchanges.latencies.into_inner();
    Ok(Turn::between(&first, &last, latencies, count as u64))
}

impl Exchanges {
    async fn one_after_another(&self) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut read = Vec::with_capacity(4096);
        while let Some(request) = self.requests.get(self.next.replace(self.next.get() + 1)) {
            let began = Instant::now();
            stream.write_all(request).await?;
            read.clear();
            let reply = loop {
                let more = stream.read_buf(&mut read).await?;
                ensure!(more > 0, "the server closed the connection");
                if let Some(reply) = Reply::in_bytes(&read) {
                    break reply;
                }
            };
            let minted = reply.status == 200 && reply.body.contains("\"mqtt_password\"");
            ensure!(minted, "{}: {}", reply.status, reply.body);
            self.latencies.borrow_mut().push(began.elapsed());
        }
        Ok(())
    }
}
