//! `ticketgate store`: damage found and mended, and a site that moves house.

mod redis;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use redb::{Database, TableDefinition};
use serde_json::Value;
use ticketgate::clock::SystemClock;
use ticketgate::credential::holder::Holder;
use ticketgate::metrics::Metrics;
use ticketgate::names::organization_id::OrganizationId;
use ticketgate::names::token_id::TokenId;
use ticketgate::store::embedded::{Embedded, FILE_NAME};
use ticketgate::store::port::{self, Store as _, Write};
use ticketgate::store::record::{Kept as _, Policy, RecordKey, TokenIndex};

use crate::records::shown;
use crate::support::program::{Site, program};
use crate::support::world::{HOOK_SECRET, JWT_SECRET};

const VERSION_1: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/records/v1.ndjson"
);

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Opens the site's store in this process. No server may run.
fn open(site: &Site) -> Embedded {
    Embedded::open(
        &site.data(),
        Arc::new(SystemClock),
        Arc::new(Metrics::new()),
    )
    .unwrap()
}

async fn delete(store: &Embedded, key: RecordKey) {
    let found = store.get(&key).await.unwrap().unwrap();
    let delete = Write {
        key,
        expected: Some(found.revision),
        record: None,
        audit: None,
    };
    store.put(delete).await.unwrap();
}

/// Writes into the file what no command writes.
fn spoil(site: &Site, key: &str, text: &str) {
    let records: TableDefinition<&str, (u64, i64, &str)> = TableDefinition::new("records");
    let database = Database::open(site.data().join(FILE_NAME)).unwrap();
    let transaction = database.begin_write().unwrap();
    let row = (1, i64::MAX, text);
    transaction
        .open_table(records)
        .unwrap()
        .insert(key, row)
        .unwrap();
    transaction.commit().unwrap();
}

#[tokio::test]
async fn logins_that_were_minted_before_a_move_work_after_it() {
    let site = Site::set_up();
    let user = site.json(&["user", "create", "--org", &site.organization, "sensor-1"]);
    let mut server = site.serve().await;
    let (alice, password, _) = site.login("alice").await;
    let (bob, revoked, id) = site.login("bob").await;
    site.run(&["revoke", &id]);
    let in_use = site.fail(&["store", "export", &site.path("export")]);
    assert!(in_use.contains("in use by another process"), "{in_use}");
    assert!(server.terminate());
    let file = site.path("export");
    let exported = site.json(&["store", "export", &file]);
    assert_eq!(
        (&exported["records"], &exported["left_out"]),
        (&9.into(), &0.into())
    );
    assert_eq!(mode(Path::new(&file)), 0o600);
    let again = site.fail(&["store", "export", &file]);
    assert!(again.contains("File exists"), "{again}");

    let new = site.with_same_keys();
    assert_eq!(new.json(&["store", "import", &file])["created"], 9);
    assert!(
        new.run(&["store", "import", &file])
            .contains("9 there already")
    );
    let _server = new.serve().await;
    assert!(new.can_connect(&alice, &password).await);
    assert!(
        !new.can_connect(&bob, &revoked).await,
        "a revoke moves as well"
    );
    let (user, password) = (&user["username"], &user["password"]);
    assert!(
        new.can_connect(user.as_str().unwrap(), password.as_str().unwrap())
            .await
    );
    let (alice_again, password, _) = new.login("alice").await;
    assert_eq!(alice_again, alice);
    assert!(new.can_connect(&alice, &password).await);
}

#[tokio::test]
async fn an_export_holds_no_secret_in_clear() {
    let site = Site::set_up();
    let mut server = site.serve().await;
    let (_, password, _) = site.login("alice").await;
    assert!(server.terminate());
    let text = site.run(&["store", "export"]);
    assert!(text.contains("holder:user_alice@"));
    let keys = ["seal", "pepper"].map(|name| {
        let list = std::fs::read_to_string(site.data().join(format!("keys/{name}.keys"))).unwrap();
        list.split_whitespace().nth(1).unwrap().to_owned()
    });
    let parts = [
        &password[..],
        &password[26..48],
        &site.key,
        &site.key[13..45],
    ];
    for secret in [JWT_SECRET, HOOK_SECRET, &keys[0], &keys[1]]
        .iter()
        .chain(&parts)
    {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn records_of_version_1_can_be_imported_and_serve() {
    let (site, shown) = (Site::set_up(), shown());
    let (seal, pepper) = (
        site.data().join("keys/seal.keys"),
        site.data().join("keys/pepper.keys"),
    );
    let foreign = site.json(&["store", "import", "--dry-run", VERSION_1]);
    assert_eq!(
        foreign["missing_peppers"],
        serde_json::json!([&shown.pepper[..4]])
    );
    let warned = site.run(&["store", "import", "--dry-run", VERSION_1]);
    assert!(warned.contains("nothing was written"), "{warned}");
    assert!(
        warned.contains("is void until it is in keys/pepper.keys"),
        "{warned}"
    );

    for (path, line) in [(seal, &shown.seal), (pepper, &shown.pepper)] {
        let own = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{own}\n{line}\n")).unwrap();
    }
    let imported = site.json(&["store", "import", VERSION_1]);
    assert_eq!(
        (&imported["created"], &imported["missing_peppers"]),
        (&18.into(), &Value::Array(vec![]))
    );
    site.run(&["store", "check"]);
    let settings = std::fs::read_to_string(site.path("ticketgate.toml")).unwrap();
    site.write(
        "ticketgate.toml",
        &settings.replace(&site.organization, &shown.organization),
    );
    let _server = site.serve().await;
    for login in &shown.logins {
        let connected = site.can_connect(&login.username, &login.password).await;
        assert_eq!(connected, login.live, "{}", login.username);
    }
}

#[tokio::test]
async fn an_import_refuses_what_is_broken_and_what_is_there() {
    let site = Site::set_up();
    let file = site.path("export");
    site.run(&["store", "export", &file]);
    let whole = std::fs::read_to_string(&file).unwrap();
    site.write("cut", &whole[..whole.len() - 30]);
    let new = site.with_same_keys();
    let error = new.fail(&["store", "import", &site.path("cut")]);
    assert!(
        error.contains("line 6: ") && error.contains("nothing was imported"),
        "{error}"
    );
    assert!(new.run(&["store", "check"]).contains("looked at 0"));

    let missing = new.fail(&["store", "import", "/nowhere"]);
    assert!(missing.contains("cannot read /nowhere"), "{missing}");
    new.run(&["store", "import", &file]);
    new.write("rules", r#"{"rules":[]}"#);
    let (policy, org) = (format!("policy:{}", site.organization), &*site.organization);
    new.run(&["policy", "set", "--org", org, &new.path("rules")]);
    for (arguments, refused, replaced) in [
        (&["store", "import", &file][..], 1, 0),
        (&["store", "import", "--dry-run", &file], 1, 0),
        (&["store", "import", "--dry-run", "--replace", &file], 0, 1),
        (&["store", "import", "--replace", &file], 0, 1),
        (&["store", "import", &file], 0, 0),
    ] {
        let output = new.output(&[&["--json"], arguments].concat());
        assert_eq!(output.status.success(), refused == 0, "{arguments:?}");
        let sums: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&sums["refused"], &sums["replaced"]),
            (&refused.into(), &replaced.into())
        );
        let names: Vec<_> = sums["refused_records"].as_array().unwrap().iter().collect();
        assert!(
            names
                .iter()
                .all(|refused| refused["key"] == policy.as_str()),
            "{names:?}"
        );
        assert_eq!(names.len(), refused);
    }
}

#[test]
fn a_pipe_carries_an_export() {
    let site = Site::set_up();
    let export = site.run(&["store", "export", "-"]);
    let new = site.with_same_keys();
    let import = ["--data", &new.path("data"), "store", "import", "-"];
    let mut child = program()
        .args(import)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(export.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
    let again = new.run(&["store", "export"]);
    let records = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(records(&again), records(&export));
}

#[tokio::test]
async fn damage_is_found_and_mended() {
    let site = Site::set_up();
    let mut server = site.serve().await;
    let (username, _, id) = site.login("alice").await;
    let (lost, _, _) = site.login("bob").await;
    assert!(server.terminate());
    assert!(site.run(&["store", "check"]).contains("nothing is wrong"));

    let organization: OrganizationId = site.organization.parse().unwrap();
    let dangling = TokenIndex::key(&TokenId::random());
    {
        let store = open(&site);
        delete(&store, RecordKey::Token(id.parse().unwrap())).await;
        delete(&store, Policy::key(&organization)).await;
        let alice = username.parse().unwrap();
        let alice = port::read::<Holder>(&store, &alice).await.unwrap().unwrap();
        let index = TokenIndex {
            name: alice.name.clone(),
            organization,
            expires_at: alice.expires_at().unwrap(),
        };
        let RecordKey::Token(id) = &dangling else {
            unreachable!("made above")
        };
        port::create(&store, id, index).await.unwrap();
    }
    spoil(&site, &format!("holder:{lost}"), "{");
    spoil(&site, "session:7", "{}");

    let found = check(&site, &[]);
    // An index cannot be told to lead nowhere while what it leads to cannot be read.
    let expected = [
        ("session", "not_a_key", false),
        ("org", "no_policy", false),
        ("holder", "no_index", false),
        ("holder", "unreadable", false),
        ("token", "dangling_index", false),
    ];
    assert_same(&found, &expected);
    assert_same(&check(&site, &[]), &expected);
    let mended = check(&site, &["--fix"]);
    assert_same(
        &mended,
        &[
            ("session", "not_a_key", false),
            ("org", "no_policy", false),
            ("holder", "no_index", true),
            ("holder", "unreadable", true),
            ("token", "dangling_index", true),
        ],
    );
    // What the record that was moved aside had is missed now.
    let left = check(&site, &["--fix"]);
    let expected = [
        ("session", "not_a_key", false),
        ("org", "no_policy", false),
        ("token", "dangling_index", true),
    ];
    assert_same(&left, &expected);
    site.write("rules", r#"{"rules":[]}"#);
    site.run(&[
        "policy",
        "set",
        "--org",
        &site.organization,
        &site.path("rules"),
    ]);
    let text = site.output(&["store", "check"]);
    assert!(!text.status.success(), "a finding is left");
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("session:7: the name is not that of a record"),
        "{text}"
    );
    assert!(text.contains("1 wrong, 0 mended"), "{text}");

    let _server = site.serve().await;
    assert_eq!(
        site.json(&["revoke", &id])["revoked"],
        1,
        "the id is found again"
    );
}

type Found = Vec<(String, String, bool)>;

/// The findings: what is before the colon of the name, the kind, and whether it was mended.
fn check(site: &Site, flags: &[&str]) -> Found {
    let output = site.output(&[&["--json", "store", "check"], flags].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.success(), report["left"] == 0);
    let findings = report["findings"].as_array().unwrap().iter();
    let finding = |finding: &Value| {
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        assert!(!text("problem").is_empty() && !text("advice").is_empty());
        let kind_of_name = text("name").split(':').next().unwrap().to_owned();
        (kind_of_name, text("kind"), finding["mended"].is_string())
    };
    findings.map(finding).collect()
}

fn assert_same(found: &Found, expected: &[(&str, &str, bool)]) {
    let mut found: Vec<_> = found.iter().map(|(a, b, c)| (&**a, &**b, *c)).collect();
    let mut expected = expected.to_vec();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn the_help_says_what_an_import_needs() {
    let site = Site::set_up();
    for (command, expected) in [
        (
            "import",
            &[
                "keys/pepper.keys",
                "nothing is written",
                "revoke again",
                "exit code is 1",
            ][..],
        ),
        (
            "export",
            &["keys/seal.keys", "no password and no key", "same ones"],
        ),
        (
            "check",
            &["--fix", "exit code 1", "never touched", "newest version"],
        ),
    ] {
        let help = site.run(&["store", command, "--help"]);
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for expected in expected {
            assert!(help.contains(expected), "{expected}: {help}");
        }
    }
}
