//! Promise 1: whatever goes wrong, the reply is one that the broker reads as no.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::hooks::faulty_store::{Fault, Faults};
use crate::hooks::questions::{Question, allowed, connects};
use crate::hooks::wire::{Connection, PATIENCE, Reply};
use crate::support::world::{Login, Plan, World};

/// A world with faults to come, and a login that nothing was asked about yet.
async fn world(faults: &Faults, change: impl FnOnce(&mut Plan)) -> (World, Login) {
    let mut plan = Plan {
        wrap: faults.wrap(),
        ..Plan::default()
    };
    change(&mut plan);
    let world = World::with(plan).await;
    let login = world.login("alice").await;
    (world, login)
}

#[tokio::test]
async fn a_store_that_is_down_means_no_and_works_again_at_once() {
    fails_closed_and_recovers(Fault::Unavailable).await;
}

#[tokio::test]
async fn a_panic_means_no_and_the_server_lives_on() {
    fails_closed_and_recovers(Fault::Panics).await;
}

async fn fails_closed_and_recovers(fault: Fault) {
    let faults = Faults::new();
    let (world, login) = world(&faults, |_| {}).await;
    let mut connection = Connection::open(&world);
    faults.set(fault);
    for question in allowed(&login) {
        let reply = connection.ask(&question.request());
        assert_unavailable(&question, &reply);
    }
    faults.set(Fault::None);
    for question in allowed(&login) {
        assert_yes(&question, &connection.ask(&question.request()));
    }
}

#[tokio::test]
async fn a_store_that_hangs_means_no_within_the_deadline() {
    let faults = Faults::new();
    let deadline = Duration::from_millis(300);
    let (world, login) = world(&faults, |plan| plan.settings.hook_deadline = deadline).await;
    faults.set(Fault::Hangs);
    let began = Instant::now();
    let asked: Vec<_> = allowed(&login)
        .into_iter()
        .map(|question| {
            let mut connection = Connection::open(&world);
            connection.send(&question.request().to_bytes());
            (question, connection)
        })
        .collect();
    for (question, mut connection) in asked {
        let reply = connection.reply().unwrap();
        assert_unavailable(&question, &reply);
        assert!(began.elapsed() >= deadline, "it was given its time");
    }
    // Ten times the deadline, for a busy machine; without one it would be for ever.
    assert!(began.elapsed() < deadline * 10);
    faults.expect_hanging(0).await;
}

#[tokio::test]
async fn too_many_questions_means_no_at_once_while_health_still_answers() {
    let faults = Faults::new();
    let (world, alice) = world(&faults, |plan| {
        plan.settings.hooks_in_flight = 2;
        plan.settings.hook_deadline = PATIENCE;
    })
    .await;
    let bob = world.login("bob").await;
    faults.set(Fault::Hangs);
    let asked = [&alice, &bob].map(|login| {
        let [question, _] = connects(login);
        let mut connection = Connection::open(&world);
        connection.send(&question.request().to_bytes());
        (question, connection)
    });
    faults.expect_hanging(2).await;

    let mut connection = Connection::open(&world);
    for question in allowed(&alice) {
        let reply = connection.ask(&question.request());
        question.broker.assert_no(&reply, question.hook);
        assert_eq!(reply.text(), question.broker.no("overloaded"));
    }
    assert_eq!(health(&world, "live").await.0, 200);
    let (status, ready) = health(&world, "ready").await;
    assert_eq!(
        (status, ready),
        (200, r#"{"ready":true,"problems":[]}"#.into())
    );
    faults.expect_hanging(2).await;

    faults.set(Fault::None);
    for (question, mut connection) in asked {
        assert_yes(&question, &connection.reply().unwrap());
    }
    for question in allowed(&alice) {
        assert_yes(&question, &connection.ask(&question.request()));
    }
}

#[tokio::test]
async fn health_tells_that_the_store_is_down() {
    let faults = Faults::new();
    let (world, _) = world(&faults, |_| {}).await;
    faults.set(Fault::Unavailable);
    assert_eq!(health(&world, "live").await.0, 200);
    let (status, reply) = health(&world, "ready").await;
    let reply: Value = serde_json::from_str(&reply).unwrap();
    assert_eq!((status, &reply["ready"]), (503, &Value::Bool(false)));
    assert_eq!(reply["problems"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_cache_knows_is_answered_while_the_store_is_down() {
    let faults = Faults::new();
    let (world, login) = world(&faults, |_| {}).await;
    let mut connection = Connection::open(&world);
    for fault in [Fault::None, Fault::Unavailable, Fault::Panics] {
        faults.set(fault);
        for question in allowed(&login) {
            assert_yes(&question, &connection.ask(&question.request()));
        }
    }
}

fn assert_yes(question: &Question, reply: &Reply) {
    assert_eq!(reply.text(), question.broker.yes(), "{}", question.hook);
}

fn assert_unavailable(question: &Question, reply: &Reply) {
    question.broker.assert_no(reply, question.hook);
    assert_eq!(reply.text(), question.broker.no("unavailable"));
}

async fn health(world: &World, name: &str) -> (u16, String) {
    let url = format!("{}/health/{name}", world.url);
    let reply = world.http.get(url).send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}
