//! A stop at an exact point: the server has got a command, the client does not learn of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::support::proxy::connection::Connection;
use crate::support::proxy::control::{Predicate, Shared};
use crate::support::redis::wait::{check, until};

/// How many of a client's last bytes the predicate gets to see.
const MEMORY: usize = 64 * 1024;

/// Replies are held back while this lives.
pub struct Hold {
    shared: Arc<Shared>,
    held: Arc<Held>,
}

/// What the proxy knows of a hold.
pub struct Held {
    matches: Predicate,
    /// By the connection's number.
    seen: Mutex<HashMap<u64, Seen>>,
}

enum Seen {
    /// Nothing that matches yet.
    Bytes(Vec<u8>),
    /// The client's bytes have matched.
    Match { reply_waits: bool },
}

impl Hold {
    pub(super) fn set_up(shared: Arc<Shared>, matches: Predicate) -> Self {
        let held = Arc::new(Held {
            matches,
            seen: Mutex::default(),
        });
        shared.change(|control| control.holds.push(Arc::clone(&held)));
        Self { shared, held }
    }

    /// Waits until a client has sent bytes that match.
    pub async fn reached(&self) {
        self.wait_for(|seen| matches!(seen, Seen::Match { .. }))
            .await;
    }

    /// Waits until the server has replied to such a client, and the reply is held back.
    pub async fn answered(&self) {
        self.wait_for(|seen| matches!(seen, Seen::Match { reply_waits: true }))
            .await;
    }

    /// Lets everything go on.
    pub fn release(self) {
        drop(self);
    }

    async fn wait_for(&self, holds: impl Fn(&Seen) -> bool) {
        let ask = async || {
            let seen = self.held.seen.lock().unwrap();
            check(seen.values().any(&holds), || {
                format!("{} clients sent bytes, and none is there yet", seen.len())
            })
        };
        until(String::new, ask).await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let other = |held: &Arc<Held>| !Arc::ptr_eq(held, &self.held);
        self.shared.change(|control| control.holds.retain(other));
    }
}

impl Held {
    /// Looks at what a client has sent, before the server gets it.
    pub fn see(&self, connection: &Connection, chunk: &[u8]) {
        let mut all = self.seen.lock().unwrap();
        let seen = all
            .entry(connection.number())
            .or_insert(Seen::Bytes(Vec::new()));
        let Seen::Bytes(bytes) = seen else {
            return;
        };
        bytes.extend_from_slice(chunk);
        if (self.matches)(bytes) {
            *seen = Seen::Match { reply_waits: false };
        } else {
            let forgotten = bytes.len().saturating_sub(MEMORY);
            bytes.drain(..forgotten);
        }
    }

    /// Whether what the server has just sent must wait.
    pub fn stops(&self, connection: &Connection) -> bool {
        let mut all = self.seen.lock().unwrap();
        match all.get_mut(&connection.number()) {
            Some(Seen::Match { reply_waits }) => {
                *reply_waits = true;
                true
            }
            _ => false,
        }
    }
}
