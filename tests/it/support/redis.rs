//! Real Redis servers: one, a set under Sentinel, a Cluster.
//!
//! Each is a process with a folder and a port of its own, and dies with the test process.
//! `TICKETGATE_TEST_REDIS` may name another program that speaks the same, such as valkey-server.

pub mod certificate;
pub mod cluster;
pub mod keeper;
pub mod options;
pub mod port;
pub mod sentinels;
pub mod wait;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::str::FromStr;

use tempfile::TempDir;

use crate::support::redis::keeper::Keeper;
use crate::support::redis::options::{Login, RedisOptions, Role};
use crate::support::redis::port::Port;
use crate::support::redis::wait::{check, until};

/// Seconds that `redis-cli` waits for a server, which may be paused.
const PATIENCE: &str = "10";
const HINT: &str = "`scripts/test` installs what is needed";

/// A server. It is killed when this is dropped.
pub struct RedisServer {
    // First, so that the server is gone before its port is free.
    keeper: Keeper,
    options: RedisOptions,
    port: Port,
    bus_port: Option<Port>,
    folder: TempDir,
}

impl RedisServer {
    /// Starts one without password, TLS or anything on disk.
    pub async fn start() -> Self {
        Self::start_with(RedisOptions::default()).await
    }

    async fn start_with(options: RedisOptions) -> Self {
        let folder = TempDir::new().unwrap();
        let program = std::env::var_os("TICKETGATE_TEST_REDIS");
        let program = program.unwrap_or_else(|| OsString::from("redis-server"));
        let config = folder.path().join("redis.conf");
        let mut command = vec![program.as_os_str(), config.as_os_str()];
        if options.is(Role::Sentinel) {
            command.push("--sentinel".as_ref());
        }
        let server = Self {
            keeper: Keeper::new(folder.path(), &command),
            port: Port::reserve(),
            bus_port: options.is(Role::ClusterNode).then(Port::reserve),
            options,
            folder,
        };
        server.write_files();
        server.keeper.start();
        server.wait_ready().await;
        server
    }

    fn write_files(&self) {
        let folder = self.folder.path();
        if self.options.has_tls() {
            certificate::write(folder);
        }
        let bus_port = self.bus_port.as_ref().map(Port::number);
        let text = self.options.text(folder, self.port(), bus_port);
        std::fs::write(folder.join("redis.conf"), text).unwrap();
    }

    /// Where it listens, with TLS or without.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `redis://` or `rediss://`, with the login that the test chose.
    pub fn url(&self) -> String {
        self.url_at(self.port())
    }

    /// The same at another port, where a proxy stands.
    pub fn url_at(&self, port: u16) -> String {
        let scheme = if self.options.has_tls() {
            "rediss"
        } else {
            "redis"
        };
        let login = match self.options.login() {
            Some(Login { user, password }) => {
                format!("{}:{password}@", user.as_deref().unwrap_or_default())
            }
            None => String::new(),
        };
        format!("{scheme}://{login}127.0.0.1:{port}")
    }

    /// The certificate of the authority that a client has to trust.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// SIGKILL. It is gone when this returns.
    pub fn kill(&self) {
        self.keeper.kill();
    }

    /// Starts it again on the same port and data, after a SIGKILL if it still runs.
    pub async fn restart(&self) {
        self.keeper.start();
        self.wait_ready().await;
    }

    /// SIGSTOP: connections stay open, and nothing is answered.
    pub fn pause(&self) {
        self.keeper.pause();
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.keeper.resume();
    }

    /// Whether it is neither killed nor paused.
    pub fn is_running(&self) -> bool {
        self.keeper.is_running()
    }

    /// Waits until it answers a PING.
    pub async fn wait_ready(&self) {
        until(
            || self.log_tail(),
            async || {
                assert!(
                    self.is_running(),
                    "the server ended; {HINT}. It said:\n{}",
                    self.log_tail()
                );
                let answer = self.try_cli(&["PING"]).await?;
                check(answer == "PONG", || format!("PING: {answer}"))
            },
        )
        .await;
    }

    /// Runs a command with `redis-cli`, as somebody who may do everything. It must succeed.
    pub async fn cli(&self, arguments: &[&str]) -> String {
        let answer = self.try_cli(arguments).await;
        answer.unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", self.log_tail()))
    }

    /// The same; `Err` is what Redis or `redis-cli` complained about.
    pub async fn try_cli(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.cli_command();
        command.args(arguments);
        // A paused server keeps this waiting, and the test's runtime has other things to do.
        let output = tokio::task::spawn_blocking(move || command.output());
        said(output.await.unwrap().expect(HINT))
    }

    /// Waits until this many replicas have all that was written here so far. (WAIT only knows of
    /// writes on its own connection, and each call of `cli` has one of its own.)
    pub async fn wait_for_copies(&self, replicas: usize) {
        let command = ["INFO", "replication"];
        let written = fact(&self.cli(&command).await, "master_repl_offset").unwrap();
        let copied = async || {
            let text = self.try_cli(&command).await?;
            let has_all = |line: &&str| offset_of_replica(line).is_some_and(|has| has >= written);
            check(text.lines().filter(has_all).count() >= replicas, || text)
        };
        until(|| self.log_tail(), copied).await;
    }

    /// `redis-cli`, about to connect to this server.
    fn cli_command(&self) -> Command {
        let mut command = Command::new("timeout");
        command.args([PATIENCE, "redis-cli", "-e", "-h", "127.0.0.1", "-p"]);
        command.arg(self.port().to_string());
        if self.options.has_tls() {
            command.arg("--tls").arg("--cacert").arg(self.ca_file());
        }
        command.env_remove("REDISCLI_AUTH");
        if let Some(login) = self.options.admin() {
            command.env("REDISCLI_AUTH", login.password);
            if let Some(user) = login.user {
                command.arg("--user").arg(user);
            }
        }
        command
    }

    /// A value of INFO replication or CLUSTER INFO.
    async fn fact<T: FromStr>(&self, command: &[&str], name: &str) -> Result<T, String> {
        fact(&self.try_cli(command).await?, name)
    }

    /// The end of what it logged.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(30)..].join("\n");
        format!("--- log of port {} ---\n{tail}", self.port())
    }
}

/// The value on the line `name:value`.
fn fact<T: FromStr>(text: &str, name: &str) -> Result<T, String> {
    let mut lines = text.lines().map(str::trim_end);
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.parse().ok());
    value.ok_or_else(|| format!("no {name}: {text}"))
}

/// From `slave0:ip=127.0.0.1,port=6379,state=online,offset=42,lag=0`.
fn offset_of_replica(line: &str) -> Option<u64> {
    let (_, rest) = line.strip_prefix("slave")?.split_once(",offset=")?;
    rest.split(',').next()?.parse().ok()
}

fn said(output: Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.code() {
        Some(0) => Ok(text(&output.stdout)),
        Some(124) => Err(format!("no answer in {PATIENCE} seconds")),
        Some(127) => panic!("{}; {HINT}", text(&output.stderr)),
        _ => Err(text(&output.stderr) + &text(&output.stdout)),
    }
}
