//! One node loses Redis, or its own time; Redis goes and comes back.

use std::time::Duration;

use tokio::time::sleep;

use crate::race::load::{Pressure, Race};
use crate::race::scene::{LEASE, Scene};
use crate::race::{length, settled};
use crate::support::proxy::{Mode, contains};

/// Gentle enough for several of these at a time.
pub const GENTLE: Pressure = Pressure {
    connections: 4,
    pause: Duration::from_millis(4),
    revoke_every: Duration::from_millis(60),
};
/// How long it goes on before the fault and after it.
const AROUND: Duration = Duration::from_millis(600);
/// How much longer than a lease a revoke may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Races while `fault` comes over the first node, or over all of them. In the end no answer was
/// wrong, no call took too long, and every node works again.
async fn race_through(scene: &Scene, concerned: &[usize], fault: impl Future<Output = ()>) {
    let race = Race::prepare(&scene.nodes, 120).await;
    for node in concerned {
        race.judge.borrow_mut().expect_fault(*node);
    }
    let through: Vec<usize> = (0..scene.nodes.len()).collect();
    let fault = async {
        sleep(AROUND).await;
        fault.await;
        for node in &scene.nodes {
            node.wait_ready().await;
        }
        sleep(AROUND).await;
    };
    race.run(GENTLE, &through, fault).await;
    race.check();
    let longest = race.longest_call();
    assert!(
        longest < Duration::from_millis(LEASE) + PATIENCE,
        "{longest:?}"
    );
    assert!(race.judge.borrow().revokes() > 5);
    settled(&race).await;
}

#[tokio::test]
async fn a_node_whose_log_is_swallowed_allows_nothing_that_was_revoked() {
    let scene = Scene::set_up(3).await;
    let fault = async {
        scene.proxy.set_where(contains(":nodes"), Mode::Swallow);
        sleep(length(3)).await;
        scene.proxy.set(Mode::Pass);
    };
    race_through(&scene, &[0], fault).await;
}

#[tokio::test]
async fn a_node_whose_subscription_is_swallowed_allows_nothing_that_was_revoked() {
    let scene = Scene::set_up(3).await;
    let fault = async {
        scene.proxy.set_where(contains("SUBSCRIBE"), Mode::Swallow);
        sleep(length(3)).await;
        scene.proxy.set(Mode::Pass);
    };
    race_through(&scene, &[0], fault).await;
}

#[tokio::test]
async fn a_node_that_is_cut_off_silently_allows_nothing_that_was_revoked() {
    let scene = Scene::set_up(3).await;
    let fault = async {
        scene.proxy.set(Mode::Swallow);
        sleep(length(3)).await;
        scene.proxy.set(Mode::Pass);
    };
    race_through(&scene, &[0], fault).await;
}

#[tokio::test]
async fn a_node_that_was_stopped_for_long_allows_nothing_that_was_revoked_meanwhile() {
    let scene = Scene::set_up(3).await;
    let fault = async {
        scene.nodes[0].pause();
        sleep(length(4)).await;
        scene.nodes[0].resume();
    };
    race_through(&scene, &[0], fault).await;
}

#[tokio::test]
async fn a_node_that_is_stopped_again_and_again_allows_nothing_that_was_revoked() {
    let scene = Scene::set_up(3).await;
    let fault = async {
        for _ in 0..8 {
            // About as long as a lease: some end before it, some after.
            scene.nodes[0].pause();
            sleep(Duration::from_millis(400 + rand(1000))).await;
            scene.nodes[0].resume();
            sleep(Duration::from_millis(rand(300))).await;
        }
    };
    race_through(&scene, &[0], fault).await;
}

#[tokio::test]
async fn a_redis_that_restarts_with_its_data_forgets_no_revoke() {
    let scene = Scene::set_up(3).await;
    let fault = async {
        scene.redis.restart().await;
        sleep(AROUND).await;
        scene.redis.kill();
        sleep(length(2)).await;
        scene.redis.restart().await;
    };
    race_through(&scene, &[0, 1, 2], fault).await;
}

/// Milliseconds below `end`.
fn rand(end: u64) -> u64 {
    u64::from_be_bytes(ticketgate::secret::random_bytes()) % end
}
