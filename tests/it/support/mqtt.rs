//! A real MQTT 3.1.1 client, driven one step at a time.

use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet,
    PublishOptions, QoS, SubscribeReasonCode,
};
use tokio::time::timeout;

/// Longer than a broker takes for anything.
const DEADLINE: Duration = Duration::from_secs(15);

/// A connected client.
pub struct MqttClient {
    client: AsyncClient,
    events: EventLoop,
}

/// How a step ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The broker acknowledged it.
    Done,
    /// The broker refused it and went on.
    Refused,
    /// The broker closed the connection.
    Closed,
}

impl MqttClient {
    /// Connects, or tells with which code the broker refused.
    pub async fn connect(
        port: u16,
        client_id: &str,
        username: &str,
        password: &str,
    ) -> Result<Self, ConnectReturnCode> {
        let mut options = MqttOptions::new(client_id, ("127.0.0.1", port));
        options.set_credentials(username, password.to_owned());
        Self::open(options).await.map(|(client, _)| client)
    }

    /// Connects in any way; also returns whether the broker has kept a session for this client.
    pub async fn open(options: MqttOptions) -> Result<(Self, bool), ConnectReturnCode> {
        let (client, events) = AsyncClient::builder(options).capacity(10).build();
        let mut connecting = Self { client, events };
        loop {
            match connecting.next().await {
                Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                    return Ok((connecting, ack.session_present));
                }
                Ok(_) => {}
                Err(ConnectionError::ConnectionRefused(code)) => return Err(code),
                Err(error) => panic!("the broker cannot be talked to: {error}"),
            }
        }
    }

    /// Subscribes at QoS 1.
    pub async fn subscribe(&mut self, filter: &str) -> Outcome {
        self.client
            .subscribe(filter, QoS::AtLeastOnce)
            .await
            .unwrap();
        self.until(|packet| match packet {
            Packet::SubAck(ack) => {
                let granted = |code| matches!(code, &SubscribeReasonCode::Success(_));
                let all = ack.return_codes.iter().all(granted);
                Some(if all { Outcome::Done } else { Outcome::Refused })
            }
            _ => None,
        })
        .await
    }

    /// Publishes at QoS 1.
    pub async fn publish(&mut self, topic: &str, payload: &str) -> Outcome {
        let options = PublishOptions::new(QoS::AtLeastOnce);
        self.client
            .publish(topic, payload.to_owned(), options)
            .await
            .unwrap();
        self.until(|packet| matches!(packet, Packet::PubAck(_)).then_some(Outcome::Done))
            .await
    }

    /// The payload of the next message.
    pub async fn receive(&mut self) -> String {
        loop {
            match self.next().await {
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    return String::from_utf8(message.payload.to_vec()).unwrap();
                }
                Ok(_) => {}
                Err(error) => panic!("no message came: {error}"),
            }
        }
    }

    async fn until(&mut self, told: impl Fn(&Packet) -> Option<Outcome>) -> Outcome {
        loop {
            match self.next().await {
                Ok(Event::Incoming(packet)) => {
                    if let Some(outcome) = told(&packet) {
                        return outcome;
                    }
                }
                Ok(_) => {}
                Err(_) => return Outcome::Closed,
            }
        }
    }

    async fn next(&mut self) -> Result<Event, ConnectionError> {
        timeout(DEADLINE, self.events.poll())
            .await
            .expect("the broker answers in time")
    }
}
