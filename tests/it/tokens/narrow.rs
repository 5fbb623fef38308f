//! Tokens with a narrower right than the policy's, and tokens of one client.

use serde_json::json;

use super::{assert_error, may_publish, may_subscribe, on_both, post, secret_key};

#[tokio::test]
async fn a_narrower_right_holds_within_the_policy_and_not_beyond() {
    on_both(async |world| {
        let key = secret_key(world).await;
        let body = json!({
            "organization_id": world.organization,
            "user_id": "user-123",
            "permissions": ["publish", "history"],
            "topics": ["users/{username}/up", "other/#"],
        });
        let call = world.http.post(format!("{}/v2/tokens", world.url));
        let reply = super::send(call.bearer_auth(&key).json(&body)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.body["token"], reply.body["mqtt_password"]);
        let username = reply.text("mqtt_username");
        let own = username.split('@').next().unwrap();
        assert!(!may_publish(world, username, "c", &format!("users/{own}/up")).await);
        let body = json!({"username": username, "password": reply.text("token"),
                          "client_id": "c", "mountpoint": ""});
        let (_, connected) = world.ask_vernemq("auth_on_register", &body).await;
        assert_eq!(connected["result"], "ok");
        let publish = async |topic: &str| may_publish(world, username, "c", topic).await;
        assert!(publish(&format!("users/{own}/up")).await);
        assert!(
            !publish(&format!("users/{own}/down")).await,
            "not within its topics"
        );
        assert!(!publish("other/x").await, "not within the policy");
        let filter = format!("users/{own}/up");
        assert!(!may_subscribe(world, username, "c", &filter).await);

        // What the caller of `/v2/tokens` hands to the SDK, the SDK exchanges.
        let body = json!({"organization_id": world.organization, "token": reply.text("token")});
        let exchanged = post(world, "/v2/tokens/exchange", &body).await;
        assert_eq!(exchanged.status, 200, "{}", exchanged.body);
        for name in ["token_id", "mqtt_username", "mqtt_password", "expires_at"] {
            assert_eq!(exchanged.body[name], reply.body[name], "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_of_one_client_is_of_no_use_to_another() {
    on_both(async |world| {
        let key = secret_key(world).await;
        let body = json!({"secret_key": key, "user_email": "a@b", "client_id": "dev-7"});
        let reply = post(world, "/v2/tokens/create", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let username = reply.text("mqtt_username");
        let own = username.split('@').next().unwrap();
        let register = async |client: &str| {
            let body = json!({"username": username, "password": reply.text("access_token"),
                              "client_id": client, "mountpoint": ""});
            world.ask_vernemq("auth_on_register", &body).await.1["result"] == "ok"
        };
        assert!(register("dev-7").await);
        assert!(!register("dev-8").await && !register("").await);
        let topic = format!("users/{own}/x");
        assert!(may_publish(world, username, "dev-7", &topic).await);
        assert!(!may_publish(world, username, "dev-8", &topic).await);

        // A second, narrower token of another client leaves the first one's sessions alone.
        let body = json!({"secret_key": key, "user_email": "a@b", "client_id": "dev-9",
                          "permissions": ["subscribe"], "replace_existing": false});
        assert_eq!(post(world, "/v2/tokens/create", &body).await.status, 200);
        assert!(may_publish(world, username, "dev-7", &topic).await);
        assert!(!may_publish(world, username, "dev-9", &topic).await);
        assert!(may_subscribe(world, username, "dev-9", &topic).await);
    })
    .await;
}

#[tokio::test]
async fn a_right_that_cannot_be_is_refused() {
    let world = crate::support::world::World::start().await;
    let key = secret_key(&world).await;
    for (name, value) in [
        ("permissions", json!(["admin"])),
        ("topics", json!([])),
        ("topics", json!(["a/#/b"])),
        ("topics", json!(["a/{"])),
        ("topics", json!(vec!["a"; 33])),
        ("client_id", json!("")),
        ("client_id", json!("a\nb")),
        ("user_email", json!("")),
        ("user_email", json!("x".repeat(256))),
        ("ttl", json!(0)),
    ] {
        let mut body = json!({"secret_key": key, "user_email": "a@b"});
        body[name] = value;
        let reply = post(&world, "/v2/tokens/create", &body).await;
        assert_error(&reply, 400, "invalid_request");
    }
}
