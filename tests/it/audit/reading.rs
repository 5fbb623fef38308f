//! Reading: filters, pages, exports, and who may.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::org::audit::Trail;
use ticketgate::store::audit::{AuditLog, Keep, Line};

use super::{command, lines, own, printed, text};
use crate::support::world::{World, set_up};
use crate::tokens::{get, key_in, on_both, secret_key};

fn ids(entries: &[Value]) -> Vec<String> {
    let id = |entry: &Value| entry["id"].as_str().unwrap().to_owned();
    entries.iter().map(id).collect()
}

fn found(reply: &Value) -> Vec<String> {
    ids(reply["entries"].as_array().unwrap())
}

#[tokio::test]
async fn pages_stay_as_they_are_while_entries_are_added() {
    on_both(async |world| {
        for number in 0..12 {
            world.login(&format!("user-{number}")).await;
        }
        let key = secret_key(world).await;
        let all = get(world, "/v2/audit?limit=500", &key).await;
        assert_eq!(all.status, 200, "{}", all.body);
        assert_eq!(all.body["next_cursor"], Value::Null);
        let all = found(&all.body);
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v2/audit?limit=3{cursor}");
            let page = get(world, &path, &key).await.body;
            seen.extend(found(&page));
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
            world.login("latecomer").await;
        }
        assert_eq!(seen, all);
    })
    .await;
}

#[tokio::test]
async fn filters_leave_what_was_asked_for() {
    on_both(async |world| {
        let start = world.now();
        let alice = world.login("alice").await;
        let clock = world.clock.as_ref().unwrap();
        clock.advance(60);
        let middle = world.now();
        world.login("bob").await;
        clock.advance(60);
        world.revoke(&json!({"target": alice.username})).await;
        let key = secret_key(world).await;
        let actor = text(&own(world, &[Trail::Tokens]).await[0], "actor");
        for (query, expected) in [
            ("action=token.mint".to_owned(), 2),
            ("action=token".to_owned(), 2),
            ("action=user".to_owned(), 1),
            ("action=tok".to_owned(), 0),
            (format!("target={}", alice.username), 2),
            (format!("target={}", alice.token_id), 1),
            (format!("actor={actor}"), 1),
            ("actor=operator".to_owned(), 1),
            ("outcome=refused".to_owned(), 0),
            ("trail=tokens".to_owned(), 2),
            ("trail=decisions,refusals".to_owned(), 0),
            (format!("trail=tokens&since={middle}"), 1),
            (format!("trail=tokens&until={middle}"), 1),
            (
                format!("trail=tokens&since={start}&until={}", world.now()),
                2,
            ),
            (format!("since={}", world.now()), 2),
        ] {
            let reply = get(world, &format!("/v2/audit?{query}"), &key).await;
            assert_eq!(reply.status, 200, "{query}: {}", reply.body);
            assert_eq!(
                found(&reply.body).len(),
                expected,
                "{query}: {}",
                reply.body
            );
        }
        for bad in [
            "limit=0",
            "limit=501",
            "limit=x",
            "since=yesterday",
            "outcome=good",
            "trail=all",
            "cursor=x",
            "limit=1&limit=2",
        ] {
            let reply = get(world, &format!("/v2/audit?{bad}"), &key).await;
            assert_eq!(reply.status, 400, "{bad}");
            // A page is no part of an export.
            if !bad.starts_with("limit=0") && bad != "limit=501" && bad != "cursor=x" {
                let reply = get(world, &format!("/v2/audit/export?{bad}"), &key).await;
                assert_eq!(reply.status, 400, "{bad}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_export_is_all_of_it_in_the_same_order() {
    on_both(async |world| {
        let template = own(world, &[Trail::Changes]).await.remove(0);
        let log = AuditLog {
            trail: Trail::Refusals,
            organization: Some(world.organization.clone()),
        };
        let keep = Keep {
            entries: 100_000,
            from: uuid_of(0),
            seconds: 86_400,
        };
        let first = template.id.as_u128();
        let mut expected = Vec::new();
        for number in 0..1_234_u128 {
            let mut entry = template.clone();
            entry.id = uuid_of(first + number + 1);
            expected.insert(0, entry.id.to_string());
            let line = Line {
                log: log.clone(),
                entry,
                keep,
            };
            world.store.append_audit(vec![line]).await.unwrap();
        }
        let key = secret_key(world).await;
        let url = format!("{}/v2/audit/export?trail=refusals", world.url);
        let reply = world.http.get(url).bearer_auth(&key).send().await.unwrap();
        assert_eq!(reply.headers()["content-type"], "application/x-ndjson");
        let exported = ids(&lines(&reply.text().await.unwrap()));
        assert_eq!(exported, expected);

        let id = world.organization.to_string();
        let of = ["audit", "export", "--org", &id, "--trail", "refusals"];
        assert_eq!(ids(&lines(&printed(world, &of).await)), expected);
        let some = ["audit", "list", "--org", &id, "--limit", "3"];
        let some = printed(world, &some).await;
        assert!(some.contains("more: --cursor "), "{some}");
    })
    .await;
}

fn uuid_of(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

#[tokio::test]
async fn nobody_sees_another_organization() {
    on_both(async |world| {
        let login = world.login("alice").await;
        let (other, alias) = set_up(&world.app, &json!({"rules": []})).await;
        let foreign = key_in(world, &other, ApiKeyKind::Secret, vec![]).await;
        let theirs = get(world, "/v2/audit?limit=500", &foreign).await.body;
        let text = theirs.to_string();
        for ours in [world.organization.as_str(), "alice", &login.token_id] {
            assert!(!text.contains(ours), "{ours}");
        }
        let organizations: BTreeSet<&str> = theirs["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["organization"].as_str().unwrap())
            .collect();
        assert_eq!(organizations, BTreeSet::from([other.as_str()]));
        for name in [world.organization.to_string(), world.alias.clone()] {
            for path in ["/v2/audit", "/v2/audit/export"] {
                let path = format!("{path}?organization_id={name}");
                assert_eq!(get(world, &path, &foreign).await.status, 404);
            }
        }
        let own = format!("/v2/audit?organization_id={alias}");
        assert_eq!(get(world, &own, &foreign).await.status, 200);
        let theirs = get(world, "/v2/audit", &secret_key(world).await).await.body;
        let cursor = found(&theirs)[0].clone();
        let path = format!("/v2/audit?cursor={cursor}&limit=500");
        let text = get(world, &path, &foreign).await.body.to_string();
        assert!(
            !text.contains(world.organization.as_str()),
            "a cursor opens no log"
        );
    })
    .await;
}

#[tokio::test]
async fn the_command_says_what_is_wrong_and_teaches() {
    let world = World::start().await;
    for (arguments, expected) in [
        (&["audit", "list"][..], "--organization"),
        (
            &[
                "audit",
                "list",
                "--org",
                "org_aaaaaaaaaaab",
                "--since",
                "yesterday",
            ],
            "90m, 24h or 7d",
        ),
        (
            &[
                "audit",
                "list",
                "--org",
                "f5a1f1f0-0000-4000-8000-000000000000",
            ],
            "no such organization",
        ),
        (
            &["audit", "list", "--without-organization", "--trail", "x"],
            "changes,tokens",
        ),
    ] {
        let output = command(&world, arguments).await;
        assert!(!output.status.success(), "{arguments:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    for which in ["list", "export"] {
        let help = printed(&world, &["audit", which, "--help"]).await;
        for word in [
            "--since 24h",
            "token.mint",
            "holder:<username>",
            "audit.decisions",
        ] {
            assert!(help.contains(word), "{word}: {help}");
        }
    }
    let nothing = printed(
        &world,
        &["audit", "list", "--without-organization", "--actor", "x"],
    )
    .await;
    assert!(nothing.contains("nothing that was asked for"), "{nothing}");
}
