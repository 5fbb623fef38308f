//! NanoMQ: the questions of EMQX 4, other meanings of a reply.

use crate::cli::doctor::brokers::{Broker, Habits, Ill, Reading, Reply, Request, emqx4};

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

fn cure(ill: Ill) -> &'static str {
    match ill {
        Ill::DoesNotAsk | Ill::Connection | Ill::Secret | Ill::Path => {
            "nanomq.conf: auth.http_auth.auth_req.url = \"HOOK_URL/auth\" and acl_req.url = \
             \"HOOK_URL/acl\", both with headers.content-type"
        }
        Ill::Form | Ill::NotMqtt | Ill::Compartment => {
            "nanomq.conf: params = {clientid = \"%c\", username = \"%u\", password = \"%P\"} in auth_req; \
             clientid, username, access = \"%A\", topic = \"%t\" in acl_req; headers.content-type in both"
        }
        Ill::Method => "nanomq.conf: method = \"POST\" in auth_req and acl_req",
        Ill::Anonymous => "nanomq.conf: auth.allow_anonymous = false",
        Ill::OwnUsers => "nanomq.conf: no auth.password file beside http_auth",
        Ill::Topics => {
            "nanomq.conf: auth.no_match = deny, auth.http_auth.acl_req.url = \"HOOK_URL/acl\""
        }
        Ill::Cache => "nanomq.conf: auth.http_auth.cache_ttl = 0",
        Ill::FailsOpen => "nanomq.conf: auth.no_match = deny, auth.deny_action = disconnect",
    }
}
