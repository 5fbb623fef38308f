//! The servers that other tests lean on do what they say.

mod proxy;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::redis::RedisServer;
use crate::support::redis::cluster::Cluster;
use crate::support::redis::options::RedisOptions;
use crate::support::redis::sentinels::{MASTER_NAME, Sentinels};
use crate::support::redis::wait::{check, until};

/// Set in a process that is to die in the midst of a test.
const DOOMED: &str = "TICKETGATE_TEST_DOOMED";

/// What `redis-cli` says to a PING at this URL.
fn ping(url: &str, more: &[&str]) -> String {
    // An empty user name is the default one's, but `redis-cli` takes it for a name.
    let url = url.replace("//:", "//default:");
    let mut command = Command::new("redis-cli");
    command.args(["-u", &url]).args(more).arg("PING");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn durable_data_survives_a_kill_and_other_data_does_not() {
    let durable = RedisOptions::default().durable().start().await;
    let fleeting = RedisServer::start().await;
    for (server, kept) in [(&durable, "1"), (&fleeting, "")] {
        let url = server.url();
        server.cli(&["SET", "key", "1"]).await;
        server.kill();
        assert!(!server.is_running());
        assert!(ping(&url, &[]).contains("refused"));
        server.restart().await;
        assert_eq!(server.cli(&["GET", "key"]).await, kept);
        assert_eq!(server.url(), url);
    }
}

#[tokio::test]
async fn a_paused_server_answers_once_it_is_resumed() {
    let server = RedisServer::start().await;
    server.pause();
    assert!(!server.is_running());
    let early = timeout(Duration::from_millis(100), server.cli(&["PING"]));
    assert!(early.await.is_err(), "it is paused");
    server.resume();
    assert!(server.is_running());
    assert_eq!(server.cli(&["PING"]).await, "PONG");
}

#[tokio::test]
async fn the_url_logs_in_and_nothing_else_does() {
    let with_password = RedisOptions::default().password("hunter2").start().await;
    let rules = "~tg:* +@all";
    let with_user = RedisOptions::default()
        .user("alice", "hunter2", rules)
        .start()
        .await;
    for server in [&with_password, &with_user] {
        let url = server.url();
        assert!(ping(&url, &[]).contains("PONG"), "{url}");
        for wrong in [
            url.replace("hunter2", "hunter3"),
            format!("redis://127.0.0.1:{}", server.port()),
        ] {
            assert!(ping(&wrong, &[]).contains("NOAUTH"), "{wrong}");
        }
        assert_eq!(server.cli(&["SET", "any", "1"]).await, "OK", "the harness");
    }
    let who = with_user
        .cli(&["ACL", "DRYRUN", "alice", "SET", "any", "1"])
        .await;
    assert!(who.contains("no permissions"), "{who}");
}

#[tokio::test]
async fn tls_is_the_only_way_in_and_needs_the_right_authority() {
    let server = RedisOptions::default().tls().password("p").start().await;
    let other = RedisOptions::default().tls().start().await;
    let ca_file = |of: &RedisServer| of.ca_file().display().to_string();
    let url = server.url();
    assert!(url.starts_with("rediss://:p@127.0.0.1:"), "{url}");
    assert!(ping(&url, &["--cacert", &ca_file(&server)]).contains("PONG"));
    assert!(ping(&url, &["--cacert", &ca_file(&other)]).contains("verify failed"));
    assert!(!ping(&url.replace("rediss", "redis"), &[]).contains("PONG"));
}

#[tokio::test]
async fn a_replica_has_what_its_master_has() {
    let plain = RedisOptions::default();
    let named = RedisOptions::default().user("alice", "p", "~* +@all");
    let private = RedisOptions::default().tls().password("p");
    for options in [plain, named, private] {
        let master = options.clone().start().await;
        let replica = options.replica_of(&master).start().await;
        master.cli(&["SET", "key", "1"]).await;
        master.wait_for_copies(1).await;
        assert_eq!(replica.cli(&["GET", "key"]).await, "1");
        let refused = replica.try_cli(&["SET", "key", "2"]).await.unwrap_err();
        assert!(refused.contains("READONLY"), "{refused}");
    }
}

#[tokio::test]
async fn sentinels_replace_a_dead_master() {
    let sentinels = Sentinels::start().await;
    let master = sentinels.master().await;
    master.cli(&["SET", "key", "1"]).await;
    master.wait_for_copies(2).await;

    let old = sentinels.kill_master().await;
    let new = sentinels.wait_for_failover(old).await;
    assert_ne!(new.port(), old);
    assert_eq!(new.cli(&["GET", "key"]).await, "1");
    assert_eq!(sentinels.master().await.port(), new.port());

    sentinels.server(old).restart().await;
    sentinels.wait_settled().await;
    assert_eq!(sentinels.master().await.port(), new.port(), "no way back");
}

#[tokio::test]
async fn two_sentinels_replace_a_silent_master() {
    let sentinels = Sentinels::start().await;
    let url = sentinels.url();
    let (_, addresses) = url.split_once("redis+sentinel://").unwrap();
    let (addresses, name) = addresses.split_once('/').unwrap();
    assert_eq!((addresses.split(',').count(), name), (3, MASTER_NAME));
    for address in addresses.split(',') {
        assert!(ping(&format!("redis://{address}"), &[]).contains("PONG"));
    }

    sentinels.sentinel(0).kill();
    let old = sentinels.pause_master().await;
    let new = sentinels.wait_for_failover(old).await;
    assert_ne!(new.port(), old);
    sentinels.server(old).resume();
    sentinels.wait_settled().await;
    assert_eq!(sentinels.master().await.port(), new.port(), "no way back");
}

#[tokio::test]
async fn a_cluster_replaces_a_dead_master() {
    let cluster = Cluster::start().await;
    let url = cluster.url();
    let (_, addresses) = url.split_once("redis+cluster://").unwrap();
    assert_eq!(addresses.split(',').count(), 6);
    let keys = ["a", "b", "c"];
    let mut masters = Vec::new();
    for key in keys {
        let master = cluster.master_of(key).await;
        assert_eq!(master.cli(&["SET", key, "1"]).await, "OK");
        master.wait_for_copies(1).await;
        masters.push(master.port());
    }
    masters.sort_unstable();
    masters.dedup();
    assert_eq!(masters.len(), 3, "the keys lie on three masters");

    let old = cluster.kill_master_of("a").await;
    let new = cluster.wait_for_promotion("a", old).await;
    assert_eq!(new.cli(&["GET", "a"]).await, "1");
    cluster.node(old).restart().await;
    cluster.wait_settled().await;
    assert_eq!(cluster.master_of("a").await.port(), new.port());
}

#[tokio::test]
async fn a_cluster_replaces_a_silent_master() {
    let cluster = Cluster::start().await;
    let old = cluster.pause_master_of("a").await;
    let new = cluster.wait_for_promotion("a", old).await;
    assert_ne!(new.port(), old);
    cluster.node(old).resume();
    cluster.wait_settled().await;
    assert_eq!(cluster.master_of("a").await.port(), new.port());
}

#[tokio::test]
async fn nothing_outlives_a_test_process_that_dies() {
    if std::env::var_os(DOOMED).is_some() {
        let server = RedisServer::start().await;
        let options = RedisOptions::default().durable();
        let paused = options.replica_of(&server).start().await;
        paused.pause();
        std::process::abort();
    }
    let folder = TempDir::new().unwrap();
    let this = "redis_servers::nothing_outlives_a_test_process_that_dies";
    let died = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this])
        .env(DOOMED, "1")
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    assert_eq!(died.status.code(), None, "{died:?}");
    let gone = async || {
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        check(files == 0, || format!("{files} folders are left"))?;
        let processes = processes_in(folder.path());
        check(processes.is_empty(), || format!("{processes:?} still run"))
    };
    until(String::new, gone).await;
}

/// What works in this folder, or did before it was removed.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let places = processes.filter_map(|process| process.path().join("cwd").read_link().ok());
    places.filter(|place| place.starts_with(folder)).collect()
}
