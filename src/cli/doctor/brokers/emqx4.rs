//! EMQX 4: forms, answered by the status.

use crate::cli::doctor::brokers::{
    Ask, Broker, Habits, Ill, Line, Reading, Reply, Request, Session,
};

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

fn cure(ill: Ill) -> &'static [Line] {
    match ill {
        Ill::DoesNotAsk => &[AUTH, Line::Do("the plugin emqx_auth_http loaded")],
        Ill::Connection | Ill::Secret | Ill::Path => &[AUTH, ACL],
        Ill::Form | Ill::NotMqtt => &[Line::Set(
            "emqx_auth_http.conf",
            &[
                "auth.http.auth_req.params = clientid=%c,username=%u,password=%P,ipaddr=%a",
                "auth.http.acl_req.params = access=%A,username=%u,clientid=%c,ipaddr=%a,topic=%t,\
                 mountpoint=%m",
            ],
        )],
        Ill::Compartment => &[Line::Do("emqx.conf: no mountpoint on the listener")],
        Ill::Method => &[Line::Set(
            "emqx_auth_http.conf",
            &[
                "auth.http.auth_req.method = post",
                "auth.http.acl_req.method = post",
            ],
        )],
        Ill::Anonymous => &[Line::Set("emqx.conf", &["allow_anonymous = false"])],
        Ill::OwnUsers => &[Line::Do(
            "no other authentication plugin loaded (emqx_ctl plugins list)",
        )],
        Ill::Topics => &[NOMATCH, RULES, ACL, Line::Do("no auth.http.super_req")],
        Ill::Cache => &[Line::Set("emqx.conf", &["enable_acl_cache = off"])],
        Ill::FailsOpen => &[
            NOMATCH,
            RULES,
            Line::Set("emqx.conf", &["allow_anonymous = false"]),
        ],
    }
}

const AUTH: Line = Line::Set(
    "emqx_auth_http.conf",
    &[
        "auth.http.auth_req.url = @HOOK_BARE_URL@/auth",
        "auth.http.auth_req.headers.authorization = Bearer @HOOK_SECRET@",
    ],
);
const ACL: Line = Line::Set(
    "emqx_auth_http.conf",
    &[
        "auth.http.acl_req.url = @HOOK_BARE_URL@/acl",
        "auth.http.acl_req.headers.authorization = Bearer @HOOK_SECRET@",
    ],
);
const NOMATCH: Line = Line::Set("emqx.conf", &["acl_nomatch = deny"]);
/// The file that EMQX is shipped with ends in `{allow, all}`, and decides before `acl_nomatch`.
const RULES: Line = Line::Set("acl.conf", &["{deny, all}."]);
