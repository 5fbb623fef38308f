//! The place where it happens: a server and a generator, each on a core of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::generator::{Job, Turn};
use crate::machine;
use crate::server::Ready;
use crate::target::{Broker, Route};

/// A running server with a generator.
pub struct Site {
    /// Where the server tells its metrics.
    local_socket: PathBuf,
    // In the order in which they have to end.
    generator: Process,
    _server: Process,
    _folder: TempDir,
}

/// What the server has counted so far.
struct Counts {
    /// Answers to hooks, by broker and outcome.
    hooks: Vec<(String, u64)>,
    /// Reads of the store itself.
    store_reads: u64,
}

/// A child of ours that ends when this is dropped.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Site {
    /// Starts both. The server has a full store and an empty cache.
    pub fn start(logins: u32) -> anyhow::Result<Self> {
        let (server_core, generator_core) = two_cores()?;
        let folder = tempfile::tempdir()?;
        let path = folder
            .path()
            .to_str()
            .context("a temporary folder is UTF-8")?;
        let mut server = Process::start(server_core, &["server", path, &logins.to_string()])?;
        let ready: Ready = server.answer()?;
        let (address, process) = (ready.address.to_string(), server.child.id().to_string());
        let arguments = ["generator", &address, &process, path];
        Ok(Self {
            local_socket: ready.local_socket,
            generator: Process::start(generator_core, &arguments)?,
            _server: server,
            _folder: folder,
        })
    }

    /// Does one turn, and makes sure that the server has allowed every request of it. Where it is
    /// warm, it must have done so without reading its store.
    pub fn turn(&mut self, job: &Job, is_warm: bool) -> anyhow::Result<Turn> {
        let before = self.counts()?;
        let turn: Turn = self.generator.ask(job)?;
        let after = self.counts()?;
        let allowed = |counts: &Counts| counts.allowed(job.target.broker);
        let all = |counts: &Counts| counts.hooks.iter().map(|(_, count)| count).sum::<u64>();
        let expected = match job.target.route {
            Route::Hook => turn.answered,
            Route::Noop => 0,
        };
        ensure!(
            allowed(&after) - allowed(&before) == expected
                && all(&after) - all(&before) == expected,
            "{}: {expected} replies, but the server counts others",
            job.target
        );
        ensure!(
            !is_warm || after.store_reads == before.store_reads,
            "{}: the store was read {} times, so the cache was not warm",
            job.target,
            after.store_reads - before.store_reads
        );
        Ok(turn)
    }

    fn counts(&self) -> anyhow::Result<Counts> {
        let mut socket = UnixStream::connect(&self.local_socket)?;
        socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        Ok(Counts::read(&text))
    }
}

impl Counts {
    fn read(text: &str) -> Self {
        let samples = || text.lines().filter_map(sample);
        let of = |name| samples().filter(move |(sample, _)| sample.starts_with(name));
        Self {
            hooks: of("ticketgate_hooks_total{").collect(),
            store_reads: of("ticketgate_store_reads_total{")
                .map(|(_, count)| count)
                .sum(),
        }
    }

    fn allowed(&self, broker: Broker) -> u64 {
        let name = format!(
            "ticketgate_hooks_total{{dialect=\"{}\",question=\"connect\",outcome=\"allow\"}}",
            broker.name()
        );
        let found = self.hooks.iter().find(|(sample, _)| *sample == name);
        found.map_or(0, |(_, count)| *count)
    }
}

/// The name, labels included, and the value of one line of metrics.
fn sample(line: &str) -> Option<(String, u64)> {
    let (name, value) = line.rsplit_once(' ')?;
    Some((name.to_owned(), value.parse().ok()?))
}

impl Process {
    /// Starts this program again, on one core where there is one to spare.
    fn start(core: Option<usize>, arguments: &[&str]) -> anyhow::Result<Self> {
        let me = std::env::current_exe()?;
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", &core.to_string()]).arg(me);
                command
            }
            None => Command::new(me),
        };
        let command = command.args(arguments);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        Ok(Self {
            input: child.stdin.take().context("it was piped")?,
            output: BufReader::new(child.stdout.take().context("it was piped")?),
            child,
        })
    }

    /// Sends a line and waits for one.
    fn ask<T: DeserializeOwned>(&mut self, question: &impl Serialize) -> anyhow::Result<T> {
        writeln!(self.input, "{}", serde_json::to_string(question)?)?;
        self.answer()
    }

    fn answer<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line)?;
        ensure!(read > 0, "a process of the benchmark has failed; see above");
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A core for each of the two, if there are two.
fn two_cores() -> anyhow::Result<(Option<usize>, Option<usize>)> {
    let cores = machine::cores()?;
    if let [first, .., last] = *cores {
        return Ok((Some(first), Some(last)));
    }
    eprintln!("There is one core only: server and generator share it, and figures say little.");
    Ok((None, None))
}
