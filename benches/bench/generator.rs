//! The load: one thread, raw HTTP over many connections, each with one request under way.
//!
//! It is closed-loop: a connection sends its next request when the reply to the last has come.
//! Requests are made up beforehand, and every reply is read and compared, so that a fast "no"
//! cannot pass for a fast "yes".

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _, stdin};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::machine::CpuTime;
use crate::server::bodies_file;
use crate::statistics;
use crate::target::Target;

/// How long replies that are under way at the end may still take.
const DRAIN: Duration = Duration::from_secs(5);

/// Whom to load.
#[derive(Args)]
pub struct Arguments {
    address: SocketAddr,
    /// The server's process.
    server: u32,
    /// Where it left the bodies.
    folder: PathBuf,
}

/// One turn, a line on standard input.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// What to send where.
    pub target: Target,
    /// Over how many connections.
    pub connections: usize,
    /// How long before anything is measured.
    pub warm_up: Duration,
    /// How long is measured.
    pub measured: Duration,
    /// Stop when so many were sent, if that comes first.
    pub limit: Option<u64>,
}

/// What came of a turn, a line on standard output. Whatever is per request or second is of the
/// measured time only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Turn {
    /// Requests that were answered, all of them with a yes, warm-up and the rest included.
    pub answered: u64,
    /// Answers a second.
    pub per_second: f64,
    /// The time that half of the answers took at most, in microseconds.
    pub p50: f64,
    /// The time that 99 of 100 took at most.
    pub p99: f64,
    /// Microseconds of processor time that the server took for one request.
    pub server_cpu: f64,
    /// Of these, outside the kernel.
    pub server_user_cpu: f64,
    /// The share of its core that the server used.
    pub server_busy: f64,
    /// The share of its core that the generator used.
    pub generator_busy: f64,
}

/// Does the jobs on standard input until it ends.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut sources = BTreeMap::new();
    for line in stdin().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        let source = match sources.entry(job.target) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Source::read(job.target, arguments)?),
        };
        let turn = Load::start(source, &job, arguments)?.run()?;
        println!("{}", serde_json::to_string(&turn)?);
    }
    Ok(())
}

/// The requests of a target.
struct Source {
    target: Target,
    requests: Vec<Vec<u8>>,
    /// What every reply ends with.
    end: Vec<u8>,
}

struct Load<'a> {
    source: &'a Source,
    job: &'a Job,
    server: u32,
    poll: Poll,
    connections: Vec<Connection>,
    /// Requests sent and replies received so far.
    sent: u64,
    answered: u64,
    /// How long each reply of the measured time took, in units of 100 ns.
    latencies: Vec<u32>,
}

struct Connection {
    stream: TcpStream,
    sent_at: Instant,
    reply: [u8; 1024],
    filled: usize,
}

/// The state of both processes at a moment.
struct Mark {
    at: Instant,
    server: CpuTime,
    generator: CpuTime,
}

impl Source {
    fn read(target: Target, arguments: &Arguments) -> anyhow::Result<Self> {
        let bodies = fs::read_to_string(bodies_file(&arguments.folder, target.broker))?;
        Ok(Self {
            target,
            requests: bodies.lines().map(|body| target.request(body)).collect(),
            end: format!("\r\n\r\n{}", target.broker.yes()).into_bytes(),
        })
    }

    fn nth(&self, nth: u64) -> &[u8] {
        &self.requests[nth as usize % self.requests.len()]
    }
}

impl<'a> Load<'a> {
    fn start(source: &'a Source, job: &'a Job, arguments: &Arguments) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(job.connections);
        for nth in 0..job.connections {
            let mut connection = Connection::open(arguments.address)?;
            let registry = poll.registry();
            registry.register(&mut connection.stream, Token(nth), Interest::READABLE)?;
            connections.push(connection);
        }
        Ok(Self {
            source,
            job,
            server: arguments.server,
            poll,
            connections,
            sent: 0,
            answered: 0,
            latencies: Vec::with_capacity(1 << 20),
        })
    }

    fn run(mut self) -> anyhow::Result<Turn> {
        let begin = Instant::now();
        for nth in 0..self.connections.len() {
            self.send(nth, Instant::now())?;
        }
        self.answer_until(begin + self.job.warm_up)?;
        self.latencies.clear();
        let first = self.mark()?;
        self.answer_until(first.at + self.job.measured)?;
        let last = self.mark()?;
        let latencies = std::mem::take(&mut self.latencies);
        self.drain()?;
        Ok(turn(self.answered, latencies, &first, &last))
    }

    /// Sends and receives until a moment, or until everything that was to be sent is answered.
    fn answer_until(&mut self, end: Instant) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_done() {
                return Ok(());
            }
            self.poll.poll(&mut events, Some(left))?;
            for event in &events {
                let nth = event.token().0;
                if let Some(now) = self.receive(nth)?
                    && self.job.limit.is_none_or(|limit| self.sent < limit)
                {
                    self.send(nth, now)?;
                }
            }
        }
    }

    /// Receives what is still under way.
    fn drain(&mut self) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(256);
        let end = Instant::now() + DRAIN;
        while self.answered < self.sent {
            let left = end.saturating_duration_since(Instant::now());
            ensure!(
                !left.is_zero(),
                "{}: replies are missing",
                self.source.target
            );
            self.poll.poll(&mut events, Some(left))?;
            for event in &events {
                self.receive(event.token().0)?;
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.job.limit.is_some_and(|limit| self.answered >= limit)
    }

    fn send(&mut self, nth: usize, now: Instant) -> anyhow::Result<()> {
        let request = self.source.nth(self.sent);
        self.connections[nth].send(request, now)?;
        self.sent += 1;
        Ok(())
    }

    /// Reads what has come. Returns when the reply was whole, or `None` while it is not.
    fn receive(&mut self, nth: usize) -> anyhow::Result<Option<Instant>> {
        let connection = &mut self.connections[nth];
        let whole = connection.receive(&self.source.end);
        if !whole.with_context(|| self.source.target.to_string())? {
            return Ok(None);
        }
        let now = Instant::now();
        let took = (now - connection.sent_at).as_nanos() / 100;
        self.latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
        self.answered += 1;
        Ok(Some(now))
    }

    fn mark(&self) -> anyhow::Result<Mark> {
        Ok(Mark {
            at: Instant::now(),
            server: CpuTime::of(self.server)?,
            generator: CpuTime::of(std::process::id())?,
        })
    }
}

impl Connection {
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            sent_at: Instant::now(),
            reply: [0; 1024],
            filled: 0,
        })
    }

    /// A request is far smaller than the socket's buffer, so it is written at once.
    fn send(&mut self, request: &[u8], now: Instant) -> anyhow::Result<()> {
        self.filled = 0;
        self.sent_at = now;
        let written = self.stream.write(request)?;
        ensure!(written == request.len(), "a request was written in part");
        Ok(())
    }

    /// Whether the reply has come whole. Anything but a yes is an error.
    fn receive(&mut self, end: &[u8]) -> anyhow::Result<bool> {
        loop {
            match self.stream.read(&mut self.reply[self.filled..]) {
                Ok(0) => bail!("the server closed the connection: {}", self.text()),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            let reply = &self.reply[..self.filled];
            if reply.ends_with(end) && reply.starts_with(b"HTTP/1.1 200 OK\r\n") {
                return Ok(true);
            }
            ensure!(!is_whole(reply), "not a yes: {}", self.text());
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.reply[..self.filled]).into_owned()
    }
}

/// Whether a reply has as many bytes as it says.
fn is_whole(reply: &[u8]) -> bool {
    let text = String::from_utf8_lossy(reply).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

fn turn(answered: u64, mut latencies: Vec<u32>, first: &Mark, last: &Mark) -> Turn {
    latencies.sort_unstable();
    let micros = |share| f64::from(statistics::at_share(&latencies, share)) / 10.0;
    let seconds = (last.at - first.at).as_secs_f64();
    let requests = latencies.len() as f64;
    let server = last.server.since(first.server);
    let generator = last.generator.since(first.generator);
    Turn {
        answered,
        per_second: requests / seconds,
        p50: micros(0.5),
        p99: micros(0.99),
        server_cpu: server.total().as_secs_f64() * 1e6 / requests,
        server_user_cpu: server.user.as_secs_f64() * 1e6 / requests,
        server_busy: server.total().as_secs_f64() / seconds,
        generator_busy: generator.total().as_secs_f64() / seconds,
    }
}
