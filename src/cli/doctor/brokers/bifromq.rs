//! BifroMQ's webhook: JSON, a login answered by JSON and everything else by a word.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::cli::doctor::brokers::{
    Ask, Broker, Habits, Ill, Line, Reading, Reply, Request, Session,
};

/// BifroMQ with the provider of its plugin demo.
pub static BROKER: Broker = Broker {
    ask,
    read,
    unknown_hook: |session| {
        Request::json("no-such-hook", &json!({ "clientId": session.client_id }))
    },
    habits: Habits {
        tells_of_refused_publish: true,
        shares: true,
        shipped_logins: &[],
    },
    cure,
};

fn ask(session: &Session<'_>, ask: &Ask<'_>) -> Vec<Request> {
    let check = |body: Value| {
        let client_id = utf8_percent_encode(session.client_id, NON_ALPHANUMERIC);
        Request {
            headers: vec![
                ("tenant_id", session.compartment.to_owned()),
                ("user_id", format!("{}/{client_id}", session.username)),
            ],
            ..Request::json("check", &body)
        }
    };
    let request = match ask {
        Ask::Connect { named, password } => {
            let mut body = json!({
                "clientId": session.client_id,
                "remoteAddr": "127.0.0.1",
                "remotePort": 54321,
                "channelId": "c",
            });
            if *named {
                body["username"] = session.username.into();
            }
            if let Some(password) = password {
                body["password"] = STANDARD.encode(password).into();
            }
            Request::json("auth", &body)
        }
        Ask::Publish(topic) => {
            check(json!({ "pub": { "topic": topic, "qos": "AT_LEAST_ONCE", "isRetained": false } }))
        }
        Ask::Subscribe(filter) => {
            check(json!({ "sub": { "topicFilter": filter, "qos": "AT_LEAST_ONCE" } }))
        }
    };
    vec![request]
}

fn read(reply: &Reply) -> Reading {
    match (reply.status, &*reply.body) {
        (200, b"true") => Reading::Yes,
        (200, b"false") => Reading::No,
        _ if reply.member("ok").is_some() => Reading::Yes,
        _ if reply.member("reject").is_some() => Reading::No,
        _ => Reading::Unclear,
    }
}

fn cure(ill: Ill) -> &'static [Line] {
    match ill {
        Ill::Compartment => &[Line::Do("ticketgate.toml: the tenant of this connection")],
        Ill::Cache => &[Line::Set(
            "ticketgate.args",
            &[
                "-Dauth_auth_result_cache_limit=0",
                "-Dauth_check_result_cache_limit=0",
            ],
        )],
        Ill::Topics | Ill::FailsOpen => &[
            Line::Set(
                "ticketgate.args",
                &[
                    "-DByPassPermCheckError=false",
                    "-Dplugin.authprovider.url=@HOOK_URL@",
                ],
            ),
            PROVIDER,
        ],
        _ => &[
            Line::Set("ticketgate.args", &["-Dplugin.authprovider.url=@HOOK_URL@"]),
            PROVIDER,
        ],
    }
}

/// Without it BifroMQ lets everybody in.
const PROVIDER: Line = Line::Set(
    "standalone.yml",
    &["authProviderFQN: \"org.apache.bifromq.demo.plugin.DemoAuthProvider\""],
);
