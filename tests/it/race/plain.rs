//! Without any fault.

use std::time::Duration;

use tokio::time::sleep;

use crate::race::length;
use crate::race::load::{Pressure, Race};
use crate::support::nodes::client::Verdict;
use crate::support::nodes::{Deployment, Node};
use crate::support::redis::options::RedisOptions;

/// As many logins as two names may have.
const MINTS: usize = 120;
/// More keys than a node keeps, so that it reads some again and again.
const SMALL_CACHE: (&str, &str) = ("CACHE__CAPACITY", "200");

#[tokio::test]
async fn no_connect_that_is_sent_after_a_revoke_has_returned_is_allowed() {
    let redis = RedisOptions::default().durable().start().await;
    let deployment = Deployment::set_up(&redis.url());
    let url = redis.url();
    let nodes = [
        deployment.node_with(&url, &[SMALL_CACHE]).await,
        deployment.node(&url).await,
        deployment.node(&url).await,
    ];
    let length = length(6);
    let revokes = 300 * length.as_secs() as usize / 6;
    let race = Race::prepare(&nodes, revokes * 5 / 4).await;
    let pressure = Pressure {
        connections: 8,
        pause: Duration::ZERO,
        revoke_every: length / revokes as u32,
    };
    race.run(pressure, &[0, 1, 2], sleep(length)).await;
    race.check();
    let judge = race.judge.borrow();
    assert!(judge.revokes() >= revokes / 2, "{judge}");
    assert!(judge.answers() > 1000, "{judge}");
}

#[tokio::test]
async fn a_login_works_on_every_node_as_soon_as_it_is_minted() {
    let redis = RedisOptions::default().durable().start().await;
    let deployment = Deployment::set_up(&redis.url());
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(deployment.node(&redis.url()).await);
    }
    let mut clients: Vec<_> = nodes.iter().map(Node::client).collect();
    let mut denied = Vec::new();
    for round in 0..MINTS {
        // The same few names, so that every node has read the record a moment before.
        let subject = format!("subject-{}", round % 2);
        let login = nodes[round % 3].mint(&subject).await.unwrap();
        for (number, client) in clients.iter_mut().enumerate() {
            let verdict = client.connect(&login).await.verdict;
            if verdict != Verdict::Allow {
                denied.push((round, number, verdict));
            }
        }
    }
    println!(
        "{MINTS} mints, {} CONNECTs right after them, not allowed: {denied:?}",
        MINTS * 3
    );
    assert!(denied.is_empty());
}
