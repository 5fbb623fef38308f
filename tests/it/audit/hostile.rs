//! Names that are meant to break a terminal, a line or a log: none gets through.

use serde_json::json;
use ticketgate::app::audit::{Decisions, Settings};
use ticketgate::org::audit::Trail;

use super::{lines, own, printed, written};
use crate::support::world::World;
use crate::tokens::on_both_with;

/// In JSON, so that every character arrives.
async fn connect(world: &World, username: &str, client_id: &str) {
    let body = json!({"username": username, "client_id": client_id, "mountpoint": "",
        "password": "a-guess", "peer_addr": "192.0.2.1", "peer_port": 1, "clean_session": true});
    let (status, reply) = world.ask_vernemq("auth_on_register", &body).await;
    assert_eq!(status, 200, "{reply}");
}

#[tokio::test]
async fn hostile_names_are_harmless_in_lists_and_exports() {
    let every = Settings {
        decisions: Decisions::All,
        ..Settings::default()
    };
    on_both_with(&every, async |world| {
        let long = "x".repeat(64 * 1024);
        let hostile = [
            "a\r\nInjected: yes",
            "{\"action\":\"forged\"}\n{\"action\":\"forged\"}",
            "nul\0nul",
            "\u{1b}[2J\u{1b}]0;owned\u{7}",
            "\u{9b}31m",
            "\u{202e}txt.exe",
            "line\u{2028}line",
            &long,
        ];
        for name in hostile {
            connect(world, name, name).await;
        }
        let count = hostile.len();
        written(world, Some(&world.organization), Trail::Decisions, count).await;
        let id = world.organization.to_string();
        let of = ["--organization", &id, "--trail", "decisions"];
        let export = printed(world, &[&["audit", "export"], &of[..]].concat()).await;
        let exported = lines(&export);
        assert_eq!(exported.len(), count, "an entry is one line");
        assert!(exported.iter().all(|entry| entry["action"] == "decision"));
        assert!(export.len() < count * 2_000, "all of it is bounded");
        let list = printed(world, &[&["audit", "list"], &of[..]].concat()).await;
        assert_eq!(list.lines().count(), count);
        for shown in [&export, &list] {
            let bad = shown.chars().find(|one| one.is_control() && *one != '\n');
            assert_eq!(bad, None);
            for character in ['\u{202e}', '\u{2028}'] {
                assert!(!shown.contains(character));
            }
        }
        assert!(list.contains("\\u{1b}[2J"), "it is shown as what it is");
        let as_json = printed(world, &[&["--json", "audit", "list"], &of[..]].concat()).await;
        let as_json: serde_json::Value = serde_json::from_str(&as_json).unwrap();
        assert_eq!(as_json["entries"].as_array().unwrap().len(), count);
        assert!(!own(world, &[Trail::Changes]).await.is_empty());
    })
    .await;
}
