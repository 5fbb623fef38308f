//! A Redis of our own, with nothing on disk.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use redis::{Client, Cmd, Connection, FromRedisValue, cmd};
use socket2::{Domain, Socket, Type};

use crate::process::Killed;

/// The longest that a server may take to answer its first PING.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server. It ends when this is dropped, or when this process dies.
pub struct RedisServer {
    process: Killed,
    address: SocketAddr,
}

impl RedisServer {
    /// Starts one on a free port of the loopback interface.
    pub fn start(core: Option<usize>) -> anyhow::Result<Self> {
        // Bound without listening, the port is given to nobody else; Redis asks for this very one.
        let reservation = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        reservation.set_reuse_address(true)?;
        reservation.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        let address = reservation.local_addr()?.as_socket();
        let address = address.context("a TCP socket has an address")?;
        let process = Killed::start(core, OsStr::new("redis-server"), |command| {
            let port = address.port().to_string();
            command.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
            command.args(["--appendonly", "no", "--logfile", "/dev/stderr"])
        })?;
        let mut server = Self { process, address };
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// Sends one command.
    pub fn ask<T: FromRedisValue>(&self, command: &Cmd) -> anyhow::Result<T> {
        Ok(command.query(&mut self.connect()?)?)
    }

    /// The bytes that it has allocated.
    pub fn used_memory(&self) -> anyhow::Result<u64> {
        let mut command = cmd("INFO");
        let text: String = self.ask(command.arg("memory"))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        Ok(line.context("INFO memory lacks used_memory")?.parse()?)
    }

    fn connect(&self) -> anyhow::Result<Connection> {
        Ok(Client::open(self.url())?.get_connection()?)
    }

    fn wait_until_it_answers(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while let Err(error) = self.ask::<String>(&cmd("PING")) {
            if began.elapsed() > PATIENCE || !self.process.is_running() {
                bail!("redis-server: {error}\n{}", self.process.said());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// The URL of a server at an address.
pub fn url(address: SocketAddr) -> String {
    format!("redis://{address}")
}
