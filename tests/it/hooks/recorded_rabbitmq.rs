//! Every request that a real RabbitMQ 3.10.8 sent to a recording server, asked again.
//! `tests/golden/README.md` says where the recordings come from.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use ticketgate::hooks::call::{Call, Method, RawRequest};
use ticketgate::hooks::dialect::Dialect;
use ticketgate::hooks::rabbitmq;
use ticketgate::mqtt::request::{ConnectRequest, Peer, RequestedFilter};

use crate::hooks::questions::rule;
use crate::hooks::recordings::{Recorded, committed};
use crate::hooks::wire::{Connection, Request};
use crate::support::world::{HOOK_SECRET, Login, Plan, World};

const QUESTIONS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/rabbitmq/questions.txt"
);
const COUNT: usize = 267;

/// What the policy of [`policy`] says to every routing key that was recorded.
const TOPICS: [(&str, &str, bool); 22] = [
    ("write", "t.plain", true),
    ("write", "t.qos1", true),
    ("write", "t.qos2", true),
    ("write", "t.bin", true),
    ("write", "t.retained", true),
    ("write", "will.dev-6", true),
    ("write", "a.b", true),
    ("write", "a.c", false),
    ("write", "sp ace.ü&=.%41x", false),
    ("write", "$SYS.x", false),
    ("read", "t.plain", true),
    ("read", "t.qos1", true),
    ("read", "t.*.x", true),
    ("read", "t.#", true),
    ("read", "$share.grp.t.shared.#", true),
    ("read", "m.a", true),
    ("read", "m.*", true),
    ("read", "m.#", false),
    ("read", "sp ace.ü&=.%41.x", true),
    ("read", "#", false),
    ("read", "$SYS.#", false),
    ("read", "$queue.t.q", false),
];

#[test]
fn every_recorded_request_is_decoded_into_just_what_was_asked() {
    let recorded = recorded();
    let questions: String = recorded.iter().map(question).collect();
    let expected = std::fs::read_to_string(QUESTIONS).unwrap();
    for (question, expected) in questions.lines().zip(expected.lines()) {
        assert_eq!(question, expected);
    }
    assert_eq!(expected.lines().count(), COUNT);
}

#[tokio::test]
async fn every_recorded_request_of_a_minted_login_gets_its_verdict() {
    let world = World::with(plan()).await;
    let login = world.login("alice").await;
    let mut verdicts = BTreeMap::new();
    let mut connection = Connection::open(&world);
    for recorded in recorded() {
        let request = with_login(&recorded.request, &login);
        let reply = connection.ask(&at_our_path(&request));
        let word = verdict(&recorded);
        assert_eq!(reply.to_string(), whole_reply(word), "{}", recorded.name);
        *verdicts.entry(word).or_insert(0) += 1;
    }
    assert_eq!(verdicts, BTreeMap::from([("allow", 232), ("deny", 35)]));
}

#[tokio::test]
async fn every_recorded_request_as_it_was_is_denied_because_its_users_are_not_ours() {
    let world = World::with(plan()).await;
    world.login("alice").await;
    let mut connection = Connection::open(&world);
    let recorded = recorded();
    for Recorded { name, request } in &recorded {
        let reply = connection.ask(&at_our_path(request));
        assert_eq!(reply.to_string(), whole_reply("deny"), "{name}");
    }
    assert_eq!(recorded.len(), COUNT);
}

fn plan() -> Plan {
    Plan {
        policy: policy(),
        ..Plan::default()
    }
}

fn policy() -> Value {
    json!({"rules": [
        rule("publish", "t/+"),
        rule("publish", "will/{client_id}"),
        rule("publish", "a/b"),
        rule("subscribe", "t/#"),
        rule("subscribe", "m/+"),
        rule("subscribe", "sp ace/ü&=/#"),
    ]})
}

fn recorded() -> Vec<Recorded> {
    let recorded = committed("rabbitmq");
    assert_eq!(recorded.len(), COUNT);
    recorded
}

/// The hook and the form of a request, wherever its method puts it.
fn hook_and_form(request: &Request) -> (&str, &str) {
    let (method, target) = request.first_line();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let form = match method {
        "GET" => query,
        "POST" => std::str::from_utf8(&request.body).unwrap(),
        other => panic!("RabbitMQ does not send {other}"),
    };
    (path.strip_prefix("/auth/").unwrap(), form)
}

fn field(form: &str, name: &str) -> Option<String> {
    let mut fields = form.split('&').filter_map(|field| field.split_once('='));
    let (_, value) = fields.find(|(known, _)| *known == name)?;
    let value = value.replace('+', " ");
    Some(percent_decode_str(&value).decode_utf8().unwrap().into())
}

fn verdict(Recorded { name, request }: &Recorded) -> &'static str {
    let (hook, form) = hook_and_form(request);
    let ours = field(form, "username").as_deref() == Some("alice");
    let allowed = match hook {
        "user" | "vhost" | "resource" => ours,
        "topic" => ours && is_allowed_topic(name, form),
        other => panic!("{name}: {other}"),
    };
    if allowed { "allow" } else { "deny" }
}

fn is_allowed_topic(name: &str, form: &str) -> bool {
    let asked = ["permission", "routing_key"].map(|name| field(form, name).unwrap());
    let mut known = TOPICS.iter();
    let known = known.find(|(permission, key, _)| [*permission, *key] == asked);
    known
        .unwrap_or_else(|| panic!("{name}: no verdict for {asked:?}"))
        .2
}

fn whole_reply(word: &str) -> String {
    let length = word.len();
    format!("HTTP/1.1 200 OK\ncontent-length: {length}\ncontent-type: text/plain\n\n{word}")
}

/// Puts a minted login in the place of `alice` and her passwords, as RabbitMQ would escape it.
fn with_login(request: &Request, login: &Login) -> Request {
    let username = login.username.replace('@', "%40");
    let replaced = |field: &str| match field {
        "username=alice" => format!("username={username}"),
        "variable_map.username=alice" => format!("variable_map.username={username}"),
        "password=s3cret" | "password=pw" => format!("password={}", login.password),
        other => other.to_owned(),
    };
    let in_form = |form: &str| form.split('&').map(replaced).collect::<Vec<_>>().join("&");
    let (method, target) = request.first_line();
    if method == "POST" {
        let body = in_form(std::str::from_utf8(&request.body).unwrap());
        return request.clone().with_body(body.into_bytes());
    }
    let (path, query) = target.split_once('?').unwrap();
    let target = format!("{path}?{}", in_form(query));
    request.clone().with_target(&target)
}

fn at_our_path(request: &Request) -> Request {
    let (_, target) = request.first_line();
    let rest = target.strip_prefix("/auth/").unwrap();
    let target = format!("/hooks/rabbitmq/main/{HOOK_SECRET}/{rest}");
    request.clone().with_target(&target)
}

/// A line for the golden file: what was asked, in words that every broker shares.
fn question(Recorded { name, request }: &Recorded) -> String {
    let (method, target) = request.first_line();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let raw = RawRequest {
        method: if method == "POST" {
            Method::Post
        } else {
            Method::Get
        },
        path: path.strip_prefix("/auth/").unwrap(),
        query,
        headers: &[],
        body: &request.body,
    };
    let dialect = Dialect::RabbitMq(rabbitmq::Settings::default());
    let words = match dialect.decode(&raw).unwrap().call {
        Call::Connect(ConnectRequest { peer, password, .. }) => {
            let password = password.unwrap();
            format!("connect {}, password {:?}", whom(&peer), password.expose())
        }
        Call::Session(session) => format!("session {}", whom(&session.peer)),
        Call::Publish(publish) => {
            assert_eq!((publish.qos, publish.retain), (None, None));
            format!("publish {}, topic {:?}", whom(&publish.peer), publish.topic)
        }
        Call::Subscribe(subscribe) => {
            let [RequestedFilter { filter, qos: None }] = subscribe.filters.as_slice() else {
                panic!("{name}: RabbitMQ asks for one filter at a time, without a QoS")
            };
            format!("subscribe {}, filter {filter:?}", whom(&subscribe.peer))
        }
        Call::Refused(reason) => format!("refused {reason:?}"),
        Call::Event(_) => panic!("{name}: RabbitMQ tells of no events"),
    };
    format!("{name}: {words}\n")
}

fn whom(peer: &Peer<'_>) -> String {
    let [username, vhost] = [&peer.username, &peer.compartment].map(|text| text.as_ref().unwrap());
    format!("{username:?} as {:?} at {vhost:?}", peer.client_id)
}
