//! Redis is dead, or deaf. Brokers are told so at once, and nothing queues up.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::race::scene::Scene;
use crate::support::nodes::Node;
use crate::support::nodes::client::{Login, Verdict};
use crate::support::redis::RedisServer;

const QUESTIONS: usize = 2_000;
const CONNECTIONS: usize = 64;
/// The longest that a hook may take: its deadline, and what a busy machine adds.
const HOOK_DEADLINE: Duration = Duration::from_millis(1_500);
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// Asks for names that no cache has.
async fn storm(node: &Node, login: &Login) -> (HashMap<Verdict, usize>, Duration) {
    let next = Cell::new(0);
    let lane = |_| async {
        let (mut client, mut answers) = (node.client(), Vec::new());
        while next.get() < QUESTIONS {
            let number = next.replace(next.get() + 1);
            answers.push(client.connect(&login.with_another_name(number)).await);
        }
        answers
    };
    let answers = join_all((0..CONNECTIONS).map(lane)).await.concat();
    let mut counts = HashMap::new();
    for answered in &answers {
        *counts.entry(answered.verdict).or_default() += 1;
    }
    let slowest = answers.iter().map(|one| one.received - one.sent).max();
    (counts, slowest.unwrap())
}

async fn storm_without(end: impl Fn(&RedisServer), bring_back: impl AsyncFn(&RedisServer)) {
    let scene = Scene::set_up(1).await;
    let node = &scene.nodes[0];
    let login = node.mint("alice").await.unwrap();
    end(&scene.redis);
    let started = Instant::now();
    let is_live = async {
        for _ in 0..5 {
            let asked = Instant::now();
            assert!(node.is_live().await);
            assert!(asked.elapsed() < HOOK_DEADLINE);
            sleep(Duration::from_millis(50)).await;
        }
    };
    let ((counts, slowest), ()) = tokio::join!(storm(node, &login), is_live);
    let took = started.elapsed();
    assert_eq!(
        counts.keys().collect::<Vec<_>>(),
        [&Verdict::Unavailable],
        "{counts:?}"
    );
    assert!(slowest < HOOK_DEADLINE, "{slowest:?}");
    let (status, why) = node.ready().await.unwrap();
    assert!(
        status == 503 && why.contains("Redis") || why.contains("change log"),
        "{status} {why}"
    );

    bring_back(&scene.redis).await;
    let back = Instant::now();
    while node.client().connect(&login).await.verdict != Verdict::Allow {
        assert!(back.elapsed() < BACK_WITHIN, "{}", node.log());
        sleep(Duration::from_millis(10)).await;
    }
    let back = back.elapsed();
    println!(
        "{QUESTIONS} CONNECTs through {CONNECTIONS} connections answered in {took:?}, slowest \
         {slowest:?}, {counts:?}; logins work {back:?} after Redis is back; it said {why}"
    );
}

#[tokio::test]
async fn without_redis_every_login_is_answered_unavailable_at_once() {
    storm_without(RedisServer::kill, async |redis| redis.restart().await).await;
}

#[tokio::test]
async fn with_a_deaf_redis_every_login_is_answered_unavailable_in_time() {
    storm_without(RedisServer::pause, async |redis| redis.resume()).await;
}
