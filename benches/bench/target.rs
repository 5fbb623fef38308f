//! What is asked: two brokers' CONNECT hooks, and for each of them a route that does nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::logins::Login;

/// The secret of both broker connections.
pub const HOOK_SECRET: &str = "the-hook-secret-of-the-benchmark-0123456789";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Broker {
    /// JSON bodies.
    Vernemq,
    /// Form bodies.
    Rabbitmq,
}

/// What a request is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// Whose requests are sent.
    pub broker: Broker,
    /// To the hook, or to the no-op that reads the same body and answers the same.
    pub route: Route,
}

/// The CONNECT hook that one suffices for.
pub const VERNEMQ_HOOK: Target = Target {
    broker: Broker::Vernemq,
    route: Route::Hook,
};

/// Which of a broker's two routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The real one.
    Hook,
    /// The one to compare with.
    Noop,
}

impl Broker {
    /// Both.
    pub const ALL: [Broker; 2] = [Broker::Vernemq, Broker::Rabbitmq];

    /// Its name in paths and tables.
    pub fn name(self) -> &'static str {
        match self {
            Broker::Vernemq => "vernemq",
            Broker::Rabbitmq => "rabbitmq",
        }
    }

    /// The path of its no-op.
    pub fn noop_path(self) -> &'static str {
        match self {
            Broker::Vernemq => "/noop/vernemq",
            Broker::Rabbitmq => "/noop/rabbitmq",
        }
    }

    /// The path of its CONNECT hook.
    fn hook_path(self) -> String {
        match self {
            Broker::Vernemq => format!("/hooks/vernemq/verne/{HOOK_SECRET}"),
            Broker::Rabbitmq => format!("/hooks/rabbitmq/main/{HOOK_SECRET}/user"),
        }
    }

    /// What it reads as yes.
    pub fn yes(self) -> &'static str {
        match self {
            Broker::Vernemq => r#"{"result":"ok"}"#,
            Broker::Rabbitmq => "allow",
        }
    }

    /// The type of that.
    pub fn content_type(self) -> &'static str {
        match self {
            Broker::Vernemq => "application/json",
            Broker::Rabbitmq => "text/plain",
        }
    }

    /// The body of the `nth` client's CONNECT, as the broker writes it.
    pub fn body(self, nth: usize, login: &Login) -> String {
        let Login {
            username, password, ..
        } = login;
        match self {
            Broker::Vernemq => {
                let client = format!(r#""client_id":"device-{nth:05}","username":"{username}""#);
                let peer = r#""peer_addr":"127.0.0.1","peer_port":58851,"mountpoint":"""#;
                format!(r#"{{{peer},{client},"password":"{password}","clean_session":true}}"#)
            }
            Broker::Rabbitmq => {
                let username = username.to_string().replace('@', "%40");
                format!(
                    "username={username}&password={password}&vhost=%2F&client_id=device-{nth:05}"
                )
            }
        }
    }

    /// The headers that the broker's HTTP client sends, in its order.
    fn headers(self, length: usize) -> String {
        match self {
            Broker::Vernemq => format!(
                "vernemq-hook: auth_on_register\r\nHost: 127.0.0.1:8080\r\n\
                 User-Agent: hackney/1.20.1\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n"
            ),
            Broker::Rabbitmq => format!(
                "content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\
                 te: \r\nhost: 127.0.0.1:8080\r\nconnection: keep-alive\r\n"
            ),
        }
    }
}

impl Target {
    /// The hook and the no-op of both brokers.
    pub fn all() -> Vec<Target> {
        let both = |broker| [Route::Noop, Route::Hook].map(|route| Target { broker, route });
        Broker::ALL.into_iter().flat_map(both).collect()
    }

    /// A whole request.
    pub fn request(self, body: &str) -> Vec<u8> {
        let path = match self.route {
            Route::Hook => self.broker.hook_path(),
            Route::Noop => self.broker.noop_path().to_owned(),
        };
        let headers = self.broker.headers(body.len());
        format!("POST {path} HTTP/1.1\r\n{headers}\r\n{body}").into_bytes()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = match self.route {
            Route::Hook => "hook",
            Route::Noop => "no-op",
        };
        write!(f, "{} {route}", self.broker.name())
    }
}
