//! What a revoke waits for, and what it does not.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::race::judge::Judge;
use crate::race::scene::Scene;
use crate::support::nodes::client::{Login, Verdict};
use crate::support::nodes::{Deployment, Node};
use crate::support::proxy::{Mode, contains};
use crate::support::redis::RedisServer;
use crate::support::redis::sentinels::Sentinels;
use crate::support::redis::wait::{check, until};

/// A lease that nobody will see the end of.
const ENDLESS: (&str, &str) = ("STORE__LEASE_MS", "60000");
/// A short one, so that a silent node is soon forgotten.
const SHORT: [(&str, &str); 2] = [("STORE__LEASE_MS", "200"), ("STORE__TIMEOUT_MS", "100")];
const SHORT_LEASE: Duration = Duration::from_millis(200);
/// What a revoke may take beyond the lease that it waits out.
const BEYOND: Duration = Duration::from_millis(250);
/// The longest that a revoke may take to fail.
const LONGEST_REVOKE: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_revoke_does_not_return_while_some_node_may_still_allow() {
    let scene = Scene::with(2, &[ENDLESS]).await;
    let (silent, other) = (&scene.nodes[0], &scene.nodes[1]);
    let login = other.mint("alice").await.unwrap();
    let mut client = silent.client();
    assert_eq!(client.connect(&login).await.verdict, Verdict::Allow);
    scene.proxy.set_where(contains(":nodes"), Mode::Swallow);
    let revoke = timeout(Duration::from_secs(3), other.revoke(&login.token)).await;
    assert!(
        revoke.is_err(),
        "it returned: {:?}",
        revoke.unwrap().outcome
    );
    // The other node has heard of it, the silent one has not: had the call returned, the judge
    // would have had something to say.
    assert_eq!(other.client().connect(&login).await.verdict, Verdict::Deny);
    let mut judge = Judge::of(2, 1);
    judge.revoke_asked(0);
    judge.revoke_returned(0, Duration::ZERO);
    let answered = client.connect(&login).await;
    assert_eq!(answered.verdict, Verdict::Allow);
    judge.take(0, 0, answered);
    assert_eq!(judge.wrong().len(), 1);
    println!("a node that may serve for 60 s: the revoke was still waiting after 3 s");
}

/// How long it takes to revoke what is over already: nothing but the question to the nodes.
async fn time_of_revoke(node: &Node, username: &str) -> Duration {
    let call = node.revoke(username).await;
    call.outcome.unwrap();
    call.took
}

#[tokio::test]
async fn a_killed_node_is_waited_for_until_it_is_forgotten_and_a_stopped_one_is_not() {
    let scene = Scene::with(3, &SHORT).await;
    let node = &scene.nodes[1];
    let username = node.mint("alice").await.unwrap().username;
    let normal = time_of_revoke(node, &username).await;

    scene.nodes[0].kill();
    let first = time_of_revoke(node, &username).await;
    assert!(first < SHORT_LEASE + BEYOND, "{first:?}");
    let killed = Instant::now();
    let logs = || node.log();
    until(logs, async || {
        let took = time_of_revoke(node, &username).await;
        assert!(took < SHORT_LEASE + BEYOND, "{took:?}");
        check(took < SHORT_LEASE, || format!("it takes {took:?}"))
    })
    .await;
    let forgotten = killed.elapsed();
    assert!(forgotten < SHORT_LEASE * 40, "{forgotten:?}");

    assert!(scene.nodes[2].terminate(), "SIGTERM ends it well");
    let after = time_of_revoke(node, &username).await;
    assert!(after < SHORT_LEASE, "{after:?}");
    println!(
        "registry: revoke {normal:?}, {first:?} after a kill -9 with a lease of {SHORT_LEASE:?}, \
         forgotten after {forgotten:?}, {after:?} after a SIGTERM"
    );
}

#[tokio::test]
async fn revokes_that_no_replica_confirms_fail_soon_and_disturb_no_login() {
    let redis = Sentinels::start().await;
    let deployment = Deployment::set_up(&redis.url());
    let node = deployment.node(&redis.url()).await;
    let subjects: Vec<String> = (0..12).map(|number| format!("subject-{number}")).collect();
    let minting = subjects.iter().map(|subject| node.mint(subject));
    let logins = join_all(minting).await.into_iter().map(Result::unwrap);
    let logins: Vec<Login> = logins.collect();
    let master = redis.master().await.port();
    let servers = redis.servers().iter();
    servers
        .filter(|one| one.port() != master)
        .for_each(RedisServer::pause);

    let over = Cell::new(false);
    let (longest, failed) = (Cell::new(Duration::ZERO), Cell::new(0));
    let revoking = |login: &Login| {
        let target = login.token.clone();
        let (node, over, longest, failed) = (&node, &over, &longest, &failed);
        async move {
            while !over.get() {
                let call = node.revoke(&target).await;
                assert!(call.outcome.is_err(), "{:?}", call.outcome);
                longest.set(longest.get().max(call.took));
                failed.set(failed.get() + 1);
            }
        }
    };
    // Each for a name that the node has to read, so that it cannot live on its cache.
    let asking = async {
        let (mut client, started) = (node.client(), Instant::now());
        let mut counts = HashMap::<Verdict, usize>::new();
        for number in 0.. {
            let answered = client.connect(&logins[0].with_another_name(number)).await;
            *counts.entry(answered.verdict).or_default() += 1;
            if started.elapsed() > Duration::from_secs(3) {
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
        over.set(true);
        counts
    };
    let (_, counts) = tokio::join!(join_all(logins.iter().map(revoking)), asking);
    let (failed, longest) = (failed.get(), longest.get());
    println!(
        "no replica: {failed} revokes failed, slowest {longest:?}; logins meanwhile {counts:?}"
    );
    assert!(longest < LONGEST_REVOKE, "{longest:?}");
    assert_eq!(
        counts.keys().collect::<Vec<_>>(),
        [&Verdict::Deny],
        "{}",
        node.log()
    );
}
