//! `[brokers.<name>]`: one table for each broker that may ask.

use std::path::PathBuf;

use crate::config::reader::{Field, Reader};
use crate::engine::isolation::Isolation;
use crate::hooks::connection::{BrokerConnection, ForeignNames, parse_secrets};
use crate::hooks::dialect::{Dialect, DialectName, RulesInReply};
use crate::hooks::mosquitto_go_auth::{self, ResponseMode};
use crate::hooks::{bifromq, rabbitmq};
use crate::names::organization_id::OrganizationId;
use crate::secret::Secret;

/// Reads every broker connection. A wrong one is left out and its mistakes are noted.
pub fn read(reader: &mut Reader) -> Vec<BrokerConnection> {
    let names = reader.source.names_below("brokers");
    names
        .iter()
        .filter_map(|name| read_one(reader, name))
        .collect()
}

/// Describes the fields of a broker connection.
pub fn describe(reader: &mut Reader) {
    read_fields(reader, "<name>");
}

/// The fields before they are put together.
struct Fields {
    dialect: Option<DialectName>,
    isolation: Option<IsolationName>,
    organization: Option<OrganizationId>,
    home: Option<String>,
    settings: DialectSettings,
    foreign_names: ForeignNames,
    secrets: Option<Vec<Secret>>,
    secret_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IsolationName {
    Dedicated,
    Mountpoint,
    Vhost,
    Prefix,
}

fn read_one(reader: &mut Reader, name: &str) -> Option<BrokerConnection> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !name.bytes().all(plain) {
        reader
            .source
            .mistake(format!("  brokers.{name}: a name is a-z 0-9 and _"));
    }
    let fields = read_fields(reader, name);
    let mut wrong = |field: &str, text: &str| {
        reader
            .source
            .mistake(format!("  brokers.{name}.{field}: {text}"));
    };
    let Some(dialect) = fields.dialect else {
        wrong(
            "dialect",
            "is missing or wrong; it says which broker asks, such as `rabbitmq`",
        );
        return None;
    };
    let isolation = match (fields.isolation, &fields.organization) {
        (None | Some(IsolationName::Dedicated), Some(id)) => Isolation::Dedicated(id.clone()),
        (None | Some(IsolationName::Dedicated), None) => {
            wrong(
                "organization",
                "is missing; a dedicated broker serves one, such as `org_...`",
            );
            return None;
        }
        (Some(IsolationName::Mountpoint), _) => Isolation::Mountpoint,
        (Some(IsolationName::Vhost), _) => Isolation::Vhost,
        (Some(IsolationName::Prefix), _) => Isolation::Prefix,
    };
    if !dialect.supports(&isolation) {
        wrong("isolation", "is not possible with this broker");
        return None;
    }
    let secrets = match (fields.secrets, fields.secret_file) {
        (Some(secrets), _) => secrets,
        (None, Some(path)) => {
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
            let parse = |text: String| parse_secrets(&Secret::new(text)).map_err(|e| e.to_string());
            match text.and_then(parse) {
                Ok(secrets) => secrets,
                Err(error) => {
                    wrong("secret_file", &format!("{}: {error}", path.display()));
                    return None;
                }
            }
        }
        (None, None) => {
            let cure = "is missing; `ticketgate hook-secret > FILE` makes one";
            wrong("secret_file", cure);
            return None;
        }
    };
    let home = fields.home.unwrap_or_else(|| dialect.home().to_owned());
    Some(BrokerConnection {
        name: name.to_owned(),
        dialect: with_settings(dialect, fields.settings, &home),
        secrets,
        isolation,
        home,
        foreign_names: fields.foreign_names,
    })
}

/// What of a dialect has to agree with the broker's own settings.
struct DialectSettings {
    exchange: Option<String>,
    response_mode: ResponseMode,
    rules_in_reply: RulesInReply,
}

fn with_settings(name: DialectName, settings: DialectSettings, home: &str) -> Dialect {
    match name.with_defaults() {
        Dialect::BifroMq(_) => Dialect::BifroMq(bifromq::Settings {
            tenant: home.to_owned(),
        }),
        Dialect::Emqx(_) => Dialect::Emqx(settings.rules_in_reply),
        Dialect::MosquittoGoAuth(_) => {
            let response_mode = settings.response_mode;
            Dialect::MosquittoGoAuth(mosquitto_go_auth::Settings { response_mode })
        }
        Dialect::RabbitMq(rabbitmq::Settings { exchange }) => {
            let exchange = settings.exchange.unwrap_or(exchange);
            Dialect::RabbitMq(rabbitmq::Settings { exchange })
        }
        Dialect::Rmqtt(_) => Dialect::Rmqtt(settings.rules_in_reply),
        without @ (Dialect::AzureEventGrid
        | Dialect::Emqx4
        | Dialect::MosquittoAuthPlug
        | Dialect::NanoMq
        | Dialect::Tbmq
        | Dialect::VerneMq) => without,
    }
}

fn read_fields(reader: &mut Reader, broker: &str) -> Fields {
    let path = |field: &str| format!("brokers.{broker}.{field}");
    let any = |text: &str| Ok(text.to_owned());
    let mut optional = |field: &str, example, meaning| {
        reader.optional(
            Field {
                name: &path(field),
                example,
                meaning,
            },
            any,
        )
    };
    let mountpoint = optional(
        "mountpoint",
        "",
        "VerneMQ, EMQX: where its sessions live by default.",
    );
    let tenant = optional(
        "tenant",
        "main",
        "BifroMQ: the tenant of its sessions, where organizations are not kept apart by tenants.",
    );
    let vhost = optional(
        "vhost",
        "/",
        "RabbitMQ: the vhost of MQTT sessions (`mqtt.vhost`).",
    );
    let exchange = optional(
        "exchange",
        "amq.topic",
        "RabbitMQ: the setting `mqtt.exchange`.",
    );
    Fields {
        dialect: reader.optional(
            Field {
                name: &path("dialect"),
                example: "rabbitmq",
                meaning: "How the broker asks: `azure-event-grid`, `bifromq`, `emqx` (5 and 6), \
                          `emqx4`, `mosquitto-auth-plug`, `mosquitto-go-auth`, `nanomq`, \
                          `rabbitmq`, `rmqtt`, `tbmq` or `vernemq`.",
            },
            |text| text.parse().map_err(|error: crate::hooks::dialect::NotADialect| error.to_string()),
        ),
        isolation: reader.optional(
            Field {
                name: &path("isolation"),
                example: "dedicated",
                meaning: "How organizations are kept apart: `dedicated` (default: one organization), \
                          `prefix`, `vhost` (RabbitMQ) or `mountpoint` (VerneMQ, EMQX, BifroMQ).",
            },
            |text| match text {
                "dedicated" => Ok(IsolationName::Dedicated),
                "mountpoint" => Ok(IsolationName::Mountpoint),
                "vhost" => Ok(IsolationName::Vhost),
                "prefix" => Ok(IsolationName::Prefix),
                _ => Err("is not one of dedicated, prefix, vhost, mountpoint".to_owned()),
            },
        ),
        organization: reader.optional(
            Field {
                name: &path("organization"),
                example: "org_k7xm4pqr2n5t",
                meaning: "The one organization that a dedicated broker serves.",
            },
            |text| {
                let parsed = text.parse::<OrganizationId>();
                parsed.map_err(|_| "is not `org_` + 12 characters of a-z and 2-7".to_owned())
            },
        ),
        home: vhost.or(mountpoint).or(tenant),
        settings: DialectSettings {
            exchange,
            response_mode: reader.with(
                Field {
                    name: &path("response_mode"),
                    example: "status",
                    meaning: "mosquitto-go-auth: the setting `http_response_mode`, `status`, `json` \
                              or `text`.",
                },
                ResponseMode::default(),
                |text| match text {
                    "status" => Ok(ResponseMode::Status),
                    "json" => Ok(ResponseMode::Json),
                    "text" => Ok(ResponseMode::Text),
                    _ => Err("is not one of status, json, text".to_owned()),
                },
            ),
            rules_in_reply: reader.with(
                Field {
                    name: &path("rules_in_reply"),
                    example: "true",
                    meaning: "EMQX, RMQTT: whether topic rules travel with the login where they can \
                              be said. The broker then asks less, but a revoke and changed rules \
                              reach an open session only when it connects again. Default: false.",
                },
                RulesInReply::default(),
                |text| match text {
                    "true" => Ok(RulesInReply::Sent),
                    "false" => Ok(RulesInReply::Kept),
                    _ => Err("is neither true nor false".to_owned()),
                },
            ),
        },
        foreign_names: reader.with(
            Field {
                name: &path("foreign_names"),
                example: "deny",
                meaning: "What to say to usernames that cannot be ours: `deny`, or `abstain` where \
                          the broker may ask somebody else next.",
            },
            ForeignNames::Deny,
            |text| match text {
                "deny" => Ok(ForeignNames::Deny),
                "abstain" => Ok(ForeignNames::Abstain),
                _ => Err("is neither `deny` nor `abstain`".to_owned()),
            },
        ),
        secrets: reader.secret(
            Field {
                name: &path("secret"),
                example: "<22 or more characters>",
                meaning: "What the broker shows; old and new with a comma while it changes.",
            },
            |text| parse_secrets(text).map_err(|error| error.to_string()),
        ),
        secret_file: reader.optional(
            Field {
                name: &path("secret_file"),
                example: "./hook.secret",
                meaning: "The same in a file, one a line, newest first.",
            },
            |text| Ok(PathBuf::from(text)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::{Flags, Source};

    /// The connections and the mistakes of a table `[brokers.b]` with these fields.
    fn read_table(fields: &[(&str, &str)]) -> (Vec<BrokerConnection>, Vec<String>) {
        let common = [
            ("secret", "a-hook-secret-of-the-tests"),
            ("organization", "org_k7xm4pqr2n5t"),
        ];
        let variables = common.iter().chain(fields).map(|(field, text)| {
            let name = format!("TICKETGATE__BROKERS__B__{}", field.to_uppercase());
            (name, (*text).to_owned())
        });
        let mut reader = Reader::new(Source::gather_from(&Flags::default(), variables));
        let connections = read(&mut reader);
        (connections, reader.source.finish())
    }

    #[test]
    fn every_dialect_can_be_configured() {
        for name in DialectName::ALL {
            let (connections, mistakes) = read_table(&[("dialect", name.as_str())]);
            assert_eq!(mistakes, [""; 0], "{name}");
            assert_eq!(connections[0].dialect, name.with_defaults());
            assert_eq!(connections[0].home, name.home());
        }
    }

    #[test]
    fn what_has_to_agree_with_the_broker_can_be_said() {
        let dialect = |fields: &[_]| {
            let (mut connections, mistakes) = read_table(fields);
            assert_eq!(mistakes, [""; 0], "{fields:?}");
            connections.remove(0).dialect
        };
        let exchange = [("dialect", "rabbitmq"), ("exchange", "mqtt")];
        let expected = rabbitmq::Settings {
            exchange: "mqtt".into(),
        };
        assert_eq!(dialect(&exchange), Dialect::RabbitMq(expected));
        let mode = [("dialect", "mosquitto-go-auth"), ("response_mode", "json")];
        let expected = mosquitto_go_auth::Settings {
            response_mode: ResponseMode::Json,
        };
        assert_eq!(dialect(&mode), Dialect::MosquittoGoAuth(expected));
        let rules = [("dialect", "emqx"), ("rules_in_reply", "true")];
        assert_eq!(dialect(&rules), Dialect::Emqx(RulesInReply::Sent));
        let tenant = [("dialect", "bifromq"), ("tenant", "acme")];
        let expected = bifromq::Settings {
            tenant: "acme".into(),
        };
        assert_eq!(dialect(&tenant), Dialect::BifroMq(expected));
    }

    #[test]
    fn an_isolation_that_the_broker_does_not_have_is_a_mistake() {
        for (dialect, isolation) in [
            ("tbmq", "prefix"),
            ("azure-event-grid", "prefix"),
            ("nanomq", "mountpoint"),
            ("emqx", "vhost"),
        ] {
            let fields = [("dialect", dialect), ("isolation", isolation)];
            let (connections, mistakes) = read_table(&fields);
            assert!(connections.is_empty());
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        }
    }
}
