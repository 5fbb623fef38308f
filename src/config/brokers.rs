//! `[brokers.<name>]`: one table for each broker that may ask.

use std::path::PathBuf;

use crate::config::reader::{Field, Reader};
use crate::engine::isolation::Isolation;
use crate::hooks::connection::{BrokerConnection, ForeignNames, parse_secrets};
use crate::hooks::dialect::{Dialect, DialectName};
use crate::hooks::rabbitmq;
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
    exchange: Option<String>,
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
    let exchange = fields
        .exchange
        .unwrap_or_else(|| rabbitmq::Settings::default().exchange);
    Some(BrokerConnection {
        name: name.to_owned(),
        dialect: match dialect {
            DialectName::RabbitMq => Dialect::RabbitMq(rabbitmq::Settings { exchange }),
            DialectName::VerneMq => Dialect::VerneMq,
        },
        secrets,
        isolation,
        home: fields.home.unwrap_or_else(|| dialect.home().to_owned()),
        foreign_names: fields.foreign_names,
    })
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
        "VerneMQ: where its sessions live by default.",
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
                meaning: "How the broker asks: `rabbitmq` or `vernemq`.",
            },
            |text| text.parse().map_err(|error: crate::hooks::dialect::NotADialect| error.to_string()),
        ),
        isolation: reader.optional(
            Field {
                name: &path("isolation"),
                example: "dedicated",
                meaning: "How organizations are kept apart: `dedicated` (default: one organization), \
                          `prefix`, `vhost` (RabbitMQ) or `mountpoint` (VerneMQ).",
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
        home: vhost.or(mountpoint),
        exchange,
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
