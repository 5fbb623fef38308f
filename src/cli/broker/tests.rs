//! What every file of every broker has to keep, whoever edits it next.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::{Parser, ValueEnum as _};

use crate::cli::broker::files::{BROKERS, Broker, README, find};
use crate::cli::broker::fill::{Hook, ServerUrl, Variant};
use crate::cli::broker::{BrokerCommand, ConfigArguments, fill};
use crate::secret::Secret;

const SECRET: &str = "a-secret-of-the-tests-00";

/// What must stand in a file as a line of its own, however it is filled in: anonymous logins off, and
/// no where nobody decides. With a reason instead where the broker has no such setting.
const REQUIRED: &[(&str, &str, &[&str])] = &[
    (
        "vernemq",
        "vernemq.conf",
        &[
            "allow_anonymous = off",
            "plugins.vmq_passwd   = off",
            "plugins.vmq_acl      = off",
            "plugins.vmq_webhooks = on",
        ],
    ),
    (
        "emqx",
        "emqx.conf",
        &[
            "no_match = deny",
            "deny_action = disconnect",
            "cache.enable = false",
            "node_cache.enable = false",
            "authentication_settings.node_cache.enable = false",
            "method = post",
            "authorization = \"Bearer a-secret-of-the-tests-00\"",
        ],
    ),
    (
        "emqx4",
        "emqx.conf",
        &[
            "allow_anonymous = false",
            "acl_nomatch = deny",
            "acl_deny_action = disconnect",
            "enable_acl_cache = off",
        ],
    ),
    ("emqx4", "acl.conf", &["{deny, all}."]),
    (
        "emqx4",
        "emqx_auth_http.conf",
        &[
            "auth.http.auth_req.method = post",
            "auth.http.acl_req.method = post",
            "auth.http.auth_req.headers.authorization = Bearer a-secret-of-the-tests-00",
            "auth.http.acl_req.headers.authorization = Bearer a-secret-of-the-tests-00",
        ],
    ),
    (
        "nanomq",
        "nanomq.conf",
        &[
            "allow_anonymous = false",
            "no_match = deny",
            "deny_action = disconnect",
            "cache_ttl = 0",
            "method = \"POST\"",
            "acl_req {",
        ],
    ),
    (
        "rabbitmq",
        "rabbitmq.conf",
        &[
            "auth_backends.1 = http",
            "auth_http.http_method   = post",
            "mqtt.allow_anonymous = false",
            "mqtt.ssl_cert_login  = false",
        ],
    ),
    (
        "mosquitto-go-auth",
        "mosquitto.conf",
        &[
            "allow_anonymous false",
            "auth_opt_http_method POST",
            "auth_opt_http_response_mode text",
            "auth_opt_http_verify_peer true",
            "auth_opt_disable_superuser true",
            "auth_opt_cache false",
        ],
    ),
    (
        "mosquitto-auth-plug",
        "mosquitto.conf",
        &[
            "allow_anonymous false",
            "auth_opt_auth_cacheseconds 0",
            "auth_opt_acl_cacheseconds 0",
            "auth_opt_log_quiet true",
        ],
    ),
    (
        "rmqtt",
        "plugins/rmqtt-auth-http.toml",
        &[
            "deny_if_error = true",
            "disconnect_if_pub_rejected = true",
            "disconnect_if_expiry = true",
            "http_auth_req.method = \"post\"",
            "http_acl_req.method = \"post\"",
        ],
    ),
    ("rmqtt", "plugins/rmqtt-acl.toml", &["[\"deny\", \"all\"],"]),
    // Without a provider it lets everybody in.
    (
        "bifromq",
        "standalone.yml",
        &["authProviderFQN: \"org.apache.bifromq.demo.plugin.DemoAuthProvider\""],
    ),
    (
        "bifromq",
        "ticketgate.args",
        &[
            "-DByPassPermCheckError=false",
            "-Dauth_auth_result_cache_limit=0",
            "-Dauth_check_result_cache_limit=0",
        ],
    ),
    // It has no anonymous clients while a provider is enabled; its default rules are the no.
    (
        "tbmq",
        "provider.json",
        &[
            "\"enabled\": true,",
            "\"requestMethod\": \"POST\",",
            "\"pubAuthRulePatterns\": [\"(?!)\"],",
            "\"subAuthRulePatterns\": [\"(?!)\"]",
        ],
    ),
    // It has no anonymous clients and no setting for when nobody decides.
    (
        "azure-event-grid",
        "configure.sh",
        &[
            "{\"url\": \"https://gate.example.com/hooks/azure-event-grid/main/a-secret-of-the-tests-00/auth\"}",
        ],
    ),
];

#[test]
fn every_file_keeps_anonymous_clients_out_and_says_no_where_nobody_decides() {
    for broker in &BROKERS {
        let listed = REQUIRED.iter().any(|(name, _, _)| *name == broker.name);
        assert!(listed, "{} has no required lines", broker.name);
    }
    for (name, file, required) in REQUIRED {
        for variant in Variant::value_variants() {
            let text = filled(
                find(name).unwrap(),
                file,
                "https://gate.example.com",
                *variant,
            );
            for line in *required {
                let there = text.lines().any(|one| one.trim() == *line);
                assert!(there, "{name}/{file}, {variant:?}: `{line}` is missing");
            }
        }
    }
}

#[test]
fn every_placeholder_is_filled_in() {
    for (broker, file, text) in all() {
        let left = text
            .split('@')
            .find(|part| part.starts_with("HOOK_") || is_placeholder(part));
        assert_eq!(left, None, "{broker}/{file}");
        for section in ["# <plain>", "# <tls>", "# <https>", "# </"] {
            assert!(!text.contains(section), "{broker}/{file}: {section}");
        }
    }
}

#[test]
fn the_hook_url_of_every_broker_is_its_own() {
    for broker in &BROKERS {
        let path = format!("/hooks/{}/main", broker.name);
        let texts: Vec<String> = broker
            .files
            .iter()
            .map(|file| filled(broker, file.name, "http://127.0.0.1:8080", Variant::Plain))
            .collect();
        assert!(texts.iter().any(|text| text.contains(&path)), "{path}");
        let secrets = texts.iter().filter(|text| text.contains(SECRET)).count();
        assert_eq!(secrets, 1, "{}: the secret is in one file", broker.name);
        for other in BROKERS.iter().filter(|other| other.name != broker.name) {
            let path = format!("/hooks/{}/", other.name);
            assert!(!texts.iter().any(|text| text.contains(&path)), "{path}");
        }
    }
}

#[test]
fn what_is_built_in_is_what_is_committed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("broker-configs");
    let folders = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap());
    let folders: BTreeSet<String> = folders
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let names: BTreeSet<String> = BROKERS.iter().map(|one| one.name.to_owned()).collect();
    assert_eq!(names, folders);
    for broker in &BROKERS {
        let folder = root.join(broker.name);
        let mut committed = BTreeSet::new();
        gather(&folder, &folder, &mut committed);
        let built_in = |name: &str| broker.files.iter().find(|file| file.name == name);
        for name in &committed {
            let file = built_in(name).unwrap_or_else(|| panic!("{}/{name}", broker.name));
            let text = fs::read_to_string(folder.join(name)).unwrap();
            assert!(file.text == text, "{}/{name} is another text", broker.name);
        }
        assert_eq!(committed.len(), broker.files.len(), "{}", broker.name);
        assert!(committed.contains(README), "{}", broker.name);
    }
}

#[test]
fn vernemq_asks_for_mqtt_3_and_mqtt_5() {
    let text = filled(
        find("vernemq").unwrap(),
        "vernemq.conf",
        "http://127.0.0.1:8080",
        Variant::Plain,
    );
    let url = format!("http://127.0.0.1:8080/hooks/vernemq/main/{SECRET}");
    let value = |key: &str| {
        let of = |line: &str| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        };
        text.lines().find_map(of)
    };
    for hook in ["auth_on_register", "auth_on_publish", "auth_on_subscribe"] {
        for hook in [hook.to_owned(), format!("{hook}_m5")] {
            let entry = text
                .lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, value)| name.contains(".hook") && value.trim() == hook)
                .and_then(|(name, _)| name.trim().strip_suffix(".hook"))
                .unwrap_or_else(|| panic!("{hook} is missing"));
            assert_eq!(value(&format!("{entry}.endpoint")), Some(url.clone()));
            if hook.contains("publish") {
                let no_payload = value(&format!("{entry}.no_payload"));
                assert_eq!(no_payload.as_deref(), Some("on"));
            }
        }
    }
}

#[test]
fn the_tls_variant_has_no_plain_listener() {
    for (name, file, plain, tls) in [
        (
            "vernemq",
            "vernemq.conf",
            "listener.tcp.default = ",
            "listener.ssl.default = ",
        ),
        (
            "emqx",
            "emqx.conf",
            "listeners.tcp.default { enable = true",
            "listeners.ssl.default {",
        ),
        (
            "emqx4",
            "emqx.conf",
            "listener.tcp.external = ",
            "listener.ssl.external = ",
        ),
        (
            "nanomq",
            "nanomq.conf",
            "listeners.tcp {",
            "listeners.ssl {",
        ),
        (
            "rabbitmq",
            "rabbitmq.conf",
            "mqtt.listeners.tcp.default = ",
            "mqtt.listeners.ssl.default = ",
        ),
        (
            "mosquitto-go-auth",
            "mosquitto.conf",
            "listener 1883 ",
            "listener 8883",
        ),
        (
            "mosquitto-auth-plug",
            "mosquitto.conf",
            "listener 1883 ",
            "listener 8883",
        ),
        (
            "rmqtt",
            "rmqtt.toml",
            "listener.tcp.local.addr",
            "listener.tls.external.addr",
        ),
        (
            "bifromq",
            "standalone.yml",
            "      port: 1883",
            "      port: 8883",
        ),
        (
            "tbmq",
            "tbmq.env",
            "LISTENER_TCP_ENABLED=true",
            "LISTENER_SSL_ENABLED=true",
        ),
    ] {
        for (variant, there, gone) in [(Variant::Plain, plain, tls), (Variant::Tls, tls, plain)] {
            let text = filled(find(name).unwrap(), file, "http://127.0.0.1:8080", variant);
            let has = |wanted: &str| text.lines().any(|line| line.starts_with(wanted));
            assert!(has(there), "{name}, {variant:?}: {there}");
            assert!(!has(gone), "{name}, {variant:?}: {gone}");
        }
    }
}

#[test]
fn rmqtt_never_lets_anybody_in_unasked() {
    for (variant, section, listener) in [
        (Variant::Plain, "tcp", "local"),
        (Variant::Tls, "tls", "external"),
    ] {
        let rmqtt = find("rmqtt").unwrap();
        let text = filled(rmqtt, "rmqtt.toml", "http://127.0.0.1:8080", variant);
        let settings: toml::Table = text.parse().unwrap();
        let listener = &settings["listener"][section][listener];
        assert_eq!(listener["allow_anonymous"].as_bool(), Some(false));
        assert_eq!(settings["listener"].as_table().unwrap().len(), 1);
        for file in ["plugins/rmqtt-auth-http.toml", "plugins/rmqtt-acl.toml"] {
            let text = filled(rmqtt, file, "http://127.0.0.1:8080", variant);
            text.parse::<toml::Table>().unwrap();
        }
    }
    let tbmq = find("tbmq").unwrap();
    let text = filled(
        tbmq,
        "provider.json",
        "http://127.0.0.1:8080",
        Variant::Plain,
    );
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
}

#[test]
fn https_and_its_certificate_go_together() {
    for (name, file, check) in [
        ("vernemq", "vernemq.conf", "vmq_webhooks.verify_peer = on"),
        (
            "emqx",
            "emqx.conf",
            "ssl { enable = true, verify = verify_peer",
        ),
        (
            "emqx4",
            "emqx_auth_http.conf",
            "auth.http.ssl.verify = true",
        ),
        (
            "rabbitmq",
            "rabbitmq.conf",
            "auth_http.ssl_options.verify     = verify_peer",
        ),
        (
            "mosquitto-go-auth",
            "mosquitto.conf",
            "auth_opt_http_with_tls true",
        ),
        (
            "mosquitto-auth-plug",
            "mosquitto.conf",
            "auth_opt_http_with_tls true",
        ),
    ] {
        for url in ["https://gate.example.com", "http://gate.example.com"] {
            let text = filled(find(name).unwrap(), file, url, Variant::Plain);
            let checked = text.lines().any(|line| line.trim().starts_with(check));
            assert_eq!(checked, url.starts_with("https"), "{name}, {url}");
        }
    }
}

#[test]
fn without_a_secret_a_mark_stands_in_its_place() {
    let server = "http://127.0.0.1:8080".parse().unwrap();
    let hook = Hook {
        server: &server,
        dialect: "nanomq",
        connection: "main",
        secret: None,
    };
    let arguments = arguments("nanomq", &[]);
    let files = fill(find("nanomq").unwrap(), &hook, &arguments).unwrap();
    assert_eq!(files.len(), 1, "the steps are not printed");
    assert!(
        files[0]
            .text
            .expose()
            .contains("Bearer PUT-THE-SECRET-HERE")
    );
    assert!(!files[0].holds_secret);
}

#[test]
fn no_argument_takes_a_secret() {
    #[derive(Parser)]
    struct Command {
        #[command(subcommand)]
        _command: BrokerCommand,
    }
    let parse = |more: &[&str]| {
        let start = ["x", "config", "emqx", "--url", "http://127.0.0.1"];
        Command::try_parse_from(start.iter().chain(more)).map(drop)
    };
    assert!(parse(&["--secret-file", "-"]).is_ok());
    assert!(parse(&["--secret", SECRET]).is_err());
    assert!(parse(&["--connection", "no/path"]).is_err());
}

/// Every file of every broker in every form, with its broker and name.
fn all() -> Vec<(&'static str, &'static str, String)> {
    let mut all = Vec::new();
    for broker in &BROKERS {
        for file in broker.files {
            for url in ["http://127.0.0.1:8080", "https://[::1]/behind/a/proxy"] {
                for variant in Variant::value_variants() {
                    let text = filled(broker, file.name, url, *variant);
                    all.push((broker.name, file.name, text));
                }
            }
        }
    }
    all
}

fn filled(broker: &'static Broker, file: &str, url: &str, variant: Variant) -> String {
    let server: ServerUrl = url.parse().unwrap();
    let secret = Secret::new(SECRET);
    let hook = Hook {
        server: &server,
        dialect: broker.name,
        connection: "main",
        secret: Some(&secret),
    };
    let file = broker.files.iter().find(|one| one.name == file).unwrap();
    hook.fill(file.text, variant).expose().to_owned()
}

fn arguments(name: &str, more: &[&str]) -> ConfigArguments {
    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        arguments: ConfigArguments,
    }
    let start = ["x", name, "--url", "http://127.0.0.1:8080"];
    Command::parse_from(start.iter().chain(more)).arguments
}

/// Whether the text between two `@` looks like the name of a placeholder.
fn is_placeholder(part: &str) -> bool {
    part.len() > 1
        && part
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

fn gather(folder: &Path, below: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, below, found);
        } else {
            let name = path.strip_prefix(below).unwrap();
            found.insert(name.display().to_string());
        }
    }
}
