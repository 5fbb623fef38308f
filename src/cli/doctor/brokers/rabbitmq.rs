//! RabbitMQ: a form to each of four paths, answered by a word.

use crate::cli::doctor::brokers::{
    Ask, Broker, Habits, Ill, Line, Reading, Reply, Request, Session,
};

/// RabbitMQ 3.10 to 4.x.
pub static BROKER: Broker = Broker {
    ask,
    read,
    unknown_hook: |session| Request {
        path: "no-such-hook",
        ..vhost(session)
    },
    habits: Habits {
        tells_of_refused_publish: true,
        shares: false,
        shipped_logins: &[("guest", "guest")],
    },
    cure,
};

fn ask(session: &Session<'_>, ask: &Ask<'_>) -> Vec<Request> {
    match ask {
        // RabbitMQ refuses these itself; what comes without a password is a login by certificate.
        Ask::Connect { named: false, .. } => Vec::new(),
        Ask::Connect { password, .. } => vec![user(session, *password), vhost(session)],
        Ask::Publish(topic) => vec![
            topic_question(session, "write", topic),
            resource(session, "exchange", session.exchange, "write"),
        ],
        Ask::Subscribe(filter) => {
            let queue = format!("mqtt-subscription-{}qos1", session.client_id);
            vec![
                resource(session, "queue", &queue, "configure"),
                resource(session, "queue", &queue, "read"),
                resource(session, "queue", &queue, "write"),
                resource(session, "exchange", session.exchange, "read"),
                topic_question(session, "read", filter),
            ]
        }
    }
}

fn user(session: &Session<'_>, password: Option<&str>) -> Request {
    let mut fields = vec![("username", session.username)];
    fields.extend(password.map(|password| ("password", password)));
    fields.extend([("vhost", session.home), ("client_id", session.client_id)]);
    Request::form("user", &fields)
}

fn vhost(session: &Session<'_>) -> Request {
    let fields = [
        ("username", session.username),
        ("vhost", session.compartment),
        ("ip", "127.0.0.1"),
        ("tags", ""),
        ("client_id", session.client_id),
    ];
    Request::form("vhost", &fields)
}

fn resource(session: &Session<'_>, kind: &str, name: &str, permission: &str) -> Request {
    let fields = [
        ("username", session.username),
        ("vhost", session.compartment),
        ("resource", kind),
        ("name", name),
        ("permission", permission),
        ("tags", ""),
        ("client_id", session.client_id),
    ];
    Request::form("resource", &fields)
}

fn topic_question(session: &Session<'_>, permission: &str, topic: &str) -> Request {
    let key = topic.replace('/', ".").replace('+', "*");
    let fields = [
        ("username", session.username),
        ("vhost", session.compartment),
        ("resource", "topic"),
        ("name", session.exchange),
        ("permission", permission),
        ("tags", ""),
        ("routing_key", &key),
        ("variable_map.client_id", session.client_id),
        ("variable_map.username", session.username),
        ("variable_map.vhost", session.compartment),
    ];
    Request::form("topic", &fields)
}

fn read(reply: &Reply) -> Reading {
    match (reply.status, &*reply.content_type, &*reply.body) {
        (200, "text/plain", b"allow") => Reading::Yes,
        (200, "text/plain", b"deny") => Reading::No,
        _ => Reading::Unclear,
    }
}

fn cure(ill: Ill) -> &'static [Line] {
    match ill {
        Ill::DoesNotAsk => &[
            BACKEND,
            PATHS,
            Line::Do("at an address that the broker's machine reaches"),
        ],
        Ill::Connection => &[
            PATHS,
            Line::Do("with this connection's name in them"),
            Line::Do("ticketgate.toml: dialect = \"rabbitmq\" in that connection's table"),
        ],
        Ill::Secret => &[
            PATHS,
            Line::Do("with a secret that stands in this connection's secret_file"),
        ],
        Ill::Path => &[PATHS],
        Ill::Form => &[POST, Line::Do("a supported version, 3.10 or later")],
        Ill::Compartment => &[
            Line::Set(FILE, &["mqtt.vhost = /"]),
            Line::Do(
                "ticketgate.toml: `vhost` of this connection says the same; with isolation = \"vhost\" each \
                 organization's vhost exists and bears its id",
            ),
        ],
        Ill::NotMqtt => &[
            Line::Set(FILE, &["mqtt.exchange = amq.topic"]),
            Line::Do("ticketgate.toml: `exchange` of this connection says the same"),
        ],
        Ill::Method => &[POST],
        Ill::Anonymous => &[Line::Set(FILE, &["mqtt.allow_anonymous = false"])],
        Ill::OwnUsers => &[
            BACKEND,
            Line::Do(
                "rabbitmqctl delete_user guest (and every user who has permissions on the MQTT vhost)",
            ),
        ],
        Ill::Topics => &[Line::Set(
            FILE,
            &["auth_http.topic_path = @HOOK_URL@/topic"],
        )],
        Ill::Cache => &[
            BACKEND,
            Line::Do("http, not cache: what the cache holds outlives a revoke"),
        ],
        Ill::FailsOpen => &[
            BACKEND,
            Line::Do("no backend after it that says yes: RabbitMQ's own users are one"),
        ],
    }
}

const FILE: &str = "rabbitmq.conf";
const BACKEND: Line = Line::Set(FILE, &["auth_backends.1 = http"]);
const POST: Line = Line::Set(FILE, &["auth_http.http_method = post"]);
const PATHS: Line = Line::Set(
    FILE,
    &[
        "auth_http.user_path = @HOOK_URL@/user",
        "auth_http.vhost_path = @HOOK_URL@/vhost",
        "auth_http.resource_path = @HOOK_URL@/resource",
        "auth_http.topic_path = @HOOK_URL@/topic",
    ],
);
