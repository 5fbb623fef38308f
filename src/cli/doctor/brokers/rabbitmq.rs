//! RabbitMQ: a form to each of four paths, answered by a word.

use crate::cli::doctor::brokers::{Ask, Broker, Habits, Ill, Reading, Reply, Request, Session};

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

fn cure(ill: Ill) -> &'static str {
    match ill {
        Ill::DoesNotAsk => {
            "rabbitmq.conf: auth_backends.1 = http\n\
             rabbitmq.conf: auth_http.user_path = HOOK_URL/user (and vhost_path, resource_path), at \
             an address that the broker's machine reaches"
        }
        Ill::Connection => {
            "rabbitmq.conf: auth_http.user_path = HOOK_URL/user (and vhost_path, resource_path, \
             topic_path), with this connection's name in it\n\
             ticketgate.toml: dialect = \"rabbitmq\" in that connection's table"
        }
        Ill::Secret => {
            "rabbitmq.conf: auth_http.user_path = HOOK_URL/user (and vhost_path, resource_path, \
             topic_path), with a secret that stands in this connection's secret_file"
        }
        Ill::Path => {
            "rabbitmq.conf: auth_http.user_path = HOOK_URL/user, vhost_path = HOOK_URL/vhost, \
             resource_path = HOOK_URL/resource, topic_path = HOOK_URL/topic"
        }
        Ill::Form => {
            "rabbitmq.conf: auth_http.http_method = post, and a supported version, 3.10 or later"
        }
        Ill::Compartment => {
            "rabbitmq.conf: mqtt.vhost has to be what `vhost` of this connection says in \
             ticketgate.toml; with isolation = \"vhost\" each organization's vhost exists and bears its id"
        }
        Ill::NotMqtt => {
            "rabbitmq.conf: mqtt.exchange has to be what `exchange` of this connection says in \
             ticketgate.toml (amq.topic)"
        }
        Ill::Method => "rabbitmq.conf: auth_http.http_method = post",
        Ill::Anonymous => "rabbitmq.conf: mqtt.allow_anonymous = false",
        Ill::OwnUsers => {
            "rabbitmq.conf: auth_backends.1 = http\n\
             rabbitmqctl delete_user guest (and every user who has permissions on the MQTT vhost)"
        }
        Ill::Topics => "rabbitmq.conf: auth_http.topic_path = HOOK_URL/topic",
        Ill::Cache => {
            "rabbitmq.conf: auth_backends.1 = http, not cache: what the cache holds outlives a revoke"
        }
        Ill::FailsOpen => {
            "rabbitmq.conf: auth_backends.1 = http, and no other backend that says yes"
        }
    }
}
