//! Token exchange, revocation, introspection and metadata as their RFCs have them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::scope::Scope;

use super::{
    Reply, assert_error, connects, key, may_publish, may_subscribe, on_both, secret_key, send,
};
use crate::support::world::{ORIGIN, World};

const GRANT: (&str, &str) = (
    "grant_type",
    "urn:ietf:params:oauth:grant-type:token-exchange",
);
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: (&str, &str) = ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt");

/// Fields of a form, and the status and code that it is answered with.
type Case<'a> = (Vec<(&'a str, &'a str)>, u16, &'a str);

async fn form(world: &World, path: &str, fields: &[(&str, &str)]) -> Reply {
    send(world.http.post(format!("{}{path}", world.url)).form(fields)).await
}

async fn form_as(world: &World, path: &str, who: (&str, &str), fields: &[(&str, &str)]) -> Reply {
    let call = world.http.post(format!("{}{path}", world.url)).form(fields);
    let basic = STANDARD.encode(format!("{}:{}", who.0, who.1));
    send(call.header("authorization", format!("Basic {basic}"))).await
}

#[tokio::test]
async fn a_subject_token_is_exchanged_for_a_login() {
    on_both(async |world| {
        let secret = secret_key(world).await;
        let org = world.organization.as_str();
        let token = world.identity_token("alice");
        let fields = [GRANT, JWT, ("subject_token", token.as_str())];
        let posted = [
            &fields[..],
            &[("client_id", org), ("client_secret", &secret)],
        ]
        .concat();
        let public = [
            &fields[..],
            &[("client_id", org), ("requested_token_type", ACCESS_TOKEN)],
        ]
        .concat();
        for reply in [
            form_as(world, "/oauth/token", (org, &secret), &fields).await,
            form_as(world, "/oauth/token", ("", &secret), &fields).await,
            form(world, "/oauth/token", &posted).await,
            form(world, "/oauth/token", &public).await,
        ] {
            assert_eq!(reply.status, 200, "{}", reply.body);
            assert_eq!(reply.headers["cache-control"], "no-store");
            assert_eq!(reply.text("issued_token_type"), ACCESS_TOKEN);
            assert_eq!(reply.text("token_type"), "Bearer");
            assert_eq!(reply.body["expires_in"], 3_600);
            assert_eq!(reply.text("scope"), "publish subscribe");
            let username = reply.text("mqtt_username");
            assert!(connects(world, username, reply.text("access_token")).await);
        }
    })
    .await;
}

#[tokio::test]
async fn a_scope_narrows_and_nothing_widens_it_again() {
    on_both(async |world| {
        let org = world.organization.as_str();
        let token = world.identity_token("alice");
        let narrow = |token: &str, scope: &str| {
            let fields = [
                GRANT,
                JWT,
                ("client_id", org),
                ("scope", scope),
                ("subject_token", token),
            ];
            fields.map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        let ask = async |token: &str, scope: &str| {
            let call = world.http.post(format!("{}/oauth/token", world.url));
            send(call.form(&narrow(token, scope))).await
        };
        let reply = ask(&token, "subscribe").await;
        assert_eq!((reply.status, reply.text("scope")), (200, "subscribe"));
        let username = reply.text("mqtt_username");
        assert!(connects(world, username, reply.text("access_token")).await);
        assert!(may_subscribe(world, username, "test-client", "users/user_alice/x").await);
        assert!(!may_publish(world, username, "test-client", "users/user_alice/x").await);
        assert_error(&ask(&token, "subscribe admin").await, 400, "invalid_scope");
        // Its own token again, for a wider scope: it gets no wider.
        let narrowed = reply.text("access_token");
        let wider = ask(narrowed, "publish subscribe").await;
        assert_eq!((wider.status, wider.text("scope")), (200, "subscribe"));
        // Nor does it live longer, or survive what ends the first by its age.
        for name in ["expires_at", "mqtt_username"] {
            assert_eq!(wider.body[name], reply.body[name], "{name}");
        }
        let none = ask(narrowed, "publish").await;
        assert_eq!((none.status, none.text("scope")), (200, ""));
    })
    .await;
}

#[tokio::test]
async fn errors_of_the_token_endpoint_are_those_of_the_rfc() {
    let world = World::start().await;
    let (secret, org) = (secret_key(&world).await, world.organization.to_string());
    let lacking = key(&world, ApiKeyKind::Restricted, vec![Scope::Publish]).await;
    let token = world.identity_token("alice");
    let subject = ("subject_token", token.as_str());
    let client = ("client_id", org.as_str());
    let id_token = (
        "subject_token_type",
        "urn:ietf:params:oauth:token-type:saml2",
    );
    let refresh_token = "urn:ietf:params:oauth:token-type:refresh_token";
    let cases: Vec<Case<'_>> = vec![
        (vec![], 400, "invalid_request"),
        (vec![client, JWT, subject], 400, "invalid_request"),
        (
            vec![client, ("grant_type", "password")],
            400,
            "unsupported_grant_type",
        ),
        (vec![client, GRANT, JWT], 400, "invalid_request"),
        (vec![client, GRANT, subject], 400, "invalid_request"),
        (
            vec![client, GRANT, subject, id_token],
            400,
            "invalid_request",
        ),
        (
            vec![client, GRANT, JWT, subject, ("actor_token", "x")],
            400,
            "invalid_request",
        ),
        (
            vec![
                client,
                GRANT,
                JWT,
                subject,
                ("requested_token_type", refresh_token),
            ],
            400,
            "invalid_request",
        ),
        (
            vec![client, GRANT, JWT, subject, ("audience", "https://other")],
            400,
            "invalid_target",
        ),
        (
            vec![client, GRANT, JWT, subject, subject],
            400,
            "invalid_request",
        ),
        (
            vec![client, GRANT, JWT, ("subject_token", "x")],
            400,
            "invalid_request",
        ),
        (vec![GRANT, JWT, subject], 401, "invalid_client"),
        (
            vec![("client_id", "acme"), GRANT, JWT, subject],
            401,
            "invalid_client",
        ),
        (
            vec![("client_id", "org_aaaaaaaaaaaa"), GRANT, JWT, subject],
            401,
            "invalid_client",
        ),
        (
            vec![client, ("client_secret", "sk_x"), GRANT, JWT, subject],
            401,
            "invalid_client",
        ),
        (
            vec![
                ("client_id", "org_aaaaaaaaaaaa"),
                ("client_secret", &secret),
                GRANT,
                JWT,
                subject,
            ],
            401,
            "invalid_client",
        ),
        (
            vec![client, ("client_secret", &lacking), GRANT, JWT, subject],
            400,
            "unauthorized_client",
        ),
    ];
    for (fields, status, code) in cases {
        let reply = form(&world, "/oauth/token", &fields).await;
        assert_eq!(
            (reply.status, reply.text("error")),
            (status, code),
            "{fields:?}"
        );
        if status == 401 {
            assert!(
                reply.headers["www-authenticate"]
                    .to_str()
                    .unwrap()
                    .starts_with("Basic")
            );
        }
    }
    let both = [GRANT, JWT, subject, ("client_secret", secret.as_str())];
    let reply = form_as(&world, "/oauth/token", (&org, &secret), &both).await;
    assert_error(&reply, 400, "invalid_request");
    let call = world.http.post(format!("{}/oauth/token", world.url));
    let call = call.form(&[client, GRANT, JWT, subject]);
    let foreign = send(call.header("origin", "https://evil.example")).await;
    assert_error(&foreign, 403, "unauthorized_client");
}

#[tokio::test]
async fn a_token_is_introspected_and_revoked() {
    on_both(async |world| {
        let (secret, login) = (secret_key(world).await, world.login("alice").await);
        let org = world.organization.as_str();
        let token = [
            ("token", login.password.as_str()),
            ("token_type_hint", "access_token"),
        ];
        let ask = async || form_as(world, "/oauth/introspect", (org, &secret), &token).await;
        let reply = ask().await;
        assert_eq!(reply.status, 200);
        let now = world.now().as_second();
        assert_eq!(
            reply.body,
            json!({"active": true, "scope": "publish subscribe", "token_type": "Bearer",
                   "username": login.username, "sub": "alice", "exp": now + 3_600, "iat": now,
                   "jti": login.token_id}),
        );
        let unknown = [("token", "tkn_nonsense")];
        let reply = form_as(world, "/oauth/introspect", (org, &secret), &unknown).await;
        assert_eq!((reply.status, reply.body), (200, json!({"active": false})));
        let missing = form_as(world, "/oauth/introspect", (org, &secret), &[]).await;
        assert_error(&missing, 400, "invalid_request");

        // RFC 7009 section 2.2: what is no token is no error, and neither is doing it twice.
        for fields in [&unknown[..], &token, &token] {
            let reply = form(world, "/oauth/revoke", fields).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
        }
        assert!(!connects(world, &login.username, &login.password).await);
        assert_eq!(ask().await.body, json!({"active": false}));
        let bad = form_as(world, "/oauth/revoke", (org, "sk_x"), &token).await;
        assert_error(&bad, 401, "invalid_client");
        assert_error(
            &form(world, "/oauth/revoke", &[]).await,
            400,
            "invalid_request",
        );
    })
    .await;
}

#[tokio::test]
async fn the_metadata_name_the_server_and_not_what_the_caller_calls_it() {
    let path = "/.well-known/oauth-authorization-server";
    let world = World::start().await;
    let call = world.http.get(format!("{}{path}", world.url));
    let reply = send(call.header("host", "evil.example").header("origin", ORIGIN)).await;
    assert_eq!(
        (reply.status, reply.text("issuer")),
        (200, world.url.as_str())
    );
    for (name, path) in [
        ("token_endpoint", "/oauth/token"),
        ("revocation_endpoint", "/oauth/revoke"),
        ("introspection_endpoint", "/oauth/introspect"),
    ] {
        assert_eq!(reply.text(name), format!("{}{path}", world.url));
    }
    assert_eq!(reply.body["grant_types_supported"], json!([GRANT.1]));
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
    let settings = ticketgate::http::Settings {
        bind: "127.0.0.1:0".parse().unwrap(),
        public_url: Some("https://auth.example.com".into()),
        ..Default::default()
    };
    let plan = crate::support::world::Plan {
        settings,
        ..Default::default()
    };
    let world = World::with(plan).await;
    let reply = send(world.http.get(format!("{}{path}", world.url))).await;
    assert_eq!(reply.text("issuer"), "https://auth.example.com");
    assert_eq!(
        reply.text("token_endpoint"),
        "https://auth.example.com/oauth/token"
    );
}
