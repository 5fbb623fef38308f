//! Every store keeps the same promises: Redis, Sentinel, Cluster, and each of them cached. (The
//! embedded store and a cache over it are held to them beside their own code.)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ticketgate::clock::{Clock as _, ManualClock, SystemClock};
use ticketgate::metrics::Metrics;
use ticketgate::store::cached::{self, Cached};
use ticketgate::store::conformance::{Subject, suite};
use ticketgate::store::port::Store;
use ticketgate::store::redis::{Redis, Settings};

use crate::support::redis::RedisServer;
use crate::support::redis::cluster::Cluster;
use crate::support::redis::options::RedisOptions;
use crate::support::redis::sentinels::Sentinels;

/// Long, because a busy machine is no broken promise.
const LEASE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(20);

/// Settings under a prefix that nobody else has: an empty store.
fn settings(url: &str) -> Settings {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::SeqCst);
    Settings {
        address: url.parse().unwrap(),
        authorities: None,
        sentinel_login: (None, None),
        prefix: format!("tg:{count}"),
        lease: LEASE,
        timeout: LEASE / 2,
        min_replicas: 0,
    }
}

async fn bare(settings: Settings) -> Subject {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let metrics = Arc::new(Metrics::new());
    let store = Redis::visit(settings, metrics).await.unwrap();
    Subject {
        store: Arc::new(store),
        clock,
    }
}

async fn cached(settings: Settings) -> Subject {
    let metrics = Arc::new(Metrics::new());
    let freshness = Arc::new(settings.freshness());
    let redis = Redis::serve(settings, Arc::clone(&freshness), Arc::clone(&metrics));
    let started = Instant::now();
    while let Err(error) = redis.ready().await {
        assert!(started.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Not before it is ready: records end by the time of Redis.
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let cache = cached::Settings::default();
    let store = Cached::new(Arc::new(redis), &cache, freshness, clock.clone(), metrics);
    Subject {
        store: Arc::new(store),
        clock,
    }
}

async fn keeps_its_promises(settings: impl Fn() -> Settings) {
    suite(async || bare(settings()).await).await;
    suite(async || cached(settings()).await).await;
}

#[tokio::test]
async fn one_redis_keeps_the_promises_of_a_store() {
    let server = RedisServer::start().await;
    keeps_its_promises(|| settings(&server.url())).await;
}

#[tokio::test]
async fn a_master_named_by_sentinels_keeps_the_promises_of_a_store() {
    let sentinels = Sentinels::start().await;
    keeps_its_promises(|| Settings {
        min_replicas: 1,
        ..settings(&sentinels.url())
    })
    .await;
}

#[tokio::test]
async fn a_cluster_keeps_the_promises_of_a_store() {
    let cluster = Cluster::start().await;
    keeps_its_promises(|| Settings {
        min_replicas: 1,
        ..settings(&cluster.url())
    })
    .await;
}

#[tokio::test]
async fn an_encrypted_redis_with_the_rights_of_the_runbook_is_enough() {
    let rules = rights_in_the_runbook();
    let options = RedisOptions::default().tls();
    let server = options
        .user("ticketgate", "p@ss:w/rd", &rules)
        .start()
        .await;
    let authorities = std::fs::read(server.ca_file()).unwrap();
    let trusting = || Settings {
        authorities: Some(authorities.clone()),
        ..settings(&server.url())
    };
    keeps_its_promises(trusting).await;

    let mistrusting = Redis::visit(settings(&server.url()), Arc::new(Metrics::new())).await;
    let error = mistrusting
        .err()
        .expect("nobody vouches for it")
        .to_string();
    assert!(error.contains("certificate"), "{error}");
    let mut wrong = trusting();
    wrong.address.password = Some(ticketgate::secret::Secret::new("wrong"));
    let refused = Redis::visit(wrong, Arc::new(Metrics::new())).await;
    let error = refused.err().expect("the password is wrong").to_string();
    assert!(error.contains("check user and password"), "{error}");
}

/// What stands behind the user's name and password in the runbook's ACL line.
fn rights_in_the_runbook() -> String {
    let runbook = read("docs/runbook.md");
    let (_, line) = runbook
        .split_once("ACL SETUSER ticketgate on >PASSWORD ")
        .unwrap();
    let (rights, _) = line.split_once("```").unwrap();
    rights.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_runbook_has_the_table_of_keys() {
    let source = read("src/store/redis/keys.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! "));
    let rows: Vec<&str> = rows.filter(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 10, "the table was not found");
    assert!(read("docs/runbook.md").contains(&rows.join("\n")));
}

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}
