//! Requests and whole replies, byte for byte. `tests/golden/README.md` describes the files.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;
use ticketgate::engine::isolation::Isolation;
use ticketgate::hooks::connection::ForeignNames;
use ticketgate::hooks::dialect::DialectName;

use crate::hooks::faulty_store::{Fault, Faults};
use crate::hooks::questions::forged;
use crate::hooks::wire::{Connection, Request};
use crate::support::world::{HOOK_SECRET, Login, Plan, World};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

const HEAD_ENDS: &str = "a head ends with an empty line";

/// The worlds that a file can ask for.
const WORLDS: [&str; 7] = [
    "plain",
    "sayable",
    "mountpoint",
    "abstaining",
    "full",
    "down",
    "panicking",
];

/// A file, read.
struct Golden {
    path: PathBuf,
    world: String,
    exchanges: Vec<Exchange>,
}

/// A request template and the reply that it must get.
#[derive(Default)]
struct Exchange {
    request: String,
    reply: String,
}

/// A running world and what the placeholders stand for.
struct Stage {
    world: World,
    values: Vec<(&'static str, String)>,
}

/// How many requests each dialect's files have.
const COUNTS: [(DialectName, usize); 11] = [
    (DialectName::AzureEventGrid, 20),
    (DialectName::BifroMq, 66),
    (DialectName::Emqx, 97),
    (DialectName::Emqx4, 70),
    (DialectName::MosquittoAuthPlug, 52),
    (DialectName::MosquittoGoAuth, 198),
    (DialectName::NanoMq, 84),
    (DialectName::RabbitMq, 56),
    (DialectName::Rmqtt, 74),
    (DialectName::Tbmq, 27),
    (DialectName::VerneMq, 111),
];

/// What every dialect has a file about; its name ends with the word.
const CELLS: [&str; 9] = [
    "allow",
    "deny",
    "abstain",
    "unavailable",
    "garbage",
    "panicked",
    "overloaded",
    "wrong-secret",
    "unknown-hook",
];

#[tokio::test]
async fn every_dialect_is_answered_byte_for_byte() {
    let goldens: Vec<_> = DialectName::ALL
        .into_iter()
        .flat_map(|dialect| goldens(dialect.as_str()))
        .collect();
    for name in WORLDS {
        let stage = Stage::set(name).await;
        for golden in goldens.iter().filter(|one| one.world == name) {
            golden.replay(&stage);
        }
    }
}

#[test]
fn every_dialect_has_a_file_for_each_kind_of_answer() {
    let counted = DialectName::ALL.map(|dialect| {
        let goldens = goldens(dialect.as_str());
        for cell in CELLS {
            let is_about = |one: &Golden| {
                one.path
                    .file_stem()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .ends_with(cell)
            };
            assert!(goldens.iter().any(is_about), "{dialect}: {cell}");
        }
        let count = goldens.iter().map(|golden| golden.exchanges.len()).sum();
        (dialect, count)
    });
    assert_eq!(counted, COUNTS);
}

fn goldens(broker: &str) -> Vec<Golden> {
    let folder = std::fs::read_dir(Path::new(GOLDEN).join(broker)).unwrap();
    let mut files: Vec<_> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "golden")
        })
        .collect();
    files.sort();
    files.into_iter().map(Golden::read).collect()
}

impl Golden {
    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut parts = text.split("=== ");
        let world = parts
            .next()
            .unwrap()
            .lines()
            .find_map(|line| line.strip_prefix("world: "));
        let world = world.expect("a file names its world").to_owned();
        assert!(WORLDS.contains(&&*world), "{}: {world}", path.display());
        let mut exchanges: Vec<Exchange> = Vec::new();
        for part in parts {
            let part = part.strip_suffix('\n').expect("a part ends with a line");
            if let Some(request) = part.strip_prefix("request\n") {
                exchanges.push(Exchange {
                    request: request.to_owned(),
                    ..Exchange::default()
                });
            } else if let Some(reply) = part.strip_prefix("reply\n") {
                exchanges.last_mut().unwrap().reply = reply.to_owned();
            } else {
                panic!("{}: neither a request nor a reply: {part}", path.display());
            }
        }
        Self {
            path,
            world,
            exchanges,
        }
    }

    /// All requests on one connection, unless the server says that it closes it.
    fn replay(&self, stage: &Stage) {
        let mut connection = Connection::open(&stage.world);
        for exchange in &self.exchanges {
            let request = stage.request(&exchange.request);
            let reply = connection.ask(&request);
            let expected = stage.reply(&exchange.reply);
            assert_eq!(reply.to_string(), expected, "{}", self.path.display());
            if reply.header("connection") == Some("close") {
                connection.expect_closed();
                connection = Connection::open(&stage.world);
            }
        }
    }
}

impl Stage {
    async fn set(name: &str) -> Self {
        let faults = Faults::new();
        let world = World::with(plan(name, &faults)).await;
        let login = world.login("alice").await;
        faults.set(match name {
            "down" => Fault::Unavailable,
            "panicking" => Fault::Panics,
            _ => Fault::None,
        });
        let values = values(&world, &login);
        Self { world, values }
    }

    fn fill_in(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.values {
            text = text.replace(name, value);
        }
        text
    }

    fn reply(&self, template: &str) -> String {
        let text = self.fill_in(template);
        let (head, body) = text.split_once("\n\n").expect(HEAD_ENDS);
        format!("{}\n\n{body}", with_length(head, body))
    }

    fn request(&self, template: &str) -> Request {
        let text = self.fill_in(template);
        let (head, body) = text.split_once("\n\n").expect(HEAD_ENDS);
        Request {
            head: with_length(head, body)
                .split('\n')
                .map(str::to_owned)
                .collect(),
            body: body.into(),
        }
    }
}

fn with_length(head: &str, body: &str) -> String {
    head.replace("<length>", &body.len().to_string())
}

fn plan(name: &str, faults: &Faults) -> Plan {
    let plan = Plan {
        policy: json!({"rules": [
            {"user": "*", "topic": "users/{username}/#", "permission": "both"},
            {"user": "*", "topic": "news/#", "permission": "subscribe", "qos": [0]},
            {"user": "*", "topic": "state/{client_id}", "permission": "publish", "retain": false},
        ]}),
        wrap: faults.wrap(),
        ..Plan::default()
    };
    match name {
        "sayable" => Plan {
            policy: json!({"rules": [
                {"user": "*", "topic": "users/{username}/#", "permission": "both"},
                {"user": "*", "topic": "state/{client_id}", "permission": "publish",
                 "qos": [0, 1], "retain": false},
            ]}),
            ..plan
        },
        "mountpoint" => Plan {
            isolation: Some(Isolation::Mountpoint),
            ..plan
        },
        "abstaining" => Plan {
            foreign_names: ForeignNames::Abstain,
            ..plan
        },
        "full" => {
            let mut full = plan;
            full.settings.hooks_in_flight = 0;
            full
        }
        _ => plan,
    }
}

fn values(world: &World, login: &Login) -> Vec<(&'static str, String)> {
    let (name, _) = login.username.split_once('@').unwrap();
    let end: Timestamp = login.reply["expires_at"].as_str().unwrap().parse().unwrap();
    vec![
        ("<name>", name.to_owned()),
        ("<organization>", world.organization.to_string()),
        ("<password>", login.password.clone()),
        ("<forged>", forged(&login.password)),
        ("<password64>", STANDARD.encode(&login.password)),
        ("<forged64>", STANDARD.encode(forged(&login.password))),
        ("<name-in-regex>", name.replace('_', r"\\_")),
        ("<end>", end.as_second().to_string()),
        ("<secret>", HOOK_SECRET.to_owned()),
    ]
}
