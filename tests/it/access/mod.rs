//! Who may call what, from where, and what API keys can become.

mod attacks;
mod keys;
mod legacy;
mod matrix;
mod narrower;
mod proxies;
mod root;

use jiff::SignedDuration;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use ticketgate::app::api_keys::change::Maker;
use ticketgate::app::api_keys::create::KeyDraft;
use ticketgate::credential::api_key::{ApiKey, ApiKeyKind};
use ticketgate::credential::key_rules::KeyRules;
use ticketgate::credential::root_key::RootKeys;
use ticketgate::credential::scope::Scope;
use ticketgate::names::organization_id::OrganizationId;
use ticketgate::secret::Secret;
use ticketgate::store::port::{self, Change, StoreError};

use crate::support::world::{Plan, World};
use crate::tokens::{Reply, send};

const ROOT: &str = "root_0123456789abcdefghijklmnopqrstuvwxyz";

/// A world with a root key and a clock that stands still.
fn plan() -> Plan {
    Plan {
        clock: Some("2026-11-02T10:00:00Z".parse().unwrap()),
        root_keys: RootKeys::parse(&Secret::new(ROOT)).unwrap(),
        ..Plan::default()
    }
}

/// Makes a key as the operator does.
async fn made(
    world: &World,
    organization: &OrganizationId,
    kind: ApiKeyKind,
    scopes: &[Scope],
    rules: KeyRules,
) -> (ApiKey, String) {
    let draft = KeyDraft {
        kind,
        name: "test".into(),
        scopes: Some(scopes.to_vec()),
        rules,
    };
    let made = world
        .app
        .create_key_by(Maker::Operator, organization, draft);
    let (key, text) = made.await.unwrap();
    (key, text.expose().to_owned())
}

/// A secret key with everything.
async fn whole(world: &World) -> (ApiKey, String) {
    let (of, all) = (&world.organization, &Scope::ALL);
    made(world, of, ApiKeyKind::Secret, all, KeyRules::default()).await
}

/// Changes a record as nobody but the owner of the store could.
async fn forge(world: &World, key: &ApiKey, forged: impl Fn(&mut ApiKey)) {
    let change = |current: Option<&ApiKey>| {
        let mut key = current.unwrap().clone();
        forged(&mut key);
        Ok(Change::Set(key))
    };
    let changed = port::update::<ApiKey, StoreError>(&*world.store, &key.id, change);
    changed.await.unwrap();
}

fn call(world: &World, method: &str, path: &str, key: Option<&str>) -> RequestBuilder {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let call = world.http.request(method, format!("{}{path}", world.url));
    match key {
        Some(key) => call.bearer_auth(key),
        None => call,
    }
}

async fn ask(world: &World, method: &str, path: &str, key: &str, body: &Value) -> Reply {
    let call = call(world, method, path, Some(key));
    send(if body.is_null() {
        call
    } else {
        call.json(body)
    })
    .await
}

fn later(world: &World, seconds: i64) -> String {
    let end = world.now() + SignedDuration::from_secs(seconds);
    end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn new_key(kind: &str, scopes: &[&str]) -> Value {
    json!({"kind": kind, "name": "made", "scopes": scopes})
}
