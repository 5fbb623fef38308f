//! From a login to the answers that brokers get about it.

use serde_json::json;
use ticketgate::metrics::RecordLabel;

use crate::hooks::questions::{allowed, forged};
use crate::hooks::wire::Connection;
use crate::support::world::{Plan, World};

#[tokio::test]
async fn a_minted_login_connects_and_keeps_to_its_topics() {
    let world = World::start().await;
    let login = world.login("alice").await;
    assert!(world.can_connect(&login.username, &login.password).await);
    let topic = async |permission: &str, key: &str| {
        let fields = [
            ("username", login.username.as_str()),
            ("vhost", "/"),
            ("resource", "topic"),
            ("name", "amq.topic"),
            ("permission", permission),
            ("routing_key", key),
            ("variable_map.client_id", "test-client"),
        ];
        world.ask_rabbitmq("topic", &fields).await.1
    };
    assert_eq!(topic("write", "users.user_alice.x").await, "allow");
    assert_eq!(topic("write", "users.user_bob.x").await, "deny");
    assert_eq!(topic("read", "users.user_alice.#").await, "allow");
    assert_eq!(topic("read", "users.#").await, "deny");
    assert_eq!(topic("read", "announcements.*").await, "allow");
    assert_eq!(topic("write", "announcements.x").await, "deny");
}

#[tokio::test]
async fn a_forged_password_costs_nothing() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let reads = || world.metrics.store_reads_so_far(RecordLabel::Holder);
    let before = reads();
    let forged = forged(&login.password);
    let key = format!("sk_{}", "0".repeat(48));
    for password in [forged.as_str(), "tkn_", "tkn_x", key.as_str()] {
        assert!(
            !world.can_connect(&login.username, password).await,
            "{password}"
        );
        assert!(
            !world.can_connect("nobody@org_aaaaaaaaaaaa", password).await,
            "{password}"
        );
    }
    assert_eq!(reads(), before, "no record was read");
    let lookups = world.metrics.render();
    assert!(
        !lookups.contains("cache_lookups_total{outcome=\"negative_hit\"}"),
        "{lookups}"
    );
}

#[tokio::test]
async fn revoked_means_revoked_at_the_very_next_connect() {
    let world = World::start().await;
    let (first, second) = (world.login("alice").await, world.login("alice").await);
    for login in [&first, &second] {
        assert!(world.can_connect(&login.username, &login.password).await);
    }
    let selector = first.token_id.parse().unwrap();
    let revoked = world.app.revoke(selector).await.unwrap().unwrap();
    assert_eq!(revoked.credentials, Some(1));
    assert!(!world.can_connect(&first.username, &first.password).await);
    assert!(world.can_connect(&second.username, &second.password).await);
    let all = second.username.parse().unwrap();
    let revoked = world.app.revoke(all).await.unwrap().unwrap();
    assert_eq!(revoked.credentials, Some(1));
    assert!(!world.can_connect(&second.username, &second.password).await);
}

#[tokio::test]
async fn vernemq_gets_its_own_words() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let register = |password: &str| {
        json!({"peer_addr": "127.0.0.1", "peer_port": 1, "mountpoint": "", "client_id": "c",
               "username": login.username, "password": password, "clean_session": true})
    };
    let (status, reply) = world
        .ask_vernemq("auth_on_register", &register(&login.password))
        .await;
    assert_eq!((status, reply), (200, json!({"result": "ok"})));
    let (status, reply) = world
        .ask_vernemq("auth_on_register_m5", &register(&forged(&login.password)))
        .await;
    assert_eq!(
        (status, reply),
        (200, json!({"result": {"error": "not_authorized"}}))
    );
}

#[tokio::test]
async fn a_login_that_was_revoked_or_has_expired_is_refused_at_every_question() {
    for revoked in [true, false] {
        let world = World::with(Plan {
            clock: Some("2026-08-01T00:00:00Z".parse().unwrap()),
            ..Plan::default()
        })
        .await;
        let login = world.login("alice").await;
        let mut connection = Connection::open(&world);
        for question in allowed(&login) {
            let reply = connection.ask(&question.request());
            assert_eq!(reply.text(), question.broker.yes(), "{}", question.hook);
        }
        if revoked {
            let selector = login.username.parse().unwrap();
            world.app.revoke(selector).await.unwrap().unwrap();
        } else {
            world.clock.as_ref().unwrap().advance(3600);
        }
        for question in allowed(&login) {
            let reply = connection.ask(&question.request());
            assert_eq!(
                reply.text(),
                question.broker.no("not_authorized"),
                "{}",
                question.hook
            );
        }
    }
}
