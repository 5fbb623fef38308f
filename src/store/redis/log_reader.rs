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
use crate::store::redis::change_log::{BATCH, Digest, Entry, Position, digest};
use crate::store::redis::connection::in_words;
use crate::store::redis::link::{self, Attached, Link};
use crate::store::redis::scripts;
use crate::store::redis::trust::Trust;

/// How often in a lease all logs are read.
const READS_IN_A_LEASE: u32 = 4;
/// The pauses between attempts to connect: twice as long each time, up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How often in a row the log of a Cluster's shard may be unreadable before we look anew where the
/// shard is.
const CLUSTER_PATIENCE: u8 = 2;

struct LogReader {
    shared: Arc<Shared>,
    freshness: Arc<Freshness>,
    /// How often in a row each shard could not be read.
    failures: [u8; SHARDS],
    /// Of the masters of a Cluster; others are beyond doubt when their logs are read.
    trust: Option<Trust>,
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
    let is_cluster = shared.settings.address.servers.is_cluster();
    let lease = shared.settings.lease;
    let mut reader = LogReader {
        shared: Arc::clone(&shared),
        freshness,
        failures: [0; SHARDS],
        trust: is_cluster.then(|| Trust::none(lease, lease / READS_IN_A_LEASE / 2)),
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
                let pong = link.ping().await;
                pong.map_err(|error| format!("Redis at {}: {}", link.server, in_words(&error)))?;
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
            let mut outcome = Ok(());
            for (shard, reply) in unread.into_iter().zip(replies) {
                let entries = match reply {
                    Ok(entries) => entries,
                    Err(problem) => {
                        outcome = outcome.and(self.note_failure(shard, problem));
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
            // Before any failure is returned: the positions have moved, and nobody would ever learn
            // again what was missed.
            if forget_all {
                self.freshness.invalidate_all();
            }
            outcome?;
            if let Some(since) = since {
                to_their_ends
                    .into_iter()
                    .for_each(|shard| self.renew(shard, since));
            }
            unread = again;
        }
        Ok(())
    }

    fn renew(&mut self, shard: usize, since: Moment) {
        let age = self.freshness.lease_age(shard);
        let trust = self.trust.as_mut();
        if trust.is_none_or(|trust| trust.may_renew(shard, since, age)) {
            self.freshness.renew(shard, since);
        }
    }

    /// One server that cannot be read is given up at once. Of a Cluster, one master may be down
    /// and the others go on.
    fn note_failure(&mut self, shard: usize, problem: String) -> Result<(), String> {
        let is_cluster = self.shared.settings.address.servers.is_cluster();
        if let Some(trust) = &mut self.trust {
            trust.lose(shard);
        }
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

/// Between half of the pause and all of it, so that nodes do not come back in step.
fn with_jitter(pause: Duration) -> Duration {
    let [random] = secret::random_bytes::<1>();
    pause / 2 + pause / 2 * u32::from(random) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_vary_and_stay_within_bounds() {
        for _ in 0..100 {
            let pause = with_jitter(PAUSES.1);
            assert!(pause >= PAUSES.1 / 2 && pause <= PAUSES.1);
        }
    }
}
