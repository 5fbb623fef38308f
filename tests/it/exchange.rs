//! `POST /v2/tokens/exchange`, as its clients see it.

use serde_json::json;

use crate::support::world::World;

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
}
