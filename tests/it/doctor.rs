//! `ticketgate doctor` on a real server and real brokers: it finds what is wrong and what cures it,
//! and finds nothing where nothing is.

use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};
use ticketgate::engine::isolation::Isolation;
use ticketgate::hooks::connection::{BrokerConnection, ForeignNames};
use ticketgate::hooks::dialect::{Dialect, DialectName};
use ticketgate::names::organization_id::OrganizationName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::little_broker::{LittleBroker, WhenItFails};
use crate::support::program::Site;
use crate::support::rabbitmq::{Differently, RabbitMq, free_port};
use crate::support::world::{HOOK_SECRET, Plan, World};

const RULES: &str = r#"{"rules": [
    {"user": "*", "topic": "users/{username}/#", "permission": "both"},
    {"user": "*", "topic": "rooms/+", "permission": "subscribe"}
]}"#;

/// A user that RabbitMQ knows by itself, as it is shipped, and a second vhost.
const DEFINITIONS: &str = r#"{
    "users": [{
        "name": "guest",
        "password_hash": "AQIDBEMMOXwY6PKx/JKP9PAqfsb4ozuD0Ta3pxxa9gEYBMmD",
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": "administrator"
    }],
    "vhosts": [{"name": "/"}, {"name": "other"}],
    "permissions": [
        {"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    ]
}"#;

/// A set-up with a mistake in it.
struct Broken {
    what: &'static str,
    /// Lines of `rabbitmq.conf`; `{definitions}` is a file, `{yes}` a server that says yes to all.
    settings: &'static str,
    plugin: Option<&'static str>,
    /// The hook URL: its text between the server's address and the hook's name.
    hook: &'static str,
    /// What stands in `ticketgate.toml` in place of something else.
    server: Option<(&'static str, &'static str)>,
    /// The checks that fail, and what their cures say.
    finds: &'static [(&'static str, &'static str)],
}

const GOOD: Broken = Broken {
    what: "nothing",
    settings: "",
    plugin: None,
    hook: "/hooks/rabbitmq/main/{secret}",
    server: None,
    finds: &[],
};

const BROKEN: [Broken; 16] = [
    Broken {
        what: "clients without a login are let in",
        settings: "mqtt.allow_anonymous = true\nmqtt.default_user = guest\n\
                   mqtt.default_pass = guest\nload_definitions = {definitions}\n",
        finds: &[("no username and password", "mqtt.allow_anonymous = false")],
        ..GOOD
    },
    Broken {
        what: "the users that RabbitMQ is shipped with come first",
        settings: "auth_backends.1 = internal\nauth_backends.2 = http\n\
                   load_definitions = {definitions}\n",
        finds: &[("shipped login guest", "delete_user guest")],
        ..GOOD
    },
    Broken {
        what: "only the broker's own users are asked",
        settings: "auth_backends.1 = internal\n",
        finds: &[("right login", "auth_backends.1 = http")],
        ..GOOD
    },
    Broken {
        what: "somebody else says yes to every topic",
        settings: "auth_http.topic_path = {yes}\n",
        finds: &[
            ("forbidden publish", "auth_http.topic_path"),
            ("wildcard escalation", "auth_http.topic_path"),
            ("$share around a forbidden filter", "auth_http.topic_path"),
            ("will outside the rules", "auth_http.topic_path"),
        ],
        ..GOOD
    },
    Broken {
        what: "topic questions go nowhere",
        settings: "auth_http.topic_path = http://127.0.0.1:1/topic\n",
        finds: &[("allowed subscribe", "auth_http.topic_path")],
        ..GOOD
    },
    Broken {
        what: "the secret is wrong",
        hook: "/hooks/rabbitmq/main/another-secret-of-the-tests",
        finds: &[("right login", "secret_file")],
        ..GOOD
    },
    Broken {
        what: "the connection has another name",
        hook: "/hooks/rabbitmq/mian/{secret}",
        finds: &[("right login", "this connection's name")],
        ..GOOD
    },
    Broken {
        what: "the path goes on where it should end",
        hook: "/hooks/rabbitmq/main/{secret}/v1",
        finds: &[("right login", "vhost_path = ")],
        ..GOOD
    },
    Broken {
        what: "the path begins otherwise",
        hook: "/hook/rabbitmq/main/{secret}",
        finds: &[("right login", "vhost_path = ")],
        ..GOOD
    },
    Broken {
        what: "the broker does not reach the server",
        settings: "auth_http.user_path = http://127.0.0.1:1/user\n",
        finds: &[(
            "right login",
            "an address that the broker's machine reaches",
        )],
        ..GOOD
    },
    Broken {
        what: "messages go through another exchange",
        settings: "mqtt.exchange = amq.direct\n",
        finds: &[("allowed subscribe", "mqtt.exchange")],
        ..GOOD
    },
    Broken {
        what: "clients are in another vhost",
        settings: "mqtt.vhost = other\nload_definitions = {definitions}\n",
        finds: &[("right login", "mqtt.vhost")],
        ..GOOD
    },
    Broken {
        what: "what was said once is remembered",
        settings: "auth_backends.1 = cache\nauth_cache.cached_backend = http\n\
                   auth_cache.cache_ttl = 60000\n",
        plugin: Some("rabbitmq_auth_backend_cache"),
        finds: &[("login while unavailable", "not cache")],
        ..GOOD
    },
    Broken {
        what: "passwords are in URLs",
        settings: "auth_http.http_method = get\n",
        finds: &[("password in the body", "auth_http.http_method = post")],
        ..GOOD
    },
    Broken {
        what: "the server takes the broker for another kind",
        server: Some(("dialect = \"rabbitmq\"", "dialect = \"vernemq\"")),
        finds: &[("right login", "dialect = \"vernemq\"")],
        ..GOOD
    },
    Broken {
        what: "the server thinks that each organization has a vhost",
        server: Some(("[brokers.main]", "[brokers.main]\nisolation = \"vhost\"")),
        finds: &[("right login", "mqtt.vhost")],
        ..GOOD
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_broken_configuration_is_found_and_the_good_one_is_good() {
    let yes = says_yes_to_all().await;
    let all = BROKEN.into_iter().chain([GOOD]);
    let runs = all.map(|broken| tokio::spawn(examine(broken, yes.clone())));
    // Started lazily: a task is spawned when its turn comes.
    let wrong: Vec<String> = stream::iter(runs)
        .buffer_unordered(2)
        .filter_map(async |ended| ended.unwrap())
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Sets a case up and runs the doctor on it; returns what is wrong with what it found.
async fn examine(broken: Broken, yes: Arc<str>) -> Option<String> {
    let site = prepared(&broken);
    let mut serving = site.serve().await;
    let definitions = site.path("definitions.json");
    site.write("definitions.json", DEFINITIONS);
    let settings = broken
        .settings
        .replace("{definitions}", &definitions)
        .replace("{yes}", &yes);
    let differently = Differently {
        settings,
        plugin: broken.plugin,
    };
    let hook = broken.hook.replace("{secret}", HOOK_SECRET);
    let broker = RabbitMq::start_differently(&format!("{}{hook}", site.url()), &differently).await;
    let url = format!("mqtt://127.0.0.1:{}", broker.mqtt_port);
    let output = tokio::task::block_in_place(|| {
        let whom = ["--connection", "main", "--org", &site.organization];
        doctor(&site, &[&whom[..], &["--broker", &url]].concat())
    });
    drop(broker);
    serving.kill();
    judge(&broken, &output)
}

fn prepared(broken: &Broken) -> Site {
    let site = Site::set_up();
    site.write("rules.json", RULES);
    let rules = site.path("rules.json");
    site.run(&["policy", "set", "--org", &site.organization, &rules]);
    if let Some((text, other)) = broken.server {
        let settings = std::fs::read_to_string(site.path("ticketgate.toml")).unwrap();
        assert!(settings.contains(text));
        site.write("ticketgate.toml", &settings.replace(text, other));
    }
    site
}

fn judge(broken: &Broken, output: &Output) -> Option<String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let wrong = |what: &str| Some(format!("{}: {what}\n{out}\n{err}", broken.what));
    for secret in [HOOK_SECRET, "tkn_"] {
        if out.contains(secret) || err.contains(secret) {
            return wrong("a secret was printed");
        }
    }
    let Ok(report) = serde_json::from_str::<Value>(&out) else {
        return wrong("no report");
    };
    let failed: Vec<&Value> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["verdict"] == "fail")
        .collect();
    let code = output.status.code();
    if broken.finds.is_empty() {
        let good = failed.is_empty() && code == Some(0) && report["ok"] == true;
        return if good { None } else { wrong("found something") };
    }
    if code != Some(1) || report["ok"] != false {
        return wrong("reported as good");
    }
    for (check, cure) in broken.finds {
        let found = failed.iter().any(|one| {
            let cured = one["cure"].as_str().unwrap().contains(cure);
            one["check"] == *check && one["part"] == "broker" && cured
        });
        if !found {
            return wrong(&format!("{check} was not found, or with another cure"));
        }
    }
    let elsewhere = failed.iter().any(|one| one["part"] != "broker");
    if elsewhere {
        wrong("the server was blamed")
    } else {
        None
    }
}

#[tokio::test]
async fn without_a_broker_it_asks_the_server_in_every_dialect() {
    let site = Site::set_up();
    site.write("rules.json", RULES);
    let rules = site.path("rules.json");
    site.run(&["policy", "set", "--org", &site.organization, &rules]);
    let settings = with_every_dialect(&site);
    let dialects = DialectName::ALL;
    let serving = site.serve().await;

    let output = doctor(&site, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let right = |check: &&Value| check["check"] == "right login" && check["verdict"] == "ok";
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(checks.iter().filter(right).count(), dialects.len() + 1);

    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let output = doctor(&site, &["--connection", "main", "--url", &nowhere]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["checks"][0]["check"], "server answers");

    let changed = settings.replacen("\"rabbitmq\"", "\"nanomq\"", 1);
    site.write("ticketgate.toml", &changed);
    let output = doctor(&site, &["--connection", "main"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["checks"][0]["check"], "dialect");

    site.write("ticketgate.toml", &settings);
    let no_broker = format!("mqtt://127.0.0.1:{}", free_port());
    for (arguments, says) in [
        (
            &["--connection", "nobody"][..],
            "there is no [brokers.nobody]",
        ),
        (&["--broker", &no_broker], "say with --connection"),
        (
            &["--connection", "main", "--broker", "x"],
            "mqtt://host:port",
        ),
        (
            &["--connection", "main", "--broker", &no_broker],
            "no broker listens",
        ),
    ] {
        could_not_run(&site, arguments, says);
    }
    drop(serving);
    could_not_run(&site, &[], "no server answers");
}

/// Gives the server a connection of each dialect beside its first one; returns its settings.
fn with_every_dialect(site: &Site) -> String {
    let mut settings = std::fs::read_to_string(site.path("ticketgate.toml")).unwrap();
    for dialect in DialectName::ALL {
        let (organization, secret) = (&site.organization, site.path("hook.secret"));
        let name = dialect.as_str().replace('-', "_");
        settings.push_str(&format!(
            "[brokers.{name}]\ndialect = \"{dialect}\"\norganization = \"{organization}\"\n\
             secret_file = \"{secret}\"\n"
        ));
    }
    site.write("ticketgate.toml", &settings);
    settings
}

fn could_not_run(site: &Site, arguments: &[&str], says: &str) {
    let output = doctor(site, arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    assert!(text.contains(says), "{text}");
}

#[tokio::test]
async fn topics_are_made_from_the_rules_and_judged_by_them() {
    let both = |topic: &str| json!({"user": "*", "topic": topic, "permission": "both"});
    let subscribe = |topic: &str| json!({"user": "*", "topic": topic, "permission": "subscribe"});
    let own = "users/{username}/#";
    let others = json!({"user": "sensor-*", "topic": "a/#", "permission": "both"});
    let limited = json!({"user": "*", "topic": "a/+", "permission": "both", "qos": [0]});
    // What can be found: publish, round trip, subscribe, listen, forbidden, wider, two clients.
    for (rules, expected) in [
        (vec![both(own), subscribe("rooms/+")], "prslfw2"),
        (vec![both(own)], "prsfw2"),
        (vec![subscribe("rooms/+")], "slfw2"),
        (vec![both("#")], "prs2"),
        (vec![both("devices/{client_id}/#")], "prsfw1"),
        (vec![both("by/{email}/#")], "prsfw2"),
        (vec![others], "f1"),
        // Some brokers do not tell the level, so nothing is sure to be allowed.
        (vec![limited], "f1"),
        (vec![], "f1"),
    ] {
        for isolation in [None, Some(Isolation::Prefix)] {
            let prefixed = isolation.is_some();
            let found = found_topics(json!({ "rules": rules }), isolation).await;
            // Under a prefix there is always something that is somebody else's.
            let expected = match expected {
                "prs2" if prefixed => "prsfw2",
                _ => expected,
            };
            assert_eq!(found, expected, "{rules:?}, prefixed: {prefixed}");
        }
    }
}

async fn found_topics(policy: Value, isolation: Option<Isolation>) -> String {
    let plan = Plan {
        policy,
        ..Plan::default()
    };
    let world = World::with(plan).await;
    let organization = world.organization.clone();
    let broker = BrokerConnection {
        name: "tried".into(),
        dialect: Dialect::VerneMq,
        secrets: Vec::new(),
        isolation: isolation.unwrap_or(Isolation::Dedicated(organization.clone())),
        home: String::new(),
        foreign_names: ForeignNames::Deny,
    };
    let named = Some(OrganizationName::Id(organization));
    let probe = world.app.mint_probe(&broker, named).await.unwrap();
    let topics = probe.topics;
    let marks = [
        ("p", topics.publish.is_some()),
        ("r", topics.round_trip.is_some()),
        ("s", topics.subscribe.is_some()),
        ("l", topics.listen.is_some()),
        ("f", topics.forbidden.is_some()),
        ("w", !topics.wider.is_empty()),
        ("1", probe.client_ids.1.is_none()),
        ("2", probe.client_ids.1.is_some()),
    ];
    let found = marks.iter().filter(|(_, found)| *found);
    found.map(|(mark, _)| *mark).collect()
}

#[tokio::test]
async fn what_it_mints_is_gone_after_it_and_cannot_be_held_back_for_long() {
    let site = Site::set_up();
    let serving = site.serve().await;
    let socket = site.data().join("admin.sock");
    let call = async |path: &str, body: Value| post(&socket, path, &body).await;
    let begun = call("/doctor/begin", json!({"connection": "main"})).await;
    let (username, password) = (
        begun.1["username"].as_str().unwrap(),
        begun.1["password"].as_str().unwrap(),
    );
    assert!(site.can_connect(username, password).await);
    // The rules that an organization is made with let users write below their own name only.
    let publish = begun.1["publish"].as_str().unwrap();
    assert!(publish.starts_with("users/doctor-"), "{publish}");

    let pause = |seconds: u32| json!({"username": username, "seconds": seconds});
    assert_eq!(call("/doctor/pause", pause(11)).await.0, 400);
    let (other_name, other_password, _) = site.login("alice").await;
    let others = json!({"username": other_name, "seconds": 5});
    assert_eq!(call("/doctor/pause", others).await.0, 404, "not a probe");
    assert_eq!(call("/doctor/pause", pause(10)).await.0, 200);
    assert!(!site.can_connect(username, password).await);
    assert!(
        site.can_connect(&other_name, &other_password).await,
        "nobody else notices"
    );
    assert_eq!(call("/doctor/pause", pause(0)).await.0, 200);
    assert!(site.can_connect(username, password).await);

    let watched = json!({"username": username});
    let seen = call("/doctor/seen", watched.clone()).await.1;
    let outcomes = seen["questions"].as_array().unwrap().iter();
    let outcomes: Vec<_> = outcomes
        .map(|one| one["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["allow", "unavailable", "allow"]);
    assert!(site.output(&["revoke", username]).status.success());
    assert!(!site.can_connect(username, password).await);
    assert_eq!(call("/doctor/end", watched.clone()).await.0, 200);
    assert_eq!(call("/doctor/seen", watched).await.0, 404);
    let log = serving.log();
    assert!(log.contains("answered by a bare 503") && !log.contains(password));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_lets_in_what_nobody_decided_is_found() {
    let site = prepared(&EMQX);
    let _serving = site.serve().await;
    let closed = try_out(&site, WhenItFails::Closed, &[]).await;
    assert_eq!(closed.code, Some(0), "{closed:#?}");
    // What no check can show is said each time.
    let by_hand = closed.check("login while this server is gone");
    assert_eq!(by_hand["verdict"], "not_checked");
    assert!(
        by_hand["seen"]
            .as_str()
            .unwrap()
            .contains("stop this server")
    );

    let open = try_out(&site, WhenItFails::Open, &[]).await;
    assert_eq!(open.code, Some(1), "{open:#?}");
    let unavailable = ["publish while unavailable", "login while unavailable"];
    assert_eq!(open.failed(), unavailable);
    for name in unavailable {
        let cure = open.check(name)["cure"].as_str().unwrap();
        assert!(cure.contains("emqx.conf: no_match = deny"), "{cure}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn out_of_time_is_a_failure_that_says_what_is_missing() {
    let site = prepared(&EMQX);
    let _serving = site.serve().await;
    let tried = try_out(&site, WhenItFails::Mute, &["--within", "3"]).await;
    assert_eq!(tried.code, Some(1), "{tried:#?}");
    assert_eq!(tried.report["ok"], false);
    assert_eq!(tried.failed(), ["all checks"]);
    let seen = tried.check("all checks")["seen"].as_str().unwrap();
    assert!(
        !seen.contains("right login") && !seen.contains("garbage body"),
        "{seen}"
    );
    for missing in [
        "allowed subscribe",
        "login while unavailable",
        "login after a revoke",
    ] {
        assert!(seen.contains(missing), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_will_that_does_not_come_says_nothing_without_one_that_does() {
    let site = prepared(&EMQX);
    let listeners = r#"{"rules": [{"user": "*", "topic": "rooms/+", "permission": "subscribe"}]}"#;
    site.write("rules.json", listeners);
    let rules = site.path("rules.json");
    site.run(&["policy", "set", "--org", &site.organization, &rules]);
    let _serving = site.serve().await;
    let tried = try_out(&site, WhenItFails::Closed, &[]).await;
    let will = tried.check("will outside the rules");
    assert_eq!(will["verdict"], "not_checked", "{tried:#?}");
}

const EMQX: Broken = Broken {
    server: Some(("dialect = \"rabbitmq\"", "dialect = \"emqx\"")),
    ..GOOD
};

/// What the doctor said of a broker.
#[derive(Debug)]
struct Tried {
    code: Option<i32>,
    report: Value,
}

async fn try_out(site: &Site, fails: WhenItFails, more: &[&str]) -> Tried {
    let hooks = format!("{}/hooks/emqx/main", site.url());
    let broker = LittleBroker::start(hooks, fails).await;
    let arguments = [&["--connection", "main", "--broker", &broker.url], more].concat();
    let output = tokio::task::block_in_place(|| doctor(site, &arguments));
    Tried {
        code: output.status.code(),
        report: serde_json::from_slice(&output.stdout).unwrap(),
    }
}

impl Tried {
    fn checks(&self) -> &[Value] {
        self.report["checks"].as_array().unwrap()
    }

    /// What was said last under this name.
    fn check(&self, name: &str) -> &Value {
        let mut named = self.checks().iter().filter(|one| one["check"] == name);
        named
            .next_back()
            .unwrap_or_else(|| panic!("{name}: {self:#?}"))
    }

    fn failed(&self) -> Vec<&str> {
        let failed = self.checks().iter().filter(|one| one["verdict"] == "fail");
        failed.map(|one| one["check"].as_str().unwrap()).collect()
    }
}

#[tokio::test]
async fn nobody_elses_question_is_ever_left_without_a_verdict() {
    let site = Site::set_up();
    with_every_dialect(&site);
    let _serving = site.serve().await;
    let socket = site.data().join("admin.sock");
    let begun = post(&socket, "/doctor/begin", &json!({"connection": "main"})).await;
    let text = |name: &str| begun.1[name].as_str().unwrap().to_owned();
    let probe = (text("username"), text("password"));
    let (username, password, _) = site.login("alice").await;
    let alice = (username, password);
    let pause = json!({"username": probe.0, "seconds": 10});
    assert_eq!(post(&socket, "/doctor/pause", &pause).await.0, 200);
    for (connection, hook) in [
        ("rabbitmq", "/user"),
        ("emqx", "/auth"),
        ("emqx4", "/auth"),
        ("nanomq", "/auth"),
        ("rmqtt", "/auth"),
        ("tbmq", "/auth"),
        ("mosquitto-go-auth", "/user"),
        ("mosquitto-auth-plug", "/user"),
    ] {
        let ask = async |secret: &str, who: &(String, String), body: Option<&'static str>| {
            let name = connection.replace('-', "_");
            let url = format!("{}/hooks/{connection}/{name}/{secret}{hook}", site.url());
            let call = reqwest::Client::new().post(url);
            let (username, password) = who;
            let call = match (connection, body) {
                (_, Some(body)) => call.body(body),
                ("emqx" | "rmqtt" | "tbmq", None) => call.json(&json!({
                    "username": username, "password": password, "clientid": "c", "clientId": "c",
                })),
                _ => call.form(&[
                    ("username", &**username),
                    ("password", &**password),
                    ("clientid", "c"),
                    ("client_id", "c"),
                    ("vhost", "/"),
                ]),
            };
            let reply = call.send().await.unwrap();
            let (status, bare) = (
                reply.status().as_u16(),
                reply.headers().get("content-type").is_none(),
            );
            (status, bare, reply.text().await.unwrap())
        };
        let failure = (503, true, String::new());
        assert_eq!(
            ask(HOOK_SECRET, &probe, None).await,
            failure,
            "{connection}"
        );
        let (status, bare, _) = ask(HOOK_SECRET, &alice, None).await;
        assert_eq!((status, bare), (200, false), "{connection}");
        for (secret, body) in [
            ("another-secret-of-the-tests", None),
            (HOOK_SECRET, Some("\0")),
        ] {
            let (status, bare, _) = ask(secret, &probe, body).await;
            assert!(status != 503 && !bare, "{connection} {secret}: {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_travels_as_the_brokers_own_file_has_it() {
    let site = Site::set_up();
    with_every_dialect(&site);
    let _serving = site.serve().await;
    for (connection, in_header) in [
        ("emqx", true),
        ("emqx4", true),
        ("nanomq", true),
        ("rmqtt", true),
        ("tbmq", true),
        ("rabbitmq", false),
        ("vernemq", false),
        ("mosquitto_go_auth", false),
    ] {
        let (url, asked) = listens().await;
        let arguments = ["--connection", connection, "--url", &url];
        tokio::task::block_in_place(|| doctor(&site, &arguments));
        let asked = asked.lock().unwrap();
        let hooks: Vec<&str> = asked.split("POST /hooks/").skip(1).collect();
        assert!(hooks.len() > 5, "{connection}: {asked}");
        let line = |one: &&str| one.lines().next().unwrap().contains(HOOK_SECRET);
        let bearer = format!("authorization: Bearer {HOOK_SECRET}");
        let header = |one: &&str| one.contains(&bearer);
        assert_eq!(hooks.iter().any(header), in_header, "{connection}");
        assert_eq!(hooks.iter().any(line), !in_header, "{connection}");
    }
}

/// A server that answers everything with an empty 200; returns its URL, and what it was asked.
async fn listens() -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !is_whole(&request) && client.read_buf(&mut request).await.unwrap() > 0 {}
            *kept.lock().unwrap() += &String::from_utf8_lossy(&request);
            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            client.write_all(reply).await.unwrap();
        }
    });
    (url, asked)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .split_once("content-length: ")
        .map_or("0", |(_, rest)| rest);
    let length = length.split("\r\n").next().unwrap().parse::<usize>();
    let start = request.windows(4).position(|end| end == b"\r\n\r\n");
    request.len() >= start.unwrap() + 4 + length.unwrap()
}

async fn post(socket: &Path, path: &str, body: &Value) -> (u16, Value) {
    let client = reqwest::Client::builder().unix_socket(socket).build();
    let url = format!("http://localhost{path}");
    let reply = client.unwrap().post(url).json(body).send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

fn doctor(site: &Site, arguments: &[&str]) -> Output {
    let config = site.path("ticketgate.toml");
    site.output(&[&["--json", "--config", &config, "doctor"], arguments].concat())
}

/// A server that answers every question with yes; returns its URL.
async fn says_yes_to_all() -> Arc<str> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/yes", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut asked = Vec::new();
                while client.read_buf(&mut asked).await.is_ok_and(|read| read > 0) {
                    // The last field of a topic question.
                    if asked.windows(18).any(|one| one == b"variable_map.vhost") {
                        asked.clear();
                        let reply = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\
                                      content-length: 5\r\n\r\nallow";
                        if client.write_all(reply).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    url.into()
}
