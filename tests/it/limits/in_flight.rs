//! Calls of the API at a time: they cannot take from brokers what those need.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;

use serde_json::json;
use ticketgate::http::Settings;
use ticketgate::metrics::LimitLabel;

use crate::hooks::faulty_store::{Fault, Faults};
use crate::support::world::{Plan, World};

const PLACES: i64 = 2;

async fn world(faults: &Faults) -> World {
    let plan = Plan::default();
    let settings = Settings {
        api_in_flight: PLACES,
        ..plan.settings.clone()
    };
    let wrap = faults.wrap();
    World::with(Plan {
        settings,
        wrap,
        ..plan
    })
    .await
}

/// An exchange for an organization that nobody has asked about yet.
async fn exchange(world: &World) -> reqwest::Response {
    let body = json!({ "organization_id": uuid::Uuid::new_v4().to_string(), "token": "x" });
    let url = format!("{}/v2/tokens/exchange", world.url);
    world.http.post(url).json(&body).send().await.unwrap()
}

#[tokio::test]
async fn calls_beyond_the_places_are_told_to_come_back_and_hooks_go_on() {
    let faults = Faults::new();
    let world = Arc::new(world(&faults).await);
    let login = world.login("alice").await;
    assert!(world.can_connect(&login.username, &login.password).await);
    faults.set(Fault::Hangs);
    let mut hanging = Vec::new();
    for _ in 0..PLACES {
        let world = Arc::clone(&world);
        hanging.push(tokio::spawn(async move { exchange(&world).await }));
    }
    faults.expect_hanging(PLACES as usize).await;
    let refused = exchange(&world).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(body["error"], "temporarily_unavailable");
    assert_eq!(world.metrics.limited_so_far(LimitLabel::InFlight), 1);
    // From memory, while every place of the API is taken.
    assert!(world.can_connect(&login.username, &login.password).await);
    faults.set(Fault::None);
    for call in hanging {
        assert_eq!(call.await.unwrap().status(), 404);
    }
    // All places are given back.
    for _ in 0..2 * PLACES {
        assert_eq!(exchange(&world).await.status(), 404);
    }
    assert!(
        world
            .metrics
            .render()
            .contains("ticketgate_api_in_flight 0")
    );
}

#[tokio::test]
async fn who_sends_slowly_holds_no_place() {
    let world = world(&Faults::new()).await;
    let address = world.url.strip_prefix("http://").unwrap();
    let head = "POST /v2/tokens/exchange HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    let mut slow = Vec::new();
    for _ in 0..4 * PLACES {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        slow.push(stream);
    }
    for _ in 0..10 {
        world.login("alice").await;
    }
    assert_eq!(world.metrics.limited_so_far(LimitLabel::InFlight), 0);
}
