//! Calls of the API.

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use ticketgate::app::organizations::OrganizationChange;
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::limits::counts::LimitsChange;
use ticketgate::limits::limiter::Settings;
use ticketgate::metrics::LimitLabel;
use ticketgate::names::organization_id::OrganizationName;

use super::{key, small};
use crate::support::world::{NO_LIMITS, ORIGIN, Plan, World, sign};

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Reply {
    fn number(&self, header: &str) -> Option<i64> {
        self.headers.get(header)?.to_str().ok()?.parse().ok()
    }

    /// Limit, remaining, reset.
    fn quota(&self) -> [Option<i64>; 3] {
        [
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
        ]
        .map(|name| self.number(name))
    }
}

async fn world(limits: Settings) -> World {
    let plan = Plan {
        clock: Timestamp::from_second(2_000_000_000).ok(),
        limits,
        ..Plan::default()
    };
    World::with(plan).await
}

async fn sent(call: reqwest::RequestBuilder) -> Reply {
    let reply = call.header("origin", ORIGIN).send().await.unwrap();
    Reply {
        status: reply.status().as_u16(),
        headers: reply.headers().clone(),
        body: reply.json().await.unwrap(),
    }
}

async fn list(world: &World, key: &str) -> Reply {
    let url = format!("{}/v2/tokens", world.url);
    sent(world.http.get(url).bearer_auth(key)).await
}

/// An exchange with this key, or with the organization's name alone.
async fn exchange(world: &World, key: Option<&str>, token: &str) -> Reply {
    let mut body = json!({ "organization_id": world.organization.as_str(), "token": token });
    if let Some(key) = key {
        body["secret_key"] = json!(key);
        body["provider"] = json!("supabase");
    }
    let url = format!("{}/v2/tokens/exchange", world.url);
    sent(world.http.post(url).json(&body)).await
}

/// An identity token that the provider has not signed.
fn forged(world: &World) -> String {
    let good = world.identity_token("mallory");
    let (signed, _) = good.rsplit_once('.').unwrap();
    format!("{signed}.AAAA")
}

fn advance(world: &World, seconds: i64) {
    world.clock.as_ref().unwrap().advance(seconds);
}

#[tokio::test]
async fn a_key_is_told_how_it_stands_and_when_to_come_back() {
    let world = world(small()).await;
    let one = key(&world, ApiKeyKind::Secret).await;
    for left in [2, 1, 0] {
        let reply = list(&world, &one).await;
        let expected = [Some(3), Some(left), Some(3 - left)];
        assert_eq!((reply.status, reply.quota()), (200, expected));
    }
    let refused = list(&world, &one).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.quota(), [Some(3), Some(0), Some(3)]);
    assert_eq!(refused.body["error"], "rate_limit_exceeded");
    let exposed = &refused.headers["access-control-expose-headers"];
    assert!(exposed.to_str().unwrap().contains("X-RateLimit-Remaining"));
    assert_eq!(world.metrics.limited_so_far(LimitLabel::Key), 1);
    // Whoever waits as long as told is admitted, and no earlier.
    let wait = refused.number("retry-after").unwrap();
    advance(&world, wait - 1);
    assert_eq!(list(&world, &one).await.status, 429);
    advance(&world, 1);
    assert_eq!(list(&world, &one).await.status, 200);
    // Another key of the organization has its own.
    let other = key(&world, ApiKeyKind::Secret).await;
    assert_eq!(list(&world, &other).await.status, 200);
}

#[tokio::test]
async fn all_keys_of_an_organization_share_its_limit() {
    let world = world(small()).await;
    let mut admitted = 0;
    for _ in 0..4 {
        let one = key(&world, ApiKeyKind::Secret).await;
        for _ in 0..3 {
            admitted += u32::from(list(&world, &one).await.status == 200);
        }
    }
    assert_eq!(admitted, 8);
    assert_eq!(world.metrics.limited_so_far(LimitLabel::Organization), 4);
}

#[tokio::test]
async fn what_failed_is_answered_429_and_what_is_good_is_not() {
    let world = world(small()).await;
    let good = key(&world, ApiKeyKind::Secret).await;
    let mut wrong = good.clone().into_bytes();
    let last = wrong.len() - 8;
    wrong[last] = if wrong[last] == b'a' { b'b' } else { b'a' };
    let wrong = String::from_utf8(wrong).unwrap();
    for number in 0..10 {
        let status = if number < 4 { 401 } else { 429 };
        assert_eq!(list(&world, &wrong).await.status, status, "{number}");
    }
    let refused = exchange(&world, None, &forged(&world)).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.number("retry-after"), Some(60));
    // From the same address, in the same moment.
    assert_eq!(list(&world, &good).await.status, 200);
    let token = world.identity_token("alice");
    assert_eq!(exchange(&world, None, &token).await.status, 200);
    advance(&world, 60);
    assert_eq!(list(&world, &wrong).await.status, 401);
    assert_eq!(list(&world, &wrong).await.status, 429);
}

#[tokio::test]
async fn a_token_that_has_expired_is_no_failure() {
    let world = world(small()).await;
    let mut claims = world.claims("alice");
    claims["exp"] = json!(world.now().as_second() - 3_600);
    for _ in 0..10 {
        let reply = exchange(&world, None, &sign(&claims)).await;
        assert_eq!(
            (reply.status, reply.body["error"].as_str()),
            (401, Some("token_expired"))
        );
    }
}

#[tokio::test]
async fn nobody_uses_up_a_publishable_key_or_an_organization_without_a_good_token() {
    let limits = Settings {
        failures: None,
        ..small()
    };
    let world = world(limits).await;
    let public = key(&world, ApiKeyKind::Publishable).await;
    for _ in 0..20 {
        let forged = forged(&world);
        assert_eq!(exchange(&world, Some(&public), &forged).await.status, 401);
        assert_eq!(exchange(&world, None, &forged).await.status, 401);
    }
    let token = world.identity_token("alice");
    for left in [2, 1, 0] {
        let reply = exchange(&world, Some(&public), &token).await;
        assert_eq!((reply.status, reply.quota()[1]), (200, Some(left)));
    }
    assert_eq!(exchange(&world, Some(&public), &token).await.status, 429);
    assert_eq!(exchange(&world, None, &token).await.status, 200);
}

#[tokio::test]
async fn an_operator_sets_how_often_an_organization_mints() {
    let world = world(NO_LIMITS).await;
    let change = OrganizationChange {
        limits: LimitsChange {
            mints: Some("1/min burst 2".parse().ok()),
            ..LimitsChange::default()
        },
        ..OrganizationChange::default()
    };
    let organization = OrganizationName::Id(world.organization.clone());
    world
        .app
        .change_organization(organization, change)
        .await
        .unwrap();
    for number in 0..4 {
        let token = world.identity_token(&format!("user{number}"));
        let reply = exchange(&world, None, &token).await;
        let status = if number < 2 { 200 } else { 429 };
        assert_eq!(reply.status, status, "{number}: {}", reply.body);
    }
    assert_eq!(world.metrics.limited_so_far(LimitLabel::Mint), 2);
    advance(&world, 60);
    let token = world.identity_token("user9");
    assert_eq!(exchange(&world, None, &token).await.status, 200);
}

#[tokio::test]
async fn a_limited_call_leaves_its_connection_open() {
    let world = world(small()).await;
    let one = key(&world, ApiKeyKind::Secret).await;
    let url = format!("{}/v2/tokens/create", world.url);
    for number in 0..6 {
        let topics = vec!["x".repeat(1_000); 16];
        let body = json!({ "user_email": "a@example.com", "topics": topics });
        let reply = sent(world.http.post(&url).bearer_auth(&one).json(&body)).await;
        assert_eq!(
            reply.status,
            if number < 3 { 200 } else { 429 },
            "{}",
            reply.body
        );
        assert_ne!(
            reply
                .headers
                .get("connection")
                .map(|value| value.as_bytes()),
            Some(&b"close"[..])
        );
    }
}
