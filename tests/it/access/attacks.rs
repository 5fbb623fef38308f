//! Keys that are not what they look like, paths in other spellings, and keys that reach for another
//! organization.

use reqwest::Method;
use serde_json::{Value, json};
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::key_rules::KeyRules;
use ticketgate::credential::scope::Scope;
use ticketgate::http::routes::{Access, PUBLIC};

use super::{ask, call, made, new_key, plan, whole};
use crate::support::world::{ORIGIN, World, set_up};
use crate::tokens::{assert_error, send};

#[tokio::test]
async fn a_key_with_any_change_is_no_key_and_costs_no_read() {
    let world = World::with(plan()).await;
    let (_, good) = whole(&world).await;
    let status = async |key: &str| {
        ask(&world, "GET", "/v2/keys", key, &Value::Null)
            .await
            .status
    };
    assert_eq!(status(&good).await, 200);
    let body = &good[3..];
    let swapped: String = body
        .chars()
        .map(|one| match one.is_ascii_lowercase() {
            true => one.to_ascii_uppercase(),
            false => one.to_ascii_lowercase(),
        })
        .collect();
    let mut forged = vec![
        format!("rk_{body}"),
        format!("pk_{body}"),
        format!("SK_{body}"),
        format!("cs_{body}"),
        format!("root_{body}"),
        format!("sk_live_{body}"),
        format!("sk_test_{body}"),
        format!("sk_{swapped}"),
        format!("sk_{}", body.to_lowercase()),
        good[..good.len() - 1].to_owned(),
        format!("{good}0"),
        format!("{good}{good}"),
        body.to_owned(),
    ];
    for at in [3, 12, 13, 30, 44, 45, 50] {
        let mut text: Vec<char> = good.chars().collect();
        text[at] = if text[at] == 'a' { 'b' } else { 'a' };
        forged.push(text.into_iter().collect());
    }
    let reads = reads_of_keys(&world);
    for key in &forged {
        assert_eq!(status(key).await, 401, "{key}");
    }
    assert_eq!(reads_of_keys(&world), reads, "a forgery costs no read");
}

/// The lines of the metrics that count reads of API keys from the store.
fn reads_of_keys(world: &World) -> Vec<String> {
    let metrics = world.app.render_metrics();
    let lines = metrics
        .lines()
        .filter(|line| line.contains("record=\"api_key\""));
    let reads: Vec<_> = lines.map(str::to_owned).collect();
    assert!(!reads.is_empty(), "{metrics}");
    reads
}

#[tokio::test]
async fn a_publishable_key_opens_no_row_but_the_exchange() {
    let world = World::with(plan()).await;
    let (of, kind, scopes) = (
        &world.organization,
        ApiKeyKind::Publishable,
        [Scope::TokensExchange],
    );
    let (key, public) = made(&world, of, kind, &scopes, KeyRules::default()).await;
    for row in &PUBLIC {
        let scope = match row.access {
            Access::ApiKey(scope) | Access::KeyOr(_, scope) => Some(scope),
            Access::Root => None,
            _ => continue,
        };
        let path = row.path.replace("{id}", key.id.as_str());
        let path = path.replace("{organization}", of.as_str());
        let reply = call(&world, row.method, &path, Some(&public)).json(&json!({}));
        let status = reply.send().await.unwrap().status().as_u16();
        match scope {
            Some(Scope::TokensExchange) => assert_eq!(status, 400, "{path}: let in, no token"),
            // OAuth says it of the client.
            Some(_) if path.starts_with("/oauth") => assert_eq!(status, 400, "{path}"),
            Some(_) => assert_eq!(status, 403, "{} {path}", row.method),
            None => assert_eq!(status, 401, "{path}"),
        }
    }
}

#[tokio::test]
async fn a_path_in_another_spelling_is_no_path() {
    let world = World::with(plan()).await;
    let (key, good) = whole(&world).await;
    let id = key.id.to_string();
    let escaped = format!("%{:02x}", id.as_bytes()[0]);
    for path in [
        "//v2/keys".to_owned(),
        "/v2//keys".into(),
        "/v2/keys/".into(),
        "/v2/./keys".into(),
        "/v2/x/../keys".into(),
        "/v2/%2e/keys".into(),
        "/v2/%2E%2E/v2/keys".into(),
        "/v2%2fkeys".into(),
        "/v2%2Fkeys".into(),
        "/v2/key%73".into(),
        "/V2/keys".into(),
        "/v2/KEYS".into(),
        format!("/v2/keys/{id}/"),
        format!("/v2/keys//{id}"),
        format!("/v2/keys/{id}%2frotate"),
        format!("/v2/keys/{id}%2Frotate"),
        format!("/v2/keys/{escaped}{}", &id[1..]),
        format!("/v2/keys/{id}%00"),
        format!("/v2/keys/{id}/rotate/"),
        format!("/v2/tokens/..%2fkeys/{id}"),
    ] {
        for method in ["GET", "POST", "DELETE", "PATCH"] {
            let reply = raw(&world, method, &path, &good).await;
            assert_eq!(reply, 404, "{method} {path}");
        }
    }
    for path in ["/v2/keys".to_owned(), format!("/v2/keys/{id}")] {
        assert_eq!(raw(&world, "HEAD", &path, &good).await, 405, "{path}");
        assert_eq!(raw(&world, "GET", &path, &good).await, 200, "{path}");
        assert_eq!(raw(&world, "TRACE", &path, &good).await, 405, "{path}");
    }
    let other = format!("/v2/keys/{id};x");
    for method in ["GET", "DELETE"] {
        assert_eq!(raw(&world, method, &other, &good).await, 404, "{method}");
    }
    let over = call(&world, "POST", &format!("/v2/keys/{id}"), Some(&good));
    let over = over.header("x-http-method-override", "DELETE");
    assert_eq!(over.send().await.unwrap().status(), 405);
}

/// A request with exactly this target, which a client would tidy up.
async fn raw(world: &World, method: &str, path: &str, key: &str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = world.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    let line = String::from_utf8_lossy(&reply);
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("{line}"));
    status.parse().unwrap()
}

#[tokio::test]
async fn a_page_of_another_origin_gets_nothing() {
    let world = World::with(plan()).await;
    let other = "https://app.example.com";
    let rules = KeyRules {
        allowed_origins: vec![ORIGIN.parse().unwrap(), other.parse().unwrap()],
        ..KeyRules::default()
    };
    let (kind, scopes) = (ApiKeyKind::Restricted, [Scope::KeysRead]);
    let (_, narrow) = made(&world, &world.organization, kind, &scopes, rules).await;
    let (_, plain) = whole(&world).await;
    let rules = KeyRules {
        allowed_origins: vec![other.parse().unwrap()],
        ..KeyRules::default()
    };
    let (_, elsewhere) = made(&world, &world.organization, kind, &scopes, rules).await;
    let status = async |key: &str, origins: &[&str]| {
        let mut call = call(&world, "GET", "/v2/keys", Some(key));
        for origin in origins {
            call = call.header("origin", *origin);
        }
        send(call).await.status
    };
    for key in [&narrow, &plain] {
        assert_eq!(status(key, &[]).await, 200, "no browser");
        assert_eq!(status(key, &[ORIGIN]).await, 200);
        for bad in [
            "null",
            "",
            "*",
            "https://localhost:3000",
            "http://localhost:3001",
            "http://localhost",
            "http://localhost:3000.evil.example",
            "http://localhost:3000/",
            "http://evil.example#http://localhost:3000",
            "http://xlocalhost:3000",
            // The key allows it, its organization does not.
            other,
        ] {
            assert_eq!(status(key, &[bad]).await, 403, "{bad}");
        }
        assert_eq!(status(key, &[ORIGIN, "https://evil.example"]).await, 403);
        assert_eq!(status(key, &[ORIGIN, ORIGIN]).await, 403);
    }
    assert_eq!(status(&elsewhere, &[ORIGIN]).await, 403, "the key does not");
}

#[tokio::test]
async fn to_a_key_there_is_no_other_organization() {
    let world = World::with(plan()).await;
    let (ours, _) = whole(&world).await;
    let (other, alias) = set_up(&world.app, &json!({"rules": []})).await;
    let (kind, all) = (ApiKeyKind::Secret, &Scope::ALL);
    let (_, foreign) = made(&world, &other, kind, all, KeyRules::default()).await;
    let path = format!("/v2/keys/{}", ours.id);
    let rotate = format!("{path}/rotate");
    let put = json!({"kind": "secret", "name": "x", "scopes": ["keys:read"]});
    for (method, path, body) in [
        ("GET", &path, Value::Null),
        ("PATCH", &path, json!({"name": "x"})),
        ("PUT", &path, put),
        ("DELETE", &path, Value::Null),
        ("POST", &rotate, json!({})),
        ("GET", &"/v2/keys/0000000000".to_owned(), Value::Null),
        ("DELETE", &"/v2/keys/x".to_owned(), Value::Null),
    ] {
        let reply = ask(&world, method, path, &foreign, &body).await;
        assert_error(&reply, 404, "not_found");
        assert_eq!(reply.text("message"), "there is no such API key");
    }
    let mut naming = new_key("restricted", &["keys:read"]);
    for name in [world.organization.to_string(), world.alias.clone()] {
        naming["organization_id"] = json!(name);
        let reply = ask(&world, "POST", "/v2/keys", &foreign, &naming).await;
        assert_error(&reply, 404, "organization_not_found");
        let path = format!("/v2/keys?organization_id={name}");
        let reply = ask(&world, "GET", &path, &foreign, &Value::Null).await;
        assert_error(&reply, 404, "organization_not_found");
    }
    // Headers name no organization at all.
    let list = call(&world, "GET", "/v2/keys", Some(&foreign));
    let list = list.header("x-organization-id", world.organization.as_str());
    let listed = send(list.header("organization", world.organization.as_str())).await;
    let keys = listed.body["keys"].as_array().unwrap();
    assert!(
        keys.iter()
            .all(|key| key["organization_id"] == json!(other))
    );
    assert_eq!(keys.len(), 1);
    let path = format!("/v2/keys?organization_id={alias}");
    assert_eq!(
        ask(&world, "GET", &path, &foreign, &Value::Null)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_key_travels_in_headers_and_bodies_and_in_no_url() {
    let world = World::with(plan()).await;
    let (_, good) = whole(&world).await;
    let (_, other) = whole(&world).await;
    for name in ["x-secret-key", "x-api-key"] {
        let call = call(&world, "GET", "/v2/keys", None).header(name, &good);
        assert_eq!(send(call).await.status, 200, "{name}");
    }
    let mut body = new_key("restricted", &["keys:read"]);
    body["secret_key"] = json!(good);
    let made = send(call(&world, "POST", "/v2/keys", None).json(&body)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let both = call(&world, "POST", "/v2/keys", Some(&other)).json(&body);
    assert_error(&send(both).await, 400, "invalid_request");
    body["secret_key"] = json!(other.replace("sk_", "pk_"));
    let reply = send(call(&world, "POST", "/v2/keys", None).json(&body)).await;
    assert_eq!(reply.status, 401);
    for query in ["secret_key", "api_key", "access_token", "key"] {
        let url = format!("{}/v2/keys?{query}={good}", world.url);
        let reply = world.http.request(Method::GET, url).send().await.unwrap();
        assert_eq!(reply.status(), 401, "{query}");
    }
}

/// What takes no key does not look at what else a client sends along.
#[tokio::test]
async fn a_call_that_takes_no_key_minds_no_other_header() {
    let world = World::with(plan()).await;
    let login = world.login("alice").await;
    let body = json!({"token_id": login.token_id, "current_token_password": login.password});
    let call = call(&world, "POST", "/v2/tokens/refresh", None);
    let call = call
        .basic_auth("a", Some("b"))
        .header("x-api-key", "sk_nonsense");
    assert_eq!(send(call.json(&body)).await.status, 200);
}
