//! Calls that were refused are written, but only so many.

use serde_json::json;
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::scope::Scope;
use ticketgate::org::audit::{Outcome, Trail};

use super::{entries, own, text, written};
use crate::hooks::faulty_store::{Fault, Faults};
use crate::support::world::{Plan, World};
use crate::tokens::{get, key, on_both, post, secret_key};

#[tokio::test]
async fn a_refused_call_is_written_where_it_belongs() {
    on_both(async |world| {
        let weak = key(world, ApiKeyKind::Restricted, vec![Scope::Publish]).await;
        let body = json!({"user_email": "a@b", "secret_key": weak});
        let refused = post(world, "/v2/tokens/create", &body).await;
        assert_eq!(refused.status, 403);
        let of_key = written(world, Some(&world.organization), Trail::Refusals, 1).await;
        assert_eq!(text(&of_key[0], "action"), "call.refused");
        assert_eq!(text(&of_key[0], "code"), "insufficient_scope");
        assert_eq!(text(&of_key[0], "call"), "/v2/tokens/create");
        assert!(text(&of_key[0], "actor").starts_with("key:"));
        assert_eq!(of_key[0].outcome, Outcome::Refused);
        let id = refused.headers.get("x-request-id").unwrap();
        assert_eq!(text(&of_key[0], "request_id"), id.to_str().unwrap());

        assert_eq!(get(world, "/v2/tokens", "sk_nonsense").await.status, 401);
        let stranger = written(world, None, Trail::Refusals, 1).await;
        assert_eq!(text(&stranger[0], "actor"), "nobody");
        assert_eq!(text(&stranger[0], "code"), "unauthorized");
        assert!(
            !format!("{stranger:?}").contains("nonsense"),
            "not what was shown"
        );

        let (status, _) = world.revoke(&json!({"target": "key:Ab3zAb3zAb"})).await;
        assert_eq!(status, 404);
        let operator = &written(world, None, Trail::Refusals, 2).await[0];
        assert_eq!(text(operator, "actor"), "operator");
        assert_eq!(text(operator, "code"), "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_bad_calls_pushes_nothing_out_and_is_counted() {
    on_both(async |world| {
        let changes = own(world, &[Trail::Changes]).await;
        let body = json!({"organization_id": world.organization, "token": "a.b.c"});
        for _ in 0..60 {
            assert_eq!(world.exchange(&body).await.0, 401);
        }
        let key = secret_key(world).await;
        // The clock stands still: all of it is one second.
        written(world, Some(&world.organization), Trail::Refusals, 10).await;
        let metrics = world.metrics.render();
        let lost = r#"audit_entries_lost_total{trail="refusals",reason="rate"} 50"#;
        assert!(metrics.contains(lost), "{metrics}");
        let after = own(world, &[Trail::Changes]).await;
        assert_eq!(after[1..], changes, "all that was there still is");
        let foreign = json!({"user_email": "", "secret_key": key});
        assert_eq!(post(world, "/v2/tokens/create", &foreign).await.status, 400);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_written_is_counted_and_holds_nobody_up() {
    let faults = Faults::new();
    let world = World::with(Plan {
        wrap: faults.wrap(),
        ..Plan::default()
    })
    .await;
    faults.set(Fault::Unavailable);
    let body = json!({"organization_id": world.organization, "token": "a.b.c"});
    let (status, _) = world.exchange(&body).await;
    assert!(status == 401 || status == 503, "{status}");
    let lost = r#"audit_entries_lost_total{trail="refusals",reason="store"} 1"#;
    let started = std::time::Instant::now();
    while !world.metrics.render().contains(lost) {
        assert!(started.elapsed() < super::PATIENCE);
        tokio::task::yield_now().await;
    }
    faults.set(Fault::None);
    assert!(entries(&world, None, &[Trail::Refusals]).await.is_empty());
}
