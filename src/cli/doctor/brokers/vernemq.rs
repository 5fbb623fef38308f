//! VerneMQ: JSON to one endpoint, the hook's name in a header.

use serde_json::{Value, json};

use crate::cli::doctor::brokers::{
    Ask, Broker, Habits, Ill, Line, Reading, Reply, Request, Session,
};

/// VerneMQ 1.13 to 2.2.
pub static BROKER: Broker = Broker {
    ask,
    read,
    unknown_hook: |session| hook("no_such_hook", &json!({ "client_id": session.client_id })),
    habits: Habits {
        tells_of_refused_publish: true,
        shares: true,
        shipped_logins: &[],
    },
    cure,
};

fn ask(session: &Session<'_>, ask: &Ask<'_>) -> Vec<Request> {
    let request = match ask {
        Ask::Connect { named, password } => hook(
            "auth_on_register",
            &json!({
                "peer_addr": "127.0.0.1",
                "peer_port": 54321,
                "mountpoint": session.home,
                "client_id": session.client_id,
                "username": named.then_some(session.username),
                "password": password,
                "clean_session": true,
            }),
        ),
        Ask::Publish(topic) => hook(
            "auth_on_publish",
            &json!({
                "username": session.username,
                "mountpoint": session.compartment,
                "client_id": session.client_id,
                "qos": 1,
                "topic": topic,
                "payload": "aGVsbG8=",
                "retain": false,
            }),
        ),
        Ask::Subscribe(filter) => hook(
            "auth_on_subscribe",
            &json!({
                "username": session.username,
                "mountpoint": session.compartment,
                "client_id": session.client_id,
                "topics": [{ "topic": filter, "qos": 1 }],
            }),
        ),
    };
    vec![request]
}

fn hook(name: &'static str, body: &Value) -> Request {
    Request {
        headers: vec![("vernemq-hook", name.to_owned())],
        ..Request::json("", body)
    }
}

/// A granted subscription comes back with its level, a refused one with 128.
fn read(reply: &Reply) -> Reading {
    if (reply.status, &*reply.content_type) != (200, "application/json") {
        return Reading::Unclear;
    }
    let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
        return Reading::Unclear;
    };
    let refused = |topic: &Value| topic["qos"].as_u64().is_none_or(|qos| qos > 2);
    match (&body["result"], &body["topics"]) {
        (Value::String(ok), Value::Null) if ok == "ok" => Reading::Yes,
        (Value::String(ok), Value::Array(topics)) if ok == "ok" && !topics.is_empty() => {
            if topics.iter().any(refused) {
                Reading::No
            } else {
                Reading::Yes
            }
        }
        (Value::String(next), _) if next == "next" => Reading::NotMine,
        (Value::Object(error), _) if error.contains_key("error") => Reading::No,
        _ => Reading::Unclear,
    }
}

fn cure(ill: Ill) -> &'static [Line] {
    match ill {
        Ill::DoesNotAsk | Ill::Path => &[
            Line::Set(FILE, &["plugins.vmq_webhooks = on"]),
            LOGINS,
            TOPICS,
            BOTH,
        ],
        Ill::Connection => &[
            LOGINS,
            TOPICS,
            Line::Do("every endpoint with this connection's name in it"),
            Line::Do("ticketgate.toml: dialect = \"vernemq\" in that connection's table"),
        ],
        Ill::Secret => &[
            LOGINS,
            TOPICS,
            Line::Do("every endpoint with a secret that stands in this connection's secret_file"),
        ],
        Ill::Form | Ill::NotMqtt | Ill::Method => &[Line::Do(
            "use VerneMQ 1.13 or later with its own vmq_webhooks",
        )],
        Ill::Compartment => &[Line::Do(
            "ticketgate.toml: `mountpoint` of this connection is the listener's own in vernemq.conf",
        )],
        Ill::Anonymous => &[Line::Set(FILE, &["allow_anonymous = off"])],
        Ill::OwnUsers => &[
            Line::Set(FILE, &["plugins.vmq_passwd = off"]),
            Line::Do("no other plugin that authenticates"),
        ],
        Ill::Topics => &[Line::Set(FILE, &["plugins.vmq_acl = off"]), TOPICS, BOTH],
        Ill::Cache => &[Line::Do(
            "take out what adds a cache-control header between VerneMQ and this server",
        )],
        Ill::FailsOpen => &[Line::Set(
            FILE,
            &["plugins.vmq_acl = off", "plugins.vmq_passwd = off"],
        )],
    }
}

const FILE: &str = "vernemq.conf";
const LOGINS: Line = Line::Set(
    FILE,
    &[
        "vmq_webhooks.register3.hook = auth_on_register",
        "vmq_webhooks.register3.endpoint = @HOOK_URL@",
    ],
);
const TOPICS: Line = Line::Set(
    FILE,
    &[
        "vmq_webhooks.publish3.hook = auth_on_publish",
        "vmq_webhooks.publish3.endpoint = @HOOK_URL@",
        "vmq_webhooks.subscribe3.hook = auth_on_subscribe",
        "vmq_webhooks.subscribe3.endpoint = @HOOK_URL@",
    ],
);
const BOTH: Line = Line::Do("vernemq.conf: each once more for MQTT 5, the hook with _m5");
