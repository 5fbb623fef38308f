//! What a broker asks, in words that every broker shares. Each hook dialect decodes into these.
//!
//! Texts are borrowed from the request body where the wire form allows it. Usernames, topics and
//! filters are still as the client sent them: the use cases check them, and refuse.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use crate::mqtt::qos::QoS;
use crate::secret::SecretStr;

/// Who asks and from where, on every question after (and at) CONNECT.
#[derive(Debug, Clone)]
pub struct Peer<'a> {
    /// The username of the session; `None` where the client sent none.
    pub username: Option<Cow<'a, str>>,
    /// The client id, as sent or as the broker assigned it.
    pub client_id: Cow<'a, str>,
    /// Where in the broker the session lives: VerneMQ's mountpoint, RabbitMQ's vhost. `None` where
    /// the question does not say.
    pub compartment: Option<Cow<'a, str>>,
}

/// May this client connect?
#[derive(Debug, Clone)]
pub struct ConnectRequest<'a> {
    /// Who asks.
    pub peer: Peer<'a>,
    /// The password; `None` where the client sent none.
    pub password: Option<SecretStr<'a>>,
    /// Where the client connects from; `None` where the broker does not say.
    pub address: Option<IpAddr>,
}

/// An address in a broker's words, with a port or without; `None`: it is none.
pub fn address(text: &str) -> Option<IpAddr> {
    let plain = text.trim_start_matches('[').trim_end_matches(']');
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    plain.parse().ok().or_else(with_port)
}

/// Is this client's login still good, with nothing more asked? (RabbitMQ's vhost and queue checks.)
#[derive(Debug, Clone)]
pub struct SessionRequest<'a> {
    /// Who asks.
    pub peer: Peer<'a>,
}

/// A session has changed. No answer is awaited.
#[derive(Debug, Clone)]
pub struct SessionEvent<'a> {
    /// Whose.
    pub peer: Peer<'a>,
    /// How.
    pub change: SessionChange,
}

/// How a session has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionChange {
    /// A client has connected.
    Opened,
    /// The client of a session that is kept has gone.
    Offline,
    /// The client has gone, and its session with it.
    Gone,
    /// A session that was kept has come to its end.
    Expired,
}

/// May this client publish to this topic? Wills are asked the same way.
#[derive(Debug, Clone)]
pub struct PublishRequest<'a> {
    /// Who asks.
    pub peer: Peer<'a>,
    /// The topic name as the client sent it.
    pub topic: Cow<'a, str>,
    /// The quality of service, where the broker tells it.
    pub qos: Option<QoS>,
    /// Whether the message is to be retained, where the broker tells it.
    pub retain: Option<bool>,
    /// How far the topic is what the client sent.
    pub names: TopicNames,
}

/// May this client subscribe to these filters? Each is decided for itself, in order.
#[derive(Debug, Clone)]
pub struct SubscribeRequest<'a> {
    /// Who asks.
    pub peer: Peer<'a>,
    /// The filters in the order of the question.
    pub filters: Vec<RequestedFilter<'a>>,
    /// How far the filters are what the client sent.
    pub names: TopicNames,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug, Clone)]
pub struct RequestedFilter<'a> {
    /// The filter as the client sent it, `$share/<group>/` included.
    pub filter: Cow<'a, str>,
    /// The quality of service asked for, where the broker tells it.
    pub qos: Option<QoS>,
}

/// Whether the broker's topics are MQTT's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicNames {
    /// Topics arrive as the client sent them.
    Exact,
    /// Topics were AMQP routing keys: a `.` of the client's cannot be told from a `/`, nor a `*`
    /// of a filter from a `+`, and the broker itself treats them as one.
    Amqp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_the_brokers_forms() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:1883", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]:1883", Some("2001:db8::1")),
            ("", None),
            ("undefined", None),
            ("${peerhost}", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(address(text), expected, "{text}");
        }
    }
}
