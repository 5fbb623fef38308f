//! Mosquitto with mosquitto-go-auth or mosquitto-auth-plug: forms, answered by the status.

use crate::cli::doctor::brokers::{
    Ask, Broker, Habits, Ill, Line, Reading, Reply, Request, Session,
};

/// mosquitto-go-auth 3.0, in any of its response modes.
pub static GO_AUTH: Broker = Broker {
    ask,
    read: |reply| match (reply.status, &*reply.body) {
        (200, b"ok") => Reading::Yes,
        (200, _) if reply.member("ok") == Some(true.into()) => Reading::Yes,
        (400..=499, _) => Reading::No,
        _ => Reading::Unclear,
    },
    unknown_hook,
    habits: HABITS,
    cure: go_auth_cure,
};

/// mosquitto-auth-plug 0.1.3.
pub static AUTH_PLUG: Broker = Broker {
    ask,
    read: auth_plug_read,
    unknown_hook,
    habits: HABITS,
    cure: auth_plug_cure,
};

const HABITS: Habits = Habits {
    tells_of_refused_publish: false,
    shares: true,
    shipped_logins: &[],
};

/// Mosquitto refuses a login without username or password itself.
fn ask(session: &Session<'_>, ask: &Ask<'_>) -> Vec<Request> {
    let about = |access: &str, topic: &str| {
        let fields = [
            ("acc", access),
            ("clientid", session.client_id),
            ("topic", topic),
            ("username", session.username),
        ];
        Request::form("acl", &fields)
    };
    match ask {
        Ask::Connect {
            named: true,
            password: Some(password),
        } => {
            let fields = [
                ("clientid", session.client_id),
                ("password", password),
                ("username", session.username),
            ];
            vec![Request::form("user", &fields)]
        }
        Ask::Connect { .. } => Vec::new(),
        Ask::Publish(topic) => vec![about("2", topic)],
        // And once more for each message that is delivered.
        Ask::Subscribe(filter) => vec![about("4", filter)],
    }
}

fn unknown_hook(session: &Session<'_>) -> Request {
    Request::form("no-such-hook", &[("clientid", session.client_id)])
}

fn auth_plug_read(reply: &Reply) -> Reading {
    match reply.status {
        200 => Reading::Yes,
        _ => Reading::No,
    }
}

fn go_auth_cure(ill: Ill) -> &'static [Line] {
    match ill {
        Ill::DoesNotAsk | Ill::Connection | Ill::Secret | Ill::Path => &[
            BACKEND,
            Line::Set(
                FILE,
                &[
                    "auth_opt_http_host @HOOK_HOST@",
                    "auth_opt_http_port @HOOK_PORT@",
                    "auth_opt_http_getuser_uri @HOOK_PATH@/user",
                    "auth_opt_http_aclcheck_uri @HOOK_PATH@/acl",
                ],
            ),
        ],
        Ill::Form | Ill::NotMqtt | Ill::Compartment => &[MODES],
        Ill::Method => &[Line::Set(FILE, &["auth_opt_http_method POST"])],
        Ill::Anonymous => &[NO_ANONYMOUS],
        Ill::OwnUsers => &[BACKEND, NO_PASSWORDS],
        Ill::Topics => &[
            Line::Set(
                FILE,
                &[
                    "auth_opt_http_register user,acl",
                    "auth_opt_disable_superuser true",
                ],
            ),
            NO_ACLS,
        ],
        Ill::Cache => &[Line::Set(FILE, &["auth_opt_cache false"])],
        Ill::FailsOpen => &[NO_ANONYMOUS, MODES, BACKEND, NO_PASSWORDS, NO_ACLS],
    }
}

fn auth_plug_cure(ill: Ill) -> &'static [Line] {
    match ill {
        Ill::Topics => &[
            Line::Set(FILE, &["auth_opt_http_aclcheck_uri @HOOK_PATH@/acl"]),
            NO_ACLS,
        ],
        Ill::Cache => &[Line::Set(
            FILE,
            &[
                "auth_opt_auth_cacheseconds 0",
                "auth_opt_acl_cacheseconds 0",
            ],
        )],
        Ill::Anonymous => &[NO_ANONYMOUS],
        Ill::OwnUsers | Ill::FailsOpen => &[NO_ANONYMOUS, BACKEND, NO_PASSWORDS, NO_ACLS],
        _ => &[
            BACKEND,
            Line::Set(
                FILE,
                &[
                    "auth_opt_http_ip @HOOK_HOST@",
                    "auth_opt_http_port @HOOK_PORT@",
                    "auth_opt_http_getuser_uri @HOOK_PATH@/user",
                    "auth_opt_http_aclcheck_uri @HOOK_PATH@/acl",
                ],
            ),
        ],
    }
}

const FILE: &str = "mosquitto.conf";
const BACKEND: Line = Line::Set(FILE, &["auth_opt_backends http"]);
const MODES: Line = Line::Set(
    FILE,
    &[
        "auth_opt_http_params_mode json",
        "auth_opt_http_response_mode text",
    ],
);
const NO_ANONYMOUS: Line = Line::Set(FILE, &["allow_anonymous false"]);
const NO_PASSWORDS: Line = Line::Do("mosquitto.conf: no password_file, and no other backend");
const NO_ACLS: Line = Line::Do("mosquitto.conf: no acl_file");
