//! The whole table of routes with every kind of caller.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use ticketgate::app::api_keys::change::Maker;
use ticketgate::app::revoke::selector::Selector;
use ticketgate::credential::api_key::{ApiKey, ApiKeyKind};
use ticketgate::credential::key_rules::KeyRules;
use ticketgate::credential::scope::Scope;
use ticketgate::http::routes::{Access, PUBLIC, Proof, Row};
use ticketgate::store::port::{self, Write};
use ticketgate::store::record::Kept as _;

use super::{ROOT, call, forge, made, plan, whole};
use crate::support::world::{HOOK_SECRET, ORIGIN, World, set_up};

/// Somebody who calls with the right body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    NoKey,
    Malformed,
    BadChecksum,
    Unknown,
    Revoked,
    Expired,
    AfterGrace,
    WrongAddress,
    WrongOrigin,
    WrongKind,
    WrongScope,
    ForeignNaming,
    Root,
    WrongRoot,
    Good,
    GoodOfGrace,
    GoodPage,
}

const EVERYBODY: [Who; 17] = [
    Who::NoKey,
    Who::Malformed,
    Who::BadChecksum,
    Who::Unknown,
    Who::Revoked,
    Who::Expired,
    Who::AfterGrace,
    Who::WrongAddress,
    Who::WrongOrigin,
    Who::WrongKind,
    Who::WrongScope,
    Who::ForeignNaming,
    Who::Root,
    Who::WrongRoot,
    Who::Good,
    Who::GoodOfGrace,
    Who::GoodPage,
];

/// The call of a row that works for whoever may make it.
async fn right_call(world: &World, row: &Row, key: Option<&str>) -> RequestBuilder {
    let victim = whole(world).await.0;
    let organization = world.organization.to_string();
    let path = row.path.replace("{id}", victim.id.as_str());
    let path = path.replace("{organization}", &organization);
    let token = world.identity_token("alice");
    let new_key = json!({"kind": "restricted", "name": "k", "scopes": ["keys:read"]});
    let call = |path: &str| call(world, row.method, path, key);
    match (row.method, row.path) {
        ("GET", "/health/live" | "/health/ready" | "/.well-known/oauth-authorization-server") => {
            call(&path)
        }
        ("*", "/hooks/*") => {
            let path = format!("/hooks/rabbitmq/main/{HOOK_SECRET}/user");
            let call = super::call(world, "POST", &path, key);
            call.form(&[("username", "x"), ("password", "y")])
        }
        ("POST", "/v2/tokens/exchange") => {
            call(&path).json(&json!({"organization_id": organization, "token": token}))
        }
        ("POST", "/v2/tokens/create" | "/v1/create") => {
            call(&path).json(&json!({"organization_id": organization, "user_email": "a@b"}))
        }
        ("POST", "/v2/tokens") => {
            call(&path).json(&json!({"organization_id": organization, "user_id": "a"}))
        }
        ("POST", "/v2/tokens/refresh") => {
            let login = world.login("bob").await;
            let body =
                json!({"token_id": login.token_id, "current_token_password": login.password});
            call(&path).json(&body)
        }
        ("POST", "/v2/tokens/revoke") => {
            world.login("carol").await;
            let body = json!({"organization_id": organization, "username": "user_carol"});
            call(&path).json(&body)
        }
        ("GET", "/v2/tokens" | "/v2/providers" | "/v2/keys" | "/v2/audit" | "/v2/audit/export") => {
            call(&format!("{path}?organization_id={organization}"))
        }
        ("POST", "/v2/keys") => {
            let mut body = new_key;
            body["organization_id"] = json!(organization);
            call(&path).json(&body)
        }
        ("GET" | "DELETE", "/v2/keys/{id}") => call(&path),
        ("PATCH", "/v2/keys/{id}") => {
            let narrower = json!({"name": "changed", "scopes": [Scope::KeysRead.as_str()]});
            call(&path).json(&narrower)
        }
        ("PUT", "/v2/keys/{id}") => {
            let body = json!({"kind": "secret", "name": "put", "scopes": ["keys:read"]});
            call(&path).json(&body)
        }
        ("POST", "/v2/keys/{id}/rotate") => call(&path),
        ("POST", "/oauth/token") => {
            let grant = "urn:ietf:params:oauth:grant-type:token-exchange";
            let kind = "urn:ietf:params:oauth:token-type:jwt";
            call(&path).form(&[
                ("grant_type", grant),
                ("subject_token_type", kind),
                ("subject_token", token.as_str()),
                ("client_id", organization.as_str()),
            ])
        }
        ("POST", "/oauth/revoke" | "/oauth/introspect") => {
            call(&path).form(&[("token", "none"), ("client_id", organization.as_str())])
        }
        ("POST", "/v2/organizations/{organization}/keys") => call(&path).json(&new_key),
        ("POST", "/v2/organizations/{organization}/keys/import") => {
            let hash = format!("{:064x}", uuid::Uuid::new_v4().as_u128());
            let hash: String = hash.chars().rev().collect();
            let scopes = ["tokens:create"];
            call(&path).json(&json!({"sha256": hash, "name": "old", "scopes": scopes}))
        }
        ("DELETE", "/v2/organizations/{organization}/keys/{id}") => call(&path),
        (method, path) => panic!("{method} {path} has no call in this test: add one"),
    }
}

/// Keys of each kind of caller for a scope, made before the clock goes on.
struct Cast {
    keys: Vec<(Who, String)>,
}

impl Cast {
    async fn of(world: &World, scope: Scope) -> Self {
        let (other, _) = set_up(&world.app, &json!({"rules": []})).await;
        let (restricted, none) = (ApiKeyKind::Restricted, KeyRules::default);
        let ours = async |rules| made(world, &world.organization, restricted, &all(), rules).await;
        let mut keys = vec![
            (Who::Malformed, "sk_nonsense".to_owned()),
            (Who::Root, ROOT.to_owned()),
            (Who::WrongRoot, format!("{ROOT}x")),
        ];
        let good = whole(world).await.1;
        let last = if good.ends_with('0') { '1' } else { '0' };
        keys.push((
            Who::BadChecksum,
            format!("{}{last}", &good[..good.len() - 1]),
        ));
        keys.push((Who::GoodPage, good.clone()));
        keys.push((Who::WrongOrigin, good.clone()));
        keys.push((Who::Good, good));
        let (key, text) = ours(none()).await;
        remove(world, &key).await;
        keys.push((Who::Unknown, text));
        let (key, text) = ours(none()).await;
        world.app.revoke(Selector::ApiKey(key.id)).await.unwrap();
        keys.push((Who::Revoked, text));
        let end = world.now() + jiff::SignedDuration::from_secs(20);
        let rules = KeyRules {
            expires_at: Some(end),
            ..none()
        };
        keys.push((Who::Expired, ours(rules).await.1));
        for (who, grace) in [(Who::AfterGrace, 20), (Who::GoodOfGrace, 300)] {
            let (key, text) = whole(world).await;
            let rotated = world
                .app
                .rotate_key(Maker::Operator, &key.organization, key.id, grace);
            rotated.await.unwrap();
            keys.push((who, text));
        }
        let rules = KeyRules {
            allowed_addresses: vec!["10.0.0.0/8".parse().unwrap(), "::/0".parse().unwrap()],
            ..none()
        };
        keys.push((Who::WrongAddress, ours(rules).await.1));
        // A record that says more than any publishable key may.
        let exchange = [Scope::TokensExchange];
        let public = ApiKeyKind::Publishable;
        let (key, text) = made(world, &world.organization, public, &exchange, none()).await;
        let forged = |key: &mut ApiKey| key.scopes = all();
        forge(world, &key, forged).await;
        keys.push((Who::WrongKind, text));
        let others: Vec<_> = all().into_iter().filter(|one| *one != scope).collect();
        let lacking = made(world, &world.organization, restricted, &others, none()).await;
        keys.push((Who::WrongScope, lacking.1));
        let foreign = made(world, &other, ApiKeyKind::Secret, &all(), none()).await;
        keys.push((Who::ForeignNaming, foreign.1));
        Self { keys }
    }

    fn key(&self, who: Who) -> Option<&str> {
        let found = self.keys.iter().find(|(one, _)| *one == who);
        assert!(who == Who::NoKey || found.is_some(), "{who:?} has no key");
        found.map(|(_, key)| key.as_str())
    }
}

fn all() -> Vec<Scope> {
    Scope::ALL.to_vec()
}

async fn remove(world: &World, key: &ApiKey) {
    let found = port::read_state::<ApiKey>(&*world.store, &key.id).await;
    let (_, state) = found.unwrap().unwrap();
    let write = Write {
        key: ApiKey::key(&key.id),
        expected: Some(state),
        record: None,
        audit: None,
    };
    world.store.put(write).await.unwrap();
}

/// What a caller hears from a row that takes a key; `None`: that it works.
fn refusal(who: Who, scope: Scope) -> Option<u16> {
    match who {
        Who::NoKey
        | Who::Malformed
        | Who::BadChecksum
        | Who::Unknown
        | Who::Revoked
        | Who::Expired
        | Who::AfterGrace
        | Who::Root
        | Who::WrongRoot => Some(401),
        Who::WrongKind if scope == Scope::TokensExchange => None,
        Who::WrongAddress | Who::WrongOrigin | Who::WrongKind | Who::WrongScope => Some(403),
        Who::ForeignNaming => Some(404),
        Who::Good | Who::GoodOfGrace | Who::GoodPage => None,
    }
}

fn expected(row: &Row, who: Who) -> Option<u16> {
    let is_oauth = row.path.starts_with("/oauth");
    let expected = match row.access {
        // None of them looks at keys.
        Access::Open | Access::HookSecret | Access::LocalSocket | Access::TokenPassword => None,
        Access::NamesOrganization => None,
        Access::KeyOr(Proof::IdentityToken, _) if who == Who::NoKey => None,
        Access::KeyOr(Proof::TokenPassword, _) if who == Who::NoKey && is_oauth => None,
        // What it changes would outlive it, and be beyond it.
        Access::ApiKey(_) if who == Who::GoodOfGrace && changes_a_key(row) => Some(403),
        Access::ApiKey(scope) | Access::KeyOr(_, scope) => refusal(who, scope),
        Access::Root if who == Who::Root => None,
        Access::Root => Some(401),
    };
    match (expected, is_oauth) {
        // Whose client it is not is no client (RFC 6749 section 5.2).
        (Some(403), true) if matches!(who, Who::WrongKind | Who::WrongScope) => Some(400),
        (Some(404), true) => Some(401),
        (expected, _) => expected,
    }
}

fn changes_a_key(row: &Row) -> bool {
    matches!(row.method, "PATCH" | "PUT") || row.path.ends_with("/rotate")
}

fn checks_origin(row: &Row) -> bool {
    matches!(
        row.access,
        Access::ApiKey(_) | Access::KeyOr(..) | Access::NamesOrganization | Access::TokenPassword
    )
}

#[tokio::test]
async fn every_row_lets_in_whom_it_says_and_nobody_else() {
    let world = World::with(plan()).await;
    let mut cast = Vec::new();
    for row in &PUBLIC {
        cast.push(match row.access {
            Access::ApiKey(scope) | Access::KeyOr(_, scope) => Cast::of(&world, scope).await,
            _ => Cast::of(&world, Scope::KeysRead).await,
        });
    }
    world.clock.as_ref().unwrap().advance(20);
    for (row, cast) in PUBLIC.iter().zip(&cast) {
        for who in EVERYBODY {
            let call = right_call(&world, row, cast.key(who)).await;
            let call = match who {
                Who::WrongOrigin => call.header("origin", "https://evil.example"),
                Who::GoodPage => call.header("origin", ORIGIN),
                _ => call,
            };
            let reply = call.send().await.unwrap();
            let status = reply.status().as_u16();
            let text = reply.text().await.unwrap();
            let mut expected = expected(row, who);
            if who == Who::WrongOrigin && checks_origin(row) {
                expected = Some(403);
            }
            let place = format!("{} {} as {who:?}: {text}", row.method, row.path);
            match expected {
                Some(expected) => assert_eq!(status, expected, "{place}"),
                None => assert!(matches!(status, 200 | 201), "{status} {place}"),
            }
            assert!(!text.contains("panick"), "{place}");
            if let Ok(body) = serde_json::from_str::<Value>(&text)
                && expected.is_some()
            {
                assert!(body["error"].is_string(), "{place}");
            }
        }
    }
}

/// The framework asks the rows one by one: what is asked most stands first, and what takes a regular
/// expression last.
#[test]
fn patterns_stand_behind_the_plain_paths_and_hooks_before_all() {
    assert_eq!(PUBLIC[0].access, Access::HookSecret);
    let is_pattern = |row: &Row| row.path.contains('{');
    let first = PUBLIC.iter().position(is_pattern).unwrap();
    assert!(PUBLIC[first..].iter().all(is_pattern));
}

#[test]
fn every_row_is_there_once() {
    for (number, row) in PUBLIC.iter().enumerate() {
        let again = PUBLIC[..number]
            .iter()
            .any(|one| (one.method, one.path) == (row.method, row.path));
        assert!(!again, "{} {}", row.method, row.path);
    }
}
