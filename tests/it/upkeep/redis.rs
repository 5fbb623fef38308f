//! The same with Redis, where more can lie in a store than an embedded one can hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use ticketgate::app::check::problem::Outcome;
use ticketgate::app::check::{Event, Options, check};
use ticketgate::clock::{Clock as _, ManualClock, SystemClock};
use ticketgate::credential::api_key::{ApiKey, ApiKeyKind, NewApiKey};
use ticketgate::credential::key_rules::KeyRules;
use ticketgate::credential::scope::Scope;
use ticketgate::keyring::Keyring;
use ticketgate::metrics::Metrics;
use ticketgate::names::marks::Epoch;
use ticketgate::names::organization_id::OrganizationId;
use ticketgate::names::token_id::TokenId;
use ticketgate::store::conformance::{InventorySubject, inventory_suite};
use ticketgate::store::list::ListKind;
use ticketgate::store::port::{self, Store as _};
use ticketgate::store::record::{Kept as _, TokenIndex, shard_of};
use ticketgate::store::redis::{Redis, Settings};

use crate::support::program::{Site, program};
use crate::support::redis::RedisServer;
use crate::support::redis::cluster::Cluster;

/// The store under a prefix.
async fn visit(url: &str, prefix: &str) -> Redis {
    let settings = Settings {
        address: url.parse().unwrap(),
        authorities: None,
        sentinel_login: (None, None),
        prefix: prefix.to_owned(),
        lease: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        min_replicas: 0,
    };
    let store = Redis::visit(settings, Arc::new(Metrics::new())).await;
    store.unwrap()
}

async fn keeps_its_promises(url: &str) {
    let count = AtomicUsize::new(0);
    inventory_suite(async || {
        // Under a prefix of its own a store is empty.
        let prefix = format!("tg:{}", count.fetch_add(1, Ordering::SeqCst));
        InventorySubject {
            store: Arc::new(visit(url, &prefix).await),
            clock: Arc::new(ManualClock::at(SystemClock.now())),
        }
    })
    .await;
}

#[tokio::test]
async fn one_redis_keeps_the_promises_of_an_inventory() {
    keeps_its_promises(&RedisServer::start().await.url()).await;
}

#[tokio::test]
async fn a_cluster_keeps_the_promises_of_an_inventory() {
    keeps_its_promises(&Cluster::start().await.url()).await;
}

#[tokio::test]
async fn damage_in_redis_is_found_and_mended_where_that_loses_nothing() {
    let server = RedisServer::start().await;
    let store = visit(&server.url(), "damaged").await;
    let index = |seconds| TokenIndex {
        name: "bob".parse().unwrap(),
        organization: "org_k7xm4pqr2n5t".parse().unwrap(),
        expires_at: SystemClock.now() + SignedDuration::from_secs(seconds),
    };
    let [dangling, over] = [TokenId::random(), TokenId::random()];
    port::create(&store, &dangling, index(3_600)).await.unwrap();
    port::create(&store, &over, index(60)).await.unwrap();
    let key = |name: &str| format!("damaged:{{s{:02}}}:{name}", shard_of(name));
    let (list, text) = ("policy:org_k7xm4pqr2n5t", "origin:https://a.example");
    let foreign = "origin:https://b.example";
    let misplaced = "damaged:{s01}:origin:https://c.example";
    let origin = r#"{"v":1,"record":{}}"#;
    server.cli(&["RPUSH", &key(list), "x"]).await;
    server.cli(&["SET", &key(text), "nonsense"]).await;
    server.cli(&["SET", &key(foreign), origin]).await;
    server.cli(&["SET", misplaced, origin]).await;
    server.cli(&["SET", &key("session:7"), "{}"]).await;

    let dangling = TokenIndex::key(&dangling).to_string();
    let over = TokenIndex::key(&over).to_string();
    let expected = [
        (dangling.as_str(), "dangling_index", true),
        (&over, "dangling_index", true),
        (list, "wrong_type", true),
        (text, "unreadable", true),
        (foreign, "no_revision", false),
        (misplaced, "not_a_key", false),
        ("session:7", "not_a_key", false),
    ];
    let all = expected.map(|(name, kind, _)| (name.to_owned(), (kind, false)));
    assert_eq!(found(&store, false).await, BTreeMap::from(all));
    let mended = expected.map(|(name, kind, mended)| (name.to_owned(), (kind, mended)));
    assert_eq!(found(&store, true).await, BTreeMap::from(mended));
    let left = expected.into_iter().filter(|(_, _, mended)| !mended);
    let left = left.map(|(name, kind, _)| (name.to_owned(), (kind, false)));
    assert_eq!(found(&store, true).await, left.collect());
    let aside = format!("damaged:{{s{:02}}}:aside:{list}", shard_of(list));
    assert_eq!(server.cli(&["LRANGE", &aside, "0", "-1"]).await.trim(), "x");
}

/// A key that a version made which had no lists.
#[tokio::test]
async fn a_key_that_is_in_no_list_comes_into_it() {
    let server = RedisServer::start().await;
    let store = visit(&server.url(), "unlisted").await;
    let organization: OrganizationId = "org_k7xm4pqr2n5t".parse().unwrap();
    let new = NewApiKey {
        organization: organization.clone(),
        kind: ApiKeyKind::Secret,
        name: "old".into(),
        scopes: vec![Scope::Publish],
        rules: KeyRules::default(),
        created_by: None,
    };
    let (key, _) = ApiKey::create(&Keyring::random(), new, Epoch::default(), SystemClock.now());
    port::create(&store, &key.id, key.clone()).await.unwrap();
    let record = ApiKey::key(&key.id);
    let list = format!("unlisted:{{s{:02}}}:keys:{organization}", record.shard());
    assert_eq!(server.cli(&["DEL", &list]).await.trim(), "1");
    let listed = async || {
        let (kind, now) = (ListKind::Keys, SystemClock.now());
        let listed = store.list(kind, &organization, now, None, 9).await;
        listed.unwrap().names
    };
    assert!(listed().await.is_empty());
    let unlisted = async |fix| {
        let options = Options {
            fix,
            patience: Duration::ZERO,
        };
        let report = check(&store, &SystemClock, options, &mut |_| {}).await;
        report
            .unwrap()
            .kinds
            .get("not_listed")
            .copied()
            .unwrap_or(0)
    };
    assert_eq!(unlisted(false).await, 1);
    assert_eq!(unlisted(true).await, 1);
    assert_eq!(listed().await, [key.id.to_string()]);
    assert_eq!(unlisted(false).await, 0);
}

/// Kind of each finding and whether it was mended, by name.
async fn found(store: &Redis, fix: bool) -> BTreeMap<String, (&'static str, bool)> {
    let mut found = BTreeMap::new();
    let mut tell = |event: Event<'_>| {
        if let Event::Found(finding) = event {
            let mended = matches!(finding.outcome, Outcome::Mended(_));
            found.insert(finding.name.clone(), (finding.problem.kind(), mended));
        }
    };
    let options = Options {
        fix,
        patience: Duration::ZERO,
    };
    check(store, &SystemClock, options, &mut tell)
        .await
        .unwrap();
    found
}

#[tokio::test]
async fn a_site_moves_from_the_embedded_store_to_redis_and_back() {
    let site = Site::set_up();
    site.json(&["user", "create", "--org", &site.organization, "sensor-1"]);
    let file = site.path("export");
    site.run(&["store", "export", &file]);
    let server = RedisServer::start().await;
    let on_redis = |arguments: &[&str]| {
        let mut command = program();
        command.env("TICKETGATE__STORE__URL", server.url());
        command.args(["--data", &site.path("data")]).args(arguments);
        let output = command.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(on_redis(&["store", "import", &file]).contains("5 new"));
    assert!(on_redis(&["store", "import", &file]).contains("5 there already"));
    assert!(on_redis(&["store", "check"]).contains("looked at 5: nothing is wrong"));
    let records = |text: &str| {
        let mut lines: Vec<_> = text.lines().skip(1).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let back = on_redis(&["store", "export"]);
    assert_eq!(
        records(&back),
        records(&std::fs::read_to_string(&file).unwrap())
    );
}
