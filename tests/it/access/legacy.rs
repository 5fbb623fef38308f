//! Keys of another system, imported by their hashes.

use serde_json::{Value, json};
use ticketgate::metrics::RecordLabel;

use super::{ROOT, ask, plan, whole};
use crate::support::world::World;
use crate::tokens::assert_error;

const KEY: &str = "cs_live_0123456789abcdef";
/// By `sha256sum`.
const HASH: &str = "c257b1e60a602c2c9853c93ccc9e47b2e15f31b273244bbf47b122808d9ba03a";

#[tokio::test]
async fn an_imported_key_works_until_it_is_revoked_and_no_other_does() {
    let world = World::with(plan()).await;
    let status = async |key: &str| {
        ask(&world, "GET", "/v2/keys", key, &Value::Null)
            .await
            .status
    };
    assert_eq!(status(KEY).await, 401, "nobody has imported it");
    let path = format!("/v2/organizations/{}/keys/import", world.organization);
    let scopes = ["keys:read", "keys:write", "publish"];
    let body = json!({"sha256": HASH, "name": "old", "scopes": scopes, "last_four": "cdef"});
    let (_, own) = whole(&world).await;
    assert_eq!(
        ask(&world, "POST", &path, &own, &body).await.status,
        401,
        "the operator's"
    );
    let made = ask(&world, "POST", &path, ROOT, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(
        (made.text("prefix"), made.text("last_four")),
        ("cs_", "cdef")
    );
    assert_eq!(made.body["key"], Value::Null, "nobody here knows it");
    assert_error(
        &ask(&world, "POST", &path, ROOT, &body).await,
        409,
        "conflict",
    );
    assert_eq!(status(KEY).await, 200);
    // A forgery costs no read of any record.
    let reads = || {
        let labels = [RecordLabel::ApiKey, RecordLabel::LegacyKeys].map(RecordLabel::as_str);
        let metrics = world.app.render_metrics();
        let about = |line: &&str| {
            labels
                .iter()
                .any(|one| line.contains(&format!("\"{one}\"")))
        };
        metrics
            .lines()
            .filter(about)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = reads();
    assert!(!before.is_empty());
    for number in 0..50 {
        assert_eq!(status(&format!("{KEY}{number}")).await, 401);
    }
    for forged in [
        HASH,
        &KEY.to_uppercase(),
        &KEY[..23],
        &KEY.replace("live", "test"),
    ] {
        assert_eq!(status(forged).await, 401, "{forged}");
    }
    assert_eq!(reads(), before);
    let server = format!("server@{}", world.organization);
    assert!(
        !world.can_connect(&server, KEY).await,
        "it is no MQTT password"
    );
    let id = made.text("id");
    let rotate = format!("/v2/keys/{id}/rotate");
    let new = ask(&world, "POST", &rotate, KEY, &json!({"grace": 60})).await;
    assert_eq!(new.status, 201, "{}", new.body);
    assert!(
        new.text("key").starts_with("sk_"),
        "its successor is one of ours"
    );
    assert_eq!(
        (status(KEY).await, status(new.text("key")).await),
        (200, 200)
    );
    let path = format!("/v2/keys/{id}");
    assert_eq!(
        ask(&world, "DELETE", &path, &own, &Value::Null)
            .await
            .status,
        200
    );
    assert_eq!(status(KEY).await, 401);
    for wrong in [
        json!({"sha256": "x", "name": "old", "scopes": scopes}),
        json!({"sha256": HASH, "name": "old", "scopes": []}),
        json!({"sha256": HASH, "name": "", "scopes": scopes}),
        json!({"sha256": HASH, "name": "old", "scopes": scopes, "last_four": "abcde"}),
    ] {
        let path = format!("/v2/organizations/{}/keys/import", world.organization);
        assert_eq!(
            ask(&world, "POST", &path, ROOT, &wrong).await.status,
            400,
            "{wrong}"
        );
    }
}
