//! `POST /v2/tokens/exchange`, as its clients see it.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::scope::Scope;
use ticketgate::names::organization_id::OrganizationName;

use crate::support::world::{ORIGIN, Plan, World, sign};

/// Headers and body of a call, and the status and code that it is answered with.
type Case<'a> = (Vec<(&'a str, String)>, String, u16, &'a str);

/// A call with headers; returns status, headers and body.
async fn call(world: &World, headers: &[(&str, &str)], body: &str) -> (u16, HeaderMap, Value) {
    let mut all = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        all.append(name, HeaderValue::from_str(value).unwrap());
    }
    let url = format!("{}/v2/tokens/exchange", world.url);
    let call = world.http.post(url).headers(all).body(body.to_owned());
    let reply = call.send().await.unwrap();
    let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
    (status, headers, reply.json().await.unwrap())
}

async fn key(world: &World, kind: ApiKeyKind, scopes: Vec<Scope>) -> String {
    let organization = OrganizationName::Id(world.organization.clone());
    let (_, key) = world
        .app
        .create_key(organization, kind, "test", scopes)
        .await
        .unwrap();
    key.expose().to_owned()
}

/// The body serves every reader: the code, and one text under each name.
fn assert_error(reply: &Value, code: &str) {
    assert_eq!(reply["error"], code, "{reply}");
    for name in ["error_description", "message", "detail"] {
        assert!(reply[name].is_string(), "{name} in {reply}");
        assert_eq!(reply[name], reply["message"], "{reply}");
    }
}

#[tokio::test]
async fn the_reply_has_the_fields_of_both_published_shapes() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let reply = &login.reply;
    let org = &world.organization;
    assert_eq!(reply["mqtt_username"], json!(format!("user_alice@{org}")));
    assert_eq!(
        reply["mqtt_credentials"]["username"],
        reply["mqtt_username"]
    );
    assert_eq!(
        reply["mqtt_credentials"]["password"],
        reply["mqtt_password"]
    );
    assert_eq!(reply["access_token"], reply["mqtt_password"]);
    assert_eq!(reply["token_type"], "Bearer");
    assert_eq!(reply["provider"], "supabase");
    assert_eq!(reply["user_id"], "alice");
    assert_eq!(reply["user_email"], "alice@example.com");
    assert_eq!(reply["expires_in"], 3600);
    for name in ["expires_at", "refresh_recommended_at"] {
        let time = reply[name].as_str().unwrap();
        assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    }
}

#[tokio::test]
async fn the_life_is_what_was_asked_for_within_the_limits() {
    let plan = Plan {
        clock: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        ..Plan::default()
    };
    let world = World::with(plan).await;
    let mut claims = world.claims("alice");
    claims["exp"] = json!(world.now().as_second() + 200_000);
    for (ttl, expected) in [
        (json!(null), 3_600),
        (json!(1), 1),
        (json!(7_200), 7_200),
        (json!(86_400), 86_400),
        (json!(86_401), 86_400),
        (json!(u64::MAX), 86_400),
    ] {
        let body =
            json!({"organization_id": world.organization, "token": sign(&claims), "ttl": ttl});
        let (status, reply) = world.exchange(&body).await;
        assert_eq!(
            (status, &reply["expires_in"]),
            (200, &json!(expected)),
            "{ttl}"
        );
    }
    claims["exp"] = json!(world.now().as_second() + 10);
    let body = json!({"organization_id": world.organization, "token": sign(&claims)});
    let (_, reply) = world.exchange(&body).await;
    assert_eq!(reply["expires_in"], 10, "never beyond the identity token");
    assert_eq!(reply["expires_at"], "2026-01-01T00:00:10Z");
    assert_eq!(reply["refresh_recommended_at"], "2026-01-01T00:00:09Z");
    for ttl in [json!(0), json!(-1), json!(1.5), json!("3600")] {
        let body = json!({"organization_id": world.organization, "token": "x", "ttl": ttl});
        let (status, reply) = world.exchange(&body).await;
        assert_eq!(status, 400, "{ttl}");
        assert_error(&reply, "invalid_request");
    }
}

#[tokio::test]
async fn an_api_key_names_the_organization_in_every_place_it_may_stand() {
    let world = World::start().await;
    let secret = key(&world, ApiKeyKind::Secret, vec![]).await;
    let public = key(&world, ApiKeyKind::Publishable, vec![]).await;
    let token = world.identity_token("alice");
    let body = json!({"provider": "supabase", "token": token}).to_string();
    for header in [
        ("authorization", format!("Bearer {secret}")),
        ("authorization", format!("bearer {public}")),
        ("x-secret-key", secret.clone()),
        ("x-api-key", secret.clone()),
    ] {
        let (status, _, reply) = call(&world, &[(header.0, &header.1)], &body).await;
        assert_eq!(status, 200, "{}: {reply}", header.0);
    }
    let in_body = json!({"provider": "demo", "token": token, "secret_key": secret}).to_string();
    assert_eq!(
        call(&world, &[], &in_body).await.0,
        200,
        "the provider's own name is good too"
    );

    let bearer = format!("Bearer {secret}");
    let two = [
        ("authorization", bearer.as_str()),
        ("x-api-key", public.as_str()),
    ];
    assert_eq!(call(&world, &two, &body).await.0, 400, "two different keys");
    let alias = json!({"organization_id": world.alias, "token": token}).to_string();
    assert_eq!(
        call(&world, &[], &alias).await.0,
        200,
        "the organization's UUID is good too"
    );
}

#[tokio::test]
async fn errors_have_the_statuses_that_clients_map() {
    let world = World::start().await;
    let secret = key(&world, ApiKeyKind::Secret, vec![]).await;
    let narrow = key(&world, ApiKeyKind::Restricted, vec![Scope::Publish]).await;
    let org = world.organization.to_string();
    let good = world.identity_token("alice");
    let claims = |name: &str, value: Value| {
        let mut claims = world.claims("alice");
        claims[name] = value;
        sign(&claims)
    };
    let body = |token: &str| json!({"organization_id": org, "token": token}).to_string();
    let keyed = json!({"provider": "supabase", "token": good}).to_string();
    let bearer = |key: &str| vec![("authorization", format!("Bearer {key}"))];
    let nobody = json!({"organization_id": "org_aaaaaaaaaaaa", "token": good}).to_string();
    let nonsense = json!({"organization_id": "acme", "token": good}).to_string();
    let auth0 = json!({"organization_id": org, "provider": "auth0", "token": good}).to_string();
    let no_provider = json!({"token": good}).to_string();
    let no_token = json!({"organization_id": org}).to_string();
    let forged_key = secret.replace("sk_", "pk_");
    let large = format!("{{\"token\":\"{}\"}}", "x".repeat(70_000));
    let cases: Vec<Case> = vec![
        (vec![], "{".into(), 400, "invalid_request"),
        (vec![], "[]".into(), 400, "invalid_request"),
        (vec![], r#"{"token":7}"#.into(), 400, "invalid_request"),
        (vec![], large, 413, "request_too_large"),
        (vec![], no_token, 400, "invalid_request"),
        (bearer(&secret), no_provider, 400, "invalid_request"),
        (vec![], keyed.clone(), 401, "unauthorized"),
        (bearer("sk_nonsense"), keyed.clone(), 401, "unauthorized"),
        (bearer(&forged_key), keyed.clone(), 401, "unauthorized"),
        (
            vec![("authorization", format!("Basic {secret}"))],
            keyed.clone(),
            401,
            "unauthorized",
        ),
        (bearer(&narrow), keyed, 403, "insufficient_scope"),
        (vec![], nobody.clone(), 404, "organization_not_found"),
        (bearer(&secret), nobody, 404, "organization_not_found"),
        (vec![], nonsense, 404, "organization_not_found"),
        (vec![], auth0, 404, "provider_not_found"),
        (
            vec![],
            body(&claims("iss", json!("https://evil.example"))),
            404,
            "provider_not_found",
        ),
        (vec![], body("not a token"), 401, "invalid_token"),
        (vec![], body(&format!("{good}x")), 401, "invalid_token"),
        (
            vec![],
            body(&claims("aud", json!("other"))),
            401,
            "invalid_token",
        ),
        (vec![], body(&claims("exp", json!(1))), 401, "token_expired"),
        (
            vec![],
            body(&claims("email", json!(null))),
            422,
            "email_required",
        ),
    ];
    for (headers, body, expected, code) in cases {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let (status, _, reply) = call(&world, &headers, &body).await;
        assert_eq!(status, expected, "{body:.100}: {reply}");
        assert_error(&reply, code);
    }
}

#[tokio::test]
async fn one_tenant_never_sees_another() {
    let (ours, theirs) = (World::start().await, World::start().await);
    let key_of_theirs = key(&theirs, ApiKeyKind::Secret, vec![]).await;
    let token = ours.identity_token("alice");
    let body = json!({"provider": "supabase", "token": token}).to_string();
    let bearer = format!("Bearer {key_of_theirs}");
    let (status, _, _) = call(&ours, &[("authorization", &bearer)], &body).await;
    assert_eq!(status, 401, "a key of another deployment");
    let login = theirs.login("alice").await;
    assert!(!ours.can_connect(&login.username, &login.password).await);
    let renamed = login
        .username
        .replace(theirs.organization.as_str(), ours.organization.as_str());
    assert!(!ours.can_connect(&renamed, &login.password).await);
}

#[tokio::test]
async fn browsers_are_judged_by_their_origin() {
    let world = World::start().await;
    let body = json!({"organization_id": world.organization, "token": world.identity_token("a")});
    let body = body.to_string();
    let allow = "access-control-allow-origin";

    let (status, headers, _) = call(&world, &[("origin", ORIGIN)], &body).await;
    assert_eq!((status, headers[allow].to_str().unwrap()), (200, ORIGIN));
    assert!(
        headers
            .get_all("vary")
            .iter()
            .any(|value| value == "Origin")
    );
    assert_eq!(headers["cache-control"], "no-store");
    let (status, headers, reply) = call(&world, &[("origin", ORIGIN)], "{}").await;
    assert_eq!(
        (status, headers[allow].to_str().unwrap()),
        (401, ORIGIN),
        "errors are readable"
    );
    assert_error(&reply, "unauthorized");

    for foreign in [
        "https://evil.example",
        "null",
        "http://localhost:3001",
        "http://localhost",
    ] {
        let (status, headers, reply) = call(&world, &[("origin", foreign)], &body).await;
        assert_eq!(status, 403, "{foreign}");
        assert!(!headers.contains_key(allow), "{foreign}");
        assert_error(&reply, "origin_not_allowed");
    }
}

#[tokio::test]
async fn a_preflight_passes_for_a_known_origin_only() {
    let world = World::start().await;
    let preflight = async |origin: &str| {
        let url = format!("{}/v2/tokens/exchange", world.url);
        let call = world
            .http
            .request(reqwest::Method::OPTIONS, url)
            .header("origin", origin);
        call.header("access-control-request-method", "POST")
            .send()
            .await
            .unwrap()
    };
    let passed = preflight(ORIGIN).await;
    assert_eq!(passed.status(), 204);
    assert_eq!(passed.headers()["access-control-allow-origin"], ORIGIN);
    assert_eq!(
        passed.headers()["access-control-allow-methods"],
        "GET, POST, PUT, PATCH, DELETE, OPTIONS"
    );
    let names = passed.headers()["access-control-allow-headers"]
        .to_str()
        .unwrap();
    assert!(
        names.contains("Content-Type") && names.contains("Authorization"),
        "{names}"
    );
    assert!(passed.headers().contains_key("access-control-max-age"));
    assert!(
        !passed
            .headers()
            .contains_key("access-control-allow-credentials")
    );
    let refused = preflight("https://evil.example").await;
    assert_eq!(refused.status(), 403);
    assert!(
        !refused
            .headers()
            .contains_key("access-control-allow-origin")
    );
}

#[tokio::test]
async fn other_paths_and_methods_are_answered_in_json() {
    let world = World::start().await;
    for (method, path, expected) in [
        ("GET", "/v2/tokens/exchange", 405),
        ("POST", "/v2/tokens/exchange/", 404),
        ("POST", "/v2//tokens/exchange", 404),
        ("GET", "/metrics", 404),
        ("POST", "/revoke", 404),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let call = world
            .http
            .request(method, format!("{}{path}", world.url))
            .body("{}");
        let reply = call.send().await.unwrap();
        assert_eq!(reply.status(), expected, "{path}");
        assert!(
            reply.json::<Value>().await.unwrap()["error"].is_string(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let bind = "127.0.0.1:0".parse().unwrap();
    let api_deadline = std::time::Duration::from_millis(200);
    let settings = ticketgate::http::Settings {
        bind,
        api_deadline,
        ..Default::default()
    };
    let world = World::with(Plan {
        settings,
        ..Plan::default()
    })
    .await;
    let address = world.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /v2/tokens/exchange HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = vec![0; 12];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply, b"HTTP/1.1 408");
}
