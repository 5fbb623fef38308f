//! A proxy in front of Redis that can lose what a node says to it and what it is told: the
//! connections stay open, and nothing comes through.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde::Serialize;

/// What scripts begin with, by text or by hash. On a node that nobody calls, only the reader of
/// the change log runs any.
const SCRIPT: &[u8] = b"EVAL";

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Everything on connections that the log was read on, and on later ones that it is to be.
    Log,
    /// Everything.
    All,
}

/// A proxy for one node. It runs until this process ends. A clone is the same proxy.
#[derive(Clone)]
pub struct Proxy {
    address: SocketAddr,
    lines: Arc<Lines>,
}

struct Lines {
    fault: Mutex<Option<Fault>>,
    open: Mutex<Vec<Arc<Line>>>,
}

/// A connection of the node, and the one to Redis that goes with it.
struct Line {
    node: TcpStream,
    redis: TcpStream,
    runs_scripts: AtomicBool,
    has_lost: AtomicBool,
}

impl Proxy {
    /// Opens one.
    pub fn to(redis: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let lines = Arc::new(Lines {
            fault: Mutex::default(),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&lines);
        thread::spawn(move || {
            for node in listener.incoming().flatten() {
                // A node whose connection is refused tries again.
                let _ = accepting.connect(node, redis);
            }
        });
        Ok(Self { address, lines })
    }

    /// Where the node connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on something is lost.
    pub fn lose(&self, fault: Fault) {
        *locked(&self.lines.fault) = Some(fault);
    }

    /// From now on nothing is. Connections that have lost something end.
    pub fn mend(&self) {
        *locked(&self.lines.fault) = None;
        locked(&self.lines.open).retain(|line| !line.has_lost.load(SeqCst) || line.close());
    }
}

impl Lines {
    fn connect(self: &Arc<Self>, node: TcpStream, redis: SocketAddr) -> std::io::Result<()> {
        let redis = TcpStream::connect(redis)?;
        node.set_nodelay(true)?;
        redis.set_nodelay(true)?;
        let line = Arc::new(Line {
            node,
            redis,
            runs_scripts: AtomicBool::new(false),
            has_lost: AtomicBool::new(false),
        });
        locked(&self.open).push(Arc::clone(&line));
        for is_up in [true, false] {
            let (lines, line) = (Arc::clone(self), Arc::clone(&line));
            thread::spawn(move || {
                let _ = lines.pump(&line, is_up);
                line.close();
            });
        }
        Ok(())
    }

    /// Carries one direction until either side ends.
    fn pump(&self, line: &Line, is_up: bool) -> std::io::Result<()> {
        let (mut from, mut to) = if is_up {
            (&line.node, &line.redis)
        } else {
            (&line.redis, &line.node)
        };
        let mut part = [0; 64 * 1024];
        loop {
            let length = match from.read(&mut part)? {
                0 => return Ok(()),
                length => length,
            };
            let said = &part[..length];
            if is_up && said.windows(SCRIPT.len()).any(|word| word == SCRIPT) {
                line.runs_scripts.store(true, SeqCst);
            }
            if self.loses(line) {
                line.has_lost.store(true, SeqCst);
            } else {
                to.write_all(said)?;
            }
        }
    }

    fn loses(&self, line: &Line) -> bool {
        match *locked(&self.fault) {
            None => line.has_lost.load(SeqCst),
            Some(Fault::Log) => line.runs_scripts.load(SeqCst),
            Some(Fault::All) => true,
        }
    }
}

impl Line {
    /// Ends both connections; returns that it is open no more.
    fn close(&self) -> bool {
        let _ = self.node.shutdown(Shutdown::Both);
        let _ = self.redis.shutdown(Shutdown::Both);
        false
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
