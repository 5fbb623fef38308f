//! The load: one thread, raw HTTP over many connections, each with one request under way at most.
//!
//! Closed loop: a connection sends its next request when the reply to the last has come. Open
//! loop: requests have a timetable, and what takes long does not slow it down; a request for which
//! no connection is free waits, and its time counts from when it should have been sent.
//!
//! Requests are made up beforehand, and every reply is read and compared, so that a fast "no"
//! cannot pass for a fast "yes".

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _, stdin};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::http::Reply;
use crate::place::bodies_file;
use crate::target::Target;
use crate::turn::{Latencies, Mark, Turn};

/// How long replies that are under way at the end may still take.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the open loop sleeps when there is nothing to do. The poll counts in milliseconds.
const NAP: Duration = Duration::from_micros(50);

/// Whom to load.
#[derive(Args)]
pub struct Arguments {
    address: SocketAddr,
    /// The server's process.
    server: u32,
    /// Where the bodies are.
    folder: PathBuf,
}

/// One turn, a line on standard input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// What to send where.
    pub target: Target,
    /// Over how many connections.
    pub connections: usize,
    /// Which login is the first.
    pub first: u64,
    /// How long before anything is measured.
    pub warm_up: Duration,
    /// How long is measured.
    pub measured: Duration,
    /// Stop when so many were sent, if that comes first.
    pub limit: Option<u64>,
    /// Open loop: so many a second.
    pub rate: Option<f64>,
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

impl Job {
    /// Sends as many requests as there are logins, once each.
    pub fn once_each(target: Target, connections: usize, logins: u64) -> Self {
        Self {
            target,
            connections,
            first: 0,
            warm_up: Duration::ZERO,
            measured: Duration::from_secs(600),
            limit: Some(logins),
            rate: None,
        }
    }
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
    /// Those of them without a request under way. They take turns: the server closes one that says
    /// nothing at first.
    idle: VecDeque<usize>,
    /// When the timetable begins.
    begin: Instant,
    /// Requests sent and replies received so far.
    sent: u64,
    answered: u64,
    /// How long each reply of the measured time took.
    latencies: Latencies,
}

struct Connection {
    stream: TcpStream,
    /// When the request was sent, or should have been.
    due: Instant,
    reply: [u8; 1024],
    filled: usize,
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
            idle: (0..connections.len()).collect(),
            connections,
            begin: Instant::now(),
            sent: 0,
            answered: 0,
            latencies: Latencies::with_room_for(1 << 20),
        })
    }

    fn run(mut self) -> anyhow::Result<Turn> {
        self.begin = Instant::now();
        self.answer_until(self.begin + self.job.warm_up)?;
        self.latencies.clear();
        let first = self.mark()?;
        self.answer_until(first.at + self.job.measured)?;
        let last = self.mark()?;
        let latencies = std::mem::take(&mut self.latencies);
        self.drain()?;
        Ok(Turn::between(&first, &last, latencies, self.answered))
    }

    /// Sends and receives until a moment, or until everything that was to be sent is answered.
    fn answer_until(&mut self, end: Instant) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            let now = Instant::now();
            if now >= end || self.is_done() {
                return Ok(());
            }
            self.send_due(now)?;
            self.wait(&mut events, end - now)?;
            for event in &events {
                if let Some(now) = self.receive(event.token().0)? {
                    self.send_due(now)?;
                }
            }
        }
    }

    /// Waits for replies; where there is a timetable, no longer than it allows.
    fn wait(&mut self, events: &mut Events, left: Duration) -> anyhow::Result<()> {
        if self.job.rate.is_none() {
            return Ok(self.poll.poll(events, Some(left))?);
        }
        self.poll.poll(events, Some(Duration::ZERO))?;
        if events.is_empty() {
            thread::sleep(NAP);
        }
        Ok(())
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

    /// Sends as much as is due and connections are free for.
    fn send_due(&mut self, now: Instant) -> anyhow::Result<()> {
        while self.job.limit.is_none_or(|limit| self.sent < limit) {
            let due = match self.job.rate {
                Some(rate) => self.begin + Duration::from_secs_f64(self.sent as f64 / rate),
                None => now,
            };
            if due > now {
                return Ok(());
            }
            let Some(nth) = self.idle.pop_front() else {
                return Ok(());
            };
            let request = self.source.nth(self.job.first + self.sent);
            self.connections[nth].send(request, due)?;
            self.sent += 1;
        }
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
        self.latencies.push(now - connection.due);
        self.answered += 1;
        self.idle.push_back(nth);
        Ok(Some(now))
    }

    fn mark(&self) -> anyhow::Result<Mark> {
        Mark::now(self.server, std::process::id())
    }
}

impl Connection {
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            due: Instant::now(),
            reply: [0; 1024],
            filled: 0,
        })
    }

    /// A request is far smaller than the socket's buffer, so it is written at once.
    fn send(&mut self, request: &[u8], due: Instant) -> anyhow::Result<()> {
        self.filled = 0;
        self.due = due;
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
            let is_whole = Reply::in_bytes(reply).is_some();
            ensure!(!is_whole, "not a yes: {}", self.text());
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.reply[..self.filled]).into_owned()
    }
}
