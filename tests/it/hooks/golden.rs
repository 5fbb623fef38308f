//! Requests and whole replies, byte for byte. `tests/golden/README.md` describes the files.

use std::path::{Path, PathBuf};

use serde_json::json;
use ticketgate::engine::isolation::Isolation;
use ticketgate::hooks::connection::ForeignNames;

use crate::hooks::faulty_store::{Fault, Faults};
use crate::hooks::questions::forged;
use crate::hooks::wire::{Connection, Request};
use crate::support::world::{HOOK_SECRET, Login, Plan, World};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

const HEAD_ENDS: &str = "a head ends with an empty line";

/// The worlds that a file can ask for.
const WORLDS: [&str; 6] = [
    "plain",
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

#[tokio::test]
async fn rabbitmq_is_answered_byte_for_byte() {
    assert_eq!(replay("rabbitmq").await, 47);
}

#[tokio::test]
async fn vernemq_is_answered_byte_for_byte() {
    assert_eq!(replay("vernemq").await, 111);
}

/// Replays every file of a broker; returns how many requests there were.
async fn replay(broker: &str) -> usize {
    let goldens = goldens(broker);
    for name in WORLDS {
        let here: Vec<_> = goldens.iter().filter(|one| one.world == name).collect();
        if here.is_empty() {
            continue;
        }
        let stage = Stage::set(name).await;
        for golden in here {
            golden.replay(&stage);
        }
    }
    goldens.iter().map(|golden| golden.exchanges.len()).sum()
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
    vec![
        ("<name>", name.to_owned()),
        ("<organization>", world.organization.to_string()),
        ("<password>", login.password.clone()),
        ("<forged>", forged(&login.password)),
        ("<secret>", HOOK_SECRET.to_owned()),
    ]
}
