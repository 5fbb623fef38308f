//! EMQX 5 and 6: JSON to an authenticator and an authorizer, all values texts.

use serde_json::json;

use crate::cli::doctor::brokers::{
    Ask, Broker, Habits, Ill, Line, Reading, Reply, Request, Session,
};

/// EMQX 5.3 to 6.x, with the body that `broker-configs` has.
pub static BROKER: Broker = Broker {
    ask,
    read,
    unknown_hook: |session| {
        Request::json("no-such-hook", &json!({ "clientid": session.client_id }))
    },
    habits: Habits {
        tells_of_refused_publish: false,
        shares: true,
        shipped_logins: &[("admin", "public")],
    },
    cure,
};

fn ask(session: &Session<'_>, ask: &Ask<'_>) -> Vec<Request> {
    let about = |action: &str, topic: &str| {
        let body = json!({
            "username": session.username,
            "clientid": session.client_id,
            "topic": topic,
            "action": action,
            "qos": "1",
            "retain": "false",
            "peerhost": "127.0.0.1",
            "mountpoint": session.compartment,
        });
        Request::json("acl", &body)
    };
    let request = match ask {
        Ask::Connect { named, password } => Request::json(
            "auth",
            &json!({
                "username": if *named { session.username } else { "" },
                "password": password.unwrap_or_default(),
                "clientid": session.client_id,
                "peerhost": "127.0.0.1",
            }),
        ),
        Ask::Publish(topic) => about("publish", topic),
        Ask::Subscribe(filter) => about("subscribe", filter),
    };
    vec![request]
}

/// Everything that is not a clear verdict is "ignore".
fn read(reply: &Reply) -> Reading {
    let result = reply.member("result");
    Reading::of_word(result.as_ref(), ["allow", "deny", "ignore"])
}

fn cure(ill: Ill) -> &'static [Line] {
    match ill {
        Ill::DoesNotAsk => &[
            Line::Set(
                "emqx.conf",
                &[
                    "mechanism = password_based",
                    "backend = http",
                    "url = \"@HOOK_BARE_URL@/auth\"",
                    BEARER,
                ],
            ),
            Line::Do("all in `authentication`, at an address that the broker's machine reaches"),
        ],
        Ill::Connection | Ill::Secret | Ill::Path => &[
            Line::Set("emqx.conf", &["url = \"@HOOK_BARE_URL@/auth\"", BEARER]),
            Line::Set("emqx.conf", &["url = \"@HOOK_BARE_URL@/acl\"", BEARER]),
            Line::Do("the first in `authentication`, the second in authorization.sources"),
        ],
        Ill::Form | Ill::NotMqtt => &[
            Line::Set(
                "emqx.conf",
                &[
                    "username = \"${username}\"",
                    "password = \"${password}\"",
                    "clientid = \"${clientid}\"",
                ],
            ),
            Line::Set(
                "emqx.conf",
                &[
                    "action = \"${action}\"",
                    "topic = \"${topic}\"",
                    "qos = \"${qos}\"",
                    "retain = \"${retain}\"",
                ],
            ),
            Line::Do(
                "the first in the body of the authenticator; username, clientid and the second in \
                 that of authorization.sources",
            ),
        ],
        Ill::Compartment => &[
            Line::Set("emqx.conf", &["mountpoint = \"${mountpoint}\""]),
            Line::Do("ticketgate.toml: `mountpoint` of this connection is that of the listener"),
        ],
        Ill::Method => &[Line::Set("emqx.conf", &["method = post"])],
        Ill::Anonymous => &[Line::Do(
            "emqx.conf: `authentication` must not be empty, and no listener may have enable_authn off",
        )],
        Ill::OwnUsers => &[ALONE],
        Ill::Topics => &[
            Line::Set(
                "emqx.conf",
                &["no_match = deny", "url = \"@HOOK_BARE_URL@/acl\"", BEARER],
            ),
            NO_FILE,
        ],
        Ill::Cache => &[Line::Set(
            "emqx.conf",
            &[
                "cache.enable = false",
                "node_cache.enable = false",
                "authentication_settings.node_cache.enable = false",
            ],
        )],
        Ill::FailsOpen => &[Line::Set("emqx.conf", &["no_match = deny"]), NO_FILE, ALONE],
    }
}

const BEARER: &str = "authorization = \"Bearer @HOOK_SECRET@\"";
const ALONE: Line = Line::Do("emqx.conf: this authenticator alone in `authentication`");
const NO_FILE: Line = Line::Do(
    "emqx.conf: authorization.sources without the file source that EMQX is shipped with, which decides \
     first",
);
