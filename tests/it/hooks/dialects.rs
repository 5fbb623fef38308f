//! A question of each kind in every dialect that a plain world answers with yes, and what the
//! broker makes of a reply: its own reading, from the protocols, not from the server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use ticketgate::hooks::dialect::DialectName::{self, *};

use crate::hooks::questions::CLIENT_ID;
use crate::hooks::wire::{Reply, Request};
use crate::support::world::{HOOK_SECRET, Login};

/// A question that gets a yes.
#[derive(Debug, Clone)]
pub struct Asked {
    pub dialect: DialectName,
    /// The name of the broker connection.
    pub connection: &'static str,
    pub hook: &'static str,
    /// Further headers.
    pub headers: Vec<String>,
    pub fields: Vec<(&'static str, Value)>,
    pub encoding: Encoding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Form,
}

/// Every dialect's questions, in each encoding and mode that it has.
pub fn all(login: &Login) -> Vec<Asked> {
    let mut all = Vec::new();
    for encoding in [Encoding::Json, Encoding::Form] {
        all.extend(templated(login, encoding));
    }
    all.extend(others(login));
    let asked = |dialect| all.iter().any(|one: &Asked| one.dialect == dialect);
    assert!(DialectName::ALL.into_iter().all(asked));
    all
}

fn templated(login: &Login, encoding: Encoding) -> Vec<Asked> {
    let own = login.username.split('@').next().unwrap();
    let (name, below) = (format!("users/{own}/x"), format!("users/{own}/#"));
    let user = ("username", json!(login.username));
    let who = [("clientid", json!(CLIENT_ID)), user.clone()];
    let login = |hook| {
        (
            hook,
            [&who[..], &[("password", json!(login.password))]].concat(),
        )
    };
    let topic = |word: &'static str, value: Value, topic: &str| {
        let about = [(word, value), ("topic", json!(topic))];
        ("acl", [&who[..], &about].concat())
    };
    let numbered = || {
        vec![
            login("auth"),
            topic("access", json!("2"), &name),
            topic("access", json!("1"), &below),
        ]
    };
    let mosquitto = || {
        vec![
            login("user"),
            topic("acc", json!("2"), &name),
            topic("acc", json!("4"), &below),
            topic("acc", json!("1"), &name),
        ]
    };
    let emqx = vec![
        login("auth"),
        topic("action", json!("publish"), &name),
        topic("action", json!("subscribe"), &below),
    ];
    let tbmq = vec![
        ("clientId", json!(CLIENT_ID)),
        user.clone(),
        login("").1[2].clone(),
    ];
    let mut of = vec![
        (Emqx, "emqx", emqx),
        (Emqx4, "emqx4", numbered()),
        (NanoMq, "nanomq", numbered()),
        (Rmqtt, "rmqtt", numbered()),
        (MosquittoGoAuth, "mosquitto-go-auth", mosquitto()),
        (MosquittoGoAuth, "mosquitto-go-auth-json", mosquitto()),
        (MosquittoGoAuth, "mosquitto-go-auth-text", mosquitto()),
        (MosquittoAuthPlug, "mosquitto-auth-plug", mosquitto()),
    ];
    if encoding == Encoding::Json {
        of.push((Tbmq, "tbmq", vec![("auth", tbmq)]));
    }
    let asked = |(dialect, connection, questions): (_, _, Vec<(_, _)>)| {
        questions.into_iter().map(move |(hook, fields)| Asked {
            dialect,
            connection,
            hook,
            headers: Vec::new(),
            fields,
            encoding,
        })
    };
    of.into_iter().flat_map(asked).collect()
}

fn others(login: &Login) -> Vec<Asked> {
    let own = login.username.split('@').next().unwrap();
    let (name, below) = (format!("users/{own}/x"), format!("users/{own}/#"));
    let user = |word| (word, json!(login.username));
    let password = ("password", json!(login.password));
    let encoded = ("password", json!(STANDARD.encode(&login.password)));
    let checker = vec![
        "tenant_id: main".to_owned(),
        format!("user_id: {}/dev%2D1", login.username),
    ];
    let client = |word| (word, json!(CLIENT_ID));
    let asked = |dialect, connection, hook, fields| Asked {
        dialect,
        connection,
        hook,
        headers: Vec::new(),
        fields,
        encoding: if dialect == RabbitMq {
            Encoding::Form
        } else {
            Encoding::Json
        },
    };
    let check = |fields| Asked {
        headers: checker.clone(),
        ..asked(BifroMq, "bifromq", "check", fields)
    };
    let verne = |hook: &str, more: Vec<(&'static str, Value)>| {
        let who = vec![
            client("client_id"),
            user("username"),
            ("mountpoint", json!("")),
        ];
        Asked {
            headers: vec![format!("vernemq-hook: {hook}")],
            ..asked(VerneMq, "verne", "", [who, more].concat())
        }
    };
    let publish = vec![
        ("topic", json!(name)),
        ("qos", json!(1)),
        ("retain", json!(false)),
    ];
    let topics = vec![("topics", json!([{"topic": below, "qos": 1}]))];
    let at = ("vhost", json!("/"));
    let key = vec![
        ("resource", json!("topic")),
        ("name", json!("amq.topic")),
        ("permission", json!("read")),
        ("routing_key", json!(format!("users.{own}.#"))),
        client("variable_map.client_id"),
        user("username"),
        at.clone(),
    ];
    vec![
        asked(
            AzureEventGrid,
            "azure-event-grid",
            "auth",
            vec![client("clientId"), user("userName"), encoded.clone()],
        ),
        asked(
            BifroMq,
            "bifromq",
            "auth",
            vec![client("clientId"), user("username"), encoded],
        ),
        check(vec![(
            "pub",
            json!({"topic": name, "qos": "AT_LEAST_ONCE"}),
        )]),
        check(vec![("sub", json!({"topicFilter": below}))]),
        asked(
            RabbitMq,
            "main",
            "user",
            vec![client("client_id"), user("username"), at, password.clone()],
        ),
        asked(RabbitMq, "main", "topic", key),
        verne("auth_on_register", vec![password.clone()]),
        verne("auth_on_register_m5", vec![password]),
        verne("auth_on_publish", publish.clone()),
        verne("auth_on_publish_m5", publish),
        verne("auth_on_subscribe", topics.clone()),
        verne("auth_on_subscribe_m5", topics),
    ]
}

impl Asked {
    pub fn path(&self, secret: &str) -> String {
        let path = format!("/hooks/{}/{}/{secret}", self.dialect, self.connection);
        match self.hook {
            "" => path,
            hook => format!("{path}/{hook}"),
        }
    }

    pub fn request(&self) -> Request {
        self.with_body(self.body())
    }

    /// The request with another body.
    pub fn with_body(&self, body: impl Into<Vec<u8>>) -> Request {
        let kind = match self.encoding {
            Encoding::Json => "content-type: application/json",
            Encoding::Form => "content-type: application/x-www-form-urlencoded",
        };
        let headers = self.headers.iter().map(String::as_str);
        let headers: Vec<_> = [kind].into_iter().chain(headers).collect();
        Request::new("POST", &self.path(HOOK_SECRET), &headers, body)
    }

    /// The request as a GET, where the broker can be told to ask so.
    pub fn by_query(&self) -> Option<Request> {
        let may = [Emqx, Emqx4, NanoMq, Rmqtt, RabbitMq, Tbmq].contains(&self.dialect);
        if !may {
            return None;
        }
        let form = Asked {
            encoding: Encoding::Form,
            ..self.clone()
        };
        let query = String::from_utf8(form.body()).unwrap();
        let target = format!("{}?{query}", self.path(HOOK_SECRET));
        Some(Request {
            head: vec![format!("GET {target} HTTP/1.1"), "host: broker".into()],
            body: Vec::new(),
        })
    }

    pub fn body(&self) -> Vec<u8> {
        match self.encoding {
            Encoding::Json => {
                let field = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
                Value::Object(self.fields.iter().map(field).collect::<Map<_, _>>())
                    .to_string()
                    .into_bytes()
            }
            Encoding::Form => {
                let field = |(name, value): &(&str, Value)| {
                    let text = value.as_str().unwrap();
                    let escaped = percent_encoding::utf8_percent_encode(
                        text,
                        percent_encoding::NON_ALPHANUMERIC,
                    );
                    format!("{name}={escaped}")
                };
                let fields: Vec<_> = self.fields.iter().map(field).collect();
                fields.join("&").into_bytes()
            }
        }
    }

    fn connects(&self) -> bool {
        ["auth", "user"].contains(&self.hook)
    }

    /// Whether the broker lets it happen (broker-hooks section 0.1).
    pub fn reads_as_yes(&self, reply: &Reply) -> bool {
        let (status, body) = (reply.status(), String::from_utf8_lossy(&reply.body));
        let json: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        match self.dialect {
            AzureEventGrid => status == 200 && json["decision"] == "allow",
            BifroMq if self.connects() => status == 200 && json["ok"].is_object(),
            BifroMq => status == 200 && body.eq_ignore_ascii_case("true"),
            // "ignore" may end in a yes in EMQX 5.
            Emqx => status != 200 || !self.is_json(reply) || json["result"] != "deny",
            Emqx4 | NanoMq | MosquittoAuthPlug => status == 200,
            MosquittoGoAuth => match self.connection {
                "mosquitto-go-auth-json" => status < 300 && json["ok"] == true,
                "mosquitto-go-auth-text" => status < 300 && body == "ok",
                _ => status < 300,
            },
            RabbitMq => status < 300 && body.starts_with("allow"),
            // So may "ignore", and every text but "deny".
            Rmqtt => status >= 300 || !self.is_json(reply) || json["result"] != "deny",
            Tbmq => status >= 300 || json["result"] != "failure",
            VerneMq => status == 200 && !json["result"]["error"].is_string(),
        }
    }

    fn is_json(&self, reply: &Reply) -> bool {
        reply.header("content-type") == Some("application/json")
    }

    /// Fails unless the broker reads the reply as no, and as nothing more: no backend error that it
    /// would repeat or pass over, no crash, no memory of it.
    pub fn assert_no(&self, reply: &Reply, about: &str) {
        let asked = format!("{} {} {about}: {reply}", self.connection, self.hook);
        assert!(!self.reads_as_yes(reply), "{asked}");
        for header in ["cache-control", "x-superuser", "x-cache"] {
            assert_eq!(reply.header(header), None, "{asked}");
        }
        let status = reply.status();
        let fits = match self.dialect {
            AzureEventGrid => [200, 503].contains(&status),
            Emqx4 => [401, 403, 503].contains(&status),
            NanoMq | MosquittoAuthPlug | MosquittoGoAuth => status == 403,
            RabbitMq => reply.text() == "deny",
            VerneMq | Emqx | Rmqtt | Tbmq | BifroMq => status == 200,
        };
        assert!(fits, "{asked}");
    }

    /// Fails unless the broker reads the reply as yes.
    pub fn assert_yes(&self, reply: &Reply, about: &str) {
        let asked = format!("{} {} {about}: {reply}", self.connection, self.hook);
        let json: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let fits = match self.dialect {
            Emqx | Rmqtt => json["result"] == "allow",
            Tbmq => json["result"] == "success",
            RabbitMq => reply.text() == "allow",
            VerneMq => json["result"] == "ok",
            _ => true,
        };
        assert!(
            fits && reply.status() == 200 && self.reads_as_yes(reply),
            "{asked}"
        );
    }
}
