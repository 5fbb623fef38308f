//! Where it happens: a server, and a generator that loads it.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::generator::Job;
use crate::http::{self, Client};
use crate::place::Setup;
use crate::process::{Cores, Process};
use crate::server::Ready;
use crate::target::{Broker, Route};
use crate::turn::Turn;

/// The longest that a server may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server with a generator.
pub struct Site {
    /// Where the server answers brokers.
    pub address: SocketAddr,
    /// What the server was told.
    pub setup: Setup,
    // In the order in which they have to end.
    generator: Process,
    server: Process,
}

/// What the server has counted so far.
pub struct Counts {
    /// Answers to hooks, by broker and outcome.
    hooks: Vec<(String, u64)>,
    /// Reads of the store itself.
    store_reads: u64,
}

/// What came of a turn, and how often the server read its store in it.
pub struct Outcome {
    /// As the generator saw it.
    pub turn: Turn,
    /// As the server counts them.
    pub store_reads: u64,
}

impl Site {
    /// Starts both, on a full store and with an empty cache. The bodies are in the folder.
    pub fn start(setup: Setup, folder: &Path, cores: Cores) -> anyhow::Result<Self> {
        let mut server = Process::start(cores.server, &["server"])?;
        let Ready { address } = server.ask(&setup)?;
        let folder = folder.to_str().context("a temporary folder is UTF-8")?;
        let (target, process) = (address.to_string(), server.id().to_string());
        let arguments = ["generator", &target, &process, folder];
        let site = Self {
            address,
            setup,
            generator: Process::start(cores.others, &arguments)?,
            server,
        };
        site.wait_until_ready()?;
        Ok(site)
    }

    /// The server's process.
    pub fn server(&self) -> u32 {
        self.server.id()
    }

    /// A connection to the server's local socket.
    pub fn local(&self) -> anyhow::Result<Client<UnixStream>> {
        let stream = UnixStream::connect(&self.setup.local_socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client::over(stream))
    }

    /// Waits until the server's store answers and its cache may serve.
    pub fn wait_until_ready(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut client = self.local()?;
        loop {
            let reply = client.ask(&http::request("GET", "/health/ready", ""))?;
            if reply.status == 200 {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "not ready: {}", reply.body);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Does one turn, and makes sure that the server has allowed every request of it.
    pub fn turn(&mut self, job: &Job) -> anyhow::Result<Outcome> {
        let broker = job.target.broker;
        let before = self.counts()?;
        let turn: anyhow::Result<Turn> = self.generator.ask(job);
        let after = self.counts()?;
        let undecided =
            after.answers(broker, "unavailable") - before.answers(broker, "unavailable");
        // Of use where an answer was not a yes: brokers read both kinds of no alike.
        let turn = turn.with_context(|| format!("{undecided} questions could not be decided"))?;
        let expected = match job.target.route {
            Route::Hook => turn.answered,
            Route::Noop => 0,
        };
        ensure!(
            after.allowed(broker) - before.allowed(broker) == expected
                && after.all() - before.all() == expected,
            "{}: {expected} replies, but the server counts others",
            job.target
        );
        Ok(Outcome {
            turn,
            store_reads: after.store_reads - before.store_reads,
        })
    }

    /// Asks for every login once.
    pub fn once_each(&mut self, job: &Job) -> anyhow::Result<Outcome> {
        let outcome = self.turn(job)?;
        let all = job.limit.unwrap_or_default();
        ensure!(outcome.turn.answered == all, "{}: too slow", job.target);
        Ok(outcome)
    }

    /// A turn for which the server must not have read its store.
    pub fn warm_turn(&mut self, job: &Job) -> anyhow::Result<Turn> {
        let Outcome { turn, store_reads } = self.turn(job)?;
        ensure!(
            store_reads == 0,
            "{}: the store was read {store_reads} times, so the cache was not warm",
            job.target,
        );
        Ok(turn)
    }

    /// What the server counts.
    pub fn counts(&self) -> anyhow::Result<Counts> {
        let reply = self.local()?.ask(&http::request("GET", "/metrics", ""))?;
        Ok(Counts::read(&reply.body))
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

    fn all(&self) -> u64 {
        self.hooks.iter().map(|(_, count)| count).sum()
    }

    fn allowed(&self, broker: Broker) -> u64 {
        self.answers(broker, "allow")
    }

    /// How many answers to a broker had an outcome.
    pub fn answers(&self, broker: Broker, outcome: &str) -> u64 {
        let of_broker = format!("dialect=\"{}\"", broker.name());
        let with_outcome = format!("outcome=\"{outcome}\"");
        let is_ours = |name: &str| name.contains(&of_broker) && name.contains(&with_outcome);
        let ours = self.hooks.iter().filter(|(name, _)| is_ours(name));
        ours.map(|(_, count)| count).sum()
    }
}

/// The name, labels included, and the value of one line of metrics.
fn sample(line: &str) -> Option<(String, u64)> {
    let (name, value) = line.rsplit_once(' ')?;
    Some((name.to_owned(), value.parse().ok()?))
}
