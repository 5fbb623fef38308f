//! Create, refresh in both modes, replace, revoke.

use serde_json::json;
use ticketgate::app::organizations::OrganizationChange;
use ticketgate::org::organization::RefreshMode;
use ticketgate::store::port::Write;
use ticketgate::store::record::{Kept as _, TokenIndex};

use super::{assert_error, change, connects, create, on_both, post, refresh, secret_key};

#[tokio::test]
async fn create_answers_what_is_published_and_the_login_works() {
    on_both(async |world| {
        let key = secret_key(world).await;
        let reply = create(world, &key, "service@internal", true).await;
        let org = world.organization.as_str();
        assert!(reply.text("access_token").starts_with("tkn_"));
        assert_eq!(reply.body["token_type"], "Bearer");
        assert_eq!(reply.body["expires_in"], 3_600);
        let username = reply.body["mqtt_credentials"]["username"].as_str().unwrap();
        assert!(
            username.starts_with("tok_") && username.ends_with(org),
            "{username}"
        );
        assert_eq!(
            reply.body["mqtt_credentials"]["password"],
            reply.body["access_token"]
        );
        assert_eq!(reply.body["user_email"], "service@internal");
        assert_eq!(reply.body["provider"], "cloudsignal");
        assert_eq!(reply.text("token_id").len(), 36);
        let time = |name| reply.text(name).parse::<jiff::Timestamp>().unwrap();
        assert_eq!(
            time("expires_at").as_second(),
            world.now().as_second() + 3_600
        );
        let recommended = time("refresh_recommended_at").as_second();
        assert_eq!(recommended, world.now().as_second() + 3_240);
        assert!(connects(world, username, reply.text("access_token")).await);
    })
    .await;
}

#[tokio::test]
async fn replacing_ends_the_other_tokens_of_the_same_address_only() {
    on_both(async |world| {
        let key = secret_key(world).await;
        let first = create(world, &key, "a@b", true).await;
        let beside = create(world, &key, "a@b", false).await;
        let other = create(world, &key, "c@d", true).await;
        let works = async |reply: &super::Reply| {
            connects(
                world,
                reply.text("mqtt_username"),
                reply.text("access_token"),
            )
            .await
        };
        assert!(works(&first).await && works(&beside).await && works(&other).await);
        assert_eq!(first.text("mqtt_username"), beside.text("mqtt_username"));
        assert_ne!(first.text("mqtt_username"), other.text("mqtt_username"));
        let last = create(world, &key, "a@b", true).await;
        assert!(!works(&first).await && !works(&beside).await);
        assert!(works(&other).await && works(&last).await);
    })
    .await;
}

#[tokio::test]
async fn an_extended_token_outlives_its_first_end_with_its_first_password() {
    on_both(async |world| {
        let clock = world.clock.as_ref().unwrap();
        let login = world.login("alice").await;
        for _ in 0..3 {
            clock.advance(3_240);
            let reply = refresh(world, &login.token_id, &login.password).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
            assert_eq!(reply.body["expires_in"], 3_600);
            assert_eq!(reply.body["token_id"], json!(login.token_id));
            assert_eq!(reply.body["user_email"], "alice@example.com");
            assert!(connects(world, &login.username, reply.text("access_token")).await);
            assert!(connects(world, &login.username, &login.password).await);
        }
        clock.advance(3_600);
        assert!(!connects(world, &login.username, &login.password).await);
        let late = refresh(world, &login.token_id, &login.password).await;
        assert_eq!(late.status, 401, "{}", late.body);
    })
    .await;
}

#[tokio::test]
async fn a_rotated_token_has_a_new_password_and_the_old_one_dies_after_its_grace() {
    on_both(async |world| {
        let rotate = OrganizationChange {
            refresh: Some(RefreshMode::Rotate),
            ..Default::default()
        };
        change(world, rotate).await;
        let clock = world.clock.as_ref().unwrap();
        let login = world.login("alice").await;
        clock.advance(3_240);
        let reply = refresh(world, &login.token_id, &login.password).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let second = reply.text("access_token").to_owned();
        assert_ne!(second, login.password);
        assert_eq!(reply.body["token_id"], json!(login.token_id));
        for password in [&login.password, &second] {
            assert!(
                connects(world, &login.username, password).await,
                "in the grace"
            );
        }
        clock.advance(29);
        assert!(connects(world, &login.username, &login.password).await);
        clock.advance(1);
        assert!(!connects(world, &login.username, &login.password).await);
        assert!(connects(world, &login.username, &second).await);
        let dead = refresh(world, &login.token_id, &login.password).await;
        assert_error(&dead, 401, "invalid_token");
        assert!(connects(world, &login.username, &second).await);
    })
    .await;
}

#[tokio::test]
async fn a_refresh_of_what_is_over_or_anothers_is_refused() {
    on_both(async |world| {
        let (alice, bob) = (world.login("alice").await, world.login("bob").await);
        let (status, _) = world.revoke(&json!({"target": alice.token_id})).await;
        assert_eq!(status, 200);
        let over = refresh(world, &alice.token_id, &alice.password).await;
        assert_error(&over, 401, "token_revoked");
        let crossed = refresh(world, &alice.token_id, &bob.password).await;
        assert_error(&crossed, 401, "invalid_token");
        for (id, password, status) in [
            (bob.token_id.as_str(), "tkn_nonsense", 401),
            ("nonsense", bob.password.as_str(), 400),
        ] {
            assert_eq!(refresh(world, id, password).await.status, status);
        }
        let clock = world.clock.as_ref().unwrap();
        let key = secret_key(world).await;
        let short = create(world, &key, "a@b", true).await;
        clock.advance(3_600);
        let (id, password) = (short.text("token_id"), short.text("access_token"));
        let late = refresh(world, id, password).await;
        assert_eq!(late.status, 401);
    })
    .await;
}

#[tokio::test]
async fn a_token_is_refreshed_no_longer_than_its_organization_allows() {
    on_both(async |world| {
        let short = OrganizationChange {
            refreshable_seconds: Some(5_000),
            ..Default::default()
        };
        change(world, short).await;
        let clock = world.clock.as_ref().unwrap();
        let login = world.login("alice").await;
        clock.advance(3_000);
        let reply = refresh(world, &login.token_id, &login.password).await;
        assert_eq!(reply.body["expires_in"], 2_000, "{}", reply.body);
        clock.advance(1_999);
        assert!(connects(world, &login.username, &login.password).await);
        let reply = refresh(world, &login.token_id, &login.password).await;
        assert_eq!(reply.body["expires_in"], 1, "{}", reply.body);
        clock.advance(1);
        assert!(!connects(world, &login.username, &login.password).await);
    })
    .await;
}

#[tokio::test]
async fn a_revoke_over_http_is_over_when_it_returns() {
    on_both(async |world| {
        let key = secret_key(world).await;
        let alice = world.login("alice").await;
        let made = create(world, &key, "a@b", true).await;
        let revoke = async |what: serde_json::Value| {
            let mut body = json!({"secret_key": key});
            body.as_object_mut()
                .unwrap()
                .extend(what.as_object().unwrap().clone());
            post(world, "/v2/tokens/revoke", &body).await
        };
        assert!(connects(world, &alice.username, &alice.password).await);
        let reply = revoke(json!({"token_id": alice.token_id})).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.body["revoked"], 1);
        assert!(reply.body["nodes"]["total"].is_number(), "{}", reply.body);
        assert!(!connects(world, &alice.username, &alice.password).await);

        let reply = revoke(json!({"user_email": "a@b"})).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let (username, password) = (made.text("mqtt_username"), made.text("access_token"));
        assert!(!connects(world, username, password).await);

        let again = world.login("alice").await;
        let reply = revoke(json!({"user_id": "alice", "provider": "demo"})).await;
        assert_eq!(reply.body["revoked"], 1, "{}", reply.body);
        assert!(!connects(world, &again.username, &again.password).await);

        let own = world.login("alice").await;
        let body = json!({"token_id": own.token_id, "current_token_password": own.password});
        let reply = post(world, "/v2/tokens/revoke", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert!(!connects(world, &own.username, &own.password).await);
        for (what, status, code) in [
            (json!({}), 400, "invalid_request"),
            (json!({"token_id": "x"}), 400, "invalid_request"),
            (json!({"username": "nobody"}), 404, "not_found"),
            (
                json!({"username": "a", "user_id": "b"}),
                400,
                "invalid_request",
            ),
        ] {
            assert_error(&revoke(what).await, status, code);
        }
    })
    .await;
}

#[tokio::test]
async fn quotas_are_told_from_other_errors() {
    on_both(async |world| {
        let quota = OrganizationChange {
            max_per_user: Some(2),
            max_tokens: Some(4),
            ..Default::default()
        };
        change(world, quota).await;
        let key = secret_key(world).await;
        let tried = async |email: &str, replace: bool| {
            let body = json!({"secret_key": key, "user_email": email, "replace_existing": replace});
            post(world, "/v2/tokens/create", &body).await
        };
        assert_eq!(tried("a", false).await.status, 200);
        assert_eq!(tried("a", false).await.status, 200);
        assert_error(&tried("a", false).await, 429, "too_many_tokens");
        assert_eq!(
            tried("a", true).await.status,
            200,
            "what is replaced does not count"
        );
        for email in ["b", "c", "d"] {
            assert_eq!(tried(email, false).await.status, 200, "{email}");
        }
        let full = tried("e", false).await;
        assert_error(&full, 429, "too_many_tokens");
        assert!(full.headers.contains_key("retry-after"));
    })
    .await;
}

#[tokio::test]
async fn many_at_once_get_no_more_than_the_quota() {
    on_both(async |world| {
        let quota = OrganizationChange {
            max_tokens: Some(10),
            ..Default::default()
        };
        change(world, quota).await;
        let exchanging = (0..100).map(async |number| {
            let body = json!({"organization_id": world.organization,
                              "token": world.identity_token(&format!("user{number}"))});
            post(world, "/v2/tokens/exchange", &body).await.status
        });
        let statuses = futures_util::future::join_all(exchanging).await;
        let minted = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(minted, 10, "{statuses:?}");
    })
    .await;
}

#[tokio::test]
async fn who_logs_in_often_is_not_shut_out() {
    on_both(async |world| {
        let first = world.login("alice").await;
        let kept = world.login("alice").await;
        assert_eq!(
            refresh(world, &kept.token_id, &kept.password).await.status,
            200
        );
        for _ in 0..63 {
            world.login("alice").await;
        }
        let last = world.login("alice").await;
        assert!(connects(world, &last.username, &last.password).await);
        assert!(
            connects(world, &kept.username, &kept.password).await,
            "in use"
        );
        assert!(!connects(world, &first.username, &first.password).await);
    })
    .await;
}

#[tokio::test]
async fn a_token_whose_record_is_gone_is_told_from_a_forged_one() {
    on_both(async |world| {
        let login = world.login("alice").await;
        let key = TokenIndex::key(&login.token_id.parse().unwrap());
        let found = world.store.get(&key).await.unwrap().unwrap();
        let gone = Write {
            key,
            expected: Some(found.revision),
            record: None,
            audit: None,
        };
        world.store.put(gone).await.unwrap();
        let reply = refresh(world, &login.token_id, &login.password).await;
        assert_error(&reply, 401, "token_expired");
        let mut forged = login.password;
        forged.replace_range(4..5, if &forged[4..5] == "0" { "1" } else { "0" });
        let reply = refresh(world, &login.token_id, &forged).await;
        assert_error(&reply, 401, "invalid_token");
    })
    .await;
}
