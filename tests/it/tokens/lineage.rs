//! Narrower tokens and the tokens they were exchanged for: none ends later, none gets wider.

use futures_util::future::join_all;
use serde_json::json;
use ticketgate::app::organizations::OrganizationChange;
use ticketgate::org::organization::RefreshMode;

use super::{
    Reply, assert_error, change, may_publish, may_subscribe, on_both, post, refresh, secret_key,
    send,
};
use crate::support::world::World;

/// Exchanges a token of our own for a narrower one.
async fn narrowed(world: &World, password: &str, scope: &str) -> Reply {
    let organization = world.organization.to_string();
    let form = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("client_id", &organization),
        ("subject_token", password),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("scope", scope),
    ];
    let call = world.http.post(format!("{}/oauth/token", world.url));
    send(call.form(&form)).await
}

/// Whether a client of this id gets in.
async fn registers(world: &World, username: &str, password: &str, client: &str) -> bool {
    let body = json!({"username": username, "password": password, "client_id": client,
                      "mountpoint": ""});
    world.ask_vernemq("auth_on_register", &body).await.1["result"] == "ok"
}

fn own_topic(username: &str) -> String {
    format!("users/{}/x", username.split('@').next().unwrap())
}

async fn revoke(world: &World, key: &str, what: serde_json::Value) {
    let call = world.http.post(format!("{}/v2/tokens/revoke", world.url));
    let reply = send(call.bearer_auth(key).json(&what)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[tokio::test]
async fn no_narrower_token_gets_past_a_revoke_of_its_user() {
    on_both(async |world| {
        let key = secret_key(world).await;
        for round in 0..4 {
            let login = world.login(&format!("racer{round}")).await;
            let exchanging = (0..12).map(async |_| {
                let mut children = Vec::new();
                loop {
                    let child = narrowed(world, &login.password, "publish subscribe").await;
                    if child.status != 200 {
                        return children;
                    }
                    children.push(child.text("mqtt_password").to_owned());
                    // The record holds so many, and a full one refuses as a revoked one does.
                    if children.len() == 4 {
                        return children;
                    }
                }
            });
            let revoking = revoke(world, &key, json!({"username": login.username}));
            let (children, ()) = tokio::join!(join_all(exchanging), revoking);
            for child in children.concat() {
                assert!(!registers(world, &login.username, &child, "c").await);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_gets_no_wider_when_its_narrower_token_ends() {
    on_both(async |world| {
        let key = secret_key(world).await;
        let plain = super::create(world, &key, "a@b", true).await;
        let username = plain.text("mqtt_username");
        let topic = own_topic(username);
        let viewer = json!({"secret_key": key, "user_email": "a@b", "replace_existing": false,
                            "client_id": "viewer", "permissions": ["subscribe"], "ttl": 60});
        let viewer = post(world, "/v2/tokens/create", &viewer).await;
        let guest = json!({"secret_key": key, "user_email": "a@b", "replace_existing": false,
                           "permissions": ["subscribe"]});
        let guest = post(world, "/v2/tokens/create", &guest).await;
        assert!(registers(world, username, viewer.text("access_token"), "viewer").await);
        assert!(registers(world, username, guest.text("access_token"), "guest").await);

        world.clock.as_ref().unwrap().advance(61);
        revoke(world, &key, json!({"token_id": guest.text("token_id")})).await;
        // A further login drops from the record what is over.
        super::create(world, &key, "a@b", false).await;
        for client in ["viewer", "guest"] {
            assert!(
                !may_publish(world, username, client, &topic).await,
                "{client}"
            );
        }
        assert!(!registers(world, username, viewer.text("access_token"), "viewer").await);
        assert!(!registers(world, username, guest.text("access_token"), "guest").await);
        assert!(registers(world, username, plain.text("access_token"), "device").await);
        assert!(may_publish(world, username, "device", &topic).await);
    })
    .await;
}

#[tokio::test]
async fn a_narrower_token_takes_nothing_from_other_sessions() {
    on_both(async |world| {
        let login = world.login("alice").await;
        let topic = own_topic(&login.username);
        assert!(registers(world, &login.username, &login.password, "device").await);
        let child = narrowed(world, &login.password, "subscribe").await;
        let page = child.text("mqtt_password");
        assert!(may_publish(world, &login.username, "device", &topic).await);
        assert!(registers(world, &login.username, page, "page").await);
        assert!(may_publish(world, &login.username, "device", &topic).await);
        assert!(!may_publish(world, &login.username, "page", &topic).await);
        assert!(may_subscribe(world, &login.username, "page", &topic).await);

        // A session of no name cannot be told from others, and one token is not for everybody.
        assert!(!registers(world, &login.username, page, "").await);
        assert!(!registers(world, &login.username, page, &"x".repeat(257)).await);
        for number in 1..16 {
            assert!(registers(world, &login.username, page, &format!("page{number}")).await);
        }
        assert!(!registers(world, &login.username, page, "page16").await);
        assert!(
            registers(world, &login.username, page, "page").await,
            "again"
        );
    })
    .await;
}

#[tokio::test]
async fn a_narrower_token_ends_with_the_one_it_is_of() {
    on_both(async |world| {
        let key = secret_key(world).await;
        let login = world.login("alice").await;
        let child = narrowed(world, &login.password, "subscribe").await;
        let grandchild = narrowed(world, child.text("mqtt_password"), "subscribe").await;
        let other = world.login("alice").await;
        for token in [&child, &grandchild] {
            let password = token.text("mqtt_password");
            assert!(registers(world, &login.username, password, "c").await);
        }
        revoke(world, &key, json!({"token_id": login.token_id})).await;
        for token in [&child, &grandchild] {
            let password = token.text("mqtt_password");
            assert!(!registers(world, &login.username, password, "c").await);
            let reply = refresh(world, token.text("token_id"), password).await;
            assert_error(&reply, 401, "token_revoked");
        }
        assert!(registers(world, &login.username, &other.password, "d").await);

        let child = narrowed(world, &other.password, "subscribe").await;
        let password = child.text("mqtt_password");
        world.clock.as_ref().unwrap().advance(1_800);
        let reply = refresh(world, child.text("token_id"), password).await;
        assert_eq!(reply.body["expires_in"], 1_800, "no longer than its parent");
    })
    .await;
}

#[tokio::test]
async fn an_earlier_password_is_for_reconnecting_only() {
    on_both(async |world| {
        let rotate = OrganizationChange {
            refresh: Some(RefreshMode::Rotate),
            ..OrganizationChange::default()
        };
        change(world, rotate).await;
        let login = world.login("alice").await;
        let reply = refresh(world, &login.token_id, &login.password).await;
        assert!(registers(world, &login.username, &login.password, "c").await);
        let child = narrowed(world, &login.password, "subscribe").await;
        assert_eq!(
            (child.status, child.text("error")),
            (400, "invalid_request")
        );
        let child = narrowed(world, reply.text("access_token"), "subscribe").await;
        assert_eq!(child.status, 200, "{}", child.body);
    })
    .await;
}

#[tokio::test]
async fn a_token_says_how_long_it_still_lives() {
    on_both(async |world| {
        let login = world.login("alice").await;
        world.clock.as_ref().unwrap().advance(1_000);
        let body = json!({"organization_id": world.organization, "token": login.password});
        let reply = post(world, "/v2/tokens/exchange", &body).await;
        assert_eq!(reply.body["expires_in"], 2_600, "{}", reply.body);
    })
    .await;
}
