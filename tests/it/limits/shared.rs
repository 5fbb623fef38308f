//! Several nodes on one Redis: what they admit together stays under the bound of decision 21.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::nodes::{Deployment, Node};
use crate::support::redis::RedisServer;

const RATE: f64 = 20.0;
const BURST: f64 = 40.0;
const INTERVAL: f64 = 0.3;
/// For how long the nodes are asked.
const TIME: Duration = Duration::from_secs(8);

const SETTINGS: [(&str, &str); 3] = [
    ("LIMITS__KEY", "20/s burst 40"),
    ("LIMITS__ORGANIZATION", "off"),
    ("LIMITS__SHARE_MS", "300"),
];

/// Asks one node as fast as it answers; returns how many calls it has admitted.
async fn ask(node: &Node, key: &str, began: Instant) -> f64 {
    let mut admitted = 0.0;
    while began.elapsed() < TIME {
        match node.list_tokens(key).await {
            200 => admitted += 1.0,
            429 => {}
            status => panic!("{status}: {}", node.log()),
        }
    }
    admitted
}

async fn admitted(nodes: &[Node], key: &str) -> (f64, f64) {
    let began = Instant::now();
    let all = join_all(nodes.iter().map(|node| ask(node, key, began))).await;
    (all.into_iter().sum(), began.elapsed().as_secs_f64())
}

#[tokio::test]
async fn nodes_together_admit_no_more_than_stated() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let deployment = Deployment::set_up(&url);
    let key = deployment.create_key(&url);
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(deployment.node_with(&url, &SETTINGS).await);
    }
    let (total, seconds) = admitted(&nodes, &key).await;
    let others = nodes.len() as f64 - 1.0;
    let burst = BURST * nodes.len() as f64;
    // A report may have to wait for the next one of the reader, and the machine is busy.
    let delay = 2.0 * INTERVAL + 1.0;
    let bound = RATE * seconds + burst + others * RATE * delay;
    let apart = nodes.len() as f64 * (RATE * seconds + BURST);
    assert!(
        bound < 0.7 * apart,
        "the bound says nothing: {bound} of {apart}"
    );
    assert!(total <= bound, "{total} of {bound} in {seconds} s");
    // And no less than one node would.
    assert!(total >= RATE * (seconds - 1.0), "{total} in {seconds} s");
}
