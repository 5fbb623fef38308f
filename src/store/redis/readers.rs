//! Connections for reading records: one for each thread that reads.
//!
//! A connection does its work on the thread that made it. Handing each read to another thread and
//! its reply back took half of the processor time of a hook that missed the cache
//! (`docs/performance.md`), and kept reads from travelling together. They share the fate of the
//! link all the same: one is used only if it leads to the very process that the link leads to, and
//! a silent one breaks the link.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, ThreadId};

use redis::{ErrorKind, RedisError, RedisResult};

use crate::store::redis::address::Host;
use crate::store::redis::connection::{Connection, Connector, in_words};

thread_local! {
    /// Of the links that this thread has read through and that somebody still holds.
    static MINE: RefCell<Vec<Mine>> = const { RefCell::new(Vec::new()) };
}

/// How this thread reads through one link.
struct Mine {
    readers: Weak<Readers>,
    number: u64,
    /// `None`: it is being made, or could not be.
    connection: Option<Connection>,
}

/// The connections of one link that read records.
pub struct Readers {
    /// Used wherever there is no better one.
    shared: Connection,
    /// Where it does its work.
    home: ThreadId,
    /// Tells links apart, also those that are gone.
    number: u64,
    /// `None`: every thread uses the shared one.
    more: Option<Door>,
    /// Of all threads, for whoever looks after them.
    made: Mutex<Vec<Connection>>,
}

/// How to make another connection to the same server.
pub struct Door {
    pub connector: Connector,
    pub host: Host,
    pub database: i64,
    /// The process that the link leads to.
    pub run_id: String,
}

impl Readers {
    /// Those of a new link.
    pub fn new(shared: Connection, more: Option<Door>) -> Arc<Self> {
        static LINKS: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            shared,
            home: thread::current().id(),
            number: LINKS.fetch_add(1, Ordering::Relaxed),
            more,
            made: Mutex::default(),
        })
    }

    /// The one that every thread may use.
    pub fn shared(&self) -> &Connection {
        &self.shared
    }

    /// The best one for this thread now. The first call has one made, for later calls.
    pub fn mine(self: &Arc<Self>) -> Connection {
        if self.more.is_none() || thread::current().id() == self.home {
            return self.shared.clone();
        }
        MINE.with_borrow_mut(|all| {
            if let Some(mine) = all.iter().find(|mine| mine.number == self.number) {
                return mine.connection.as_ref().unwrap_or(&self.shared).clone();
            }
            all.retain(|mine| mine.readers.strong_count() > 0);
            all.push(Mine {
                readers: Arc::downgrade(self),
                number: self.number,
                connection: None,
            });
            tokio::spawn(make(Arc::downgrade(self)));
            self.shared.clone()
        })
    }

    /// Whether the server answers on all of them.
    pub async fn ping(&self) -> RedisResult<()> {
        let made = self.made().clone();
        let all = made.iter().chain([&self.shared]);
        let pings = all.map(Connection::ping);
        futures_util::future::try_join_all(pings).await.map(drop)
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes this thread's connection. It runs on the thread that spawned it where each thread has a
/// runtime of its own, as the server's have; elsewhere the connection is as good as the shared one.
async fn make(readers: Weak<Readers>) {
    let Some(readers) = readers.upgrade() else {
        return;
    };
    let Some(door) = &readers.more else { return };
    match door.open().await {
        Ok(connection) => {
            readers.made().push(connection.clone());
            MINE.with_borrow_mut(|all| {
                let mine = all.iter_mut().find(|mine| mine.number == readers.number);
                if let Some(mine) = mine {
                    mine.connection = Some(connection);
                }
            });
        }
        // If the server is gone, the link hears of it by itself.
        Err(error) => tracing::warn!(
            server = %door.host,
            problem = in_words(&error),
            "a thread reads through another's connection to Redis"
        ),
    }
}

impl Door {
    async fn open(&self) -> RedisResult<Connection> {
        let connection = self.connector.one(&self.host, self.database).await?;
        // The name may lead elsewhere by now, or the address.
        if connection.run_id().await? == self.run_id {
            Ok(connection)
        } else {
            let text = "the address leads to another server than a moment ago";
            Err(RedisError::from((ErrorKind::Client, text)))
        }
    }
}
