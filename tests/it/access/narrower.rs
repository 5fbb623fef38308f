//! What a key cannot be, make or mint: more than the key that makes it.

use serde_json::{Value, json};
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::key_rules::{KeyRate, KeyRules};
use ticketgate::credential::scope::Scope;
use ticketgate::credential::terms::Limits;

use super::{ask, later, made, new_key, plan, whole};
use crate::support::world::World;
use crate::tokens::assert_error;

const NOTHING: Value = Value::Null;

/// Every right that a key can have or lack, tried by one that lacks it: by making, by changing, by
/// replacing and by rotating.
#[tokio::test]
async fn a_key_never_makes_or_widens_a_key_beyond_itself() {
    let world = World::with(plan()).await;
    let limits = Limits {
        publish: true,
        subscribe: false,
        topics: Some(vec!["a/#".into()]),
    };
    let end = later(&world, 3_600);
    let rules = KeyRules {
        allowed_addresses: vec!["127.0.0.0/8".parse().unwrap()],
        allowed_origins: vec!["http://localhost:3000".parse().unwrap()],
        limits: Some(limits),
        max_ttl_seconds: Some(600),
        expires_at: Some(end.parse().unwrap()),
        rate: Some(KeyRate {
            per_second: 1_000,
            burst: 2_000,
        }),
    };
    let (kind, scopes) = (
        ApiKeyKind::Restricted,
        [Scope::KeysWrite, Scope::TokensCreate],
    );
    let (_, narrow) = made(&world, &world.organization, kind, &scopes, rules).await;
    let base = new_key("restricted", &["tokens:create"]);
    let child = ask(&world, "POST", "/v2/keys", &narrow, &base).await;
    assert_eq!(child.status, 201, "{}", child.body);
    for (name, inherited) in [
        ("allowed_addresses", json!(["127.0.0.0/8"])),
        ("permissions", json!(["publish"])),
        ("topics", json!(["a/#"])),
        ("max_ttl", json!(600)),
        ("expires_at", json!(end)),
        ("rate", json!({"per_second": 1000, "burst": 2000})),
    ] {
        assert_eq!(
            child.body[name], inherited,
            "what is not named is inherited"
        );
    }
    let path = format!("/v2/keys/{}", child.text("id"));
    for (field, wider, null_is_wider) in [
        ("scopes", json!(["tokens:create", "keys:read"]), false),
        ("scopes", json!(["publish"]), false),
        ("allowed_origins", json!(["https://evil.example"]), true),
        ("allowed_addresses", json!(["0.0.0.0/0"]), true),
        (
            "allowed_addresses",
            json!(["127.0.0.0/8", "10.0.0.0/8"]),
            true,
        ),
        ("permissions", json!(["publish", "subscribe"]), true),
        ("topics", json!(["#"]), true),
        ("topics", json!(["a/b", "b"]), true),
        ("max_ttl", json!(601), true),
        ("expires_at", json!(later(&world, 3_601)), true),
        ("rate", json!({"per_second": 1001, "burst": 1001}), true),
        ("rate", json!({"per_second": 1000, "burst": 2001}), true),
    ] {
        let mut body = base.clone();
        body[field] = wider.clone();
        let reply = ask(&world, "POST", "/v2/keys", &narrow, &body).await;
        assert_error(&reply, 403, "insufficient_scope");
        let change = json!({ field: wider });
        let reply = ask(&world, "PATCH", &path, &narrow, &change).await;
        assert_error(&reply, 403, "insufficient_scope");
        let reply = ask(&world, "PUT", &path, &narrow, &body).await;
        assert_error(&reply, 403, "insufficient_scope");
        if null_is_wider {
            let reply = ask(&world, "PATCH", &path, &narrow, &json!({ field: null })).await;
            assert_error(&reply, 403, "insufficient_scope");
        }
    }
    let secret = new_key("secret", &["tokens:create"]);
    let reply = ask(&world, "POST", "/v2/keys", &narrow, &secret).await;
    assert_error(&reply, 403, "insufficient_scope");
    // A wider key that it can name, but neither change nor take over.
    let (wide, _) = whole(&world).await;
    let wide = format!("/v2/keys/{}", wide.id);
    let reply = ask(&world, "PATCH", &wide, &narrow, &json!({"name": "mine"})).await;
    assert_error(&reply, 403, "insufficient_scope");
    let rotate = format!("{wide}/rotate");
    let reply = ask(&world, "POST", &rotate, &narrow, &json!({"grace": 60})).await;
    assert_error(&reply, 403, "insufficient_scope");
    let unchanged = ask(&world, "GET", &wide, &whole(&world).await.1, &NOTHING).await;
    assert_eq!(unchanged.text("name"), "test");
}

#[tokio::test]
async fn what_no_key_can_be_is_refused_with_the_cure() {
    let world = World::with(plan()).await;
    let (_, good) = whole(&world).await;
    let with = |field: &str, value: Value| {
        let mut body = new_key("restricted", &["keys:read"]);
        body[field] = value;
        body
    };
    let many: Vec<_> = (0..33).map(|n| format!("https://a{n}.example")).collect();
    for (body, hint) in [
        (new_key("publishable", &["keys:read"]), "publishable"),
        (
            new_key("publishable", &["tokens:exchange", "tokens:create"]),
            "publishable",
        ),
        (new_key("publishable", &["publish"]), "topics"),
        (new_key("restricted", &[]), "scope"),
        (json!({"kind": "restricted", "name": "k"}), "scope"),
        (new_key("root", &["keys:read"]), "field"),
        (new_key("restricted", &["everything"]), "field"),
        (with("name", json!("")), "name"),
        (with("name", json!("a\u{0}")), "name"),
        (with("allowed_addresses", json!(["10.0.0.0/33"])), "field"),
        (with("allowed_addresses", json!(["anywhere"])), "field"),
        (with("allowed_origins", json!(["*"])), "field"),
        (with("allowed_origins", json!(many)), "at most 32"),
        (with("topics", json!(["a/#/b"])), "topics[0]"),
        (with("topics", json!([])), "topics"),
        (with("max_ttl", json!(0)), "max_ttl"),
        (with("max_ttl", json!(86_401)), "max_ttl"),
        (with("expires_at", json!(later(&world, 0))), "future"),
        (with("rate", json!({"per_second": 0})), "rate"),
        (with("colour", json!("red")), "field"),
    ] {
        let reply = ask(&world, "POST", "/v2/keys", &good, &body).await;
        assert_error(&reply, 400, "invalid_request");
        let text = reply.text("message");
        assert!(text.contains(hint), "{body}: {text}");
    }
}

#[tokio::test]
async fn what_a_key_mints_is_no_more_than_the_key() {
    let world = World::with(plan()).await;
    let limits = Limits {
        publish: true,
        subscribe: false,
        topics: Some(vec!["users/{username}/out/#".into()]),
    };
    let rules = KeyRules {
        limits: Some(limits),
        max_ttl_seconds: Some(60),
        ..KeyRules::default()
    };
    let (kind, scopes) = (
        ApiKeyKind::Restricted,
        [Scope::TokensCreate, Scope::TokensExchange],
    );
    let (_, key) = made(&world, &world.organization, kind, &scopes, rules).await;
    let create = async |mut body: Value| {
        body["user_id"] = json!("u");
        ask(&world, "POST", "/v2/tokens/create", &key, &body).await
    };
    for body in [json!({}), json!({"ttl": 3600})] {
        let minted = create(body).await;
        assert_eq!(minted.status, 200, "{}", minted.body);
        assert_eq!(minted.body["expires_in"], json!(60), "{}", minted.body);
    }
    let narrower = create(json!({"topics": ["users/{username}/out/x"], "ttl": 5})).await;
    assert_eq!(
        (narrower.status, &narrower.body["expires_in"]),
        (200, &json!(5))
    );
    assert_error(
        &create(json!({"topics": ["#"]})).await,
        403,
        "insufficient_scope",
    );
    let token = world.identity_token("alice");
    let body = json!({"provider": "supabase", "token": token});
    let login = ask(&world, "POST", "/v2/tokens/exchange", &key, &body).await;
    assert_eq!(login.body["expires_in"], json!(60), "{}", login.body);
    let (user, password) = (login.text("mqtt_username"), login.text("mqtt_password"));
    assert!(world.can_connect(user, password).await);
    let may = async |hook: &str, topic: &str| {
        let body = match hook {
            "auth_on_publish" => {
                json!({"username": user, "client_id": "test-client", "mountpoint": "",
                "qos": 1, "topic": topic, "retain": false})
            }
            _ => json!({"username": user, "client_id": "test-client", "mountpoint": "",
                "topics": [{"topic": topic, "qos": 1}]}),
        };
        world.ask_vernemq(hook, &body).await.1["result"] == json!("ok")
    };
    let name = user.split('@').next().unwrap();
    assert!(may("auth_on_publish", &format!("users/{name}/out/x")).await);
    assert!(!may("auth_on_publish", &format!("users/{name}/in")).await);
    assert!(!may("auth_on_subscribe", &format!("users/{name}/out/x")).await);
}

#[tokio::test]
async fn a_narrowed_secret_key_is_no_mqtt_password() {
    let world = World::with(plan()).await;
    let server = format!("server@{}", world.organization);
    let rules = |change: &dyn Fn(&mut KeyRules)| {
        let mut rules = KeyRules::default();
        change(&mut rules);
        rules
    };
    let limits = Limits {
        publish: true,
        subscribe: true,
        topics: Some(vec!["#".into()]),
    };
    for (rules, connects) in [
        (rules(&|_| {}), true),
        (rules(&|one| one.max_ttl_seconds = Some(60)), true),
        (rules(&|one| one.limits = Some(limits.clone())), false),
        (
            rules(&|one| one.allowed_addresses = vec!["0.0.0.0/0".parse().unwrap()]),
            false,
        ),
        (
            rules(&|one| one.allowed_origins = vec!["https://a".parse().unwrap()]),
            false,
        ),
    ] {
        let (of, kind) = (&world.organization, ApiKeyKind::Secret);
        let (_, key) = made(&world, of, kind, &Scope::ALL, rules).await;
        assert_eq!(world.can_connect(&server, &key).await, connects);
    }
    let end = world.now() + jiff::SignedDuration::from_secs(10);
    let ending = rules(&|one| one.expires_at = Some(end));
    let (kind, all) = (ApiKeyKind::Secret, &Scope::ALL);
    let (_, key) = made(&world, &world.organization, kind, all, ending).await;
    assert!(world.can_connect(&server, &key).await);
    world.clock.as_ref().unwrap().advance(10);
    assert!(!world.can_connect(&server, &key).await);
}
