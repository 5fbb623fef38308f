//! CONNECTs from all sides for credentials that are revoked meanwhile.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use ticketgate::secret;
use tokio::time::sleep;

use crate::race::judge::Judge;
use crate::support::nodes::Node;
use crate::support::nodes::client::{Login, Verdict};

/// How long a failed call rests before it is made again.
const REST: Duration = Duration::from_millis(20);
/// When a revoke has to have worked, however often it failed.
const DEADLINE: Duration = Duration::from_secs(30);
/// How many credentials are minted at a time.
const MINTING: usize = 8;

/// The nodes, and logins that exist on all of them.
pub struct Race<'a> {
    nodes: &'a [Node],
    logins: Vec<Login>,
    /// In the order of their revokes.
    next: Cell<usize>,
    /// The one that is being revoked: every other question is for it.
    hot: Cell<usize>,
    /// The longest single call to revoke, whatever came of it, and how many failed.
    longest_call: Cell<Duration>,
    failed_calls: Cell<usize>,
    over: Cell<bool>,
    pub judge: RefCell<Judge>,
}

/// How hard to press.
#[derive(Clone, Copy)]
pub struct Pressure {
    /// Connections to each node, each of which asks again when it has an answer.
    pub connections: usize,
    /// The pause before it does.
    pub pause: Duration,
    /// A revoke begins every so often, give or take a half.
    pub revoke_every: Duration,
}

impl<'a> Race<'a> {
    /// Mints so many logins, from all nodes in turn.
    pub async fn prepare(nodes: &'a [Node], credentials: usize) -> Self {
        let minting = (0..credentials).map(|number| {
            let node = &nodes[number % nodes.len()];
            async move {
                let minted = node.mint(&format!("subject-{number}")).await;
                minted.unwrap_or_else(|error| panic!("{error}\n{}", node.log()))
            }
        });
        let logins: Vec<Login> = stream::iter(minting).buffered(MINTING).collect().await;
        Self {
            nodes,
            judge: RefCell::new(Judge::of(nodes.len(), credentials)),
            logins,
            next: Cell::new(0),
            hot: Cell::new(0),
            longest_call: Cell::default(),
            failed_calls: Cell::default(),
            over: Cell::new(false),
        }
    }

    /// Asks and revokes until `fault` is over and everything that was begun has its answer. Revokes
    /// go to the nodes in `through`.
    pub async fn run(
        &self,
        pressure: Pressure,
        through: &[usize],
        fault: impl Future<Output = ()>,
    ) {
        let started = Instant::now();
        let fault = async {
            fault.await;
            self.over.set(true);
        };
        let asking = (0..self.nodes.len() * pressure.connections)
            .map(|lane| self.ask(lane % self.nodes.len(), pressure.pause));
        tokio::join!(join_all(asking), self.revoke_some(pressure, through), fault);
        println!("{}", self.report(started.elapsed()));
    }

    /// The longest single call to revoke, failed ones included.
    pub fn longest_call(&self) -> Duration {
        self.longest_call.get()
    }

    /// The numbers of the nodes.
    pub fn nodes(&self) -> std::ops::Range<usize> {
        0..self.nodes.len()
    }

    /// Some that were revoked, and some that were not.
    pub fn some_credentials(&self) -> impl Iterator<Item = usize> {
        let end = self.logins.len();
        (0..self.next.get().min(20)).chain(end - 5..end)
    }

    /// Fails with what was wrong, if anything was.
    pub fn check(&self) {
        let judge = self.judge.borrow();
        let wrong = judge.wrong();
        let shown = wrong
            .iter()
            .take(20)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            wrong.is_empty(),
            "{} wrong answers:\n{shown}\n{}",
            wrong.len(),
            self.logs()
        );
    }

    fn logs(&self) -> String {
        let log = |(number, node): (usize, &Node)| format!("--- node {number} ---\n{}", node.log());
        self.nodes.iter().enumerate().map(log).collect()
    }

    fn report(&self, took: Duration) -> String {
        let judge = self.judge.borrow();
        let rate = judge.answers() as f64 / took.as_secs_f64();
        let (failed, longest) = (self.failed_calls.get(), self.longest_call.get().as_millis());
        format!("{judge}; {rate:.0} CONNECTs/s, {failed} failed calls, longest call {longest} ms")
    }

    /// One connection's questions.
    async fn ask(&self, node: usize, pause: Duration) {
        let mut client = self.nodes[node].client();
        while !self.over.get() {
            let credential = match random(2) {
                0 => self.hot.get(),
                _ => random(self.logins.len()),
            };
            let answered = client.connect(&self.logins[credential]).await;
            self.judge.borrow_mut().take(node, credential, answered);
            match answered.verdict {
                Verdict::Gone => sleep(REST).await,
                _ if pause.is_zero() => {}
                _ => sleep(pause).await,
            }
        }
    }

    /// Begins revokes at random times, without waiting for earlier ones. A fifth of the credentials
    /// stays live to the end.
    async fn revoke_some(&self, pressure: Pressure, through: &[usize]) {
        let times = stream::unfold((), |()| async {
            let half = pressure.revoke_every.as_micros() as usize;
            sleep(Duration::from_micros((half / 2 + random(half)) as u64)).await;
            let credential = self.next.get();
            if self.over.get() || credential >= self.logins.len() * 4 / 5 {
                return None;
            }
            self.next.set(credential + 1);
            Some((credential, ()))
        });
        let revoke = |credential| async move {
            self.hot.set(credential);
            let node = through[random(through.len())];
            self.revoke_until_done(credential, node).await;
            // Whoever comes first after a revoke finds the weakest moment.
            let asking = (0..self.nodes.len()).map(|node| self.ask_once(node, credential));
            join_all(asking).await;
        };
        times.for_each_concurrent(None, revoke).await;
    }

    /// Calls until it has worked: an error promises nothing.
    pub async fn revoke_until_done(&self, credential: usize, node: usize) {
        self.judge.borrow_mut().revoke_asked(credential);
        let login = &self.logins[credential];
        let target = if credential.is_multiple_of(2) {
            &login.token
        } else {
            &login.username
        };
        let started = Instant::now();
        loop {
            let call = self.nodes[node].revoke(target).await;
            self.longest_call
                .set(self.longest_call.get().max(call.took));
            if call.outcome.is_ok() {
                break;
            }
            self.failed_calls.set(self.failed_calls.get() + 1);
            let late = started.elapsed() > DEADLINE;
            assert!(!late, "{:?}\n{}", call.outcome, self.logs());
            sleep(REST).await;
        }
        let took = started.elapsed();
        self.judge.borrow_mut().revoke_returned(credential, took);
    }

    /// One question on a connection of its own.
    pub async fn ask_once(&self, node: usize, credential: usize) -> Verdict {
        let mut client = self.nodes[node].client();
        let answered = client.connect(&self.logins[credential]).await;
        self.judge.borrow_mut().take(node, credential, answered);
        answered.verdict
    }
}

/// A number below `end`.
fn random(end: usize) -> usize {
    usize::from_be_bytes(secret::random_bytes()) % end.max(1)
}
