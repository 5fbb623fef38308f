//! The connections that the threads of a server read through.

use crate::race::scene::Scene;
use crate::support::nodes::client::Verdict;
use crate::support::redis::RedisServer;
use crate::support::redis::wait::{check, until};

const LOGINS: usize = 40;

/// How often the server was told this command.
async fn calls(server: &RedisServer, command: &str) -> u64 {
    let said = server.cli(&["INFO", "commandstats"]).await;
    let line = format!("cmdstat_{command}:calls=");
    let count = said.lines().find_map(|one| one.strip_prefix(&line));
    count.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_thread_does_not_read_from_a_server_that_the_address_has_moved_to() {
    let workers = [("SERVER__WORKERS", "4")];
    let scene = Scene::with(2, &workers).await;
    let (node, other) = (&scene.nodes[0], RedisServer::start().await);
    scene.proxy.lead_to(other.port());
    for number in 0..LOGINS {
        let login = scene.nodes[1].mint(&format!("user-{number}")).await;
        // A new connection each time: the workers take turns.
        let answered = node.client().connect(&login.unwrap()).await;
        assert_eq!(answered.verdict, Verdict::Allow, "login {number}");
    }
    until(String::new, async || {
        check(calls(&other, "info").await >= 1, || {
            "the threads look where they are".to_owned()
        })
    })
    .await;
    assert_eq!(calls(&other, "get").await, 0, "records of another server");
}

#[tokio::test]
async fn threads_read_through_connections_of_their_own() {
    let scene = Scene::with(2, &[("SERVER__WORKERS", "4")]).await;
    let node = &scene.nodes[0];
    let before = scene.proxy.counts().accepted;
    for number in 0..LOGINS {
        let login = scene.nodes[1].mint(&format!("user-{number}")).await;
        let answered = node.client().connect(&login.unwrap()).await;
        assert_eq!(answered.verdict, Verdict::Allow, "login {number}");
    }
    until(String::new, async || {
        check(scene.proxy.counts().accepted == before + 4, || {
            "each worker has one".to_owned()
        })
    })
    .await;
}
