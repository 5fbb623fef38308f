//! The files of `broker-configs/`, as they are committed.

/// What there is for one broker.
#[derive(Debug)]
pub struct Broker {
    /// Its folder, and the dialect in its hook URLs.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    pub files: &'static [File],
}

#[derive(Debug)]
pub struct File {
    /// Below the broker's folder.
    pub name: &'static str,
    pub text: &'static str,
}

/// The steps, in every folder.
pub const README: &str = "README.md";

macro_rules! folder {
    ($name:literal, $title:literal, [$($file:literal),+]) => {
        Broker {
            name: $name,
            title: $title,
            files: &[$(File {
                name: $file,
                text: include_str!(concat!("../../../broker-configs/", $name, "/", $file)),
            }),+],
        }
    };
}

pub static BROKERS: [Broker; 11] = [
    folder!("vernemq", "VerneMQ 2", ["vernemq.conf", "README.md"]),
    folder!("emqx", "EMQX 5 and 6", ["emqx.conf", "README.md"]),
    folder!(
        "emqx4",
        "EMQX 4.4",
        ["emqx_auth_http.conf", "emqx.conf", "acl.conf", "README.md"]
    ),
    folder!(
        "nanomq",
        "NanoMQ and EMQX Edge",
        ["nanomq.conf", "README.md"]
    ),
    folder!(
        "rabbitmq",
        "RabbitMQ 3.10 to 4",
        ["rabbitmq.conf", "enabled_plugins", "README.md"]
    ),
    folder!(
        "mosquitto-go-auth",
        "Mosquitto with mosquitto-go-auth",
        ["mosquitto.conf", "README.md"]
    ),
    folder!(
        "mosquitto-auth-plug",
        "Mosquitto with mosquitto-auth-plug",
        ["mosquitto.conf", "README.md"]
    ),
    folder!(
        "rmqtt",
        "RMQTT 0.24",
        [
            "rmqtt.toml",
            "plugins/rmqtt-auth-http.toml",
            "plugins/rmqtt-acl.toml",
            "README.md"
        ]
    ),
    folder!(
        "bifromq",
        "Apache BifroMQ",
        [
            "ticketgate.args",
            "ticketgate.env",
            "standalone.yml",
            "README.md"
        ]
    ),
    folder!(
        "tbmq",
        "ThingsBoard TBMQ 2",
        ["provider.json", "tbmq.env", "README.md"]
    ),
    folder!(
        "azure-event-grid",
        "Azure Event Grid",
        ["configure.sh", "README.md"]
    ),
];

/// The broker of that name.
pub fn find(name: &str) -> Option<&'static Broker> {
    BROKERS.iter().find(|broker| broker.name == name)
}
