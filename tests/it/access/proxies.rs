//! From where a caller calls, behind proxies that are trusted and others.

use serde_json::json;
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::key_rules::KeyRules;
use ticketgate::credential::scope::Scope;
use ticketgate::http::Settings;

use super::{call, made, plan};
use crate::support::world::{Plan, World};
use crate::tokens::send;

async fn statuses(trusted: &[&str]) -> Vec<(&'static str, u16)> {
    let default = plan();
    let settings = Settings {
        trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(),
        ..default.settings
    };
    let world = World::with(Plan {
        settings,
        ..default
    })
    .await;
    let rules = KeyRules {
        allowed_addresses: vec!["203.0.113.0/24".parse().unwrap()],
        ..KeyRules::default()
    };
    let (kind, scopes) = (ApiKeyKind::Restricted, [Scope::KeysRead]);
    let (_, key) = made(&world, &world.organization, kind, &scopes, rules).await;
    let mut found = Vec::new();
    for (name, headers) in [
        ("none", &[][..]),
        ("right", &[("x-forwarded-for", "203.0.113.9")][..]),
        (
            "spoofed",
            &[("x-forwarded-for", "203.0.113.9, 198.51.100.1")],
        ),
        ("standard", &[("forwarded", "for=203.0.113.9;proto=https")]),
        (
            "two lines",
            &[
                ("x-forwarded-for", "203.0.113.9"),
                ("x-forwarded-for", "198.51.100.1"),
            ],
        ),
        (
            "one beside the other",
            &[
                ("x-forwarded-for", "198.51.100.1"),
                ("forwarded", "for=203.0.113.9"),
            ],
        ),
        ("garbage", &[("x-forwarded-for", "203.0.113.9, x")]),
    ] {
        let mut call = call(&world, "GET", "/v2/keys", Some(&key));
        for (header, value) in headers {
            call = call.header(*header, *value);
        }
        let reply = send(call).await;
        if reply.status != 200 {
            assert_eq!(reply.body["error"], json!("address_not_allowed"));
        }
        found.push((name, reply.status));
    }
    found
}

#[tokio::test]
async fn only_a_trusted_proxy_says_whom_it_was_asked_by() {
    let nobody = statuses(&["10.0.0.0/8"]).await;
    assert!(
        nobody.iter().all(|(_, status)| *status == 403),
        "{nobody:?}"
    );
    let allowed: Vec<_> = statuses(&["10.0.0.0/8", "127.0.0.0/8"])
        .await
        .into_iter()
        .filter_map(|(name, status)| (status == 200).then_some(name))
        .collect();
    assert_eq!(allowed, ["right", "standard"]);
}
