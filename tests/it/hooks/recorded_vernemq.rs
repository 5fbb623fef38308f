//! Every request that a real VerneMQ 2.1.2 sent to a recording server, asked again.
//!
//! The recordings may not be published, so they lie beside the checkout and not in it. Where they
//! are missing, these tests say so and pass; `tests/golden/vernemq` is always there.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use ticketgate::hooks::call::{Call, Method, RawRequest};
use ticketgate::hooks::connection::ForeignNames;
use ticketgate::hooks::dialect::Dialect;
use ticketgate::mqtt::qos::QoS;
use ticketgate::mqtt::request::{Peer, RequestedFilter, SessionChange};

use crate::hooks::questions::rule;
use crate::hooks::recordings::{Recorded, beside};
use crate::hooks::wire::{Connection, Request};
use crate::support::world::{HOOK_SECRET, Login, Plan, World};

const COUNT: usize = 198;

const OK: &str = r#"{"result":"ok"}"#;
const NO: &str = r#"{"result":{"error":"not_authorized"}}"#;
const NEXT: &str = r#"{"result":"next"}"#;
const NOTED: &str = "{}";

/// What the policy of [`policy`] says to every publish that was recorded.
const PUBLISHES: [(&str, &str); 10] = [
    ("t/plain", OK),
    ("t/qos1", OK),
    ("t/qos2", OK),
    ("t/bin", OK),
    ("t/retained", OK),
    ("will/dev-6", OK),
    ("will/v5", NO),
    ("sp ace/ü&=/%41x", NO),
    // The rule stops at QoS 0.
    ("v5/props", NO),
    ("v5/alias", NO),
];

/// The same for every SUBSCRIBE, by its filters: in MQTT 3 and in MQTT 5.
const SUBSCRIBES: [(&str, &str, &str); 11] = [
    ("t/plain", OK, OK),
    ("t/qos1", OK, OK),
    ("t/+/x", OK, OK),
    ("t/#", OK, OK),
    ("$share/grp/t/shared/#", OK, OK),
    ("sp ace/ü&=/%41/x", OK, OK),
    ("#", NO, NO),
    ("$SYS/#", NO, NO),
    ("$queue/t/q", NO, NO),
    (
        "m/#,m/+,m/a",
        concat!(
            r##"{"result":"ok","topics":[{"qos":128,"topic":"m/#"},"##,
            r#"{"qos":1,"topic":"m/+"},{"qos":0,"topic":"m/a"}]}"#
        ),
        concat!(
            r#"{"modifiers":{"topics":["#,
            r#"{"no_local":false,"qos":135,"rap":false,"#,
            r##""retain_handling":"send_retain","topic":"m/#"},"##,
            r#"{"no_local":false,"qos":1,"rap":false,"#,
            r#""retain_handling":"send_retain","topic":"m/+"},"#,
            r#"{"no_local":false,"qos":0,"rap":false,"#,
            r#""retain_handling":"send_retain","topic":"m/a"}"#,
            r#"]},"result":"ok"}"#
        ),
    ),
    (
        "v5/o",
        "only MQTT 5 has its options",
        concat!(
            r#"{"modifiers":{"topics":[{"no_local":true,"qos":0,"rap":true,"#,
            r#""retain_handling":"send_if_new_sub","topic":"v5/o"}]},"result":"ok"}"#
        ),
    ),
];

#[test]
fn every_recorded_request_is_decoded_into_just_what_was_asked() {
    for recorded in &recorded() {
        let Recorded { name, request } = recorded;
        assert_eq!(request.first_line().0, "POST");
        let raw = RawRequest {
            method: Method::Post,
            path: "",
            query: "",
            headers: &[("vernemq-hook", hook(recorded))],
            body: &request.body,
        };
        let question = Dialect::VerneMq.decode(&raw).unwrap();
        compare(name, hook(recorded), &json(recorded), &question.call);
    }
}

#[tokio::test]
async fn every_recorded_request_of_a_minted_login_gets_its_verdict() {
    let world = World::with(plan(ForeignNames::Deny)).await;
    let login = world.login("alice").await;
    let mut replies = BTreeMap::new();
    let mut connection = Connection::open(&world);
    let recorded = recorded();
    for one in &recorded {
        let request = with_login(&one.request, &login);
        let reply = connection.ask(&at_our_path(request));
        let expected = verdict(one);
        assert_eq!(reply.to_string(), whole_reply(expected), "{}", one.name);
        *replies.entry(expected).or_insert(0) += 1;
    }
    let counts = [OK, NO, NOTED].map(|reply| replies.remove(reply).unwrap_or(0));
    let partial: usize = replies.values().sum();
    let expected = if recorded.is_empty() {
        ([0; 3], 0)
    } else {
        ([48, 21, 126], 3)
    };
    assert_eq!((counts, partial), expected);
}

#[tokio::test]
async fn every_recorded_request_as_it_was_is_not_ours() {
    let recorded = recorded();
    for (foreign_names, no) in [(ForeignNames::Deny, NO), (ForeignNames::Abstain, NEXT)] {
        let world = World::with(plan(foreign_names)).await;
        world.login("alice").await;
        let mut connection = Connection::open(&world);
        for one in &recorded {
            let reply = connection.ask(&at_our_path(one.request.clone()));
            let anonymous = json(one)["username"] == Value::Null;
            let expected = match hook(one) {
                hook if !hook.starts_with("auth_on_") => NOTED,
                _ if anonymous => NO,
                _ => no,
            };
            assert_eq!(reply.to_string(), whole_reply(expected), "{}", one.name);
        }
    }
}

fn plan(foreign_names: ForeignNames) -> Plan {
    Plan {
        policy: policy(),
        foreign_names,
        ..Plan::default()
    }
}

fn policy() -> Value {
    json!({"rules": [
        rule("publish", "t/+"),
        rule("publish", "will/{client_id}"),
        rule("subscribe", "t/#"),
        rule("subscribe", "m/+"),
        rule("subscribe", "sp ace/ü&=/#"),
        {"user": "*", "topic": "v5/+", "permission": "both", "qos": [0]},
    ]})
}

fn recorded() -> Vec<Recorded> {
    let recorded = beside("vernemq", &["ok"]);
    assert!([0, COUNT].contains(&recorded.len()));
    recorded
}

fn hook(recorded: &Recorded) -> &str {
    recorded.request.header("vernemq-hook").unwrap()
}

fn json(recorded: &Recorded) -> Value {
    serde_json::from_slice(&recorded.request.body).unwrap()
}

fn verdict(recorded: &Recorded) -> &'static str {
    let (name, body) = (&recorded.name, json(recorded));
    match hook(recorded) {
        "auth_on_register" | "auth_on_register_m5" => {
            let ours = body["username"] == "alice" && body["password"] == "s3cret";
            if ours { OK } else { NO }
        }
        "auth_on_publish" | "auth_on_publish_m5" => {
            let known = PUBLISHES.iter().find(|(topic, _)| body["topic"] == *topic);
            known.unwrap_or_else(|| panic!("{name}: no verdict")).1
        }
        hook @ ("auth_on_subscribe" | "auth_on_subscribe_m5") => {
            let topics = body["topics"].as_array().unwrap();
            let filters: Vec<_> = topics.iter().map(|one| text(&one["topic"])).collect();
            let filters = filters.join(",");
            let known = SUBSCRIBES.iter().find(|(known, ..)| *known == filters);
            let (_, v3, v5) = known.unwrap_or_else(|| panic!("{name}: no verdict"));
            if hook == "auth_on_subscribe" { v3 } else { v5 }
        }
        _ => NOTED,
    }
}

fn whole_reply(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\ncontent-length: {length}\ncontent-type: application/json\n\n{body}")
}

/// Puts a minted login in the place of `alice` and her password, in the text as it is.
fn with_login(request: &Request, login: &Login) -> Request {
    let body = std::str::from_utf8(&request.body).unwrap();
    let username = format!(r#""username":"{}""#, login.username);
    let password = format!(r#""password":"{}""#, login.password);
    let body = body
        .replace(r#""username":"alice""#, &username)
        .replace(r#""password":"s3cret""#, &password);
    request.clone().with_body(body.into_bytes())
}

fn at_our_path(request: Request) -> Request {
    request.with_target(&format!("/hooks/vernemq/verne/{HOOK_SECRET}"))
}

/// Compares a decoded question with the body, read by another hand.
fn compare(name: &str, hook: &str, body: &Value, call: &Call<'_>) {
    let peer = match (hook.trim_end_matches("_m5"), call) {
        ("auth_on_register", Call::Connect(connect)) => {
            let password = connect.password.as_ref().map(|password| password.expose());
            assert_eq!(password, body["password"].as_str(), "{name}");
            &connect.peer
        }
        ("auth_on_publish", Call::Publish(publish)) => {
            assert_eq!(publish.topic, text(&body["topic"]), "{name}");
            assert_eq!(publish.qos.map(level), body["qos"].as_u64(), "{name}");
            assert_eq!(publish.retain, body["retain"].as_bool(), "{name}");
            &publish.peer
        }
        ("auth_on_subscribe", Call::Subscribe(subscribe)) => {
            let asked = |one: &RequestedFilter<'_>| (one.filter.to_string(), one.qos.map(level));
            let asked: Vec<_> = subscribe.filters.iter().map(asked).collect();
            let sent = |one: &Value| (text(&one["topic"]).to_owned(), one["qos"].as_u64());
            let sent: Vec<_> = body["topics"]
                .as_array()
                .unwrap()
                .iter()
                .map(sent)
                .collect();
            assert_eq!(asked, sent, "{name}");
            &subscribe.peer
        }
        ("on_register", Call::Event(Some(event))) => {
            assert_eq!(event.change, SessionChange::Opened, "{name}");
            &event.peer
        }
        ("on_client_offline", Call::Event(Some(event))) => {
            assert_eq!(event.change, SessionChange::Offline, "{name}");
            &event.peer
        }
        ("on_client_gone", Call::Event(Some(event))) => {
            assert_eq!(event.change, SessionChange::Gone, "{name}");
            &event.peer
        }
        (hook, Call::Event(None)) if !hook.starts_with("auth_on_") => return,
        _ => panic!("{name}: {call:?}"),
    };
    compare_peer(name, body, peer);
}

fn compare_peer(name: &str, body: &Value, peer: &Peer<'_>) {
    assert_eq!(
        peer.username.as_deref(),
        body["username"].as_str(),
        "{name}"
    );
    assert_eq!(peer.client_id, text(&body["client_id"]), "{name}");
    assert_eq!(
        peer.compartment.as_deref(),
        body["mountpoint"].as_str(),
        "{name}"
    );
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn level(qos: QoS) -> u64 {
    u8::from(qos).into()
}
