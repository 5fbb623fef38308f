//! Who may call what: every route of a token's life with every kind of caller.

use serde_json::{Value, json};
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::scope::Scope;
use ticketgate::http::routes::{Access, PUBLIC, Proof};

use super::{key, key_in, secret_key, send};
use crate::support::world::{World, set_up};

/// A call that works with a good key.
fn body(path: &str) -> Value {
    match path {
        "/v2/tokens/create" | "/v1/create" => json!({"user_email": "a@b"}),
        "/v2/tokens" => json!({"user_id": "a"}),
        "/v2/tokens/revoke" => json!({"username": "user_alice"}),
        "/oauth/introspect" => json!({"token": "x"}),
        other => panic!("{other} has no row in this test"),
    }
}

fn call(world: &World, method: &str, path: &str, key: Option<&str>) -> reqwest::RequestBuilder {
    let url = format!("{}{path}", world.url);
    let call = match (method, path.starts_with("/oauth")) {
        ("GET", _) => world.http.get(url),
        (_, true) => world.http.post(url).form(&body(path)),
        (_, false) => world.http.post(url).json(&body(path)),
    };
    match key {
        Some(key) => call.bearer_auth(key),
        None => call,
    }
}

#[tokio::test]
async fn every_route_with_a_key_refuses_every_other_caller() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let (other, _) = set_up(&world.app, &json!({"rules": []})).await;
    let good = secret_key(&world).await;
    let foreign = key_in(&world, &other, ApiKeyKind::Secret, vec![]).await;
    let mut seen = 0;
    for row in &PUBLIC {
        let (Access::ApiKey(scope) | Access::KeyOr(Proof::TokenPassword, scope)) = row.access
        else {
            continue;
        };
        // The first is open to more callers, and the last answers in lines.
        let elsewhere = ["/oauth/revoke", "/v2/audit/export"];
        if elsewhere.contains(&row.path) || row.path.starts_with("/v2/keys") {
            continue;
        }
        seen += 1;
        let is_oauth = row.path.starts_with("/oauth");
        let others = Scope::ALL.into_iter().filter(|one| *one != scope).collect();
        let lacking = key(&world, ApiKeyKind::Restricted, others).await;
        let public = key(&world, ApiKeyKind::Publishable, vec![]).await;
        let revoked = {
            let made = world
                .app
                .create_key(super::of(&world), ApiKeyKind::Secret, "k", vec![]);
            let (key, text) = made.await.unwrap();
            world
                .revoke(&json!({"target": format!("key:{}", key.id)}))
                .await;
            text.expose().to_owned()
        };
        let unauthorized = (
            401,
            if is_oauth {
                "invalid_client"
            } else {
                "unauthorized"
            },
        );
        let lacks = match is_oauth {
            true => (400, "unauthorized_client"),
            false => (403, "insufficient_scope"),
        };
        let swapped = good.replace("sk_", "rk_");
        for (key, (status, code)) in [
            (None, unauthorized),
            (Some(""), unauthorized),
            (Some("nonsense"), unauthorized),
            (Some("sk_nonsense"), unauthorized),
            (Some(swapped.as_str()), unauthorized),
            (Some(revoked.as_str()), unauthorized),
            (Some(login.password.as_str()), unauthorized),
            (Some(public.as_str()), lacks),
            (Some(lacking.as_str()), lacks),
        ] {
            let reply = send(call(&world, row.method, row.path, key)).await;
            let found = (reply.status, reply.body["error"].as_str().unwrap());
            assert_eq!(found, (status, code), "{} {key:?}", row.path);
            let in_query = format!("{}?secret_key={good}", row.path);
            if row.method == "GET" {
                let reply = send(call(&world, "GET", &in_query, key)).await;
                assert_eq!(reply.status, status, "never in a URL");
            }
        }
        let narrow = key(&world, ApiKeyKind::Restricted, vec![scope]).await;
        for good in [&good, &narrow] {
            let reply = send(call(&world, row.method, row.path, Some(good))).await;
            assert_eq!(reply.status, 200, "{} {}", row.path, reply.body);
        }
        let foreign_page = call(&world, row.method, row.path, Some(&good));
        let foreign_page = send(foreign_page.header("origin", "https://evil.example")).await;
        assert_eq!(foreign_page.status, 403, "{}", row.path);
        for path in [format!("{}/", row.path), format!("/{}", row.path)] {
            let url = format!("{}{path}", world.url);
            let reply = send(world.http.post(url).bearer_auth(&good).body("{}")).await;
            assert_eq!(reply.status, 404, "{path}");
        }
    }
    assert_eq!(seen, 7, "every such route was tried");
    let login = world.login("bob").await;
    // The key of another organization works there, and names nothing here.
    for (path, body) in [
        (
            "/v2/tokens/create",
            json!({"organization_id": world.organization, "user_email": "a"}),
        ),
        (
            "/v2/tokens/revoke",
            json!({"organization_id": world.alias, "username": "user_bob"}),
        ),
        ("/v2/tokens/revoke", json!({"token_id": login.token_id})),
        ("/v2/tokens/revoke", json!({"username": login.username})),
    ] {
        let call = world.http.post(format!("{}{path}", world.url));
        let reply = send(call.bearer_auth(&foreign).json(&body)).await;
        assert_eq!(reply.status, 404, "{path} {}", reply.body);
    }
    let path = format!("/v2/tokens?organization_id={}", world.organization);
    assert_eq!(super::get(&world, &path, &foreign).await.status, 404);
    let path = format!("/v2/tokens?username={}", login.username);
    assert_eq!(super::get(&world, &path, &foreign).await.status, 404);
    let listed = super::get(&world, "/v2/tokens?user_id=bob", &foreign).await;
    assert_eq!(listed.body["tokens"], json!([]));
    let token = [("token", login.password.as_str())];
    let ask = world.http.post(format!("{}/oauth/introspect", world.url));
    let reply = send(ask.bearer_auth(&foreign).form(&token)).await;
    assert_eq!(reply.body, json!({"active": false}));
    let end = world.http.post(format!("{}/oauth/revoke", world.url));
    assert_eq!(
        send(end.bearer_auth(&foreign).form(&token)).await.status,
        200
    );
    let works = world.can_connect(&login.username, &login.password).await;
    assert!(works, "nobody else could end it");
}
