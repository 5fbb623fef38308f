//! An MQTT 3.1.1 client, driven one step at a time. Every broker speaks that version.

use std::time::Duration;

use anyhow::{Context as _, bail};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Packet, PublishOptions,
    QoS, SubscribeReasonCode, TlsConfiguration, Transport,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a step may take. Brokers wait up to 5 seconds for an answer of their HTTP hook.
const STEP: Duration = Duration::from_secs(8);

/// Where the broker is.
#[derive(Debug, Clone)]
pub struct Target {
    host: String,
    port: u16,
    tls: Option<TlsConfiguration>,
}

/// Who connects. The password is in it.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The client id.
    pub client_id: &'a str,
    /// Username and password; `None`: neither.
    pub credentials: Option<(&'a str, &'a str)>,
    /// The topic and the payload of a will.
    pub will: Option<(&'a str, &'a str)>,
}

/// Why a client is not connected, in words.
#[derive(Debug)]
pub struct Refused(pub String);

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The broker acknowledged it.
    Done,
    /// The broker refused it and went on.
    Refused,
    /// The broker closed the connection.
    Closed,
    /// Nothing came.
    Silence,
}

/// A connected client. Dropped, it is gone without a DISCONNECT, so that its will is sent.
pub struct Client {
    client: AsyncClient,
    events: EventLoop,
    /// Payloads that came while something else was waited for.
    inbox: Vec<Vec<u8>>,
}

impl Step {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Step::Done => "acknowledged",
            Step::Refused => "refused",
            Step::Closed => "the broker closed the connection",
            Step::Silence => "no answer",
        }
    }
}

impl Target {
    /// Reads `mqtt://host[:port]` or `mqtts://host[:port]`; `ca`: the authorities to trust.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, ca: Option<&std::path::Path>) -> anyhow::Result<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (tls, default_port) = match scheme {
            "mqtt" | "tcp" => (None, 1883),
            "mqtts" | "ssl" => {
                let tls = match ca {
                    Some(path) => TlsConfiguration::Simple {
                        ca: std::fs::read(path).with_context(|| path.display().to_string())?,
                        alpn: None,
                        client_auth: None,
                    },
                    None => TlsConfiguration::try_default_rustls()
                        .context("the system's certificate authorities; --ca names others")?,
                };
                (Some(tls), 8883)
            }
            _ => bail!("--broker is mqtt://host:port or mqtts://host:port"),
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse().context("the port of --broker is no number")?;
                (host, port)
            }
            _ => (rest, default_port),
        };
        if host.is_empty() || host.contains(['@', '/']) {
            bail!("--broker is a host and a port, without a login: mqtt://host:port");
        }
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            tls,
        })
    }

    /// Whether anything listens there.
    ///
    /// # Errors
    /// That nothing does.
    pub async fn reach(&self) -> anyhow::Result<()> {
        let address = (self.host.as_str(), self.port);
        let connected = timeout(STEP, TcpStream::connect(address)).await;
        let place = || format!("no broker listens on {}:{}", self.host, self.port);
        connected.with_context(place)?.with_context(place)?;
        Ok(())
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// How the broker refused.
    pub async fn connect(target: &Target, login: Login<'_>) -> Result<Self, Refused> {
        let mut options = MqttOptions::new(login.client_id, (&*target.host, target.port));
        if let Some((username, password)) = login.credentials {
            options.set_credentials(username, password.to_owned());
        }
        if let Some((topic, payload)) = login.will {
            options.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, false));
        }
        if let Some(tls) = &target.tls {
            options.set_transport(Transport::tls_with_config(tls.clone()));
        }
        let (client, events) = AsyncClient::builder(options).capacity(10).build();
        let mut connecting = Self {
            client,
            events,
            inbox: Vec::new(),
        };
        loop {
            match timeout(STEP, connecting.events.poll()).await {
                Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => return Ok(connecting),
                Ok(Ok(_)) => {}
                Ok(Err(ConnectionError::ConnectionRefused(code))) => {
                    return Err(Refused(format!("refused ({code:?})")));
                }
                Ok(Err(ConnectionError::Tls(error))) => {
                    return Err(Refused(format!("no TLS connection: {error}")));
                }
                Ok(Err(_)) => return Err(Refused("the broker closed the connection".into())),
                Err(_) => return Err(Refused("no answer".into())),
            }
        }
    }

    /// Subscribes at QoS 1.
    pub async fn subscribe(&mut self, filter: &str) -> Step {
        let sent = self.client.subscribe(filter, QoS::AtLeastOnce).await;
        if sent.is_err() {
            return Step::Closed;
        }
        self.until(|packet| match packet {
            Packet::SubAck(ack) => {
                let granted = |code| matches!(code, &SubscribeReasonCode::Success(_));
                let all = ack.return_codes.iter().all(granted);
                Some(if all { Step::Done } else { Step::Refused })
            }
            _ => None,
        })
        .await
    }

    /// Publishes at QoS 1.
    pub async fn publish(&mut self, topic: &str, payload: &str) -> Step {
        let options = PublishOptions::new(QoS::AtLeastOnce);
        let sent = self
            .client
            .publish(topic, payload.to_owned(), options)
            .await;
        if sent.is_err() {
            return Step::Closed;
        }
        self.until(|packet| matches!(packet, Packet::PubAck(_)).then_some(Step::Done))
            .await
    }

    /// Whether a message with this payload comes in time.
    pub async fn hears(&mut self, payload: &str, time: Duration) -> bool {
        let waiting = async {
            while !self.inbox.iter().any(|one| one == payload.as_bytes()) {
                if self.step().await.is_none() {
                    return false;
                }
            }
            true
        };
        timeout(time, waiting).await.unwrap_or(false)
    }

    async fn until(&mut self, told: impl Fn(&Packet) -> Option<Step>) -> Step {
        let waiting = async {
            loop {
                match self.step().await {
                    None => return Step::Closed,
                    Some(Event::Incoming(packet)) => {
                        if let Some(step) = told(&packet) {
                            return step;
                        }
                    }
                    Some(Event::Outgoing(_)) => {}
                }
            }
        };
        timeout(STEP, waiting).await.unwrap_or(Step::Silence)
    }

    /// The next event; `None`: the connection is gone.
    async fn step(&mut self) -> Option<Event> {
        let event = self.events.poll().await.ok()?;
        if let Event::Incoming(Packet::Publish(message)) = &event {
            self.inbox.push(message.payload.to_vec());
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_broker_is() {
        for (text, host, port) in [
            ("mqtt://localhost", "localhost", 1883),
            ("mqtt://10.0.0.1:1884/", "10.0.0.1", 1884),
            ("mqtt://[::1]:1885", "::1", 1885),
            ("mqtt://[::1]", "::1", 1883),
        ] {
            let target = Target::parse(text, None).unwrap();
            assert_eq!((&*target.host, target.port), (host, port), "{text}");
        }
        for bad in [
            "localhost",
            "http://x",
            "mqtt://",
            "mqtt://a:b@c:1883",
            "mqtt://x:y",
        ] {
            assert!(Target::parse(bad, None).is_err(), "{bad}");
        }
    }
}
