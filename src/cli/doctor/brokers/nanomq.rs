//! NanoMQ: the questions of EMQX 4, other meanings of a reply.

use crate::cli::doctor::brokers::{Broker, Habits, Ill, Line, Reading, Reply, Request, emqx4};

/// NanoMQ 0.25.
pub static BROKER: Broker = Broker {
    ask: emqx4::ask,
    read,
    unknown_hook: |session| Request::form("no-such-hook", &[("clientid", session.client_id)]),
    habits: Habits {
        tells_of_refused_publish: false,
        shares: true,
        shipped_logins: &[("admin", "public")],
    },
    cure,
};

fn read(reply: &Reply) -> Reading {
    match reply.status {
        200 => Reading::Yes,
        _ => Reading::No,
    }
}

fn cure(ill: Ill) -> &'static [Line] {
    match ill {
        Ill::DoesNotAsk | Ill::Connection | Ill::Secret | Ill::Path => &[
            Line::Set(
                FILE,
                &["url = \"@HOOK_BARE_URL@/auth\"", CONTENT_TYPE, BEARER],
            ),
            Line::Set(
                FILE,
                &["url = \"@HOOK_BARE_URL@/acl\"", CONTENT_TYPE, BEARER],
            ),
            Line::Do("the first in auth.http_auth.auth_req, the second in acl_req"),
        ],
        Ill::Form | Ill::NotMqtt | Ill::Compartment => &[Line::Set(
            FILE,
            &[
                "params = { clientid = \"%c\", username = \"%u\", password = \"%P\", ipaddr = \"%a\" }",
                "params = { clientid = \"%c\", username = \"%u\", access = \"%A\", ipaddr = \"%a\", topic = \
                 \"%t\" }",
                CONTENT_TYPE,
            ],
        )],
        Ill::Method => &[Line::Set(FILE, &["method = \"POST\""])],
        Ill::Anonymous => &[Line::Set(FILE, &["allow_anonymous = false"])],
        Ill::OwnUsers => &[Line::Do("nanomq.conf: no password file beside http_auth")],
        Ill::Topics => &[Line::Set(
            FILE,
            &["no_match = deny", "url = \"@HOOK_BARE_URL@/acl\"", BEARER],
        )],
        Ill::Cache => &[Line::Set(FILE, &["cache_ttl = 0"])],
        Ill::FailsOpen => &[Line::Set(
            FILE,
            &[
                "allow_anonymous = false",
                "no_match = deny",
                "deny_action = disconnect",
            ],
        )],
    }
}

const FILE: &str = "nanomq.conf";
const CONTENT_TYPE: &str = "headers.content-type = \"application/json\"";
const BEARER: &str = "headers.authorization = \"Bearer @HOOK_SECRET@\"";
