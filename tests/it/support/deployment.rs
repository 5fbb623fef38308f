//! What a client meets: the program as a process, a real broker set up as users do, and a network
//! between the client and the broker that fails when a test wants it to.

use serde_json::{Value, json};
use ticketgate::clock::{Clock as _, SystemClock};

use crate::support::program::{Serving, Site};
use crate::support::proxy::{Mode, Proxy};
use crate::support::rabbitmq::RabbitMq;
use crate::support::rmqtt::Rmqtt;
use crate::support::world::{HOOK_SECRET, PROJECT_URL, sign};

/// One of each, running. Users may use `users/<username>/#`.
pub struct Deployment {
    pub site: Site,
    pub server: Serving,
    /// In front of the broker's MQTT port.
    pub network: Proxy,
    /// The newest MQTT that the broker speaks: 4 is 3.1.1.
    pub protocol_version: u8,
    _broker: Broker,
}

#[expect(dead_code, reason = "they are there to end with the test")]
enum Broker {
    RabbitMq(RabbitMq),
    Rmqtt(Box<Rmqtt>),
}

impl Deployment {
    /// With Debian's RabbitMQ, which speaks MQTT 3.1.1.
    pub async fn rabbitmq() -> Self {
        Self::rabbitmq_on(Site::set_up()).await
    }

    /// The same with a site that was set up further.
    pub async fn rabbitmq_on(site: Site) -> Self {
        let server = site.serve().await;
        let hook = format!("{}/hooks/rabbitmq/main/{HOOK_SECRET}", site.url());
        let broker = RabbitMq::start(&hook).await;
        Self {
            site,
            server,
            network: Proxy::start(broker.mqtt_port),
            protocol_version: 4,
            _broker: Broker::RabbitMq(broker),
        }
    }

    /// With RMQTT, which speaks MQTT 5 too.
    pub async fn rmqtt() -> Self {
        let site = Site::set_up_for("rmqtt");
        let server = site.serve().await;
        let broker = Rmqtt::start(&site).await;
        Self {
            site,
            server,
            network: Proxy::start(broker.mqtt_port()),
            protocol_version: 5,
            _broker: Broker::Rmqtt(Box::new(broker)),
        }
    }

    /// Where clients connect. A browser would use a WebSocket; MQTT is the same over TCP.
    pub fn broker_url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.network.port())
    }

    /// Closes every connection to the broker; new ones get through again.
    pub fn lose_connections(&self) {
        self.network.set(Mode::Cut);
        self.network.set(Mode::Pass);
    }

    /// Starts the server again after it was killed.
    pub async fn serve_again(&mut self) {
        self.server = self.site.serve().await;
    }
}

/// A good identity token that ends in so many seconds. A minted token lives no longer at first.
pub fn identity_token(subject: &str, life: i64) -> String {
    sign(&identity_claims(subject, life))
}

/// Its claims.
pub fn identity_claims(subject: &str, life: i64) -> Value {
    json!({
        "iss": format!("{PROJECT_URL}/auth/v1"),
        "aud": "authenticated",
        "sub": subject,
        "email": format!("{subject}@example.com"),
        "exp": SystemClock.now().as_second() + life,
    })
}
