//! Follows the change logs: what others change is invalidated here, and the leases are renewed.
//!
//! Each read begins at the entry that was read last, so it shows whether that entry is still
//! there. If it is not, the log was cut behind this node or belongs to another history (a replica
//! took over that had not got so far), and the node drops its whole cache. The same read says up
//! to where the node has come: that is what [`confirm`](super::confirm) looks at.
//!
//! A channel tells when a log has grown. Nothing depends on it but speed: all logs are read four
//! times in every lease.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use redis::cmd;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::clock::{Moment, Stopwatch};
use crate::metrics::StoreCallLabel;
use crate::secret;
use crate::store::freshness::Freshness;
use crate::store::record::SHARDS;
use crate::store::redis::Shared;
use crate::store::redis::connection::in_words;
use crate::store::redis::link::{self, Attached, Link};
use crate::store::redis::scripts;

/// How often in a lease all logs are read.
const READS_IN_A_LEASE: u32 = 4;
/// The most entries of one log in one reply.
const BATCH: usize = 512;
/// The pauses between attempts to connect: twice as long each time, up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How often in a row the log of a Cluster's shard may be unreadable before we look anew where the
/// shard is.
const CLUSTER_PATIENCE: u8 = 2;

/// The id of an entry in a log: milliseconds and a number within them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64, u64);

/// An entry: its id, and names and values.
type Entry = (String, Vec<Vec<u8>>);

/// What a reply told of one shard.
#[derive(Debug, Default, PartialEq, Eq)]
struct Digest {
    /// Nothing that is cached can be trusted.
    forget_all: bool,
    /// There is more to read.
    more: bool,
    /// Somebody waits for this node to say that it has read so far.
    asked: bool,
}

struct LogReader {
    shared: Arc<Shared>,
    freshness: Arc<Freshness>,
    /// How often in a row each shard could not be read.
    failures: [u8; SHARDS],
    /// What the registry of each shard said when it was looked at last.
    registry: Vec<HashMap<String, String>>,
    /// Counts the reads of all logs.
    beat: usize,
}

/// Connects, follows, and starts over when something fails, until it is told to stop.
pub async fn follow(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let Some(freshness) = shared.freshness.clone() else {
        return;
    };
    let mut reader = LogReader {
        shared: Arc::clone(&shared),
        freshness,
        failures: [0; SHARDS],
        registry: vec![HashMap::new(); SHARDS],
        beat: 0,
    };
    let mut pause = PAUSES.0;
    loop {
        let watch = Stopwatch::start();
        let problem = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            problem = reader.connect_and_read() => problem,
        };
        if shared.note_problem(Some(problem.clone())) {
            tracing::warn!(problem, "not connected to Redis; trying again");
        }
        if watch.elapsed() > PAUSES.1 {
            pause = PAUSES.0;
        }
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = sleep(with_jitter(pause)) => {}
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

impl LogReader {
    /// Connects and reads the logs until something fails; returns what.
    async fn connect_and_read(&mut self) -> String {
        let attached = match link::attach(&self.shared).await {
            Ok(attached) => attached,
            Err(problem) => return problem,
        };
        let is_cluster = self.shared.settings.address.servers.is_cluster();
        // From here on records come from these servers too, and only then is the log read: a
        // record that was read from others before cannot outlast what the log says.
        self.shared.publish(Arc::clone(&attached.link));
        let problem = self.read_until_it_fails(&attached).await;
        if !is_cluster {
            self.shared.retract();
        }
        problem
    }

    async fn read_until_it_fails(&mut self, attached: &Attached) -> String {
        let link = &attached.link;
        let every = self.shared.settings.lease / READS_IN_A_LEASE;
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let read = tokio::select! {
                () = link.broken() => return "Redis stopped answering".to_owned(),
                _ = ticks.tick() => self.read_all(attached).await,
                () = attached.hints.news() => {
                    let shards = attached.hints.take_all().collect();
                    self.read(link, shards, None).await
                }
            };
            if let Err(problem) = read {
                return problem;
            }
        }
    }

    /// Reads all logs to their ends and renews the leases, if the server is the right one.
    async fn read_all(&mut self, attached: &Attached) -> Result<(), String> {
        let Attached {
            link,
            listener,
            sentinels,
            ..
        } = attached;
        self.beat += 1;
        let began = self.freshness.now();
        let is_master = async {
            match sentinels {
                None => Ok(()),
                Some((sentinels, host)) => match sentinels.master().await? {
                    master if master == *host => Ok(()),
                    master => Err(format!("{master} is the master now")),
                },
            }
        };
        let alive = async {
            // A Cluster's connections look after themselves, and one of its masters may be down.
            if !self.shared.settings.address.servers.is_cluster() {
                link.ping().await.map_err(|error| in_words(&error))?;
            }
            let pong = listener.ping().await;
            pong.map_err(|error| format!("the connection for news: {}", in_words(&error)))
        };
        tokio::try_join!(is_master, alive)?;
        let every = (0..SHARDS).collect();
        self.read(link, every, Some(began)).await?;
        self.look_at_registry(link).await;
        if self.failures.iter().all(|failures| *failures == 0) && self.shared.note_problem(None) {
            tracing::info!(server = link.server, "connected to Redis");
        }
        Ok(())
    }

    /// Reads the logs of some shards to their ends. Leases are renewed where it is known since
    /// when the server is the right one.
    async fn read(
        &mut self,
        link: &Link,
        shards: BTreeSet<usize>,
        since: Option<Moment>,
    ) -> Result<(), String> {
        let mut unread = shards;
        while !unread.is_empty() {
            let watch = Stopwatch::start();
            let reading = unread.iter().map(|shard| self.read_one(link, *shard));
            let replies = join_all(reading).await;
            self.shared
                .metrics
                .store_call(StoreCallLabel::Log, watch.seconds());
            let mut again = BTreeSet::new();
            let mut to_their_ends = Vec::new();
            let mut forget_all = false;
            for (shard, reply) in unread.into_iter().zip(replies) {
                let entries = match reply {
                    Ok(entries) => entries,
                    Err(problem) => {
                        self.note_failure(shard, problem)?;
                        continue;
                    }
                };
                self.failures[shard] = 0;
                let digest = self.shared.take_in(&self.freshness, shard, &entries);
                forget_all |= digest.forget_all;
                if digest.more || digest.asked {
                    again.insert(shard);
                }
                if !digest.more {
                    to_their_ends.push(shard);
                }
            }
            if forget_all {
                self.freshness.invalidate_all();
            }
            if let Some(since) = since {
                to_their_ends
                    .into_iter()
                    .for_each(|shard| self.freshness.renew(shard, since));
            }
            unread = again;
        }
        Ok(())
    }

    /// One server that cannot be read is given up at once. Of a Cluster, one master may be down
    /// and the others go on.
    fn note_failure(&mut self, shard: usize, problem: String) -> Result<(), String> {
        let is_cluster = self.shared.settings.address.servers.is_cluster();
        self.failures[shard] = self.failures[shard].saturating_add(1);
        let problem = format!("the change log of shard {shard:02}: {problem}");
        if !is_cluster || self.failures[shard] >= CLUSTER_PATIENCE {
            self.failures[shard] = 0;
            return Err(problem);
        }
        self.shared.note_problem(Some(problem));
        Ok(())
    }

    async fn read_one(&self, link: &Link, shard: usize) -> Result<Vec<Entry>, String> {
        let Shared {
            keys,
            settings,
            node,
            ..
        } = &*self.shared;
        let position = self.shared.position(shard);
        let position = position
            .map(|position| position.to_string())
            .unwrap_or_default();
        let about = format!("{} {}", settings.lease.as_millis(), self.beat);
        let call = scripts::READ_LOG.call(
            [keys.log(shard), keys.nodes(shard)],
            [node.clone(), position, about, BATCH.to_string()],
        );
        let reading = link.write.run::<Vec<Entry>>(&call);
        match timeout(settings.timeout, reading).await {
            Ok(Ok(entries)) => Ok(entries),
            Ok(Err(error)) => Err(in_words(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// Looks at the registry of one shard after another. Who has not stirred since the last look,
    /// sixteen leases ago, is gone.
    async fn look_at_registry(&mut self, link: &Link) {
        let shard = self.beat % SHARDS;
        let nodes = self.shared.keys.nodes(shard);
        let mut command = cmd("HGETALL");
        command.arg(&nodes);
        let asking = link.write.send::<HashMap<String, String>>(&command);
        let Ok(Ok(seen)) = timeout(self.shared.settings.timeout, asking).await else {
            return;
        };
        self.shared.nodes_seen.store(seen.len(), Ordering::SeqCst);
        for (node, said) in &seen {
            if *node != self.shared.node && self.registry[shard].get(node) == Some(said) {
                let forget =
                    scripts::FORGET_NODE.call([nodes.clone()], [node.clone(), said.clone()]);
                let forgetting = link.write.run::<u8>(&forget);
                let forgotten = timeout(self.shared.settings.timeout, forgetting).await;
                tracing::debug!(node, shard, ?forgotten, "a silent node");
            }
        }
        self.registry[shard] = seen;
    }
}

impl Shared {
    /// Up to where a shard's log has been read.
    pub fn position(&self, shard: usize) -> Option<Position> {
        self.positions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)[shard]
    }

    /// Invalidates what the entries name, and moves the shard's position behind them.
    fn take_in(&self, freshness: &Freshness, shard: usize, entries: &[Entry]) -> Digest {
        let from = self.position(shard);
        let (digest, changed, position) = digest(from, entries);
        for name in changed {
            // A name that does not parse is of a newer version's record, which nobody caches here.
            if let Ok(key) = name.parse() {
                freshness.invalidate(&key);
            }
        }
        let mut positions = self
            .positions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        positions[shard] = Some(position);
        digest
    }
}

/// What a reply means to a reader that stood at `from`; the names that changed; where it stands
/// then.
fn digest(from: Option<Position>, entries: &[Entry]) -> (Digest, Vec<&str>, Position) {
    let id = |entry: &Entry| entry.0.parse().unwrap_or(Position::START);
    let (first, last) = (entries.first().map(id), entries.last().map(id));
    let position = last.unwrap_or(Position::START);
    let mut digest = Digest::default();
    let unread = match from {
        // The log's end is all that was asked for; what stands before it was never heard.
        None => {
            digest.forget_all = true;
            &[]
        }
        // There was no log. What has come since may have been cut already.
        Some(Position::START) => {
            digest.forget_all = !entries.is_empty();
            entries
        }
        Some(from) if first == Some(from) => &entries[1..],
        Some(_) => {
            digest.forget_all = true;
            entries
        }
    };
    digest.more = entries.len() >= BATCH;
    let mut changed = Vec::new();
    for (_, fields) in unread {
        for field in fields.chunks_exact(2) {
            match &*field[0] {
                b"changed" => changed.extend(std::str::from_utf8(&field[1])),
                b"asked" => digest.asked = true,
                _ => {}
            }
        }
    }
    (digest, changed, position)
}

impl Position {
    /// Before every entry: of a log that is not there yet.
    pub const START: Position = Position(0, 0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

impl FromStr for Position {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (milliseconds, number) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Self(milliseconds.parse()?, number.parse()?))
    }
}

/// Between half of the pause and all of it, so that nodes do not come back in step.
fn with_jitter(pause: Duration) -> Duration {
    let [random] = secret::random_bytes::<1>();
    pause / 2 + pause / 2 * u32::from(random) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Position {
        Position(7, number)
    }

    fn entry(number: u64, name: &str, value: &str) -> Entry {
        (at(number).to_string(), vec![name.into(), value.into()])
    }

    #[test]
    fn a_reply_that_begins_where_we_stood_tells_what_is_new() {
        let entries = [
            entry(1, "changed", "a"),
            entry(2, "changed", "b"),
            entry(3, "asked", "n"),
            entry(4, "later", "c"),
        ];
        let (told, changed, position) = digest(Some(at(1)), &entries);
        assert_eq!((changed, position), (vec!["b"], at(4)));
        let asked = Digest {
            asked: true,
            ..Digest::default()
        };
        assert_eq!(told, asked);
        let (told, changed, position) = digest(Some(at(4)), &entries[3..]);
        assert_eq!((told, position), (Digest::default(), at(4)));
        assert!(changed.is_empty());
    }

    #[test]
    fn a_log_that_was_cut_or_is_another_empties_the_cache() {
        let entries = [entry(5, "changed", "a")];
        for from in [None, Some(Position::START), Some(at(1)), Some(at(9))] {
            let (told, _, position) = digest(from, &entries);
            assert!(told.forget_all, "{from:?}");
            assert_eq!(position, at(5));
        }
        let (told, _, position) = digest(Some(at(1)), &[]);
        assert!(told.forget_all);
        assert_eq!(position, Position::START);
        let (told, _, position) = digest(Some(Position::START), &[]);
        assert_eq!((told.forget_all, position), (false, Position::START));
    }

    #[test]
    fn a_full_reply_is_not_the_end() {
        let entries: Vec<Entry> = (0..BATCH as u64)
            .map(|n| entry(n, "changed", "a"))
            .collect();
        assert!(digest(Some(at(0)), &entries).0.more);
    }

    #[test]
    fn positions_are_ordered_as_numbers() {
        let read = |text: &str| text.parse::<Position>().unwrap();
        assert!(read("9-10") > read("9-9") && read("10-0") > read("9-10"));
        assert_eq!(read("5-0").to_string(), "5-0");
        assert!("x-1".parse::<Position>().is_err());
    }

    #[test]
    fn pauses_vary_and_stay_within_bounds() {
        for _ in 0..100 {
            let pause = with_jitter(PAUSES.1);
            assert!(pause >= PAUSES.1 / 2 && pause <= PAUSES.1);
        }
    }
}
