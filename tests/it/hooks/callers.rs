//! Who may ask: only a broker that shows its connection's secret, on its own path.

use crate::hooks::questions::{Broker, Question, allowed, connects};
use crate::hooks::wire::{Connection, Reply, Request};
use crate::support::world::{HOOK_SECRET, OLD_HOOK_SECRET, World};

#[tokio::test]
async fn both_secrets_of_a_rotation_are_good_in_the_path_and_in_the_header() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let mut connection = Connection::open(&world);
    for question in allowed(&login) {
        for secret in [HOOK_SECRET, OLD_HOOK_SECRET] {
            let in_path = question.request_at(&question.path(secret));
            let in_header = with_header(&question, &format!("Bearer {secret}"));
            for request in [in_path, in_header] {
                let reply = connection.ask(&request);
                assert_eq!(reply.text(), question.broker.yes(), "{request:?}");
            }
        }
    }
}

#[tokio::test]
async fn without_the_right_secret_the_answer_is_no_whatever_is_asked() {
    let world = World::start().await;
    let login = world.login("alice").await;
    for question in allowed(&login) {
        for request in without_secret(&question) {
            assert_stranger(&world, &question, &request);
        }
    }
}

/// The question with every kind of secret that is not good.
fn without_secret(question: &Question) -> Vec<Request> {
    let wrong = [
        "x".to_owned(),
        "0".repeat(HOOK_SECRET.len()),
        HOOK_SECRET[1..].to_owned(),
        HOOK_SECRET.to_uppercase(),
        format!("{HOOK_SECRET}x"),
        format!("{HOOK_SECRET}%00"),
        format!("{HOOK_SECRET},{OLD_HOOK_SECRET}"),
    ];
    let in_path = wrong
        .iter()
        .map(|secret| question.request_at(&question.path(secret)));
    let bearers = wrong.iter().map(|secret| format!("Bearer {secret}"));
    let others = ["", "Bearer", "Bearer ", HOOK_SECRET, "Basic YTpi"].map(str::to_owned);
    let in_header = bearers
        .chain(others)
        .map(|value| with_header(question, &value));
    let mut requests: Vec<_> = in_path.chain(in_header).collect();
    requests.push(question.request_at(&path_without_secret(question)));
    // A secret in the path is the one that counts.
    let mut both = question.request_at(&question.path("x"));
    both.head
        .push(format!("authorization: Bearer {HOOK_SECRET}"));
    requests.push(both);
    requests
}

#[tokio::test]
async fn the_path_of_another_broker_is_answered_with_no_in_the_paths_dialect() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let [rabbitmq, vernemq] = connects(&login);
    for (question, path) in [
        (
            &rabbitmq,
            format!("/hooks/rabbitmq/verne/{HOOK_SECRET}/user"),
        ),
        (
            &rabbitmq,
            format!("/hooks/rabbitmq/nobody/{HOOK_SECRET}/user"),
        ),
        (&rabbitmq, format!("/hooks/rabbitmq//{HOOK_SECRET}/user")),
        (&rabbitmq, "/hooks/rabbitmq".into()),
        (&rabbitmq, "/hooks/rabbitmq/".into()),
        (&rabbitmq, "/hooks/rabbitmq/main".into()),
        (&rabbitmq, "/hooks/rabbitmq/main/".into()),
        (&rabbitmq, "/hooks/rabbitmq/main//user".into()),
        (&vernemq, format!("/hooks/vernemq/main/{HOOK_SECRET}")),
        (&vernemq, format!("/hooks/vernemq/nobody/{HOOK_SECRET}")),
        (&vernemq, "/hooks/vernemq".into()),
        (&vernemq, "/hooks/vernemq/".into()),
        (&vernemq, "/hooks/vernemq/verne".into()),
        (&vernemq, "/hooks/vernemq/verne/".into()),
    ] {
        assert_stranger(&world, question, &question.request_at(&path));
    }
}

#[tokio::test]
async fn a_path_that_is_no_hook_of_the_dialect_is_answered_with_no() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let [rabbitmq, vernemq] = connects(&login);
    for (question, rest) in [
        (&rabbitmq, ""),
        (&rabbitmq, "users"),
        (&rabbitmq, "user/"),
        (&rabbitmq, "user/x"),
        (&rabbitmq, "/user"),
        (&rabbitmq, "%75ser"),
        (&rabbitmq, "USER"),
        (&rabbitmq, "../user"),
        (&vernemq, ""),
        (&vernemq, "auth_on_register"),
        (&vernemq, "/"),
    ] {
        let path = format!("{}/{HOOK_SECRET}/{rest}", question.broker.path());
        let reply = Connection::open(&world).ask(&question.request_at(&path));
        question.broker.assert_no(&reply, &path);
        assert_eq!(reply.text(), question.broker.no("unknown_hook"), "{path}");
    }
}

#[tokio::test]
async fn a_dialect_that_nobody_speaks_is_answered_with_deny_and_403() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let [rabbitmq, vernemq] = connects(&login);
    for path in [
        "",
        "x",
        "emqx3/main",
        "emqx_4/main",
        "RabbitMQ/main",
        "rabbit%6Dq/main",
        "/rabbitmq/main",
    ] {
        let target = format!("/hooks/{path}/{HOOK_SECRET}/user");
        for question in [&rabbitmq, &vernemq] {
            let reply = Connection::open(&world).ask(&question.request_at(&target));
            assert_eq!((reply.status(), reply.text()), (403, "deny"), "{target}");
            assert_eq!(reply.header("content-type"), Some("text/plain"), "{target}");
        }
    }
}

fn path_without_secret(question: &Question) -> String {
    match question.broker {
        Broker::RabbitMq => format!("{}/{}", question.broker.path(), question.hook),
        Broker::VerneMq => question.broker.path().to_owned(),
    }
}

fn with_header(question: &Question, value: &str) -> Request {
    let mut request = question.request_at(&path_without_secret(question));
    request.head.push(format!("authorization: {value}"));
    request
}

/// Answered with no, and the connection of somebody without the secret is not kept.
fn assert_stranger(world: &World, question: &Question, request: &Request) {
    let mut connection = Connection::open(world);
    let reply: Reply = connection.ask(request);
    let about = format!("{request:?}");
    question.broker.assert_no(&reply, &about);
    assert_eq!(
        reply.text(),
        question.broker.no("wrong_hook_secret"),
        "{about}"
    );
    connection.expect_closed();
}
