//! What brokers were answered, where the settings ask for it.

use std::time::Instant;

use ticketgate::app::audit::{Decisions, Settings};
use ticketgate::engine::isolation::Isolation;
use ticketgate::org::audit::{Outcome, Trail};

use super::{entries, own, text, written};
use crate::support::world::{Plan, World};
use crate::tokens::on_both_with;

fn settings(decisions: Decisions, one_in: u64) -> Settings {
    Settings {
        decisions,
        one_in,
        ..Settings::default()
    }
}

#[tokio::test]
async fn all_or_denies_or_none_are_written_as_the_settings_say() {
    for (decisions, one_in, expected) in [
        (Decisions::None, 1, 0),
        (Decisions::Denies, 1, 4),
        (Decisions::All, 1, 8),
        (Decisions::All, 4, 2),
    ] {
        on_both_with(&settings(decisions, one_in), async |world| {
            let login = world.login("alice").await;
            for password in [login.password.as_str(), "a-guess"] {
                for _ in 0..4 {
                    world.can_connect(&login.username, password).await;
                }
            }
            let own = Some(&world.organization);
            let found = written(world, own, Trail::Decisions, expected).await;
            for entry in &found {
                assert_eq!(text(entry, "question"), "connect");
                assert_eq!(text(entry, "actor"), "broker:main");
                assert_eq!(text(entry, "target"), login.username);
                assert_eq!(text(entry, "client_id"), "test-client");
                assert_eq!(text(entry, "request_id"), text(entry, "id"));
            }
            let refused = found.iter().filter(|one| one.outcome == Outcome::Refused);
            let allowed = found.len() - refused.count();
            assert_eq!(
                allowed,
                if decisions == Decisions::All {
                    expected / 2
                } else {
                    0
                }
            );
        })
        .await;
    }
}

#[tokio::test]
async fn decisions_push_out_no_change() {
    let few = Settings {
        max_entries: 5,
        ..settings(Decisions::All, 1)
    };
    on_both_with(&few, async |world| {
        let login = world.login("alice").await;
        let changes = own(world, &[Trail::Changes]).await;
        for number in 0..30 {
            let client_id = format!("client-{number}");
            let fields = [
                ("username", login.username.as_str()),
                ("password", &login.password),
                ("vhost", "/"),
                ("client_id", &client_id),
            ];
            world.ask_rabbitmq("user", &fields).await;
        }
        let started = Instant::now();
        loop {
            let found = own(world, &[Trail::Decisions]).await;
            let clients: Vec<String> = found.iter().map(|one| text(one, "client_id")).collect();
            if clients
                == [
                    "client-29",
                    "client-28",
                    "client-27",
                    "client-26",
                    "client-25",
                ]
            {
                break;
            }
            assert!(started.elapsed() < super::PATIENCE, "{clients:?}");
            tokio::task::yield_now().await;
        }
        assert_eq!(own(world, &[Trail::Changes]).await, changes);
    })
    .await;
}

#[tokio::test]
async fn a_made_up_organization_gets_no_log_of_its_own() {
    let world = World::with(Plan {
        isolation: Some(Isolation::Mountpoint),
        audit: settings(Decisions::All, 1),
        ..Plan::default()
    })
    .await;
    let made_up = "org_aaaaaaaaaaaa".parse().unwrap();
    let body = serde_json::json!({"username": format!("eve@{made_up}"), "client_id": "c",
        "mountpoint": "", "password": format!("tkn_{}", "f".repeat(59)),
        "peer_addr": "192.0.2.1", "peer_port": 1, "clean_session": true});
    let (status, _) = world.ask_vernemq("auth_on_register", &body).await;
    assert_eq!(status, 200);
    let nobodys = written(&world, None, Trail::Decisions, 1).await;
    assert_eq!(text(&nobodys[0], "target"), format!("eve@{made_up}"));
    assert!(entries(&world, Some(&made_up), Trail::ALL).await.is_empty());
}
