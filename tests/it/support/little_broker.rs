//! A broker of a few lines that asks as EMQX does: enough MQTT 3.1.1 for a try-out, and any habit
//! that a real broker might have when its hook fails.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use ticketgate::mqtt::filter_algebra::{Dollar, matches};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::support::world::HOOK_SECRET;

/// What it does when it gets no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenItFails {
    /// It refuses.
    Closed,
    /// It allows: any status but 200 is a yes.
    Open,
    /// It lets clients in and then says nothing any more, whatever the verdict.
    Mute,
}

/// A running broker; it ends when this is dropped.
pub struct LittleBroker {
    /// `mqtt://127.0.0.1:<port>`
    pub url: String,
    accepting: JoinHandle<()>,
}

struct Shared {
    hooks: String,
    fails: WhenItFails,
    http: reqwest::Client,
    subscriptions: Mutex<Vec<(String, UnboundedSender<Vec<u8>>)>>,
}

#[derive(Default)]
struct Session {
    client_id: String,
    username: String,
    will: Option<(String, Vec<u8>)>,
}

/// Reads the fields of a packet.
struct Fields<'a>(&'a [u8]);

impl LittleBroker {
    /// Starts one that asks at `<hooks>/auth` and `<hooks>/acl`.
    pub async fn start(hooks: String, fails: WhenItFails) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("mqtt://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            hooks,
            fails,
            http: reqwest::Client::new(),
            subscriptions: Mutex::default(),
        });
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { url, accepting }
    }
}

impl Drop for LittleBroker {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let (mut reader, mut writer) = stream.into_split();
    let (sender, mut outgoing) = unbounded_channel::<Vec<u8>>();
    tokio::spawn(async move {
        while let Some(packet) = outgoing.recv().await {
            if writer.write_all(&packet).await.is_err() {
                return;
            }
        }
    });
    let mut session = Session::default();
    while let Some((kind, body)) = packet(&mut reader).await {
        if kind >> 4 == 14 {
            session.will = None;
            break;
        }
        if !shared.handle(&mut session, kind, &body, &sender).await {
            break;
        }
    }
    if let Some((topic, payload)) = &session.will
        && shared.may(&session, "publish", topic).await
    {
        shared.deliver(topic, payload);
    }
}

impl Shared {
    /// Returns whether the connection stays.
    async fn handle(
        &self,
        session: &mut Session,
        kind: u8,
        body: &[u8],
        sender: &UnboundedSender<Vec<u8>>,
    ) -> bool {
        let mut fields = Fields(body);
        match kind >> 4 {
            1 => {
                let password = session.read(&mut fields);
                let body = json!({
                    "username": session.username, "password": password,
                    "clientid": session.client_id, "peerhost": "127.0.0.1",
                });
                let good = self.says_yes("auth", &body).await;
                if !good {
                    session.will = None;
                }
                let _ = sender.send(vec![0x20, 2, 0, if good { 0 } else { 5 }]);
                good
            }
            _ if self.fails == WhenItFails::Mute => true,
            3 => {
                let topic = fields.text();
                let id = (kind & 6 != 0).then(|| fields.take(2).to_owned());
                if self.may(session, "publish", &topic).await {
                    self.deliver(&topic, fields.0);
                }
                if let Some(id) = id {
                    let _ = sender.send([&[0x40, 2][..], &id].concat());
                }
                true
            }
            8 => {
                let mut ack = vec![0x90, 0, 0, 0];
                ack[2..].copy_from_slice(fields.take(2));
                while !fields.0.is_empty() {
                    let filter = fields.text();
                    fields.take(1);
                    let shared = filter.strip_prefix("$share/");
                    let asked = shared.and_then(|rest| Some(rest.split_once('/')?.1));
                    let good = self
                        .may(session, "subscribe", asked.unwrap_or(&filter))
                        .await;
                    ack.push(if good { 0 } else { 0x80 });
                    if good && shared.is_none() {
                        let one = (filter, sender.clone());
                        self.subscriptions.lock().unwrap().push(one);
                    }
                }
                ack[1] = u8::try_from(ack.len() - 2).unwrap();
                let _ = sender.send(ack);
                true
            }
            12 => {
                let _ = sender.send(vec![0xd0, 0]);
                true
            }
            _ => true,
        }
    }

    async fn may(&self, session: &Session, action: &str, topic: &str) -> bool {
        let body = json!({
            "username": session.username, "clientid": session.client_id, "topic": topic,
            "action": action, "qos": "1", "retain": "false", "peerhost": "127.0.0.1",
            "mountpoint": "",
        });
        self.says_yes("acl", &body).await
    }

    async fn says_yes(&self, hook: &str, body: &Value) -> bool {
        let call = self.http.post(format!("{}/{hook}", self.hooks));
        let reply = call.bearer_auth(HOOK_SECRET).json(body).send().await;
        match reply {
            Ok(reply) if reply.status() == 200 => {
                let verdict: Value = reply.json().await.unwrap();
                verdict["result"] == "allow"
            }
            _ => self.fails == WhenItFails::Open,
        }
    }

    fn deliver(&self, topic: &str, payload: &[u8]) {
        let length = u8::try_from(2 + topic.len() + payload.len()).unwrap();
        assert!(length < 128, "one byte says how long a packet is");
        let topic_length = u8::try_from(topic.len()).unwrap();
        let head = [0x30, length, 0, topic_length];
        let packet = [&head[..], topic.as_bytes(), payload].concat();
        for (filter, sender) in &*self.subscriptions.lock().unwrap() {
            if matches(filter, topic, Dollar::Special) {
                let _ = sender.send(packet.clone());
            }
        }
    }
}

impl Session {
    /// Reads a CONNECT; returns the password.
    fn read(&mut self, fields: &mut Fields<'_>) -> String {
        fields.text();
        let flags = fields.take(2)[1];
        fields.take(2);
        self.client_id = fields.text();
        if flags & 4 != 0 {
            let topic = fields.text();
            self.will = Some((topic, fields.text().into_bytes()));
        }
        if flags & 0x80 != 0 {
            self.username = fields.text();
        }
        if flags & 0x40 != 0 {
            fields.text()
        } else {
            String::new()
        }
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn text(&mut self) -> String {
        let length = self.take(2);
        let length = u16::from_be_bytes([length[0], length[1]]);
        String::from_utf8(self.take(length.into()).to_owned()).unwrap()
    }
}

/// The first byte of a packet and what follows its length; `None`: the client is gone.
async fn packet(reader: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let kind = reader.read_u8().await.ok()?;
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = reader.read_u8().await.ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    Some((kind, body))
}
