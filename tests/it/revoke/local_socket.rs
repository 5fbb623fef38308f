//! `POST /revoke` on the local socket: what it says, and what it makes of bodies that nobody should
//! send.

use serde_json::{Value, json};

use super::orders::Orders;
use super::{assert_good, assert_over, revoke};
use crate::support::program::program;
use crate::support::world::{Plan, World};

/// A world in which it may be that nobody knows what other nodes do.
async fn world_under(orders: &Orders) -> World {
    World::with(Plan {
        wrap: orders.wrap(),
        ..Plan::default()
    })
    .await
}

#[tokio::test]
async fn a_revoke_waits_for_the_other_nodes_however_often_it_is_called() {
    let orders = Orders::new();
    let world = world_under(&orders).await;
    let login = world.login("alice").await;
    let organization = world.organization.to_string();
    let mut confirms = 0;
    for body in [
        json!({"target": login.token_id}),
        json!({"target": login.token_id}),
        json!({"target": login.username}),
        json!({"target": organization}),
        json!({"issued_before": "2026-01-01T00:00:00Z", "organization": organization}),
        json!({"issued_before": "2026-01-01T00:00:00Z", "organization": organization}),
    ] {
        revoke(&world, body).await;
        confirms += 1;
        assert_eq!(orders.confirms(), confirms);
    }
    // What is not there may be gone because of a call that could not be confirmed.
    let nobody = json!({"target": format!("nobody@{organization}")});
    assert_eq!(world.revoke(&nobody).await.0, 404);
    assert_eq!(orders.confirms(), confirms + 1);
}

#[tokio::test]
async fn a_change_that_cannot_be_confirmed_is_made_and_is_an_error() {
    let orders = Orders::new();
    let world = world_under(&orders).await;
    for whole in [false, true] {
        let login = world.login("alice").await;
        let target = if whole {
            world.organization.to_string()
        } else {
            login.username.clone()
        };
        let body = json!({ "target": target });
        orders.mute(true);
        for _ in 0..2 {
            let (status, reply) = world.revoke(&body).await;
            assert_eq!((status, &reply["error"]), (503, &json!("not_confirmed")));
            for name in ["error_description", "message", "detail"] {
                let text = reply[name].as_str().unwrap();
                assert!(text.contains("the change is made"), "{text}");
                assert!(text.contains("call again"), "{text}");
            }
            assert_over(&world, &login);
        }
        let output = program()
            .arg("--data")
            .arg(world.data())
            .args(["revoke", &target])
            .args(whole.then_some("--everything"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("the change is made, but"), "{error}");
        orders.mute(false);
        let reply = revoke(&world, body).await;
        assert_eq!(reply["revoked"], if whole { Value::Null } else { json!(0) });
    }
}

#[tokio::test]
async fn nothing_is_revoked_by_a_body_that_does_not_say_one_thing() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let (org, id, name) = (
        world.organization.as_str(),
        &login.token_id,
        &login.username,
    );
    let past = "2026-01-01T00:00:00Z";
    let several = [
        json!({}),
        json!({"target": null}),
        json!({"target": id, "organization": org}),
        json!({"target": id, "subject": "alice"}),
        json!({"target": id, "issued_before": past}),
        json!({"subject": "alice"}),
        json!({"subject": "alice", "provider": "demo"}),
        json!({"subject": "alice", "organization": org}),
        json!({"provider": "demo", "organization": org}),
        json!({"subject": "alice", "provider": "demo", "organization": org, "target": id}),
        json!({"subject": "alice", "provider": "demo", "organization": org, "issued_before": past}),
        json!({"issued_before": past}),
        json!({"organization": org}),
        json!({"target": id, "everything": true}),
        json!({"username": name}),
        json!({"target": id, "Target": id}),
        json!({"target": [id]}),
        json!({"target": {"token": id}}),
        json!({"target": 7}),
        json!({"issued_before": 1_767_225_600, "organization": org}),
        json!([]),
        json!(id),
        json!(null),
    ];
    let mut bodies: Vec<String> = several.iter().map(Value::to_string).collect();
    bodies.push(String::new());
    bodies.push("{".into());
    bodies.push(format!(r#"{{"target":"{id}","target":"{id}"}}"#));
    bodies.push(format!(r#"{{"target":"{id}"}}{{"target":"{id}"}}"#));
    bodies.push("[".repeat(10_000));
    bodies.push(format!("target={id}"));
    for body in bodies {
        let (status, reply) = world.revoke_with(body.clone()).await;
        assert_eq!(
            (status, &reply["error"]),
            (400, &json!("invalid_request")),
            "{body:.99}"
        );
        let text = reply["message"].as_str().unwrap();
        for way in ["`target` (", "`subject`, ", "`issued_before` and"] {
            assert!(text.contains(way), "{body:.99}: {text}");
        }
    }
    assert_good(&world, &login);
}

#[tokio::test]
async fn nothing_is_revoked_by_a_name_that_is_none() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let (org, past) = (world.organization.as_str(), "2026-01-01T00:00:00Z");
    for target in [
        "",
        " ",
        "*",
        "alice",
        "org_",
        "org:*",
        "key:*",
        "key:\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}",
        &format!("*@{org}"),
        &format!("user_alice@{org}\n"),
        &format!("user_alice@{org} "),
        &format!("{org}\u{0}"),
        &format!("{} ", login.token_id),
        &"a".repeat(60_000),
    ] {
        let (status, reply) = world.revoke(&json!({ "target": target })).await;
        assert_eq!(status, 400, "{target:.99}: {reply}");
        let text = reply["message"].as_str().unwrap();
        assert!(text.starts_with("target: ") && text.len() < 500, "{text}");
    }
    for (body, field) in [
        (
            json!({"subject": "alice", "provider": "demo", "organization": "demo"}),
            "organization",
        ),
        (
            json!({"issued_before": past, "organization": "*"}),
            "organization",
        ),
        (
            json!({"issued_before": "", "organization": org}),
            "issued_before",
        ),
        (
            json!({"issued_before": "yesterday", "organization": org}),
            "issued_before",
        ),
        (
            json!({"issued_before": "2026-01-01", "organization": org}),
            "issued_before",
        ),
        (
            json!({"issued_before": "2026-01-01T00:00:00", "organization": org}),
            "issued_before",
        ),
        (
            json!({"issued_before": "1767225600", "organization": org}),
            "issued_before",
        ),
        (
            json!({"issued_before": "-010000-01-01T00:00:00Z", "organization": org}),
            "issued_before",
        ),
        (
            json!({"issued_before": "9".repeat(60_000), "organization": org}),
            "issued_before",
        ),
    ] {
        let (status, reply) = world.revoke(&body).await;
        assert_eq!(status, 400, "{body:.99}: {reply:.99}");
        let text = reply["message"].as_str().unwrap();
        assert!(text.starts_with(&format!("{field}: ")), "{text}");
    }
    for subject in [
        "\u{0}",
        "*",
        "user_alice",
        &"x".repeat(60_000),
        "\u{202e}ecila",
    ] {
        let body = json!({"subject": subject, "provider": "demo", "organization": org});
        assert_eq!(world.revoke(&body).await.0, 404, "{subject:.99}");
    }
    let large = json!({"target": "x".repeat(70_000)});
    assert_eq!(world.revoke(&large).await.0, 413);
    assert_good(&world, &login);
}
