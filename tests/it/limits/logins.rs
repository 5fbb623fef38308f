//! Logins with passwords that people choose, under attack.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};
use ticketgate::limits::limiter::Settings;
use ticketgate::metrics::LimitLabel;
use ticketgate::names::organization_id::OrganizationName;
use ticketgate::secret::Secret;

use crate::support::world::{Plan, World};

const PASSWORD: &str = "correct horse battery";

async fn world() -> World {
    let plan = Plan {
        clock: Timestamp::from_second(2_000_000_000).ok(),
        limits: Settings {
            share_every: None,
            ..Settings::default()
        },
        ..Plan::default()
    };
    World::with(plan).await
}

async fn user(world: &World, name: &str) -> String {
    let organization = OrganizationName::Id(world.organization.clone());
    let (name, password) = (name.parse().unwrap(), Secret::new(PASSWORD));
    let made = world.app.create_user(organization, name, &password).await;
    made.unwrap().to_string()
}

/// What VerneMQ is told: `ok`, or the word for no.
async fn connect(world: &World, username: &str, password: &str, address: &str) -> String {
    let body = json!({
        "peer_addr": address, "peer_port": 1, "mountpoint": "", "client_id": "c",
        "username": username, "password": password, "clean_session": true,
    });
    let (status, reply) = world.ask_vernemq("auth_on_register", &body).await;
    assert_eq!(status, 200);
    match &reply["result"] {
        Value::String(word) => word.clone(),
        result => result["error"].as_str().unwrap().to_owned(),
    }
}

#[tokio::test]
async fn whoever_guesses_waits_longer_each_time_and_nobody_else_does() {
    let world = world().await;
    let alice = user(&world, "alice").await;
    let attack = async |number: u32| {
        let guess = format!("guess {number}");
        connect(&world, &alice, &guess, "192.0.2.66").await
    };
    for number in 0..5 {
        assert_eq!(attack(number).await, "not_authorized", "{number}");
    }
    assert_eq!(attack(5).await, "overloaded");
    assert!(world.metrics.limited_so_far(LimitLabel::Login) > 0);
    // The owner has never been here, so hers is hashed.
    assert_eq!(connect(&world, &alice, PASSWORD, "192.0.2.1").await, "ok");
    // Who has waited may try again, and waits twice as long then.
    world.clock.as_ref().unwrap().advance(1);
    assert_eq!(attack(6).await, "not_authorized");
    world.clock.as_ref().unwrap().advance(1);
    assert_eq!(attack(7).await, "overloaded");
    // What was right here before needs no hash, from that very address too.
    assert_eq!(connect(&world, &alice, PASSWORD, "192.0.2.66").await, "ok");
    // A minted password is arithmetic.
    let minted = world.login("bob").await;
    for _ in 0..8 {
        connect(&world, &minted.username, "guess", "192.0.2.66").await;
    }
    let answer = connect(&world, &minted.username, &minted.password, "192.0.2.66").await;
    assert_eq!(answer, "ok");
}

#[tokio::test]
async fn names_that_nobody_has_are_slowed_like_others() {
    let world = world().await;
    user(&world, "alice").await;
    let of = |name: &str| format!("{name}@{}", world.organization);
    let mut seen = Vec::new();
    for name in ["alice", "nobody"] {
        let mut words = Vec::new();
        for number in 0..7 {
            let address = if name == "alice" {
                "192.0.2.1"
            } else {
                "192.0.2.2"
            };
            words.push(connect(&world, &of(name), &format!("guess {number}"), address).await);
        }
        seen.push(words);
    }
    assert_eq!(seen[0], seen[1]);
}

/// The right client, whose password this node has not seen, among a flood from one other address.
#[tokio::test]
async fn a_right_client_logs_in_at_once_during_a_flood_from_elsewhere() {
    let world = Arc::new(world().await);
    let owners: Vec<String> = {
        let mut all = Vec::new();
        for name in ["alice", "bert", "cleo"] {
            all.push(user(&world, name).await);
        }
        all
    };
    let over = Arc::new(AtomicBool::new(false));
    let mut attackers = Vec::new();
    for number in 0..24 {
        let (world, over, owners) = (Arc::clone(&world), Arc::clone(&over), owners.clone());
        attackers.push(tokio::spawn(async move {
            let mut tried = 0;
            while !over.load(Ordering::SeqCst) {
                // Names that nobody has, so that the pairs are new ones.
                let name = format!("x{number}-{tried}@{}", world.organization);
                let victim = if tried % 2 == 0 {
                    &name
                } else {
                    &owners[tried % 3]
                };
                let answer = connect(&world, victim, "guess", "192.0.2.66").await;
                assert_ne!(answer, "ok");
                tried += 1;
            }
        }));
    }
    // Not before the flood fills its places.
    while world.metrics.limited_so_far(LimitLabel::Login) < 100 {
        tokio::task::yield_now().await;
    }
    for (number, owner) in owners.iter().enumerate() {
        let address = format!("198.51.100.{number}");
        assert_eq!(
            connect(&world, owner, PASSWORD, &address).await,
            "ok",
            "{owner}"
        );
    }
    over.store(true, Ordering::SeqCst);
    for attacker in attackers {
        attacker.await.unwrap();
    }
}

/// RabbitMQ does not say where a client is: a flood on one username leaves the others alone, its owner
/// gets a turn, and needs no second one.
#[tokio::test]
async fn without_addresses_the_owner_gets_a_turn_and_needs_one_only() {
    let world = Arc::new(world().await);
    let (alice, bert) = (user(&world, "alice").await, user(&world, "bert").await);
    let over = Arc::new(AtomicBool::new(false));
    let mut attackers = Vec::new();
    for _ in 0..8 {
        let (world, over, alice) = (Arc::clone(&world), Arc::clone(&over), alice.clone());
        attackers.push(tokio::spawn(async move {
            while !over.load(Ordering::SeqCst) {
                assert!(!world.can_connect(&alice, "guess").await);
            }
        }));
    }
    while world.metrics.limited_so_far(LimitLabel::Login) < 100 {
        tokio::task::yield_now().await;
    }
    assert!(world.can_connect(&bert, PASSWORD).await, "another user");
    let mut tries = 1;
    while !world.can_connect(&alice, PASSWORD).await {
        tries += 1;
        assert!(tries < 5_000, "the owner was locked out");
    }
    for _ in 0..20 {
        assert!(
            world.can_connect(&alice, PASSWORD).await,
            "once right, always right"
        );
    }
    over.store(true, Ordering::SeqCst);
    for attacker in attackers {
        attacker.await.unwrap();
    }
}
