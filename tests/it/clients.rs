//! Clients as people write them: the code of `docs/clients.md`, taken from there, and the login shapes
//! of other published clients, against a real server and a real broker.

mod rumqttc_program;
mod shapes;
mod ticketgate_client;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clients::rumqttc_program::RumqttcProgram;
use crate::support::client::ClientProgram;
use crate::support::deployment::{Deployment, identity_token};

const DOCUMENT: &str = include_str!("../../docs/clients.md");
/// Seconds that the first login lives; it is renewed after nine tenths.
const FIRST_LIFE: i64 = 8;

/// One of the document's clients.
enum Client {
    Program(ClientProgram),
    Rumqttc(RumqttcProgram),
}

impl Client {
    async fn next(&mut self, name: &str) -> Value {
        match self {
            Client::Program(program) => program.next(name).await,
            Client::Rumqttc(program) => program.next(name).await,
        }
    }

    fn said(&self) -> String {
        match self {
            Client::Program(program) => program.said(),
            Client::Rumqttc(program) => program.said(),
        }
    }
}

#[test]
fn the_rust_code_in_the_document_is_the_code_that_is_compiled_here() {
    let here = include_str!("clients/ticketgate_client.rs");
    assert_eq!(
        code("tests/it/clients/ticketgate_client.rs"),
        here,
        "docs/clients.md"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documents_clients_stay_connected() {
    let mut deployment = Deployment::rabbitmq().await;
    let mut clients = [
        ("mqttjs", mqttjs(&plan(&deployment, "mqttjs"))),
        ("paho", paho(&plan(&deployment, "paho"))),
        (
            "rumqttc",
            Client::Rumqttc(RumqttcProgram::start(plan(&deployment, "rumqttc"))),
        ),
    ];
    for (_, client) in &mut clients {
        work(client, 1, "at first").await;
    }
    // Renewed before its end, without a word from anybody.
    for (_, client) in &mut clients {
        work(client, 2, "renewed").await;
    }
    // The same login serves again as long as it is fresh.
    deployment.lose_connections();
    for (_, client) in &mut clients {
        work(client, 3, "after the network was lost").await;
        assert_eq!(exchanges(client), 2, "{}", client.said());
    }
    // Every token that they have is revoked, and the user may come again.
    for (name, _) in &clients {
        let user = format!("user_{name}@{}", deployment.site.organization);
        deployment.site.run(&["revoke", &user]);
    }
    deployment.lose_connections();
    for (_, client) in &mut clients {
        work(client, 4, "after the revoke").await;
        assert_eq!(exchanges(client), 3, "{}", client.said());
    }
    deployment.server.kill();
    deployment.lose_connections();
    for (_, client) in &mut clients {
        // Refused by the broker, for want of a better word; hence the next login is asked for.
        until(client, "asks for a login", |client| exchanges(client) > 3).await;
    }
    deployment.serve_again().await;
    for (_, client) in &mut clients {
        work(client, 5, "after the outage").await;
    }
}

#[tokio::test]
async fn a_program_that_stops_the_documents_clients_ends() {
    let deployment = Deployment::rabbitmq().await;
    let mut clients = [
        mqttjs(&plan(&deployment, "mqttjs")),
        paho(&plan(&deployment, "paho")),
    ];
    for client in &mut clients {
        work(client, 1, "at first").await;
        let Client::Program(program) = client else {
            unreachable!("both are programs");
        };
        program.order("stop", &json!([]));
        program.next("ended").await;
    }
}

#[tokio::test]
#[ignore = "scripts/test-brokers builds RMQTT and runs this"]
async fn rmqtt_the_code_for_mqttjs_speaks_mqtt_5_too() {
    let deployment = Deployment::rmqtt().await;
    let mut plan = plan(&deployment, "mqttjs");
    plan["protocolVersion"] = json!(5);
    let mut client = mqttjs(&plan);
    work(&mut client, 1, "at first").await;
    work(&mut client, 2, "renewed").await;
    deployment.lose_connections();
    work(&mut client, 3, "after the network was lost").await;
}

/// What every driver is told: its first login is a short one.
fn plan(deployment: &Deployment, name: &str) -> Value {
    let tokens = [FIRST_LIFE, 3_600].map(|life| identity_token(name, life));
    json!({
        "ticketgate": deployment.site.url(),
        "organization": deployment.site.organization,
        "broker": deployment.broker_url(),
        "clientId": format!("a-client-id-of-{name}"),
        "topic": format!("users/user_{name}/mood"),
        "identityTokens": tokens,
    })
}

fn mqttjs(plan: &Value) -> Client {
    let files = [
        (
            "drive-mqttjs.mjs",
            include_str!("../js/drive-mqttjs.mjs").to_owned(),
        ),
        ("ticketgate-client.mjs", code("ticketgate-client.mjs")),
    ];
    Client::Program(ClientProgram::node(&borrowed(&files), plan))
}

fn paho(plan: &Value) -> Client {
    let files = [
        (
            "drive_paho.py",
            include_str!("../python/drive_paho.py").to_owned(),
        ),
        ("ticketgate_client.py", code("ticketgate_client.py")),
    ];
    Client::Program(ClientProgram::python(&borrowed(&files), plan))
}

fn borrowed<'a>(files: &'a [(&'a str, String); 2]) -> [(&'a str, &'a str); 2] {
    files.each_ref().map(|(name, text)| (*name, &**text))
}

/// The code block below `<!-- tested: NAME -->`.
fn code(name: &str) -> String {
    let mark = format!("<!-- tested: {name} -->\n```");
    let (_, rest) = DOCUMENT
        .split_once(&mark)
        .unwrap_or_else(|| panic!("docs/clients.md has no code marked {name}"));
    let (_, rest) = rest.split_once('\n').unwrap();
    let (code, _) = rest.split_once("\n```").unwrap();
    format!("{code}\n")
}

/// Waits until the client has connected once more, and a message of its own has come back.
async fn work(client: &mut Client, least: u64, when: &str) {
    loop {
        let message = client.next("message").await;
        let text = message["payload"].as_str().unwrap().to_owned();
        let number: u64 = text.strip_prefix("hello ").unwrap().parse().unwrap();
        if number >= least {
            assert_eq!(number, least, "{when}: {}", client.said());
            return;
        }
    }
}

fn exchanges(client: &Client) -> usize {
    client.said().matches("identity_token").count()
}

async fn until(client: &Client, what: &str, is: impl Fn(&Client) -> bool) {
    let started = Instant::now();
    while !is(client) {
        let soon = started.elapsed() < Duration::from_secs(60);
        assert!(soon, "no client {what}: {}", client.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
