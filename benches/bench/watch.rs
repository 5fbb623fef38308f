//! Watches a revoke: every node is asked about the credential without pause, before, during and
//! after the call, by a thread of its own.

use std::net::TcpStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::http::Client;

/// How often a node must have allowed the credential before it is revoked: the second time it is
/// in the cache.
const TIMES_ALLOWED: usize = 2;
/// The longest that a revoke is watched.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was seen of a revoke, counted from the call.
pub struct Seen {
    /// When the call returned.
    pub returned: Duration,
    /// When each node refused for the first time and never allowed again; empty: nobody looked.
    pub refused: Vec<Duration>,
}

#[derive(Default)]
struct Moments {
    /// Nodes that have the credential in their caches.
    warm: AtomicUsize,
    called: OnceLock<Instant>,
    returned: OnceLock<Instant>,
}

/// Makes a call that revokes while all nodes are asked with `request`, to which `yes` is the only
/// body that allows. An allow to a question asked after the return ends in an error.
pub fn during(
    nodes: &mut [Client<TcpStream>],
    request: &[u8],
    yes: &str,
    call: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Seen> {
    let moments = Moments::default();
    let count = nodes.len();
    thread::scope(|scope| {
        let ask = |node| scope.spawn(|| moments.ask_until_refused(node, request, yes));
        let asking: Vec<_> = nodes.iter_mut().map(ask).collect();
        while moments.warm.load(SeqCst) < count && !asking.iter().any(|one| one.is_finished()) {
            thread::sleep(Duration::from_micros(100));
        }
        let called = *moments.called.get_or_init(Instant::now);
        let outcome = call();
        let returned = *moments.returned.get_or_init(Instant::now);
        let refused = asking.into_iter().map(|one| {
            let refused = one.join().ok().context("a watching thread panicked")??;
            Ok(refused - called)
        });
        let refused: anyhow::Result<_> = refused.collect();
        outcome?;
        Ok(Seen {
            returned: returned - called,
            refused: refused?,
        })
    })
}

impl Moments {
    /// Asks until the call has returned and the node refuses; returns since when.
    fn ask_until_refused(
        &self,
        node: &mut Client<TcpStream>,
        request: &[u8],
        yes: &str,
    ) -> anyhow::Result<Instant> {
        let (mut times_allowed, mut refused) = (0, None);
        let began = Instant::now();
        loop {
            let asked = Instant::now();
            ensure!(asked - began < PATIENCE, "a node did not come to refuse");
            let is_after = self
                .returned
                .get()
                .is_some_and(|returned| *returned < asked);
            let reply = node.ask(request)?;
            if reply.status == 200 && reply.body == yes {
                ensure!(!is_after, "allowed after the revoke had returned");
                refused = None;
                times_allowed += 1;
                if times_allowed == TIMES_ALLOWED {
                    self.warm.fetch_add(1, SeqCst);
                }
                continue;
            }
            let is_called = self.called.get().is_some();
            ensure!(is_called, "refused before the revoke: {}", reply.body);
            let since = *refused.get_or_insert_with(Instant::now);
            if is_after {
                return Ok(since);
            }
        }
    }
}
