//! A broker's connection, as plain as can be: one that asks thousands of times in a second must not
//! itself take the time.

use std::io::{Error, ErrorKind, Result};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::world::HOOK_SECRET;

/// A minted login.
pub struct Login {
    pub username: String,
    pub password: String,
    pub token: String,
    /// VerneMQ's question for its CONNECT, ready to be sent.
    question: Vec<u8>,
}

/// What VerneMQ is told of a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    Allow,
    Deny,
    Unavailable,
    /// Too many questions at a time.
    Overloaded,
    /// The connection ended, or never came to be.
    Gone,
}

/// A verdict, and when it was asked for and received.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    pub verdict: Verdict,
    pub sent: Instant,
    pub received: Instant,
}

/// A connection that is kept. One that ends is made anew for the next question.
pub struct Client {
    port: u16,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Login {
    /// From the reply to an exchange.
    pub fn new(reply: &Value) -> Self {
        let text = |name: &str| reply[name].as_str().unwrap().to_owned();
        let (username, password) = (text("mqtt_username"), text("mqtt_password"));
        Self {
            question: question(&username, &password),
            username,
            password,
            token: text("token_id"),
        }
    }
}

impl Login {
    /// The same password for a name that nobody has. Its seal is good, so the store is asked.
    pub fn with_another_name(&self, number: usize) -> Self {
        let (_, organization) = self.username.split_once('@').unwrap();
        let username = format!("user_nobody-{number}@{organization}");
        Self {
            question: question(&username, &self.password),
            username,
            password: self.password.clone(),
            token: self.token.clone(),
        }
    }
}

impl Client {
    pub(super) fn of(port: u16) -> Self {
        Self {
            port,
            stream: None,
            buffer: Vec::new(),
        }
    }

    /// Asks whether this login may CONNECT.
    pub async fn connect(&mut self, login: &Login) -> Answered {
        let sent = Instant::now();
        let verdict = match self.ask(&login.question).await {
            Ok(verdict) => verdict,
            Err(_) => {
                self.stream = None;
                Verdict::Gone
            }
        };
        Answered {
            verdict,
            sent,
            received: Instant::now(),
        }
    }

    async fn ask(&mut self, question: &[u8]) -> Result<Verdict> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(question).await?;
        self.buffer.clear();
        let body = loop {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some(body) = whole_body(&self.buffer) {
                break body;
            }
        };
        self.stream = Some(stream);
        verdict(body)
    }
}

fn question(username: &str, password: &str) -> Vec<u8> {
    let body = json!({
        "peer_addr": "127.0.0.1",
        "peer_port": 8888,
        "username": username,
        "password": password,
        "mountpoint": "",
        "client_id": "c",
        "clean_session": true,
    });
    let body = body.to_string();
    let head = format!(
        "POST /hooks/vernemq/main/{HOOK_SECRET} HTTP/1.1\r\nhost: node\r\n\
         vernemq-hook: auth_on_register\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// The body of a reply that has arrived to its end.
fn whole_body(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (&bytes[..end], &bytes[end + 4..]);
    let head = std::str::from_utf8(head).ok()?.to_ascii_lowercase();
    let (_, length) = head.split_once("content-length: ")?;
    let length: usize = length.lines().next()?.parse().ok()?;
    (body.len() >= length).then_some(body)
}

fn verdict(body: &[u8]) -> Result<Verdict> {
    match body {
        br#"{"result":"ok"}"# => Ok(Verdict::Allow),
        br#"{"result":{"error":"not_authorized"}}"# => Ok(Verdict::Deny),
        br#"{"result":{"error":"unavailable"}}"# => Ok(Verdict::Unavailable),
        br#"{"result":{"error":"overloaded"}}"# => Ok(Verdict::Overloaded),
        other => Err(Error::other(String::from_utf8_lossy(other))),
    }
}
