//! What a node misses of a change log, and reads that are on their way while a record changes.

use std::time::{Duration, Instant};

use crate::race::scene::Scene;
use crate::support::nodes::Node;
use crate::support::nodes::client::{Login, Verdict};
use crate::support::proxy::{Mode, contains};

/// More than a log keeps.
const MANY: &str = "3000";

/// The key of somebody's record, and of its shard's log and registry.
struct Keys {
    record: String,
    log: String,
}

impl Keys {
    async fn of(scene: &Scene, login: &Login) -> Self {
        let record = scene
            .redis
            .cli(&["KEYS", &format!("*:holder:{}", login.username)])
            .await;
        let (shard, _) = record.split_once('}').unwrap();
        Self {
            log: format!("{shard}}}:log"),
            record,
        }
    }
}

async fn verdict(node: &Node, login: &Login) -> Verdict {
    node.client().connect(login).await.verdict
}

/// Two logins that every node has in its cache.
async fn two_cached(scene: &Scene) -> (Login, Login) {
    let (gone, kept) = (
        scene.nodes[1].mint("gone").await,
        scene.nodes[1].mint("kept").await,
    );
    let (gone, kept) = (gone.unwrap(), kept.unwrap());
    for node in &scene.nodes {
        for login in [&gone, &kept] {
            assert_eq!(verdict(node, login).await, Verdict::Allow);
        }
    }
    (gone, kept)
}

/// The first node misses a revoke and everything that the log says of it, while `stop` holds it up.
async fn miss_a_revoke(scene: &Scene, stop: impl Fn(&Scene), go_on: impl Fn(&Scene)) {
    let (gone, kept) = two_cached(scene).await;
    let log = Keys::of(scene, &gone).await.log;
    stop(scene);
    let revoke = scene.nodes[1].revoke(&gone.username).await;
    revoke.outcome.unwrap();
    // As if others had written so much that not even the revoke is in it any more.
    let script = "for n = 1, ARGV[1] do redis.call('XADD', KEYS[1], 'MAXLEN', '~', '1000', '*', \
                  'changed', 'holder:nobody') end return redis.call('XLEN', KEYS[1])";
    let left = scene.redis.cli(&["EVAL", script, "1", &log, MANY]).await;
    assert!(left.parse::<u32>().unwrap() < 1500, "{left}");
    go_on(scene);
    scene.nodes[0].wait_ready().await;
    assert_eq!(verdict(&scene.nodes[0], &gone).await, Verdict::Deny);
    assert_eq!(verdict(&scene.nodes[0], &kept).await, Verdict::Allow);
    println!(
        "a log cut behind a node: revoke {:?}, then deny",
        revoke.took
    );
}

#[tokio::test]
async fn a_log_that_was_cut_while_a_node_was_stopped_empties_its_cache() {
    let scene = Scene::set_up(2).await;
    let (stop, go_on) = (
        |scene: &Scene| scene.nodes[0].pause(),
        |scene: &Scene| scene.nodes[0].resume(),
    );
    miss_a_revoke(&scene, stop, go_on).await;
}

#[tokio::test]
async fn a_log_that_was_cut_while_a_node_was_cut_off_empties_its_cache() {
    let scene = Scene::set_up(2).await;
    let stop = |scene: &Scene| scene.proxy.set(Mode::Swallow);
    miss_a_revoke(&scene, stop, |scene| scene.proxy.set(Mode::Pass)).await;
}

#[tokio::test]
async fn a_cut_log_empties_the_cache_even_where_another_log_cannot_be_read() {
    let scene = Scene::set_up(2).await;
    let (gone, _) = two_cached(&scene).await;
    let Keys { log, .. } = Keys::of(&scene, &gone).await;
    let node = &scene.nodes[0];
    node.pause();
    scene.nodes[1].revoke(&gone.username).await.outcome.unwrap();
    scene.redis.cli(&["XTRIM", &log, "MAXLEN", "0"]).await;
    // A registry that no node can write itself into.
    let other = "tg:{s63}:nodes";
    scene.redis.cli(&["RENAME", other, "kept"]).await;
    scene.redis.cli(&["SET", other, "not a hash"]).await;
    node.resume();
    let waiting = Instant::now();
    while !node.log().contains("WRONGTYPE") {
        // A CONNECT here would have the node read the record, and prove nothing.
        assert!(
            waiting.elapsed() < Duration::from_secs(10),
            "{}",
            node.log()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    scene.redis.cli(&["RENAME", "kept", other]).await;
    node.wait_ready().await;
    assert_eq!(verdict(node, &gone).await, Verdict::Deny);
}

#[tokio::test]
async fn a_read_that_is_overtaken_by_a_revoke_allows_nothing() {
    // Longer than the test holds a reply.
    let scene = Scene::with(2, &[("STORE__TIMEOUT_MS", "500")]).await;
    let (first, second) = (&scene.nodes[0], &scene.nodes[1]);
    let mut slowest = Duration::ZERO;
    for round in 0..10 {
        let login = second.mint(&format!("subject-{round}")).await.unwrap();
        let key = Keys::of(&scene, &login).await.record;
        let hold = scene.proxy.hold_after(contains(&key));
        let before = async {
            let mut client = first.client();
            client.connect(&login).await
        };
        let overtaking = async {
            hold.answered().await;
            let revoke = second.revoke(&login.token).await;
            revoke.outcome.unwrap();
            slowest = slowest.max(revoke.took);
            // It may not ride along with the read that began before.
            let mut client = first.client();
            let after = async { client.connect(&login).await };
            let release = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                hold.release();
            };
            tokio::join!(after, release).0
        };
        let (before, after) = tokio::join!(before, overtaking);
        assert_ne!(before.verdict, Verdict::Allow, "round {round}");
        assert_ne!(after.verdict, Verdict::Allow, "round {round}");
        assert_eq!(verdict(first, &login).await, Verdict::Deny);
    }
    println!("10 overtaken reads: slowest revoke {slowest:?}, none allowed");
}
