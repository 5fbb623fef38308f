//! EMQX 4: forms, answered by the status.

use crate::cli::doctor::brokers::{Ask, Broker, Habits, Ill, Reading, Reply, Request, Session};

/// EMQX 4.4.
pub static BROKER: Broker = Broker {
    ask,
    read,
    unknown_hook: |session| Request::form("no-such-hook", &[("clientid", session.client_id)]),
    habits: Habits {
        tells_of_refused_publish: false,
        shares: true,
        shipped_logins: &[("admin", "public")],
    },
    cure,
};

/// NanoMQ has taken these over.
pub(super) fn ask(session: &Session<'_>, ask: &Ask<'_>) -> Vec<Request> {
    let about = |access: &str, topic: &str| {
        let fields = [
            ("access", access),
            ("username", session.username),
            ("clientid", session.client_id),
            ("ipaddr", "127.0.0.1"),
            ("topic", topic),
            ("mountpoint", session.compartment),
        ];
        Request::form("acl", &fields)
    };
    let request = match ask {
        Ask::Connect { named, password } => {
            let mut fields = vec![("clientid", session.client_id)];
            fields.push((
                "username",
                if *named {
                    session.username
                } else {
                    "undefined"
                },
            ));
            fields.extend(password.map(|password| ("password", password)));
            Request::form("auth", &fields)
        }
        Ask::Publish(topic) => about("2", topic),
        Ask::Subscribe(filter) => about("1", filter),
    };
    vec![request]
}

fn read(reply: &Reply) -> Reading {
    match (reply.status, &*reply.body) {
        (200, b"ignore") => Reading::NotMine,
        (200, _) => Reading::Yes,
        (400..=599, _) => Reading::No,
        _ => Reading::Unclear,
    }
}

fn cure(ill: Ill) -> &'static str {
    match ill {
        Ill::DoesNotAsk => {
            "etc/plugins/emqx_auth_http.conf: auth.http.auth_req.url = HOOK_URL/auth, and the plugin \
             emqx_auth_http loaded"
        }
        Ill::Connection | Ill::Secret | Ill::Path => {
            "etc/plugins/emqx_auth_http.conf: auth.http.auth_req.url = HOOK_URL/auth, \
             auth.http.acl_req.url = HOOK_URL/acl"
        }
        Ill::Form | Ill::NotMqtt => {
            "etc/plugins/emqx_auth_http.conf: the default `params` of auth_req and acl_req"
        }
        Ill::Compartment => "etc/emqx.conf: no mountpoint on the listener",
        Ill::Method => "etc/plugins/emqx_auth_http.conf: auth.http.auth_req.method = post",
        Ill::Anonymous => "etc/emqx.conf: allow_anonymous = false",
        Ill::OwnUsers => "no other authentication plugin loaded (emqx_ctl plugins list)",
        Ill::Topics => {
            "etc/emqx.conf: acl_nomatch = deny\n\
             etc/plugins/emqx_auth_http.conf: auth.http.acl_req.url = HOOK_URL/acl, and no super_req"
        }
        Ill::Cache => "etc/emqx.conf: enable_acl_cache = off",
        Ill::FailsOpen => "etc/emqx.conf: acl_nomatch = deny, allow_anonymous = false",
    }
}
