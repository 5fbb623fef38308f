//! HTTP that no broker sends, or not like this: methods, lengths, chunks, pace, order.

use std::time::Duration;

use serde_json::json;
use ticketgate::engine::isolation::Isolation;

use crate::hooks::faulty_store::{Fault, Faults};
use crate::hooks::questions::{Broker, Question, allowed, connects, forged};
use crate::hooks::wire::{Connection, Request};
use crate::support::world::{HOOK_SECRET, Plan, World};

#[tokio::test]
async fn rabbitmq_may_ask_by_get_with_an_empty_te_header_and_no_body() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let mut connection = Connection::open(&world);
    for question in rabbitmq(allowed(&login)) {
        let reply = connection.ask(&by_query("GET", &question, Vec::new()));
        assert_eq!(reply.text(), "allow", "{}", question.hook);
    }
}

#[tokio::test]
async fn other_methods_are_answered_with_no_however_good_the_question() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let mut connection = Connection::open(&world);
    for question in allowed(&login) {
        let mut methods = vec![
            "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "BREW",
        ];
        if question.broker == Broker::VerneMq {
            methods.push("GET");
        }
        for method in methods {
            let mut request = by_query(method, &question, question.body());
            request
                .head
                .push(format!("vernemq-hook: {}", question.hook));
            let reply = connection.ask(&request);
            question.broker.assert_no(&reply, method);
            assert_eq!(reply.text(), question.broker.no("unknown_hook"), "{method}");
        }
    }
}

#[tokio::test]
async fn a_question_in_the_wrong_place_of_its_request_is_answered_with_no() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let mut connection = Connection::open(&world);
    for question in rabbitmq(allowed(&login)) {
        let in_query = by_query("POST", &question, Vec::new());
        let mut in_body = question.request();
        in_body.head[0] = in_body.head[0].replacen("POST", "GET", 1);
        for request in [in_query, in_body] {
            question
                .broker
                .assert_no(&connection.ask(&request), &request.head[0]);
        }
    }
}

#[tokio::test]
async fn a_chunked_body_is_read_and_a_broken_one_is_never_a_yes() {
    let world = World::start().await;
    let login = world.login("alice").await;
    for question in connects(&login) {
        let body = String::from_utf8(question.body()).unwrap();
        let (front, back) = body.split_at(20);
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let whole = chunk(front) + &chunk(back) + "0\r\n\r\n";
        let mut connection = Connection::open(&world);
        connection.send(&chunked(&question, &whole));
        assert_eq!(connection.reply().unwrap().text(), question.broker.yes());
        for broken in [
            chunk(front) + "zz\r\n",
            chunk(front) + "-5\r\n",
            chunk(front) + "ffffffffffffffffff\r\n" + back,
            chunk(front) + &format!("{:x}\r\n{back}x\r\n0\r\n\r\n", back.len()),
            chunk(&body),
        ] {
            expect_no_or_nothing(&world, &question, &chunked(&question, &broken));
        }
    }
}

#[tokio::test]
async fn requests_that_contradict_themselves_are_never_a_yes() {
    let world = World::start().await;
    let login = world.login("alice").await;
    for question in connects(&login) {
        let request = question.request();
        let length = request.body.len();
        let with = |header: &str| {
            let mut request = request.clone();
            request.head.push(header.to_owned());
            request.to_bytes()
        };
        let with_length = |value: &str| {
            let mut request = request.clone();
            let last = request.head.len() - 1;
            request.head[last] = format!("content-length: {value}");
            request.to_bytes()
        };
        for bytes in [
            with("content-length: 5"),
            with("transfer-encoding: chunked"),
            with("transfer-encoding: gzip"),
            with("no colon"),
            with(": no name"),
            with(&format!("x: {}", "a".repeat(1024 * 1024))),
            with(&"x: y\r\n".repeat(1_000)),
            with_length("-1"),
            with_length("x"),
            with_length(&format!("+{length}")),
            with_length("99999999999999999999999"),
            with_length(&(length - 1).to_string()),
            with_length(&(length + 1).to_string()),
            b"\0\0\0\0\r\n\r\n".to_vec(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        ] {
            expect_no_or_nothing(&world, &question, &bytes);
        }
    }
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let limit = Plan::default().settings.hook_body_limit;
    for question in connects(&login) {
        let mut connection = Connection::open(&world);
        connection.send_aside(padded(&question, limit).to_bytes());
        assert_eq!(connection.reply().unwrap().text(), question.broker.yes());
        for length in [limit + 1, 10 * 1024 * 1024] {
            expect_no_or_nothing(&world, &question, &padded(&question, length).to_bytes());
        }
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_with_no_within_the_deadline() {
    let mut plan = Plan::default();
    plan.settings.hook_deadline = Duration::from_millis(300);
    let world = World::with(plan).await;
    let login = world.login("alice").await;
    let slow = allowed(&login).into_iter().map(|question| {
        let bytes = question.request().to_bytes();
        let mut connection = Connection::open(&world);
        // All but the last byte, a byte at a time.
        for byte in &bytes[..bytes.len() - 1] {
            connection.send(&[*byte]);
        }
        (question, connection)
    });
    for (question, mut connection) in slow.collect::<Vec<_>>() {
        let reply = connection.reply().unwrap();
        question.broker.assert_no(&reply, question.hook);
        assert_eq!(reply.text(), question.broker.no("unavailable"));
        connection.expect_closed();
    }
}

#[tokio::test]
async fn pipelined_questions_are_answered_in_their_order() {
    let world = World::with(Plan {
        isolation: Some(Isolation::Mountpoint),
        ..Plan::default()
    })
    .await;
    let login = world.login("alice").await;
    let [_, register] = connects(&login);
    let broken = register.with("password", json!(forged(&login.password)));
    let asked = |number: usize| match number % 3 {
        0 => broken.request(),
        1 => register.with_body("{"),
        _ => register
            .with("client_id", json!(format!("c{number}")))
            .request(),
    };
    let answered = |number: usize| match number % 3 {
        0 => register.broker.no("not_authorized"),
        1 => register.broker.no("malformed_request"),
        _ => format!(
            r#"{{"modifiers":{{"client_id":"c{number}","mountpoint":"{}"}},"result":"ok"}}"#,
            world.organization
        ),
    };
    let bytes: Vec<u8> = (0..300)
        .flat_map(|number| asked(number).to_bytes())
        .collect();
    let mut connection = Connection::open(&world);
    connection.send_aside(bytes);
    for number in 0..300 {
        assert_eq!(
            connection.reply().unwrap().text(),
            answered(number),
            "{number}"
        );
    }
}

#[tokio::test]
async fn work_for_a_caller_who_hung_up_ends_with_the_deadline_at_the_latest() {
    let faults = Faults::new();
    let mut plan = Plan {
        wrap: faults.wrap(),
        ..Plan::default()
    };
    plan.settings.hooks_in_flight = 1;
    plan.settings.hook_deadline = Duration::from_millis(300);
    let world = World::with(plan).await;
    let login = world.login("alice").await;
    let [question, _] = connects(&login);
    faults.set(Fault::Hangs);
    let mut gone = Connection::open(&world);
    gone.send(&question.request().to_bytes());
    faults.expect_hanging(1).await;
    drop(gone);
    faults.expect_hanging(0).await;
    faults.set(Fault::None);
    // Its place is free again: no later than the next deadline, as the read was given up.
    let reply = Connection::open(&world).ask(&question.request());
    assert_eq!(reply.text(), "allow");
}

fn rabbitmq(questions: Vec<Question>) -> impl Iterator<Item = Question> {
    let is_theirs = |question: &Question| question.broker == Broker::RabbitMq;
    questions.into_iter().filter(is_theirs)
}

/// The question as a query, as RabbitMQ's GET mode asks.
fn by_query(method: &str, question: &Question, body: Vec<u8>) -> Request {
    let query = match question.broker {
        Broker::RabbitMq => String::from_utf8(question.body()).unwrap(),
        Broker::VerneMq => String::new(),
    };
    let target = format!("{}?{query}", question.path(HOOK_SECRET));
    Request::new(method, &target, &["te: ", "connection: keep-alive"], body)
}

/// The question's head with another body, sent as it is and announced as chunks.
fn chunked(question: &Question, body: &str) -> Vec<u8> {
    let mut request = question.request();
    let last = request.head.len() - 1;
    request.head[last] = "transfer-encoding: chunked".into();
    request.body = body.into();
    request.to_bytes()
}

/// The same question with a field that nobody reads, so that the body has this length.
fn padded(question: &Question, length: usize) -> Request {
    let body = String::from_utf8(question.body()).unwrap();
    let pad = |around: usize| "a".repeat(length - body.len() - around);
    let body = match question.broker {
        Broker::RabbitMq => format!("client_cert={}&{body}", pad("client_cert=&".len())),
        Broker::VerneMq => {
            let around = r#""client_cert":"","#.len();
            format!(r#"{{"client_cert":"{}",{}"#, pad(around), &body[1..])
        }
    };
    assert_eq!(body.len(), length);
    question.with_body(body)
}

/// Sends the bytes and nothing more. The server may answer with no, with a status that no broker
/// takes for an answer, or not at all.
fn expect_no_or_nothing(world: &World, question: &Question, bytes: &[u8]) {
    let mut connection = Connection::open(world);
    connection.send_aside(bytes.to_vec());
    let about = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
    match connection.reply() {
        Some(reply) if reply.status() == 200 => question.broker.assert_no(&reply, &about),
        Some(reply) => assert_eq!((reply.status() / 100, reply.text()), (4, ""), "{about}"),
        None => {}
    }
    let reply = Connection::open(world).ask(&question.request());
    assert_eq!(
        reply.text(),
        question.broker.yes(),
        "the server lives on after: {about}"
    );
}
