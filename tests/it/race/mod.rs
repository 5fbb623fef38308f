//! Promise 3 on several nodes: when the revoke call has returned success, no node answers allow for
//! that credential again, ever; not in a race, not through a fault. And promise 9: what was answered
//! survives `kill -9`.
//!
//! Every test prints what it measured. `TICKETGATE_RACE_SECONDS` makes the races longer.

mod crashes;
mod dead_redis;
mod failover;
mod faults;
mod judge;
mod load;
mod logs;
mod plain;
mod scene;
mod threads;
mod waiting;

use std::time::Duration;

use crate::race::load::Race;
use crate::support::nodes::client::Verdict;

/// How long a race goes on: as long as the variable says, else `seconds`.
fn length(seconds: u64) -> Duration {
    let longer = std::env::var("TICKETGATE_RACE_SECONDS").ok();
    let longer = longer.map(|text| text.parse().expect("TICKETGATE_RACE_SECONDS is a number"));
    Duration::from_secs(longer.unwrap_or(seconds))
}

/// After a race: every node allows what is live and nothing else.
async fn settled(race: &Race<'_>) {
    for credential in race.some_credentials() {
        for node in race.nodes() {
            let expected = match race.judge.borrow().is_ending(credential) {
                true => Verdict::Deny,
                false => Verdict::Allow,
            };
            let verdict = race.ask_once(node, credential).await;
            assert_eq!(verdict, expected, "credential {credential} on node {node}");
        }
    }
    race.check();
}
