//! Every broker, set up with its committed file, asks the right question at the right place, and
//! reads a yes where the rules allow and a no where they do not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::support::program::Site;
use crate::support::world::HOOK_SECRET;

/// What a broker sends, as its file makes it.
struct Step {
    /// What its URL ends in.
    place: &'static str,
    headers: &'static [(&'static str, &'static str)],
    fields: Value,
    encoding: Encoding,
    /// A yes has the status 200 and this in its body.
    yes: &'static str,
}

#[derive(Clone, Copy)]
enum Encoding {
    Json,
    Form,
}

struct Broker {
    name: &'static str,
    login: Step,
    /// Where the broker asks about topics at all.
    publish: Option<Step>,
}

#[tokio::test]
async fn every_broker_asks_at_the_right_place() {
    let site = Site::set_up();
    let names = site.json(&["broker", "list"])["brokers"].clone();
    let names: Vec<&str> = names.as_array().unwrap().iter().map(name).collect();
    let mut settings = std::fs::read_to_string(site.path("ticketgate.toml")).unwrap();
    for name in &names {
        let (table, secret) = (connection(name), site.path("hook.secret"));
        let organization = &site.organization;
        settings += &format!(
            "[brokers.{table}]\ndialect = \"{name}\"\nsecret_file = \"{secret}\"\n\
             organization = \"{organization}\"\n"
        );
    }
    site.write("ticketgate.toml", &settings);
    let _server = site.serve().await;
    let (username, password, _) = site.login("alice").await;

    let brokers = brokers();
    let known: Vec<&str> = brokers.iter().map(|broker| broker.name).collect();
    assert_eq!(names, known, "every broker with files is asked for here");
    for broker in &brokers {
        let files = files(&site, broker.name);
        let says_yes = async |step: &Step, username: &str, password: &str, topic: &str| {
            let fill = |text: &str| fill(text, username, password, topic);
            ask(&site, &files, step, fill).await
        };
        let (own, foreign) = ("users/user_alice/mood", "users/user_bob/mood");
        let name = broker.name;
        assert!(
            says_yes(&broker.login, &username, &password, own).await,
            "{name}"
        );
        assert!(
            !says_yes(&broker.login, &username, "wrong", own).await,
            "{name}"
        );
        if let Some(publish) = &broker.publish {
            assert!(says_yes(publish, &username, &password, own).await, "{name}");
            assert!(
                !says_yes(publish, &username, &password, foreign).await,
                "{name}"
            );
        }
    }
}

/// In the order of `ticketgate broker list`.
fn brokers() -> Vec<Broker> {
    let json = |place, fields, yes| step(place, &[], fields, Encoding::Json, yes);
    let form = |place, fields, yes| step(place, &[], fields, Encoding::Form, yes);
    let login = json!({"clientid": "c", "username": "USER", "password": "PASSWORD"});
    let publish = json!({
        "clientid": "c", "username": "USER", "access": "2", "topic": "TOPIC",
        "ipaddr": "127.0.0.1", "mountpoint": "",
    });
    let broker = |name, login, publish| Broker {
        name,
        login,
        publish,
    };
    vec![
        broker(
            "vernemq",
            step(
                "",
                &[("vernemq-hook", "auth_on_register")],
                json!({
                    "peer_addr": "127.0.0.1", "peer_port": 1, "mountpoint": "", "client_id": "c",
                    "username": "USER", "password": "PASSWORD", "clean_session": true,
                }),
                Encoding::Json,
                r#"{"result":"ok""#,
            ),
            Some(step(
                "",
                &[("vernemq-hook", "auth_on_publish")],
                json!({
                    "username": "USER", "client_id": "c", "mountpoint": "", "qos": 1,
                    "topic": "TOPIC", "retain": false,
                }),
                Encoding::Json,
                r#"{"result":"ok""#,
            )),
        ),
        broker(
            "emqx",
            json("/auth", login.clone(), r#""result":"allow""#),
            Some(json(
                "/acl",
                json!({
                    "clientid": "c", "username": "USER", "peerhost": "127.0.0.1", "mountpoint": "",
                    "action": "publish", "topic": "TOPIC", "qos": "1", "retain": "false",
                }),
                r#""result":"allow""#,
            )),
        ),
        broker(
            "emqx4",
            form("/auth", login.clone(), ""),
            Some(form("/acl", publish.clone(), "")),
        ),
        broker(
            "nanomq",
            json("/auth", login.clone(), ""),
            Some(json("/acl", publish.clone(), "")),
        ),
        broker(
            "rabbitmq",
            form(
                "/user",
                json!({"username": "USER", "password": "PASSWORD", "vhost": "/", "client_id": "c"}),
                "allow",
            ),
            Some(form(
                "/topic",
                json!({
                    "username": "USER", "vhost": "/", "resource": "topic", "name": "amq.topic",
                    "permission": "write", "tags": "", "routing_key": "DOTTED",
                    "variable_map.client_id": "c", "variable_map.username": "USER",
                    "variable_map.vhost": "/",
                }),
                "allow",
            )),
        ),
        broker(
            "mosquitto-go-auth",
            json("/user", login.clone(), "ok"),
            Some(json(
                "/acl",
                json!({"acc": 2, "clientid": "c", "topic": "TOPIC", "username": "USER"}),
                "ok",
            )),
        ),
        broker(
            "mosquitto-auth-plug",
            form(
                "/user",
                json!({
                    "username": "USER", "password": "PASSWORD", "topic": "", "acc": "-1",
                    "clientid": "",
                }),
                "",
            ),
            Some(form(
                "/acl",
                json!({
                    "username": "USER", "password": "", "topic": "TOPIC", "acc": "2",
                    "clientid": "c",
                }),
                "",
            )),
        ),
        broker(
            "rmqtt",
            json("/auth", login, r#""result":"allow""#),
            Some(json("/acl", publish, r#""result":"allow""#)),
        ),
        broker(
            "bifromq",
            json(
                "/auth",
                json!({"clientId": "c", "username": "USER", "password": "PASSWORD64"}),
                r#"{"ok":"#,
            ),
            Some(step(
                "/check",
                &[("tenant_id", "main"), ("user_id", "USER/c")],
                json!({"pub": {"topic": "TOPIC", "qos": "AT_LEAST_ONCE", "isRetained": false}}),
                Encoding::Json,
                "true",
            )),
        ),
        broker(
            "tbmq",
            json(
                "/auth",
                json!({"clientId": "c", "username": "USER", "password": "PASSWORD"}),
                r#""result":"success""#,
            ),
            None,
        ),
        broker(
            "azure-event-grid",
            json(
                "/auth",
                json!({"clientId": "c", "userName": "USER", "password": "PASSWORD64"}),
                r#""decision":"allow""#,
            ),
            None,
        ),
    ]
}

fn step(
    place: &'static str,
    headers: &'static [(&'static str, &'static str)],
    fields: Value,
    encoding: Encoding,
    yes: &'static str,
) -> Step {
    Step {
        place,
        headers,
        fields,
        encoding,
        yes,
    }
}

/// Asks as the broker does, at the address and with the secret that its files have.
async fn ask(site: &Site, files: &str, step: &Step, fill: impl Fn(&str) -> String) -> bool {
    let mut call = reqwest::Client::new().post(address(site, files, step.place));
    if let Some((_, rest)) = files.split_once("Bearer ") {
        let secret = rest.split(['"', '\n']).next().unwrap();
        call = call.bearer_auth(secret);
    }
    for (name, value) in step.headers {
        call = call.header(*name, fill(value));
    }
    let fields = filled(&step.fields, &fill);
    let call = match step.encoding {
        Encoding::Json => call.json(&fields),
        Encoding::Form => call.form(&fields),
    };
    let reply = call.send().await.unwrap();
    reply.status() == 200 && reply.text().await.unwrap().contains(step.yes)
}

/// The hook address in a broker's files that ends in the place, or that the broker puts the place
/// behind. Some files have only its path.
fn address(site: &Site, files: &str, place: &str) -> String {
    let words = files.split(|c: char| c.is_whitespace() || c == '"' || c == '=');
    let paths: Vec<&str> = words
        .filter_map(|word| Some(word.split_once("/hooks/")?.1))
        .collect();
    let ends = |path: &&&str| path.ends_with(HOOK_SECRET);
    let path = match paths.iter().find(ends) {
        Some(path) => format!("{path}{place}"),
        None => {
            let found = paths.iter().find(|path| path.ends_with(place));
            let found = found.unwrap_or_else(|| panic!("nothing ends in `{place}` in\n{files}"));
            (*found).to_owned()
        }
    };
    format!("{}/hooks/{path}", site.url())
}

fn filled(value: &Value, fill: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text)),
        Value::Object(fields) => {
            let each = fields.iter();
            let filled: Map<String, Value> = each
                .map(|(name, value)| (name.clone(), filled(value, fill)))
                .collect();
            Value::Object(filled)
        }
        other => other.clone(),
    }
}

fn fill(text: &str, username: &str, password: &str, topic: &str) -> String {
    text.replace("PASSWORD64", &STANDARD.encode(password))
        .replace("PASSWORD", password)
        .replace("USER", username)
        .replace("TOPIC", topic)
        .replace("DOTTED", &topic.replace('/', "."))
}

/// The text of all files of a broker, filled in for this site.
fn files(site: &Site, name: &str) -> String {
    // One of them insists on https. Where it is does not matter here.
    let url = match name {
        "azure-event-grid" => "https://ticketgate.example.com".to_owned(),
        _ => site.url(),
    };
    let (connection, secret) = (connection(name), site.path("hook.secret"));
    site.run(&[
        "broker",
        "config",
        name,
        "--url",
        &url,
        "--connection",
        &connection,
        "--secret-file",
        &secret,
    ])
}

/// The name of the connection of a broker.
fn connection(name: &str) -> String {
    name.replace('-', "_")
}

fn name(broker: &Value) -> &str {
    broker["name"].as_str().unwrap()
}
