//! The operator's root key.

use serde_json::json;
use ticketgate::credential::root_key::RootKeys;

use super::{ROOT, ask, new_key, plan, whole};
use crate::support::world::{Plan, World};
use crate::tokens::assert_error;

#[tokio::test]
async fn a_deployment_without_a_root_key_says_how_to_get_one() {
    let plan = Plan {
        root_keys: RootKeys::default(),
        ..plan()
    };
    let world = World::with(plan).await;
    let path = format!("/v2/organizations/{}/keys", world.organization);
    for key in [ROOT, "", "sk_x", &whole(&world).await.1] {
        let reply = ask(
            &world,
            "POST",
            &path,
            key,
            &new_key("secret", &["keys:read"]),
        )
        .await;
        let (status, code) = if key.is_empty() {
            (401, "unauthorized")
        } else {
            (403, "no_root_key")
        };
        assert_error(&reply, status, code);
        let text = reply.text("message");
        assert!(key.is_empty() || text.contains("keys new-root"), "{text}");
    }
}

#[tokio::test]
async fn an_organizations_first_key_comes_from_the_operator() {
    let world = World::with(plan()).await;
    for name in [world.organization.to_string(), world.alias.clone()] {
        let path = format!("/v2/organizations/{name}/keys");
        let reply = ask(
            &world,
            "POST",
            &path,
            ROOT,
            &json!({"kind": "secret", "name": "k"}),
        )
        .await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        assert_eq!(reply.body["created_by"], json!(null));
        let key = reply.text("key").to_owned();
        let listed = ask(&world, "GET", "/v2/keys", &key, &json!(null)).await;
        assert_eq!(listed.status, 200);
        // It is the operator's own and opens nothing of the organization's.
        assert_eq!(
            ask(&world, "GET", "/v2/keys", ROOT, &json!(null))
                .await
                .status,
            401
        );
        let path = format!("{path}/{}", reply.text("id"));
        let ended = ask(&world, "DELETE", &path, ROOT, &json!(null)).await;
        assert_eq!((ended.status, &ended.body["revoked"]), (200, &json!(1)));
        assert_eq!(
            ask(&world, "GET", "/v2/keys", &key, &json!(null))
                .await
                .status,
            401
        );
    }
    let path = "/v2/organizations/org_aaaaaaaaaaaa/keys";
    let reply = ask(
        &world,
        "POST",
        path,
        ROOT,
        &new_key("secret", &["keys:read"]),
    )
    .await;
    assert_error(&reply, 404, "organization_not_found");
}
