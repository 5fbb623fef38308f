//! RMQTT: JSON, answered by JSON.

use serde_json::json;

use crate::cli::doctor::brokers::{
    Ask, Broker, Habits, Ill, Line, Reading, Reply, Request, Session,
};

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

fn cure(ill: Ill) -> &'static [Line] {
    match ill {
        Ill::DoesNotAsk | Ill::Connection | Ill::Secret | Ill::Path => &[
            Line::Set(
                HTTP,
                &[
                    "http_auth_req.url = \"@HOOK_BARE_URL@/auth\"",
                    "http_acl_req.url = \"@HOOK_BARE_URL@/acl\"",
                    BEARER,
                ],
            ),
            Line::Do("rmqtt.toml: rmqtt-auth-http in plugins.default_startups"),
        ],
        Ill::Form | Ill::NotMqtt | Ill::Compartment => &[Line::Set(
            HTTP,
            &[
                "http_auth_req.params = { clientid = \"%c\", username = \"%u\", password = \"%P\", ipaddr = \
                 \"%a\", protocol = \"%r\" }",
                "http_acl_req.params = { access = \"%A\", username = \"%u\", clientid = \"%c\", ipaddr = \
                 \"%a\", topic = \"%t\" }",
            ],
        )],
        Ill::Method => &[Line::Set(
            HTTP,
            &[
                "http_auth_req.method = \"post\"",
                "http_acl_req.method = \"post\"",
            ],
        )],
        Ill::Anonymous => &[NO_ANONYMOUS, EVERY_LISTENER],
        Ill::OwnUsers => &[RULES],
        Ill::Topics => &[
            RULES,
            Line::Set(
                HTTP,
                &["http_acl_req.url = \"@HOOK_BARE_URL@/acl\"", BEARER],
            ),
        ],
        Ill::Cache => &[Line::Do(
            "take out what adds an X-Cache header between RMQTT and this server",
        )],
        Ill::FailsOpen => &[
            RULES,
            Line::Set(HTTP, &["deny_if_error = true"]),
            NO_ANONYMOUS,
            EVERY_LISTENER,
        ],
    }
}

const HTTP: &str = "plugins/rmqtt-auth-http.toml";
const BEARER: &str = "http_headers.Authorization = \"Bearer @HOOK_SECRET@\"";
/// The plugin is always there, and the rules that it brings end in `["allow", "all"]`.
const RULES: Line = Line::Set("plugins/rmqtt-acl.toml", &["rules = [[\"deny\", \"all\"]]"]);
const NO_ANONYMOUS: Line = Line::Set(
    "rmqtt.toml",
    &["listener.tcp.local.allow_anonymous = false"],
);
const EVERY_LISTENER: Line = Line::Do("rmqtt.toml: the same on every other listener");
