//! The HTTP that brokers' clients really send (broker-hooks section 11.5), over sockets.

use std::time::Duration;

use serde_json::{Value, json};
use ticketgate::hooks::dialect::DialectName::{self, Emqx, NanoMq, RabbitMq, Tbmq, VerneMq};
use ticketgate::http::server::KEEP_ALIVE;

use crate::hooks::dialects::{Asked, Encoding, all};
use crate::hooks::faulty_store::{Fault, Faults};
use crate::hooks::wire::{Connection, PATIENCE, Request};
use crate::support::world::{HOOK_SECRET, Login, Plan, World};

/// EMQX has this many requests on one connection before it waits for a reply.
const PIPELINE: usize = 100;

async fn world() -> (World, Login) {
    let world = World::start().await;
    let login = world.login("alice").await;
    (world, login)
}

fn of(login: &Login, dialect: DialectName) -> impl Iterator<Item = Asked> {
    let all = all(login).into_iter();
    all.filter(move |asked| asked.dialect == dialect)
}

#[tokio::test]
async fn a_hundred_pipelined_questions_of_every_dialect_are_answered_in_their_order() {
    let (world, login) = world().await;
    for asked in all(&login) {
        let bytes: Vec<u8> = (0..PIPELINE)
            .flat_map(|number| match number % 3 {
                0 => asked.with_body("x").to_bytes(),
                _ => asked.request().to_bytes(),
            })
            .collect();
        let mut connection = Connection::open(&world);
        connection.send_aside(bytes);
        for number in 0..PIPELINE {
            let reply = connection.reply().unwrap();
            match number % 3 {
                0 => asked.assert_no(&reply, "in a pipeline"),
                _ => asked.assert_yes(&reply, "in a pipeline"),
            }
        }
    }
}

#[tokio::test]
async fn a_hundred_pipelined_gets_with_raw_letters_are_answered_in_their_order() {
    let (world, login) = world().await;
    let own = login.username.split('@').next().unwrap();
    let acl = |topic: &str| {
        let target = format!(
            "/hooks/emqx/emqx/{}/acl?clientid=d%C3%A9v%20ü&username={}&action=publish&topic={topic}",
            HOOK_SECRET,
            login.username.replace('@', "%40"),
        );
        Request::new("GET", &target, &["connection: keep-alive"], Vec::new())
    };
    let questions = [
        (acl(&format!("users%2F{own}%2Fü%2Bé")), "deny"),
        (acl(&format!("users%2F{own}%2Fü%20é/日本")), "allow"),
        (acl("users%2Fbob%2Fü"), "deny"),
        (acl("users%2Fbob%2Fa\r\nb\nc"), "deny"),
    ];
    let bytes: Vec<u8> = (0..PIPELINE)
        .flat_map(|number| questions[number % questions.len()].0.to_bytes())
        .collect();
    let mut connection = Connection::open(&world);
    connection.send_aside(bytes);
    for number in 0..PIPELINE {
        let reply = connection.reply().unwrap();
        let expected = format!(
            r#"{{"result":"{}"}}"#,
            questions[number % questions.len()].1
        );
        assert_eq!(
            (reply.status(), reply.text()),
            (200, &*expected),
            "{number}"
        );
    }
}

#[tokio::test]
async fn raw_bytes_that_are_no_utf8_are_answered_with_no() {
    let (world, login) = world().await;
    for asked in all(&login) {
        let Some(good) = asked.by_query() else {
            continue;
        };
        let mut bytes = good.to_bytes();
        let end = bytes
            .windows(9)
            .position(|nine| nine == b" HTTP/1.1")
            .unwrap();
        bytes.splice(end..end, *b"\xff");
        let mut connection = Connection::open(&world);
        connection.send(&bytes);
        asked.assert_no(&connection.reply().unwrap(), "a raw byte");
    }
}

#[tokio::test]
async fn every_get_may_have_an_empty_te_header_and_an_empty_body() {
    let (world, login) = world().await;
    let mut connection = Connection::open(&world);
    for asked in all(&login) {
        let Some(mut request) = asked.by_query() else {
            continue;
        };
        request.head.push("content-length: 0".into());
        request.head.push("te:".into());
        asked.assert_yes(&connection.ask(&request), "with empty te");
    }
}

#[tokio::test]
async fn a_new_connection_for_every_question_is_no_trouble() {
    let (world, login) = world().await;
    let questions: Vec<_> = of(&login, NanoMq).collect();
    for asked in questions.iter().cycle().take(1_000) {
        let reply = Connection::open(&world).ask(&asked.request());
        asked.assert_yes(&reply, "on a connection of its own");
    }
}

#[tokio::test]
async fn connections_without_a_question_are_no_trouble() {
    let (world, login) = world().await;
    // EMQX's health check connects and says nothing.
    let silent: Vec<_> = (0..200).map(|_| Connection::open(&world)).collect();
    for asked in of(&login, Emqx) {
        asked.assert_yes(
            &Connection::open(&world).ask(&asked.request()),
            "beside them",
        );
    }
    drop(silent);
}

#[tokio::test]
async fn a_connection_may_be_opened_long_before_the_first_question() {
    let (world, login) = world().await;
    let mut early: Vec<_> = all(&login)
        .into_iter()
        .map(|asked| (Connection::open(&world), asked))
        .collect();
    // Longer than the framework waits unless it is told otherwise.
    tokio::time::sleep(Duration::from_secs(6)).await;
    for (connection, asked) in &mut early {
        asked.assert_yes(&connection.ask(&asked.request()), "after a long silence");
    }
}

#[test]
fn idle_connections_are_kept_for_longer_than_any_broker_keeps_them() {
    // EMQX announces 30 s, VerneMQ closes after 2 s, RabbitMQ's httpc after 120 s.
    assert!(KEEP_ALIVE > Duration::from_secs(120));
}

#[tokio::test]
async fn a_plus_in_a_form_is_a_space() {
    let (world, login) = world().await;
    let own = login.username.split('@').next().unwrap();
    let mut connection = Connection::open(&world);
    for asked in all(&login) {
        let about_names = |one: &(&str, Value)| one.1 == json!(format!("users/{own}/x"));
        let is_form = asked.encoding == Encoding::Form && asked.dialect != RabbitMq;
        if !is_form || !asked.fields.iter().any(about_names) {
            continue;
        }
        let body = String::from_utf8(asked.body()).unwrap();
        for (space, fits) in [("+", true), ("%20", true), ("%2B", false)] {
            let body = body.replace("%2Fx", &format!("%2Fx{space}y"));
            let reply = connection.ask(&asked.with_body(body));
            if fits {
                asked.assert_yes(&reply, space);
            } else {
                asked.assert_no(&reply, space);
            }
        }
    }
}

#[tokio::test]
async fn work_for_a_caller_who_hung_up_is_dropped_long_before_its_deadline() {
    let faults = Faults::new();
    let mut plan = Plan {
        wrap: faults.wrap(),
        ..Plan::default()
    };
    plan.settings.hook_deadline = PATIENCE * 100;
    let world = World::with(plan).await;
    let login = world.login("alice").await;
    faults.set(Fault::Hangs);
    for asked in of(&login, VerneMq) {
        let mut gone = Connection::open(&world);
        gone.send(&asked.request().to_bytes());
        faults.expect_some_hanging().await;
        drop(gone);
        faults.expect_hanging(0).await;
    }
    faults.set(Fault::None);
    for asked in of(&login, VerneMq) {
        asked.assert_yes(
            &Connection::open(&world).ask(&asked.request()),
            "afterwards",
        );
    }
}

#[tokio::test]
async fn a_connection_test_by_head_gets_the_head_of_a_no() {
    let (world, login) = world().await;
    let asked = of(&login, Tbmq).next().unwrap();
    let mut request = asked.request();
    request.head[0] = request.head[0].replacen("POST", "HEAD", 1);
    let mut connection = Connection::open(&world);
    connection.send(&request.to_bytes());
    assert_eq!(connection.head().unwrap().status(), 200);
    asked.assert_yes(&connection.ask(&asked.request()), "behind it");
}
