//! Tokens of a real OpenID provider, found by discovery; its keys change in mid-flight.

use serde_json::json;
use ticketgate::identity::draft::Draft;
use ticketgate::identity::oidc;
use ticketgate::names::organization_id::OrganizationName;

use super::{add, plan};
use crate::support::openid::OpenId;
use crate::support::world::{Plan, World};

const AUDIENCE: &str = "https://api.example";

async fn exchange(world: &World, token: &str) -> (u16, String) {
    let body = json!({"organization_id": world.organization, "token": token});
    let (status, reply) = world.exchange(&body).await;
    let code = reply["error"].as_str().unwrap_or("ok").to_owned();
    (status, code)
}

#[tokio::test]
async fn every_algorithm_passes_before_during_and_after_a_rotation() {
    let mut openid = OpenId::start();
    let mut plan = Plan {
        clock: None,
        ..plan()
    };
    // A manual clock would not be the provider's. So that nobody has to wait for the pause:
    plan.key_sets.pause = std::time::Duration::from_millis(1);
    let world = World::with(plan).await;
    let draft = Draft::new("openid", "oidc_");
    let audiences = vec![AUDIENCE.to_owned()];
    let provider = oidc::provider(draft, &openid.url, None, audiences, [].into()).unwrap();
    add(&world, provider).await;
    let ok = (200, "ok".to_owned());
    let mut old = Vec::new();
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let token = openid.token("alice", algorithm).await;
        assert_eq!(exchange(&world, &token).await, ok, "{algorithm}");
        old.push(token);
    }
    openid.order("rotate");
    for (algorithm, old) in ["RS256", "ES256", "EdDSA"].into_iter().zip(&old) {
        let new = openid.token("bob", algorithm).await;
        assert_eq!(exchange(&world, &new).await, ok, "new {algorithm}");
        assert_eq!(exchange(&world, old).await, ok, "old {algorithm}");
    }
    openid.order("rotate");
    openid.order("retire");
    let new = openid.token("bob", "ES256").await;
    assert_eq!(exchange(&world, &new).await, ok);
    for old in &old {
        let refused = (401, "invalid_token".to_owned());
        assert_eq!(exchange(&world, old).await, refused, "taken back");
    }
    let nomail = openid.token("nomail", "RS256").await;
    assert_eq!(exchange(&world, &nomail).await.0, 422);
    let name = OrganizationName::Id(world.organization.clone());
    let views = world.app.providers(name, Some("openid")).await.unwrap();
    let status = views[0].key_set.as_ref().unwrap();
    assert_eq!((status.keys.len(), status.failures), (3, 0));
}
