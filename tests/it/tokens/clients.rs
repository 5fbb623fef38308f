//! What shipped clients send, field by field, and what they read of the replies.

use serde_json::{Value, json};
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::scope::Scope;

use super::{Reply, connects, key, on_both, post, refresh, secret_key, send};
use crate::support::world::{ORIGIN, World};

/// The fields that the JavaScript SDK reads of every token.
fn assert_readable_by_the_sdk(reply: &Reply, provider: &str) {
    assert_eq!(reply.status, 200, "{}", reply.body);
    for name in [
        "token_id",
        "access_token",
        "user_email",
        "expires_at",
        "refresh_recommended_at",
    ] {
        assert!(reply.body[name].is_string(), "{name} in {}", reply.body);
    }
    let credentials = &reply.body["mqtt_credentials"];
    assert!(credentials["username"].is_string() && credentials["password"].is_string());
    assert_eq!(reply.body["provider"], provider);
}

#[tokio::test]
async fn the_javascript_sdk_gets_through_its_life() {
    on_both(async |world| {
        let org = world.organization.as_str();
        let body = json!({"organization_id": org, "token": world.identity_token("alice")});
        let exchanged = post(world, "/v2/tokens/exchange", &body).await;
        assert_readable_by_the_sdk(&exchanged, "supabase");

        let secret = secret_key(world).await;
        let body = json!({"organization_id": world.alias, "secret_key": secret,
                          "user_email": "publisher@internal", "replace_existing": true});
        let created = post(world, "/v2/tokens/create", &body).await;
        assert_readable_by_the_sdk(&created, "cloudsignal");

        // Two refreshes; every reconnect uses the first password.
        let clock = world.clock.as_ref().unwrap();
        let passwords = [&exchanged, &created].map(|token| token.text("access_token").to_owned());
        let [mut one, mut other] = passwords;
        for _ in 0..2 {
            clock.advance(3_000);
            for (token, provider, current) in [
                (&exchanged, "supabase", &mut one),
                (&created, "cloudsignal", &mut other),
            ] {
                let (id, first) = (token.text("token_id"), token.text("access_token"));
                let refreshed = refresh(world, id, current).await;
                assert_readable_by_the_sdk(&refreshed, provider);
                *current = refreshed.text("access_token").to_owned();
                let username = token.body["mqtt_credentials"]["username"].as_str();
                assert!(connects(world, username.unwrap(), first).await);
            }
        }

        let url = format!("{}/v2/providers?organization_id={org}", world.url);
        let listed = send(
            world
                .http
                .get(url)
                .header("content-type", "application/json"),
        )
        .await;
        assert_eq!(listed.status, 200);
        let providers = listed.body["providers"].as_array().unwrap();
        assert_eq!(
            (providers.len(), &providers[0]["provider"]),
            (1, &json!("supabase"))
        );
        let by_integration = json!({"organization_id": org,
            "token": world.identity_token("alice"), "integration_id": providers[0]["id"]});
        let exchanged = post(world, "/v2/tokens/exchange", &by_integration).await;
        assert_readable_by_the_sdk(&exchanged, "supabase");
    })
    .await;
}

/// As the SDK turns a reply into an `error.type`.
fn sdk_error(reply: &Reply) -> &'static str {
    match (reply.status, reply.body["error"].as_str()) {
        (401, Some("token_expired")) => "TOKEN_EXPIRED",
        (401, _) => "AUTH_FAILED",
        (404, Some("provider_not_found")) => "PROVIDER_NOT_FOUND",
        (404, _) => "ORG_NOT_FOUND",
        (429, _) => "RATE_LIMITED",
        _ => "INVALID_RESPONSE",
    }
}

#[tokio::test]
async fn the_javascript_sdk_understands_the_errors() {
    let clock = Some(super::whole_second());
    let world = World::with(crate::support::world::Plan {
        clock,
        ..Default::default()
    })
    .await;
    let login = world.login("alice").await;
    let beside = world.login("alice").await;
    let org = world.organization.as_str();
    let secret = secret_key(&world).await;
    let integration = uuid::Uuid::from_u128(7).to_string();
    for (path, body, expected) in [
        (
            "/v2/tokens/exchange",
            json!({"organization_id": org, "token": "x"}),
            "AUTH_FAILED",
        ),
        (
            "/v2/tokens/exchange",
            json!({"organization_id": "org_aaaaaaaaaaaa", "token": "x"}),
            "ORG_NOT_FOUND",
        ),
        (
            "/v2/tokens/create",
            json!({"organization_id": org, "secret_key": "sk_x", "user_email": "a"}),
            "AUTH_FAILED",
        ),
        (
            "/v2/tokens/create",
            json!({"organization_id": "acme", "secret_key": secret, "user_email": "a"}),
            "ORG_NOT_FOUND",
        ),
        (
            "/v2/tokens/create",
            json!({"organization_id": org, "secret_key": secret, "user_email": "a",
                   "integration_id": integration}),
            "PROVIDER_NOT_FOUND",
        ),
        (
            "/v2/tokens/create",
            json!({"organization_id": org, "secret_key": secret}),
            "INVALID_RESPONSE",
        ),
        (
            "/v2/tokens/refresh",
            json!({"token_id": login.token_id, "current_token_password": "tkn_x"}),
            "AUTH_FAILED",
        ),
    ] {
        let reply = post(&world, path, &body).await;
        assert_eq!(sdk_error(&reply), expected, "{path} {}", reply.body);
        assert!(
            reply.body["error_description"].is_string(),
            "what the SDK shows"
        );
    }
    world.clock.as_ref().unwrap().advance(3_600);
    let late = refresh(&world, &beside.token_id, &beside.password).await;
    assert_eq!(sdk_error(&late), "TOKEN_EXPIRED", "{}", late.body);
}

#[tokio::test]
async fn the_chat_servers_older_call_is_answered_in_its_words() {
    on_both(async |world| {
        let secret = secret_key(world).await;
        let body = json!({"organization_id": world.alias, "secret_key": secret,
                          "user_email": "user-1a2b3c4d@chat.example", "replace_existing": false});
        let reply = post(world, "/v1/create", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.text("org_short_id"), world.organization.as_str());
        for name in ["expires_at", "refresh_recommended_at"] {
            assert!(reply.body[name].is_string(), "{name}");
        }
        let (username, password) = (reply.text("mqtt_username"), reply.text("token_password"));
        assert!(connects(world, username, password).await);
        let refused = post(world, "/v1/create", &json!({"secret_key": "x"})).await;
        assert_eq!(refused.status, 401);
        assert!(refused.body["detail"].is_string(), "what that server shows");
    })
    .await;
}

/// The notification demo's server: a plain MQTT client with `server@<org>` and the secret key. The
/// Python publisher's key comes as `Authorization: Bearer`.
#[tokio::test]
async fn servers_log_in_with_their_secret_key() {
    on_both(async |world| {
        let secret = secret_key(world).await;
        let server = format!("server@{}", world.organization);
        assert!(connects(world, &server, &secret).await);
        let url = format!("{}/v2/tokens", world.url);
        let listed = send(world.http.get(url).bearer_auth(&secret)).await;
        assert_eq!(
            (listed.status, &listed.body["next_cursor"]),
            (200, &Value::Null)
        );
    })
    .await;
}

#[tokio::test]
async fn a_browser_may_call_from_an_allowed_origin_and_reads_every_error() {
    let world = World::start().await;
    let secret = secret_key(&world).await;
    let public = key(&world, ApiKeyKind::Publishable, vec![Scope::TokensExchange]).await;
    let login = world.login("alice").await;
    let org = world.organization.as_str();
    let calls = [
        (
            "/v2/tokens/create",
            json!({"secret_key": secret, "user_email": "a"}),
        ),
        (
            "/v1/create",
            json!({"secret_key": secret, "user_email": "a"}),
        ),
        ("/v2/tokens", json!({"secret_key": secret, "user_id": "a"})),
        (
            "/v2/tokens/refresh",
            json!({"token_id": login.token_id, "current_token_password": login.password}),
        ),
        (
            "/v2/tokens/revoke",
            json!({"secret_key": secret, "token_id": login.token_id}),
        ),
        (
            "/v2/tokens/create",
            json!({"secret_key": public, "user_email": "a"}),
        ),
    ];
    let allow = "access-control-allow-origin";
    for (path, body) in &calls {
        let url = format!("{}{path}", world.url);
        let post = || world.http.post(&url).json(body);
        let foreign = send(post().header("origin", "https://evil.example")).await;
        assert_eq!(foreign.status, 403, "{path} {}", foreign.body);
        assert!(!foreign.headers.contains_key(allow), "{path}");
        let own = send(post().header("origin", ORIGIN)).await;
        assert_eq!(own.headers[allow], ORIGIN, "{path} {}", own.body);
        let bad = world.http.post(&url).header("origin", ORIGIN).body("{");
        let bad = send(bad).await;
        assert_eq!(
            (bad.status, &bad.headers[allow]),
            (400, &ORIGIN.parse().unwrap())
        );
        let preflight = world.http.request(reqwest::Method::OPTIONS, &url);
        let preflight = preflight.header("origin", ORIGIN).send().await.unwrap();
        assert_eq!(
            (preflight.status().as_u16(), &preflight.headers()[allow]),
            (204, &ORIGIN.parse().unwrap())
        );
    }
    let providers = format!("{}/v2/providers?organization_id={org}", world.url);
    let foreign = send(
        world
            .http
            .get(&providers)
            .header("origin", "https://evil.example"),
    )
    .await;
    assert_eq!(foreign.status, 403);
    let own = send(world.http.get(&providers).header("origin", ORIGIN)).await;
    assert_eq!(
        (own.status, &own.headers[allow]),
        (200, &ORIGIN.parse().unwrap())
    );
}
