//! Questions of both dialects that a plain world answers with yes, and what counts as no.

use serde_json::{Value, json};

use crate::hooks::wire::{Reply, Request};
use crate::support::world::{HOOK_SECRET, Login};

/// The client id in every question.
pub const CLIENT_ID: &str = "dev-1";

/// A broker's way to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    RabbitMq,
    VerneMq,
}

/// A question in its parts, so that a test can break one.
#[derive(Debug, Clone)]
pub struct Question {
    pub broker: Broker,
    pub hook: &'static str,
    /// In RabbitMQ's order all values are texts.
    pub fields: Vec<(&'static str, Value)>,
}

/// Every question that a plain world answers with yes.
pub fn allowed(login: &Login) -> Vec<Question> {
    let mut all = rabbitmq(login);
    all.extend(vernemq(login));
    all
}

/// The CONNECT of a login, one for each broker.
pub fn connects(login: &Login) -> [Question; 2] {
    [
        rabbitmq(login).swap_remove(0),
        vernemq(login).swap_remove(0),
    ]
}

fn rabbitmq(login: &Login) -> Vec<Question> {
    let [client, user, vhost] = [
        ("client_id", json!(CLIENT_ID)),
        ("username", json!(login.username)),
        ("vhost", json!("/")),
    ];
    let own = login.username.split('@').next().unwrap();
    let topic = |permission: &str, key: String| {
        vec![
            ("resource", json!("topic")),
            ("name", json!("amq.topic")),
            ("permission", json!(permission)),
            ("routing_key", json!(key)),
            ("variable_map.client_id", json!(CLIENT_ID)),
            user.clone(),
            vhost.clone(),
        ]
    };
    let queue = vec![
        client.clone(),
        user.clone(),
        vhost.clone(),
        ("resource", json!("queue")),
        ("permission", json!("read")),
        ("name", json!(format!("mqtt-subscription-{CLIENT_ID}qos1"))),
    ];
    let password = ("password", json!(login.password));
    let connect = vec![client.clone(), user.clone(), vhost.clone(), password];
    let questions = [
        ("user", connect),
        ("vhost", vec![client, user.clone(), vhost.clone()]),
        ("resource", queue),
        ("topic", topic("write", format!("users.{own}.x"))),
        ("topic", topic("read", format!("users.{own}.#"))),
    ];
    let question = |(hook, fields)| Question {
        broker: Broker::RabbitMq,
        hook,
        fields,
    };
    questions.map(question).into()
}

fn vernemq(login: &Login) -> Vec<Question> {
    let own = login.username.split('@').next().unwrap();
    let peer = || {
        vec![
            ("username", json!(login.username)),
            ("mountpoint", json!("")),
            ("client_id", json!(CLIENT_ID)),
        ]
    };
    let with = |more: &[(&'static str, Value)]| [peer(), more.to_vec()].concat();
    let register = with(&[("password", json!(login.password))]);
    let publish = with(&[
        ("qos", json!(1)),
        ("topic", json!(format!("users/{own}/x"))),
        ("retain", json!(false)),
    ]);
    let subscribe = with(&[(
        "topics",
        json!([{"topic": format!("users/{own}/#"), "qos": 1}]),
    )]);
    let questions = [
        ("auth_on_register", register.clone()),
        ("auth_on_register_m5", register),
        ("auth_on_publish", publish.clone()),
        ("auth_on_publish_m5", publish),
        ("auth_on_subscribe", subscribe.clone()),
        ("auth_on_subscribe_m5", subscribe),
    ];
    let question = |(hook, fields)| Question {
        broker: Broker::VerneMq,
        hook,
        fields,
    };
    questions.map(question).into()
}

impl Broker {
    /// The part of the path that both share: dialect, connection.
    pub fn path(self) -> &'static str {
        match self {
            Broker::RabbitMq => "/hooks/rabbitmq/main",
            Broker::VerneMq => "/hooks/vernemq/verne",
        }
    }

    /// The whole body of a yes.
    pub fn yes(self) -> &'static str {
        match self {
            Broker::RabbitMq => "allow",
            Broker::VerneMq => r#"{"result":"ok"}"#,
        }
    }

    /// The whole body of a no for one of the server's own reasons.
    pub fn no(self, reason: &str) -> String {
        match self {
            Broker::RabbitMq => "deny".into(),
            Broker::VerneMq => format!(r#"{{"result":{{"error":"{reason}"}}}}"#),
        }
    }

    /// Fails unless the broker reads the reply as a no and keeps no memory of it.
    pub fn assert_no(self, reply: &Reply, about: &str) {
        let body = String::from_utf8_lossy(&reply.body);
        assert_eq!(reply.header("cache-control"), None, "{about}");
        let fits = match self {
            Broker::RabbitMq => body == "deny",
            Broker::VerneMq => {
                let body: Value = serde_json::from_slice(&reply.body).unwrap();
                body["result"]["error"].is_string() && body.as_object().unwrap().len() == 1
            }
        };
        assert!(fits && reply.status() == 200, "{about}: {reply}");
    }
}

impl Question {
    pub fn request(&self) -> Request {
        self.request_at(&self.path(HOOK_SECRET))
    }

    /// The request with another target.
    pub fn request_at(&self, target: &str) -> Request {
        let hook = format!("vernemq-hook: {}", self.hook);
        let headers: &[&str] = match self.broker {
            Broker::RabbitMq => &["content-type: application/x-www-form-urlencoded", "te:"],
            Broker::VerneMq => &["content-type: application/json", &hook],
        };
        Request::new("POST", target, headers, self.body())
    }

    /// The request with another body.
    pub fn with_body(&self, body: impl Into<Vec<u8>>) -> Request {
        self.request().with_body(body.into())
    }

    pub fn path(&self, secret: &str) -> String {
        match self.broker {
            Broker::RabbitMq => format!("{}/{secret}/{}", self.broker.path(), self.hook),
            Broker::VerneMq => format!("{}/{secret}", self.broker.path()),
        }
    }

    pub fn body(&self) -> Vec<u8> {
        let fields = self
            .fields
            .iter()
            .map(|(name, value)| self.field(name, value));
        match self.broker {
            Broker::RabbitMq => fields.collect::<Vec<_>>().join("&"),
            Broker::VerneMq => format!("{{{}}}", fields.collect::<Vec<_>>().join(",")),
        }
        .into_bytes()
    }

    /// A JSON body with more in front of its fields.
    pub fn body_after(&self, more: &str) -> Vec<u8> {
        let body = String::from_utf8(self.body()).unwrap();
        format!("{{{more}{}", &body[1..]).into_bytes()
    }

    /// The values alone, as a list in the order that the server's reader has.
    pub fn body_as_list(&self) -> Vec<u8> {
        let order = [
            "client_id",
            "username",
            "password",
            "mountpoint",
            "topic",
            "qos",
            "retain",
            "topics",
        ];
        let value = |name| self.fields.iter().find(|(known, _)| *known == name);
        let values: Vec<_> = order
            .into_iter()
            .filter_map(value)
            .map(|(_, value)| value)
            .collect();
        json!(values).to_string().into_bytes()
    }

    /// How long the last value is in the body.
    pub fn last_value_length(&self) -> usize {
        let (name, value) = self.fields.last().unwrap();
        self.field(name, value).len() - name.len() - 1
    }

    /// A field as it stands in the body.
    pub fn field(&self, name: &str, value: &Value) -> String {
        match self.broker {
            Broker::RabbitMq => format!("{name}={}", escaped(value.as_str().unwrap())),
            Broker::VerneMq => format!("{}:{value}", json!(name)),
        }
    }

    /// Where the field of that name is.
    pub fn position(&self, name: &str) -> usize {
        self.fields
            .iter()
            .position(|(known, _)| *known == name)
            .unwrap()
    }

    /// The same question with another value in one field.
    pub fn with(&self, name: &str, value: Value) -> Self {
        let mut question = self.clone();
        let at = question.position(name);
        question.fields[at].1 = value;
        question
    }

    /// The same question without one field.
    pub fn without(&self, name: &str) -> Self {
        let mut question = self.clone();
        question.fields.remove(self.position(name));
        question
    }
}

/// As RabbitMQ escapes: everything but letters, digits and `-._~`.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        b' ' => "+".into(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// A rule for everybody.
pub fn rule(permission: &str, topic: &str) -> Value {
    json!({"user": "*", "topic": topic, "permission": permission})
}

/// A minted password with another last character.
pub fn forged(password: &str) -> String {
    let last = if password.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &password[..password.len() - 1])
}
