//! A replica takes over.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::race::faults::GENTLE;
use crate::race::load::Race;
use crate::race::scene::LEASE;
use crate::race::settled;
use crate::support::nodes::client::{Login, Verdict};
use crate::support::nodes::{Deployment, Node};
use crate::support::redis::RedisServer;
use crate::support::redis::cluster::Cluster;
use crate::support::redis::sentinels::Sentinels;
use crate::support::redis::wait::until;

/// A key of ours; its master holds about a third of all.
const KEY: &str = "tg:{s07}:log";
const AROUND: Duration = Duration::from_millis(600);
/// How much longer than a lease a revoke may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The deployment has to live as long as the nodes.
async fn three_nodes(url: &str, settings: &[(&str, &str)]) -> (Vec<Node>, Deployment) {
    let deployment = Deployment::set_up(url);
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(deployment.node_with(url, settings).await);
    }
    (nodes, deployment)
}

async fn race_through(nodes: &[Node], fault: impl Future<Output = ()>) {
    let race = Race::prepare(nodes, 150).await;
    for node in 0..nodes.len() {
        race.judge.borrow_mut().expect_fault(node);
    }
    let fault = async {
        sleep(AROUND).await;
        fault.await;
        for node in nodes {
            node.wait_ready().await;
        }
        sleep(AROUND).await;
    };
    race.run(GENTLE, &[0, 1, 2], fault).await;
    race.check();
    let longest = race.longest_call();
    assert!(
        longest < Duration::from_millis(LEASE) + PATIENCE,
        "{longest:?}"
    );
    settled(&race).await;
}

#[tokio::test]
async fn a_revoke_survives_the_death_of_the_master() {
    let redis = Sentinels::start().await;
    let (nodes, _deployment) = three_nodes(&redis.url(), &[]).await;
    let fault = async {
        let old = redis.kill_master().await;
        redis.wait_for_failover(old).await;
    };
    race_through(&nodes, fault).await;
}

#[tokio::test]
async fn a_master_that_wakes_up_after_its_time_is_not_believed() {
    let redis = Sentinels::start().await;
    let (nodes, _deployment) = three_nodes(&redis.url(), &[]).await;
    let fault = async {
        // It sleeps through all of it, and the old master is the first that it talks to.
        nodes[0].pause();
        let old = redis.pause_master().await;
        redis.wait_for_failover(old).await;
        sleep(AROUND).await;
        wake_up(&nodes[..1], redis.server(old)).await;
        redis.wait_settled().await;
    };
    race_through(&nodes, fault).await;
}

#[tokio::test]
async fn a_revoke_survives_the_death_of_a_cluster_master() {
    let redis = Cluster::start().await;
    let (nodes, _deployment) = three_nodes(&redis.url(), &[]).await;
    let fault = async {
        let old = redis.kill_master_of(KEY).await;
        redis.wait_for_promotion(KEY, old).await;
        sleep(AROUND).await;
        // Until it is back, no replica has what its successor is told.
        redis.node(old).restart().await;
        redis.wait_settled().await;
    };
    race_through(&nodes, fault).await;
}

#[tokio::test]
async fn nodes_that_wake_up_with_an_old_cluster_master_do_not_believe_it() {
    let redis = Cluster::start().await;
    // As if there were another replica: the promoted one has none of its own.
    let alone = [("STORE__MIN_REPLICAS", "0")];
    let (nodes, _deployment) = three_nodes(&redis.url(), &alone).await;
    let [first, second, awake] = &nodes[..] else {
        panic!("three nodes")
    };
    let logins = mint_where(&redis, awake, KEY).await;
    for login in &logins {
        for node in [first, second] {
            assert_eq!(ask(node, login).await, Verdict::Allow);
        }
    }
    first.pause();
    second.pause();
    let old = redis.pause_master_of(KEY).await;
    redis.wait_for_promotion(KEY, old).await;
    let revoking = logins.iter().map(|login| revoke_until_done(awake, login));
    join_all(revoking).await;
    wake_up(&nodes[..2], redis.node(old)).await;
    let (mut asked, woken) = (0, Instant::now());
    while woken.elapsed() < Duration::from_secs(2) {
        for login in &logins {
            for node in [first, second] {
                let after = woken.elapsed();
                assert_ne!(ask(node, login).await, Verdict::Allow, "{after:?}");
                asked += 1;
            }
        }
    }
    redis.wait_settled().await;
    println!(
        "two nodes and a Cluster master wake up: {} logins were revoked, {asked} CONNECTs, 0 allow",
        logins.len()
    );
}

#[tokio::test]
async fn a_revoke_that_no_replica_of_a_cluster_master_has_is_not_answered() {
    let redis = Cluster::start().await;
    let deployment = Deployment::set_up(&redis.url());
    let node = deployment.node(&redis.url()).await;
    let logins = mint_where(&redis, &node, KEY).await;
    let master = redis.master_of(KEY).await;
    let replica = master.cli(&["INFO", "replication"]).await;
    let (_, replica) = replica.split_once("port=").unwrap();
    let (replica, _) = replica.split_once(',').unwrap();
    redis.node(replica.parse().unwrap()).pause();
    for (number, login) in (0..).zip(logins.iter().take(8)) {
        // The connection breaks while the node waits for the replica.
        let cutting = async {
            sleep(Duration::from_millis(30 + 15 * number)).await;
            let _ = master.try_cli(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        };
        let (call, ()) = tokio::join!(node.revoke(&login.token), cutting);
        assert!(call.outcome.is_err(), "{:?}", call.outcome);
        node.wait_ready().await;
    }
    println!("8 revokes with a deaf replica and cut connections: none was answered");
}

/// First the nodes, whose questions then wait in front of the old master.
async fn wake_up(nodes: &[Node], old: &RedisServer) {
    nodes.iter().for_each(Node::resume);
    sleep(Duration::from_millis(30)).await;
    old.resume();
}

/// Mints until there are some whose records lie with the master of `key`.
async fn mint_where(redis: &Cluster, node: &Node, key: &str) -> Vec<Login> {
    let master = redis.master_of(key).await;
    let mut logins = Vec::new();
    for number in 0..40 {
        let login = node.mint(&format!("subject-{number}")).await.unwrap();
        let pattern = format!("*:holder:{}", login.username);
        if !master.cli(&["KEYS", &pattern]).await.is_empty() {
            logins.push(login);
        }
    }
    assert!(logins.len() > 2, "{} of 40", logins.len());
    logins
}

async fn ask(node: &Node, login: &Login) -> Verdict {
    node.client().connect(login).await.verdict
}

async fn revoke_until_done(node: &Node, login: &Login) {
    let revoked = async || {
        let call = node.revoke(&login.token).await;
        call.outcome.map(drop)
    };
    until(|| node.log(), revoked).await;
}
