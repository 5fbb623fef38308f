//! What the drivers of the other clients do, for rumqttc.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, PublishOptions, QoS};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clients::ticketgate_client::TicketgateEvents;

/// A task that does what the other clients' programs do.
pub struct RumqttcProgram {
    task: JoinHandle<()>,
    events: UnboundedReceiver<Value>,
    voice: Voice,
}

#[derive(Clone)]
struct Voice {
    said: Arc<Mutex<String>>,
    sender: UnboundedSender<Value>,
}

impl Voice {
    fn tell(&self, event: Value) {
        self.said.lock().unwrap().push_str(&format!("{event}\n"));
        let _ = self.sender.send(event);
    }
}

impl RumqttcProgram {
    pub fn start(plan: Value) -> Self {
        let (sender, events) = unbounded_channel();
        let voice = Voice {
            said: Arc::default(),
            sender,
        };
        let task = tokio::spawn(run(plan, voice.clone()));
        Self {
            task,
            events,
            voice,
        }
    }

    /// The next event of this name; those before it are passed over.
    pub async fn next(&mut self, name: &str) -> Value {
        let waiting = async {
            loop {
                let event = self.events.recv().await?;
                if event["event"] == name {
                    return Some(event);
                }
            }
        };
        let event = timeout(Duration::from_secs(60), waiting).await;
        event
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("no {name} came: {}", self.said()))
    }

    pub fn said(&self) -> String {
        self.voice.said.lock().unwrap().clone()
    }
}

impl Drop for RumqttcProgram {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(plan: Value, voice: Voice) {
    let text = |name: &str| plan[name].as_str().unwrap();
    let mut options = MqttOptions::new(text("clientId"), broker(text("broker")));
    options.set_clean_session(false);
    let (client, events) = AsyncClient::builder(options).capacity(10).build();
    let mut tokens = plan["identityTokens"].as_array().unwrap().clone();
    let identity_token = || {
        voice.tell(json!({"event": "identity_token"}));
        let first = tokens[0].as_str().unwrap().to_owned();
        if tokens.len() > 1 {
            tokens.remove(0);
        }
        std::future::ready(first)
    };
    let mut events = TicketgateEvents::new(
        events,
        text("ticketgate"),
        text("organization"),
        identity_token,
    );
    let mut connections = 0;
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                connections += 1;
                voice.tell(json!({"event": "connected"}));
                let topic = text("topic").to_owned();
                client.subscribe(topic, QoS::AtLeastOnce).await.unwrap();
            }
            // Not before: publishes overtake subscriptions on their way out.
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                let options = PublishOptions::new(QoS::AtLeastOnce);
                let (topic, hello) = (text("topic").to_owned(), format!("hello {connections}"));
                client.publish(topic, hello, options).await.unwrap();
            }
            Ok(Event::Incoming(Packet::Publish(message))) => {
                let payload = String::from_utf8_lossy(&message.payload);
                voice.tell(json!({"event": "message", "payload": payload}));
            }
            Ok(_) => {}
            Err(refused) => {
                voice.tell(json!({"event": "failed", "message": refused.to_string()}));
                return;
            }
        }
    }
}

fn broker(url: &str) -> (&str, u16) {
    let (host, port) = url
        .strip_prefix("mqtt://")
        .and_then(|place| place.split_once(':'))
        .unwrap();
    (host, port.parse().unwrap())
}
