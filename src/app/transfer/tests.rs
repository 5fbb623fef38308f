//! Exports, good and bad, and stores that have something already.

use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::app::shelf::{Done, Shelf};
use crate::app::transfer::export::{Exported, export};
use crate::app::transfer::import::{ImportError, Imported, Mode, import};
use crate::clock::ManualClock;
use crate::credential::api_key::ApiKey;
use crate::credential::holder::Holder;
use crate::keyring::Keyring;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::store::port::{self, Change, StoreError};
use crate::store::record::{Alias, Kept as _, KnownOrigin};

const NOW: i64 = 1_000;
const ADD: Mode = Mode {
    replace: false,
    dry_run: false,
};
const REPLACE: Mode = Mode {
    replace: true,
    dry_run: false,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn clock() -> ManualClock {
    ManualClock::at(at(NOW))
}

/// A user with a token of its own for each end.
fn holder(organization: &OrganizationId, name: &str, ends: &[i64]) -> Holder {
    let digest = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    let credential = |end: &i64| {
        json!({
            "token": { "id": TokenId::random(), "pepper": "Ab3z", "digest": digest },
            "issued_at": 0,
            "expires_at": end,
        })
    };
    let credentials: Vec<Value> = ends.iter().map(credential).collect();
    let holder = json!({
        "name": name,
        "organization": organization,
        "identity": { "subject": { "provider": Uuid::nil(), "subject": name } },
        "credentials": credentials,
    });
    serde_json::from_value(holder).unwrap()
}

fn api_key(organization: &OrganizationId) -> ApiKey {
    let key = json!({
        "id": "0000000000",
        "organization": organization,
        "kind": "secret",
        "name": "k",
        "scopes": [],
        "last_four": "abcd",
        "pepper": "Zz99",
        "digest": vec![7; 32],
        "created_at": 0,
    });
    serde_json::from_value(key).unwrap()
}

/// A store with a few records, one of them over.
fn filled() -> (Shelf, Holder) {
    let (shelf, id) = (Shelf::default(), OrganizationId::random());
    let organization = id.clone();
    shelf.keep(Alias::key(&Uuid::new_v4()), Alias { organization });
    let origin = "https://app.example.com".parse().unwrap();
    shelf.keep(KnownOrigin::key(&origin), KnownOrigin {});
    let key = api_key(&id);
    shelf.keep(ApiKey::key(&key.id), key);
    let (alice, bob) = (
        holder(&id, "alice", &[2_000, 3_000]),
        holder(&id, "bob", &[NOW]),
    );
    shelf.keep(Holder::key(&alice.username()), alice.clone());
    shelf.keep(Holder::key(&bob.username()), bob);
    (shelf, alice)
}

async fn exported(store: &Shelf) -> (String, Exported) {
    let mut text = Vec::new();
    let exported = export(store, &clock(), &mut text, &mut |_| {})
        .await
        .unwrap();
    (String::from_utf8(text).unwrap(), exported)
}

async fn imported(store: &Shelf, text: &str, mode: Mode) -> Result<Imported, ImportError> {
    let mut reader = Cursor::new(text);
    let keys = Keyring::random();
    import(store, &keys, &clock(), &mut reader, mode, &mut |_| {}).await
}

/// A line with another value at a place.
fn changed(line: &str, place: &str, value: Value) -> String {
    let mut line: Value = serde_json::from_str(line).unwrap();
    *line.pointer_mut(place).unwrap() = value;
    line.to_string()
}

async fn mistakes(text: &str) -> Vec<(u64, String)> {
    let shelf = Shelf::default();
    match imported(&shelf, text, REPLACE).await {
        Err(ImportError::Mistakes(mistakes)) => {
            assert!(shelf.everything().is_empty(), "nothing is written");
            mistakes
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_export_brings_everything_that_is_not_over_to_another_store() {
    let (from, _) = filled();
    let (text, sums) = exported(&from).await;
    let expected = Exported {
        records: 4,
        expired: 1,
        left_out: 0,
    };
    assert_eq!(sums, expected);
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        first,
        json!({"ticketgate_export": 1, "exported_at": "1970-01-01T00:16:40Z"})
    );

    let to = Shelf::default();
    let dry_run = Mode {
        dry_run: true,
        ..ADD
    };
    assert_eq!(imported(&to, &text, dry_run).await.unwrap().created, 4);
    assert!(to.everything().is_empty(), "nothing is written");
    assert_eq!(imported(&to, &text, ADD).await.unwrap().created, 4);
    let (again, _) = exported(&to).await;
    assert_eq!(again, text);
    for mode in [ADD, REPLACE] {
        let before = to.everything();
        let sums = imported(&to, &text, mode).await.unwrap();
        assert_eq!((sums.records, sums.unchanged), (4, 4));
        assert_eq!(
            to.everything(),
            before,
            "importing it again changes nothing"
        );
    }
}

#[tokio::test]
async fn the_peppers_that_the_keyring_lacks_are_told() {
    let (from, _) = filled();
    let (text, _) = exported(&from).await;
    let sums = imported(&Shelf::default(), &text, ADD).await.unwrap();
    assert!(sums.missing_peppers.contains(&"Ab3z".parse().unwrap()));
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["peppers"], json!(sums.missing_peppers));
}

#[tokio::test]
async fn what_cannot_be_read_is_left_out_and_told() {
    let (from, alice) = filled();
    from.make_list(&Holder::key(&alice.username()));
    from.lay(
        "alias:00000000-0000-0000-0000-000000000000",
        r#"{"v":999,"record":7}"#,
    );
    from.lay("org:org_k7xm4pqr2n5t", "{");
    from.lay("not a name\n", "{}");
    let (mut text, mut names) = (Vec::new(), Vec::new());
    let mut tell = |event: export::Event<'_>| {
        if let export::Event::LeftOut(name, _) = event {
            names.push(name.to_owned());
        }
    };
    let sums = export(&from, &clock(), &mut text, &mut tell).await.unwrap();
    assert_eq!((sums.records, sums.left_out, names.len()), (3, 4, 4));
    let text = String::from_utf8(text).unwrap();
    let sums = imported(&Shelf::default(), &text, ADD).await.unwrap();
    assert_eq!((sums.created, sums.left_out_of_export), (3, 4));
}

#[tokio::test]
async fn what_a_store_adds_of_its_own_is_not_exported_and_what_a_newer_version_adds_is() {
    let shelf = Shelf::default();
    let text =
        "{\"rev\":\"0\",\"v\":1,\n\"record\":{\"organization\":\"org_k7xm4pqr2n5t\",\"new\":1}}";
    shelf.lay("alias:00000000-0000-0000-0000-000000000000", text);
    let (text, _) = exported(&shelf).await;
    let line = text.lines().nth(1).unwrap();
    let value = r#""value":{"v":1,"record":{"new":1,"organization":"org_k7xm4pqr2n5t"}}}"#;
    assert!(line.ends_with(value), "{line}");
}

/// Lays something where a record is to go.
type Lay<'a> = &'a dyn Fn(&Shelf) -> Done;

#[tokio::test]
async fn a_record_that_is_there_with_other_contents_is_left_or_replaced() {
    let (from, alice) = filled();
    let (text, _) = exported(&from).await;
    let key = Holder::key(&alice.username());
    let other = holder(&alice.organization, "alice", &[5_000]);
    let unreadable = |shelf: &Shelf| shelf.write(&key, "{");
    let different = |shelf: &Shelf| {
        shelf.keep(key.clone(), other.clone());
        shelf.expire(&key, Some(5_000))
    };
    let over = |shelf: &Shelf| {
        shelf.keep(key.clone(), holder(&alice.organization, "alice", &[NOW]));
        shelf.expire(&key, Some(NOW))
    };
    let cases: [(Lay<'_>, Mode, (u64, u64, u64)); 5] = [
        (&different, ADD, (3, 0, 1)),
        (&different, REPLACE, (3, 1, 0)),
        (&unreadable, ADD, (3, 0, 1)),
        (&unreadable, REPLACE, (3, 0, 1)),
        (&over, ADD, (4, 0, 0)),
    ];
    for (number, (lay, mode, expected)) in cases.into_iter().enumerate() {
        let to = Shelf::default();
        lay(&to);
        let before = to.everything();
        let sums = imported(&to, &text, mode).await.unwrap();
        assert_eq!(
            (sums.created, sums.replaced, sums.refused),
            expected,
            "{number}"
        );
        let name = key.to_string();
        let kept = to.everything().get(&name) == before.get(&name);
        assert_eq!(kept, expected.2 == 1, "{number}");
    }
}

#[tokio::test]
async fn an_import_takes_no_revoke_back() {
    let (store, alice) = filled();
    let (text, _) = exported(&store).await;
    port::update::<Holder, StoreError>(&store, &alice.username(), |current| {
        let mut alice = current.unwrap().clone();
        alice.credentials[0].revoked_at = Some(Box::new(at(NOW)));
        // And the other was let go of.
        alice.credentials.pop();
        Ok(Change::Set(alice))
    })
    .await
    .unwrap();
    for replaced in [1, 0] {
        let sums = imported(&store, &text, REPLACE).await.unwrap();
        assert_eq!((sums.replaced, sums.unchanged), (replaced, 4 - replaced));
        let read = port::read::<Holder>(&store, &alice.username()).await;
        let mut expected = alice.clone();
        expected.credentials[0].revoked_at = Some(Box::new(at(NOW)));
        assert_eq!(*read.unwrap().unwrap(), expected);
    }
}

#[tokio::test]
async fn every_mistake_is_told_with_its_line_before_anything_is_written() {
    let (from, alice) = filled();
    let (text, _) = exported(&from).await;
    let lines: Vec<&str> = text.lines().collect();
    let with = |number: usize, line: &str| {
        let mut lines = lines.clone();
        lines[number - 1] = line;
        lines.join("\n")
    };
    let newer_header = lines[0].replace(":1,", ":2,");
    let newer = changed(lines[1], "/value/v", json!(999));
    let renamed = changed(lines[3], "/key", json!("key:0123456789"));
    let long = format!("{{\"key\":\"{}\"}}", "x".repeat(MAX_LINE));
    let username = alice.username();
    for (text, line, expected) in [
        (String::new(), 0, "it is empty"),
        ("{}\n".into(), 1, "not the first line of an export"),
        (lines[1..].join("\n"), 1, "not the first line of an export"),
        (with(1, &newer_header), 1, "has the format 2"),
        (lines[..5].join("\n"), 5, "was cut off"),
        (text[..text.len() - 20].to_owned(), 6, "not JSON (Eof)"),
        (
            [&lines[..2], &lines[3..]].concat().join("\n"),
            5,
            "4 records were exported, here are 3",
        ),
        (with(3, ""), 3, "not JSON"),
        (with(3, "hunter2"), 3, "not JSON"),
        (with(3, "[]"), 3, "neither a record nor the last line"),
        (
            with(3, r#"{"key":"user:x","value":1}"#),
            3,
            "not the name of a record",
        ),
        (
            with(2, &newer),
            2,
            "has version 999, this server reads up to",
        ),
        (
            with(3, &format!(r#"{{"key":"holder:{username}"}}"#)),
            3,
            "cannot be read",
        ),
        (with(4, &renamed), 4, "is of another name"),
        (with(3, lines[1]), 3, "was there before"),
        (with(3, &long), 3, "longer than"),
        (format!("{text}{}", lines[1]), 7, "behind the last line"),
        (format!("{text}{text}"), 8, "behind the last line"),
    ] {
        let mistakes = mistakes(&text).await;
        let found = mistakes
            .iter()
            .any(|(number, text)| *number == line && text.contains(expected));
        assert!(found, "{line}: {expected}: {mistakes:?}");
        let told = ImportError::Mistakes(mistakes).to_string();
        assert!(!told.contains("hunter2"), "{told}");
        assert!(told.contains(&format!("line {line}: ")), "{told}");
    }
}

#[tokio::test]
async fn many_mistakes_are_told_at_once_but_not_all_of_them() {
    let mut text =
        String::from("{\"ticketgate_export\":1,\"exported_at\":\"2026-01-01T00:00:00Z\"}\n");
    text.push_str(&"{\n".repeat(1_000));
    let lines: Vec<u64> = mistakes(&text)
        .await
        .into_iter()
        .map(|(line, _)| line)
        .collect();
    assert_eq!(lines, (2..22).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_that_changes_between_the_two_looks_is_noticed() {
    let (from, _) = filled();
    let (text, _) = exported(&from).await;
    let lines: Vec<&str> = text.lines().collect();
    let shorter = [&lines[..2], &lines[3..]].concat().join("\n");
    let newer = changed(lines[2], "/value/v", json!(999));
    let newer = [&lines[..2], &[&newer], &lines[3..]].concat().join("\n");
    for second in [shorter, newer] {
        let file = Changing {
            now: Cursor::new(text.clone()),
            then: second,
        };
        let (to, keys, mut file) = (Shelf::default(), Keyring::random(), BufReader::new(file));
        let changed = import(&to, &keys, &clock(), &mut file, ADD, &mut |_| {}).await;
        assert!(matches!(changed, Err(ImportError::Changed)), "{changed:?}");
    }
}

#[tokio::test]
async fn a_store_that_fails_says_that_it_can_be_tried_again() {
    let (from, _) = filled();
    let (text, _) = exported(&from).await;
    let to = Shelf::default();
    to.fail();
    let error = imported(&to, &text, ADD).await.unwrap_err().to_string();
    assert!(error.contains("import it again"), "{error}");
}

/// A file with other contents when it is read from the start again.
struct Changing {
    now: Cursor<String>,
    then: String,
}

impl Read for Changing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.now.read(into)
    }
}

impl Seek for Changing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.now = Cursor::new(self.then.clone());
        self.now.seek(to)
    }
}
