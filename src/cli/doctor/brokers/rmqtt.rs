//! RMQTT: JSON, answered by JSON.

use serde_json::json;

use crate::cli::doctor::brokers::{Ask, Broker, Habits, Ill, Reading, Reply, Request, Session};

/// RMQTT 0.24.
pub static BROKER: Broker = Broker {
    ask,
    read,
    unknown_hook: |session| {
        Request::json("no-such-hook", &json!({ "clientid": session.client_id }))
    },
    habits: Habits {
        tells_of_refused_publish: true,
        shares: true,
        shipped_logins: &[],
    },
    cure,
};

fn ask(session: &Session<'_>, ask: &Ask<'_>) -> Vec<Request> {
    let about = |access: &str, topic: &str| {
        let body = json!({
            "access": access,
            "username": session.username,
            "clientid": session.client_id,
            "ipaddr": "127.0.0.1",
            "topic": topic,
        });
        Request::json("acl", &body)
    };
    let request = match ask {
        Ask::Connect { named, password } => Request::json(
            "auth",
            &json!({
                "clientid": session.client_id,
                "username": if *named { session.username } else { "" },
                "password": password.unwrap_or_default(),
            }),
        ),
        Ask::Publish(topic) => about("2", topic),
        Ask::Subscribe(filter) => about("1", filter),
    };
    vec![request]
}

fn read(reply: &Reply) -> Reading {
    // Any text that is not JSON is a yes to it.
    if reply.status / 100 == 2 && reply.content_type != "application/json" {
        return Reading::Yes;
    }
    let result = reply.member("result");
    Reading::of_word(result.as_ref(), ["allow", "deny", "ignore"])
}

fn cure(ill: Ill) -> &'static str {
    match ill {
        Ill::DoesNotAsk | Ill::Connection | Ill::Secret | Ill::Path => {
            "rmqtt-auth-http.toml: http_auth_req.url = \"HOOK_URL/auth\", http_acl_req.url = \
             \"HOOK_URL/acl\", and rmqtt-auth-http in plugins.default_startups"
        }
        Ill::Form | Ill::NotMqtt | Ill::Compartment => {
            "rmqtt-auth-http.toml: http_auth_req.params = { clientid = \"%c\", username = \"%u\", password \
             = \"%P\" }, http_acl_req.params = { access = \"%A\", username = \"%u\", clientid = \"%c\", \
             topic = \"%t\" }"
        }
        Ill::Method => "rmqtt-auth-http.toml: http_auth_req.method = \"post\"",
        Ill::Anonymous => "rmqtt.toml: allow_anonymous = false on every listener",
        Ill::OwnUsers => "rmqtt.toml: no rmqtt-acl in plugins.default_startups",
        Ill::Topics => {
            "rmqtt-auth-http.toml: http_acl_req.url = \"HOOK_URL/acl\"\n\
             rmqtt.toml: no rmqtt-acl in plugins.default_startups"
        }
        Ill::Cache => "take out what adds an X-Cache header between RMQTT and this server",
        Ill::FailsOpen => {
            "rmqtt-auth-http.toml: deny_if_error = true\n\
             rmqtt.toml: allow_anonymous = false, and no rmqtt-acl in plugins.default_startups"
        }
    }
}
