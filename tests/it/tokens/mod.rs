//! The life of a token over HTTP: create, refresh, revoke, list, and the standards beside it.

mod access;
mod clients;
mod life;
mod lineage;
mod list;
mod narrow;
mod oauth;
mod redis;
mod service_user;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use ticketgate::app::audit;
use ticketgate::app::organizations::OrganizationChange;
use ticketgate::clock::{Clock as _, SystemClock};
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::scope::Scope;
use ticketgate::metrics::Metrics;
use ticketgate::names::organization_id::{OrganizationId, OrganizationName};
use ticketgate::store::redis::{Redis, Settings};

use crate::support::redis::RedisServer;
use crate::support::world::{Plan, World};

/// Runs a test on the embedded store and on Redis, with a clock that stands still.
pub async fn on_both(test: impl AsyncFn(&World)) {
    on_both_with(&audit::Settings::default(), test).await;
}

/// The same with other settings of the audit log.
pub async fn on_both_with(audit: &audit::Settings, test: impl AsyncFn(&World)) {
    let clock = Some(whole_second());
    let plan = Plan {
        clock,
        audit: audit.clone(),
        ..Plan::default()
    };
    test(&World::with(plan).await).await;

    let server = RedisServer::start().await;
    let settings = Settings {
        address: server.url().parse().unwrap(),
        authorities: None,
        sentinel_login: (None, None),
        prefix: "tg".into(),
        lease: Duration::from_secs(1),
        timeout: Duration::from_secs(5),
        min_replicas: 0,
    };
    let redis = Redis::visit(settings, Arc::new(Metrics::new())).await;
    let redis = Arc::new(redis.unwrap());
    let plan = Plan {
        clock,
        audit: audit.clone(),
        wrap: Some(Box::new(move |_| redis)),
        ..Plan::default()
    };
    test(&World::with(plan).await).await;
}

fn whole_second() -> Timestamp {
    Timestamp::from_second(SystemClock.now().as_second()).unwrap()
}

/// A reply: status, headers, body.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    pub fn text(&self, name: &str) -> &str {
        let text = self.body[name].as_str();
        text.unwrap_or_else(|| panic!("{name} in {}", self.body))
    }
}

pub async fn send(call: reqwest::RequestBuilder) -> Reply {
    let reply = call.send().await.unwrap();
    Reply {
        status: reply.status().as_u16(),
        headers: reply.headers().clone(),
        body: reply.json().await.unwrap(),
    }
}

/// `POST` with nothing but a JSON body, as the published SDK does.
pub async fn post(world: &World, path: &str, body: &Value) -> Reply {
    send(world.http.post(format!("{}{path}", world.url)).json(body)).await
}

pub async fn get(world: &World, path: &str, key: &str) -> Reply {
    let call = world.http.get(format!("{}{path}", world.url));
    send(call.bearer_auth(key)).await
}

pub fn of(world: &World) -> OrganizationName {
    OrganizationName::Id(world.organization.clone())
}

pub async fn key(world: &World, kind: ApiKeyKind, scopes: Vec<Scope>) -> String {
    key_in(world, &world.organization, kind, scopes).await
}

pub async fn key_in(
    world: &World,
    organization: &OrganizationId,
    kind: ApiKeyKind,
    scopes: Vec<Scope>,
) -> String {
    let name = OrganizationName::Id(organization.clone());
    let made = world.app.create_key(name, kind, "test", scopes).await;
    made.unwrap().1.expose().to_owned()
}

pub async fn secret_key(world: &World) -> String {
    key(world, ApiKeyKind::Secret, vec![]).await
}

async fn change(world: &World, change: OrganizationChange) {
    let changed = world.app.change_organization(of(world), change).await;
    changed.unwrap();
}

/// Creates a token for an address as the published SDK does.
pub async fn create(world: &World, key: &str, email: &str, replace: bool) -> Reply {
    let body = json!({
        "organization_id": world.organization,
        "secret_key": key,
        "user_email": email,
        "replace_existing": replace,
    });
    let reply = post(world, "/v2/tokens/create", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply
}

pub async fn refresh(world: &World, id: &str, password: &str) -> Reply {
    let body = json!({"token_id": id, "current_token_password": password});
    post(world, "/v2/tokens/refresh", &body).await
}

async fn connects(world: &World, username: &str, password: &str) -> bool {
    world.can_connect(username, password).await
}

/// Whether VerneMQ would let a session with this client id publish there.
async fn may_publish(world: &World, username: &str, client: &str, topic: &str) -> bool {
    let body = json!({"username": username, "client_id": client, "mountpoint": "", "qos": 1,
                      "topic": topic, "retain": false});
    let (status, reply) = world.ask_vernemq("auth_on_publish", &body).await;
    assert_eq!(status, 200);
    reply["result"] == "ok"
}

async fn may_subscribe(world: &World, username: &str, client: &str, filter: &str) -> bool {
    let body = json!({"username": username, "client_id": client, "mountpoint": "",
                      "topics": [{"topic": filter, "qos": 1}]});
    let (status, reply) = world.ask_vernemq("auth_on_subscribe", &body).await;
    assert_eq!(status, 200);
    reply["result"] == "ok"
}

/// The body serves every reader: the code, and one text under each name.
pub(crate) fn assert_error(reply: &Reply, status: u16, code: &str) {
    assert_eq!(
        (reply.status, &reply.body["error"]),
        (status, &json!(code)),
        "{}",
        reply.body
    );
    for name in ["error_description", "message", "detail"] {
        assert!(reply.body[name].is_string(), "{name} in {}", reply.body);
    }
}
