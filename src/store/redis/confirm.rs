//! Waits until no node serves an older state.
//!
//! Every node that reads a log says in the same step up to where it has come, so a node that has
//! come as far as the question has dropped everything that was changed before it. A node that
//! stays silent is waited out: whatever it serves from memory was read from a log at most a lease
//! ago, by this process' own clock, which is all that has to be right.

use std::collections::HashMap;
use std::time::Duration;

use redis::cmd;
use tokio::time::{sleep, timeout};

use crate::clock::Stopwatch;
use crate::metrics::StoreCallLabel;
use crate::store::port::{Confirmation, Revision, StoreError};
use crate::store::record::RecordKey;
use crate::store::redis::change_log::Position;
use crate::store::redis::keys::LOG_LENGTH;
use crate::store::redis::link::Link;
use crate::store::redis::scripts::{self, Call};
use crate::store::redis::{Shared, revision_text};

/// The pauses between looks at the registry: twice as long each time, up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(8));
/// What is added to a lease that is waited out, for a node that has decided and has yet to answer.
const MARGIN: Duration = Duration::from_millis(50);

/// A position, and the registry.
type Asked = (String, HashMap<String, String>);

/// What the registry says of a node.
struct Node {
    position: Option<Position>,
    lease: Duration,
}

/// See [`Store::confirm`](crate::store::port::Store::confirm).
pub async fn confirm(
    shared: &Shared,
    key: &RecordKey,
    state: Option<Revision>,
) -> Result<Confirmation, StoreError> {
    let shard = key.shard();
    let link = shared.link()?;
    let (position, nodes, replicas) = ask(shared, &link, key, state).await?;
    let asked = Stopwatch::start();
    let leases = nodes.values().map(|node| node.lease);
    let longest = leases.fold(shared.settings.lease, Duration::max) + MARGIN;
    let total = nodes.len();
    let mut silent = nodes;
    let mut pause = PAUSES.0;
    loop {
        silent.retain(|_, node| node.position.is_none_or(|reached| reached < position));
        if silent.is_empty() || asked.elapsed() >= longest {
            return Ok(Confirmation {
                nodes: total,
                confirmed: total - silent.len(),
                replicas,
            });
        }
        sleep(pause.min(longest.saturating_sub(asked.elapsed()))).await;
        pause = (pause * 2).min(PAUSES.1);
        // Without an answer there is still the lease to wait for.
        if let Ok(now) = registry(shared, &link, shard).await {
            silent = silent
                .into_keys()
                // Who has left the registry has stopped serving before.
                .filter_map(|node| now.get(&node).map(|said| (node, Node::read(said))))
                .collect();
        }
    }
}

/// Asks, and has the replicas get all of it where the settings say so. Returns the position that
/// nodes have to reach, the nodes, and how many replicas have it.
async fn ask(
    shared: &Shared,
    link: &Link,
    key: &RecordKey,
    state: Option<Revision>,
) -> Result<(Position, HashMap<String, Node>, Option<usize>), StoreError> {
    let shard = key.shard();
    let log = shared.keys.log(shard);
    let call = scripts::ASK.call(
        [
            shared.keys.record(key),
            log.clone(),
            shared.keys.nodes(shard),
        ],
        [
            state.map(revision_text).unwrap_or_default(),
            LOG_LENGTH.to_string(),
            shared.node.clone(),
            shared.keys.changes(),
            shard.to_string(),
        ],
    );
    let ((position, nodes), replicas) = match shared.settings.min_replicas {
        0 => {
            let asking = link.confirm.run::<Asked>(&call);
            (
                shared.call(StoreCallLabel::Confirm, link, asking).await?,
                None,
            )
        }
        wanted => ask_and_wait(shared, link, &call, &log, wanted).await?,
    };
    if position.is_empty() {
        return Err(StoreError::Conflict);
    }
    let position = position.parse();
    let position = position.map_err(|_| unavailable("Redis named a position that is none"))?;
    let nodes = nodes
        .into_iter()
        .map(|(node, said)| (node, Node::read(&said)));
    Ok((position, nodes.collect(), replicas))
}

async fn ask_and_wait(
    shared: &Shared,
    link: &Link,
    call: &Call,
    log: &str,
    wanted: usize,
) -> Result<(Asked, Option<usize>), StoreError> {
    // One after another: a question behind somebody else's wait would look like silence, and
    // silence ends the link.
    let turn = timeout(shared.settings.lease, link.turn.lock()).await;
    let _turn = turn.map_err(|_| unavailable("too many revokes wait for slow replicas"))?;
    let at_most = shared.settings.timeout * 3 / 5;
    let asking = link.confirm.run_and_wait(call, log, wanted, at_most);
    let (asked, have): (Asked, usize) = shared.call(StoreCallLabel::Confirm, link, asking).await?;
    if have < wanted && !asked.0.is_empty() {
        let text = format!("{have} of {wanted} replicas have the change (store.min_replicas)");
        return Err(unavailable(&text));
    }
    Ok((asked, Some(have)))
}

fn unavailable(text: &str) -> StoreError {
    StoreError::Unavailable(text.into())
}

async fn registry(
    shared: &Shared,
    link: &Link,
    shard: usize,
) -> Result<HashMap<String, String>, StoreError> {
    let mut command = cmd("HGETALL");
    command.arg(shared.keys.nodes(shard));
    let asking = link.write.send(&command);
    shared.call(StoreCallLabel::Confirm, link, asking).await
}

impl Node {
    /// `<position> <lease in milliseconds> <beat>`; no position: it has only just come.
    fn read(said: &str) -> Self {
        let mut words = said.split(' ');
        let position = words.next().and_then(|word| word.parse().ok());
        let lease = words.next().and_then(|word| word.parse().ok());
        Self {
            position,
            lease: Duration::from_millis(lease.unwrap_or(0)),
        }
    }
}
