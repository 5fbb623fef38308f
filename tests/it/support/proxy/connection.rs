//! One client's connection through the proxy.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep_until};

use crate::support::proxy::control::{Fate, Shared};

/// How many of the client's first bytes a predicate gets to see.
const FIRST_BYTES: usize = 64 * 1024;
const CHUNK: usize = 16 * 1024;

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// What is known about it.
pub struct Connection {
    number: u64,
    shared: Arc<Shared>,
    first_bytes: Mutex<Vec<u8>>,
    lost_bytes: AtomicBool,
}

/// Takes the connection off the list when its task ends in any way.
struct Listed(Arc<Connection>);

impl Connection {
    /// Lists a new one.
    pub fn open(shared: Arc<Shared>) -> Arc<Self> {
        let connection = Arc::new(Self {
            number: shared.accepted.fetch_add(1, Ordering::Relaxed),
            shared,
            first_bytes: Mutex::default(),
            lost_bytes: AtomicBool::new(false),
        });
        let mut open = connection.shared.open.lock().unwrap();
        open.push(Arc::clone(&connection));
        drop(open);
        connection
    }

    /// Which one it is of all that were accepted.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the client's first bytes so far match.
    pub fn has_sent(&self, matches: &(impl Fn(&[u8]) -> bool + ?Sized)) -> bool {
        matches(&self.first_bytes.lock().unwrap())
    }

    /// Whether some bytes vanished.
    pub fn has_lost_bytes(&self) -> bool {
        self.lost_bytes.load(Ordering::Relaxed)
    }

    /// Carries bytes both ways until one side ends or the proxy ends it.
    pub async fn carry(self: Arc<Self>, client: TcpStream, upstream: u16) {
        let _listed = Listed(Arc::clone(&self));
        let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)).await else {
            return;
        };
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = self.pump(Direction::ToServer, from_client, to_server) => {}
            () = self.pump(Direction::ToClient, from_server, to_client) => {}
        }
    }

    async fn pump(&self, direction: Direction, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = from.read(&mut buffer).await.unwrap_or(0);
            let chunk = &buffer[..length];
            if direction == Direction::ToServer && chunk.is_empty() {
                return;
            }
            self.note(direction, chunk);
            let passes = self.passes(direction).await;
            // Not even the end of the server's stream gets through where bytes vanish.
            match passes {
                Some(false) if chunk.is_empty() => pending().await,
                Some(false) => self.lost_bytes.store(true, Ordering::Relaxed),
                Some(true) if !chunk.is_empty() && to.write_all(chunk).await.is_ok() => {}
                _ => return,
            }
        }
    }

    fn note(&self, direction: Direction, chunk: &[u8]) {
        let shared = &self.shared;
        let count = match direction {
            Direction::ToServer => &shared.sent,
            Direction::ToClient => &shared.received,
        };
        count.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        if direction == Direction::ToClient {
            return;
        }
        let mut first_bytes = self.first_bytes.lock().unwrap();
        let room = FIRST_BYTES - first_bytes.len();
        first_bytes.extend_from_slice(&chunk[..room.min(chunk.len())]);
        drop(first_bytes);
        let changes = shared.changes();
        for hold in &changes.borrow().holds {
            hold.see(self, chunk);
        }
    }

    /// Whether a chunk passes, once that is decided; `None` ends the connection. Whatever the orders
    /// are by then counts, also for a chunk that was delayed.
    async fn passes(&self, direction: Direction) -> Option<bool> {
        let mut changes = self.shared.changes();
        let arrived = Instant::now();
        loop {
            let fate = changes.borrow_and_update().fate(self, direction);
            let due = match fate {
                Fate::Forward(delay) if arrived.elapsed() >= delay => return Some(true),
                Fate::Forward(delay) => Some(arrived + delay),
                Fate::Wait => None,
                Fate::Lose => return Some(false),
                Fate::Close => return None,
            };
            tokio::select! {
                () = sleep_until(due.unwrap_or(arrived)), if due.is_some() => {}
                _ = changes.changed() => {}
            }
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut open = self.0.shared.open.lock().unwrap();
        open.retain(|other| !Arc::ptr_eq(other, &self.0));
    }
}
