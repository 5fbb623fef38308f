//! The life of an API key over HTTP: made, listed, changed, rotated, revoked; on both stores and on
//! two nodes at once.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::key_rules::KeyRules;
use ticketgate::credential::scope::Scope;

use super::{ask, later, made, new_key, whole};
use crate::support::nodes::{Deployment, Node};
use crate::support::redis::RedisServer;
use crate::support::world::set_up;
use crate::tokens::{assert_error, on_both};

const NOTHING: Value = Value::Null;

#[tokio::test]
async fn a_key_is_made_seen_listed_and_revoked() {
    on_both(async |world| {
        let (first, good) = whole(world).await;
        let mut body = new_key("restricted", &["keys:read", "tokens:create"]);
        body["max_ttl"] = json!(600);
        body["allowed_addresses"] = json!(["127.0.0.0/8", "::1/128"]);
        body["topics"] = json!(["a/{username}/#"]);
        body["rate"] = json!({"per_second": 5});
        body["expires_at"] = json!(later(world, 3600));
        let reply = ask(world, "POST", "/v2/keys", &good, &body).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        let (id, key) = (reply.text("id").to_owned(), reply.text("key").to_owned());
        assert!(key.starts_with("rk_") && key.len() == 51);
        assert_eq!(reply.text("prefix"), format!("rk_{}", &id[..4]));
        assert!(key.ends_with(reply.text("last_four")));
        assert_eq!(reply.body["created_by"], json!(first.id.as_str()));
        assert_eq!(reply.body["rate"], json!({"per_second": 5, "burst": 5}));

        let listed = ask(world, "GET", "/v2/keys", &key, &NOTHING).await;
        assert_eq!(listed.status, 200);
        let keys = listed.body["keys"].as_array().unwrap();
        let ids: BTreeSet<_> = keys.iter().map(|one| one["id"].as_str().unwrap()).collect();
        assert_eq!(ids, BTreeSet::from([id.as_str(), first.id.as_str()]));
        let text = listed.body.to_string();
        for secret in [&key[4..], &good[4..], "digest", "pepper"] {
            assert!(!text.contains(secret), "no list has {secret}");
        }
        let path = format!("/v2/keys/{id}");
        let seen = ask(world, "GET", &path, &good, &NOTHING).await;
        assert!(seen.headers.contains_key("etag"));
        let mut expected = reply.body.clone();
        expected.as_object_mut().unwrap().remove("key");
        expected["last_used_at"] = seen.body["last_used_at"].clone();
        assert_eq!(seen.body, expected);

        assert_eq!(
            ask(world, "DELETE", &path, &key, &NOTHING).await.status,
            403
        );
        let ended = ask(world, "DELETE", &path, &good, &NOTHING).await;
        assert_eq!(ended.status, 200, "{}", ended.body);
        assert_eq!(
            (&ended.body["revoked"], &ended.body["key"]),
            (&json!(1), &json!(id))
        );
        assert_eq!(
            ask(world, "GET", "/v2/keys", &key, &NOTHING).await.status,
            401
        );
        let seen = ask(world, "GET", &path, &good, &NOTHING).await;
        assert_eq!(seen.text("status"), "revoked");
        let active = ask(world, "GET", "/v2/keys", &good, &NOTHING).await;
        assert_eq!(active.body["keys"].as_array().unwrap().len(), 1);
        let all = ask(world, "GET", "/v2/keys?status=all", &good, &NOTHING).await;
        assert_eq!(all.body["keys"].as_array().unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn pages_show_every_key_once_and_no_other_organizations() {
    on_both(async |world| {
        let (_, good) = whole(world).await;
        let (other, _) = set_up(&world.app, &json!({"rules": []})).await;
        let (kind, scopes) = (ApiKeyKind::Secret, [Scope::KeysRead]);
        made(world, &other, kind, &scopes, KeyRules::default()).await;
        for _ in 0..6 {
            whole(world).await;
        }
        let mut seen = Vec::new();
        let mut path = "/v2/keys?limit=2".to_owned();
        loop {
            let page = ask(world, "GET", &path, &good, &NOTHING).await;
            let keys = page.body["keys"].as_array().unwrap();
            assert!(keys.len() <= 2);
            seen.extend(keys.iter().map(|key| key["id"].to_string()));
            let Some(next) = page.body["next_cursor"].as_str() else {
                break;
            };
            path = format!("/v2/keys?limit=2&cursor={next}");
        }
        assert_eq!(seen.len(), 7);
        assert_eq!(BTreeSet::from_iter(seen).len(), 7);
        for wrong in ["limit=0", "limit=201", "limit=x", "cursor=x", "status=x"] {
            let path = format!("/v2/keys?{wrong}");
            assert_eq!(
                ask(world, "GET", &path, &good, &NOTHING).await.status,
                400,
                "{wrong}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_is_made_of_the_state_that_was_seen() {
    on_both(async |world| {
        let (_, good) = whole(world).await;
        let (victim, _) = whole(world).await;
        let path = format!("/v2/keys/{}", victim.id);
        let seen = ask(world, "GET", &path, &good, &NOTHING).await;
        let tag = seen.headers["etag"].to_str().unwrap().to_owned();
        let change = async |tag: &str, name: &str| {
            let call = super::call(world, "PATCH", &path, Some(&good));
            let call = call.header("if-match", tag).json(&json!({"name": name}));
            crate::tokens::send(call).await
        };
        let changed = change(&tag, "one").await;
        assert_eq!((changed.status, changed.text("name")), (200, "one"));
        assert_error(&change(&tag, "two").await, 412, "precondition_failed");
        assert_error(
            &change("\"nonsense\"", "two").await,
            412,
            "precondition_failed",
        );
        let next = changed.headers["etag"].to_str().unwrap();
        assert_ne!(next, tag);
        assert_eq!(change(next, "two").await.text("name"), "two");
        assert_eq!(change("*", "three").await.text("name"), "three");
        let body = json!({"scopes": ["keys:read"], "max_ttl": 60, "topics": ["x"]});
        let narrowed = ask(world, "PATCH", &path, &good, &body).await;
        assert_eq!(narrowed.body["scopes"], json!(["keys:read"]));
        assert_eq!(narrowed.body["topics"], json!(["x"]));
        let wider = ask(world, "PATCH", &path, &good, &json!({"topics": null})).await;
        assert_eq!((wider.status, &wider.body["topics"]), (200, &NOTHING));
        assert_eq!(wider.body["max_ttl"], json!(60), "what is not named stays");
        let put = new_key("secret", &["keys:read"]);
        let put = ask(world, "PUT", &path, &good, &put).await;
        assert_eq!(put.body["max_ttl"], NOTHING, "what is not named goes");
        let other = new_key("restricted", &["keys:read"]);
        assert_eq!(ask(world, "PUT", &path, &good, &other).await.status, 400);
        ask(world, "DELETE", &path, &good, &NOTHING).await;
        let late = ask(world, "PATCH", &path, &good, &json!({"name": "x"})).await;
        assert_error(&late, 409, "conflict");
    })
    .await;
}

#[tokio::test]
async fn a_rotated_key_works_until_its_grace_is_over() {
    on_both(async |world| {
        let works =
            async |key: &str| ask(world, "GET", "/v2/keys", key, &NOTHING).await.status == 200;
        let (_, good) = whole(world).await;
        for grace in [0, 30] {
            let (old, text) = whole(world).await;
            let path = format!("/v2/keys/{}", old.id);
            let rotate = format!("{path}/rotate");
            let reply = ask(world, "POST", &rotate, &text, &json!({"grace": grace})).await;
            assert_eq!(reply.status, 201, "{}", reply.body);
            let new = reply.text("key").to_owned();
            assert_eq!(
                reply.body["scopes"].as_array().unwrap().len(),
                Scope::ALL.len()
            );
            assert!(works(&new).await);
            assert_eq!(works(&text).await, grace > 0);
            let again = ask(world, "POST", &rotate, &good, &json!({"grace": 0})).await;
            assert_error(&again, 409, "conflict");
            let clock = world.clock.as_ref().unwrap();
            clock.advance(grace - i64::from(grace > 0));
            assert_eq!(works(&text).await, grace > 0, "until the tick");
            clock.advance(i64::from(grace > 0));
            assert!(!works(&text).await && works(&new).await);
            let seen = ask(world, "GET", &path, &good, &NOTHING).await;
            assert_eq!(seen.text("status"), "over");
            assert_eq!(seen.body["replaced_by"], reply.body["id"]);
        }
        let (old, _) = whole(world).await;
        let rotate = format!("/v2/keys/{}/rotate", old.id);
        for (grace, status) in [(604_801, 400), (604_800, 201)] {
            let reply = ask(world, "POST", &rotate, &good, &json!({"grace": grace})).await;
            assert_eq!(reply.status, status, "{grace}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_last_use_is_seen_to_the_minute_without_a_write_for_each() {
    on_both(async |world| {
        let (_, good) = whole(world).await;
        let (used, key) = whole(world).await;
        let path = format!("/v2/keys/{}", used.id);
        let seen =
            async || ask(world, "GET", &path, &good, &NOTHING).await.body["last_used_at"].clone();
        let written = async |at: &Value| {
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while seen().await != *at {
                assert!(
                    std::time::Instant::now() < deadline,
                    "{} is not {at}",
                    seen().await
                );
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(seen().await, NOTHING, "never");
        let list = async || ask(world, "GET", "/v2/keys", &key, &NOTHING).await;
        let clock = world.clock.as_ref().unwrap();
        let first = json!(later(world, 0));
        assert_eq!(list().await.status, 200);
        written(&first).await;
        clock.advance(59);
        assert_eq!(list().await.status, 200);
        assert_eq!(seen().await, first);
        clock.advance(1);
        assert_eq!(list().await.status, 200);
        written(&json!(later(world, 0))).await;
        let bad = format!("{key}0");
        clock.advance(60);
        let before = seen().await;
        assert_eq!(
            ask(world, "GET", "/v2/keys", &bad, &NOTHING).await.status,
            401
        );
        assert_eq!(seen().await, before, "a refused key was not used");
    })
    .await;
}

/// What one node changes is so on the other when the call has returned, whatever that one has cached.
#[tokio::test]
async fn what_a_node_does_to_a_key_is_done_on_every_node() {
    let redis = RedisServer::start().await;
    let deployment = Deployment::set_up(&redis.url());
    let (here, there) = (
        deployment.node(&redis.url()).await,
        deployment.node(&redis.url()).await,
    );
    let organization = &deployment.organization;
    let create = [
        "--json",
        "key",
        "create",
        "--org",
        organization,
        "--kind",
        "secret",
    ];
    let made = deployment.run_on(&redis.url(), &[&create[..], &["--name", "k"]].concat());
    let made: Value = serde_json::from_str(&made).unwrap();
    let good = made["key"].as_str().unwrap();
    for way in ["DELETE", "rotate", "PATCH"] {
        let child = on(
            &here,
            "POST",
            "/v2/keys",
            good,
            &new_key("restricted", &["keys:read"]),
        )
        .await;
        let (id, key) = (
            child["id"].as_str().unwrap(),
            child["key"].as_str().unwrap(),
        );
        let listed = on(&there, "GET", "/v2/keys", key, &NOTHING).await;
        assert!(listed["keys"].is_array(), "{listed}");
        let path = format!("/v2/keys/{id}");
        let (method, path, body) = match way {
            "rotate" => ("POST", format!("{path}/rotate"), json!({"grace": 0})),
            "PATCH" => ("PATCH", path, json!({"scopes": ["tokens:revoke"]})),
            other => (other, path, NOTHING),
        };
        let done = on(&here, method, &path, good, &body).await;
        assert_eq!(done["error"], NOTHING, "{done}");
        for node in [&there, &here] {
            let refused = on(node, "GET", "/v2/keys", key, &NOTHING).await;
            let code = if way == "PATCH" {
                "insufficient_scope"
            } else {
                "unauthorized"
            };
            assert_eq!(refused["error"], json!(code), "{way}");
        }
    }
}

async fn on(node: &Node, method: &str, path: &str, key: &str, body: &Value) -> Value {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let call = reqwest::Client::new()
        .request(method, node.url(path))
        .bearer_auth(key);
    let call = if body.is_null() {
        call
    } else {
        call.json(body)
    };
    call.send().await.unwrap().json().await.unwrap()
}
