//! The program as an operator meets it: commands, crashes, mistakes in the settings.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::program::{Site, program};
use crate::support::world::{HOOK_SECRET, JWT_SECRET};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost_by_kill_9() {
    let site = Site::set_up();
    let mut server = site.serve().await;
    let (username, kept, _) = site.login("alice").await;
    let (_, revoked, id) = site.login("alice").await;
    assert_eq!(site.json(&["revoke", &id])["revoked"], 1);
    server.kill();

    let _server = site.serve().await;
    assert!(
        site.can_connect(&username, &kept).await,
        "the minted login survived"
    );
    assert!(
        !site.can_connect(&username, &revoked).await,
        "so did the revoke"
    );
}

#[tokio::test]
async fn every_answered_mint_survives_a_crash_in_the_midst_of_many() {
    let site = Site::set_up();
    let mut server = site.serve().await;
    let mut minted = Vec::new();
    for round in 0..20 {
        let (a, b) = (format!("user-{round}-a"), format!("user-{round}-b"));
        let (first, second) = tokio::join!(site.login(&a), site.login(&b));
        minted.extend([first, second]);
    }
    server.kill();
    let _server = site.serve().await;
    for (username, password, _) in minted {
        assert!(site.can_connect(&username, &password).await, "{username}");
    }
}

#[tokio::test]
async fn revoke_works_on_the_running_server_and_says_so_when_there_is_none() {
    let site = Site::set_up();
    let error = site.fail(&["revoke", "user_alice@org_aaaaaaaaaaaa"]);
    assert!(error.contains("is `ticketgate serve` running"), "{error}");

    let mut server = site.serve().await;
    assert_eq!(mode(&site.data().join("admin.sock")), 0o600);
    let (username, password, _) = site.login("alice").await;
    assert!(site.can_connect(&username, &password).await);
    assert!(site.run(&["revoke", &username]).contains("revoked 1"));
    assert!(!site.can_connect(&username, &password).await);
    assert!(
        site.run(&["revoke", &username])
            .contains("nothing was live")
    );
    let unknown = site.fail(&["revoke", "3f0c2a8e-6a54-4a57-9a0e-0d4f6b1c2d3e"]);
    assert!(unknown.contains("no such token"), "{unknown}");
    let neither = site.fail(&["revoke", "alice"]);
    assert!(neither.contains("a token id is a UUID"), "{neither}");
    assert!(server.terminate(), "SIGTERM ends it well");
}

#[tokio::test]
async fn set_up_commands_say_clearly_that_a_server_holds_the_store() {
    let site = Site::set_up();
    let _server = site.serve().await;
    for command in [
        &["org", "create", "--name", "other"][..],
        &[
            "key",
            "create",
            "--org",
            &site.organization,
            "--kind",
            "secret",
            "--name",
            "x",
        ][..],
    ] {
        let error = site.fail(command);
        assert!(error.contains("in use by another process"), "{error}");
        assert!(error.contains("stop that server first"), "{error}");
    }
}

#[test]
fn init_makes_private_files_once() {
    let site = Site::set_up();
    let data = site.data();
    for (name, expected) in [
        ("", 0o700),
        ("keys", 0o700),
        ("keys/seal.keys", 0o600),
        ("keys/pepper.keys", 0o600),
        ("store.redb", 0o600),
    ] {
        assert_eq!(mode(&data.join(name)), expected, "{name}");
    }
    let seal = std::fs::read(data.join("keys/seal.keys")).unwrap();
    assert!(site.run(&["init"]).contains("has everything already"));
    assert_eq!(std::fs::read(data.join("keys/seal.keys")).unwrap(), seal);
}

#[test]
fn broker_files_are_private_and_never_replaced() {
    let site = Site::set_up();
    let (secret, into) = (site.path("hook.secret"), site.path("filled"));
    let config = [
        "broker",
        "config",
        "rabbitmq",
        "--url",
        "http://127.0.0.1:8080",
    ];
    let make = [&config[..], &["--secret-file", &secret, "--into", &into]].concat();
    let output = site.output(&make);
    assert!(output.status.success());
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(said.contains("rabbitmq.conf holds the secret"), "{said}");
    assert!(!said.contains(HOOK_SECRET), "{said}");
    for name in ["rabbitmq.conf", "enabled_plugins", "README.md"] {
        assert_eq!(mode(&Path::new(&into).join(name)), 0o600, "{name}");
    }
    let text = std::fs::read_to_string(Path::new(&into).join("rabbitmq.conf")).unwrap();
    let url = format!("http://127.0.0.1:8080/hooks/rabbitmq/main/{HOOK_SECRET}/user");
    assert!(text.contains(&url), "{text}");
    assert!(
        site.fail(&make).contains("File exists"),
        "what is there stays"
    );

    let printed = site.run(&[&config[..], &["--file", "enabled_plugins"]].concat());
    assert!(
        printed.starts_with("[rabbitmq_auth_backend_http,"),
        "{printed}"
    );
    let unknown = site.fail(&[&config[..], &["--file", "passwd"]].concat());
    assert!(
        unknown.contains("rabbitmq.conf, enabled_plugins, README.md"),
        "{unknown}"
    );
    let https = [
        "broker",
        "config",
        "azure-event-grid",
        "--url",
        "http://127.0.0.1:8080",
    ];
    assert!(site.fail(&https).contains("https only"));
    site.write("short.secret", "too short");
    let short = site.path("short.secret");
    let refused = site.fail(&[&config[..], &["--secret-file", &short]].concat());
    assert!(
        refused.contains("`ticketgate hook-secret` prints a good one"),
        "{refused}"
    );
    assert!(!refused.contains("too short"), "{refused}");
}

#[test]
fn mistakes_in_a_command_come_with_their_cure() {
    let site = Site::set_up();
    let org = site.organization.clone();
    site.write("short.secret", "only 20 bytes long..");
    let (short, secret) = (site.path("short.secret"), site.path("jwt.secret"));
    let add = |name: &'static str, url: &'static str, file: &str, prefix: &'static str| {
        let provider = ["provider", "add", "supabase", "--org", &org, "--name", name];
        let rest = [
            "--project-url",
            url,
            "--jwt-secret-file",
            file,
            "--username-prefix",
            prefix,
        ];
        site.fail(&[&provider[..], &rest[..]].concat())
    };
    let other = "https://other.supabase.co";
    for (error, expected) in [
        (add("short", other, &short, "o_"), "needs at least 32"),
        (
            add("other", "https://demo.supabase.co", &secret, "o_"),
            "same issuer",
        ),
        (
            add("other", other, &secret, "user_x"),
            "could get one username",
        ),
        (add("demo", other, &secret, "o_"), "choose another --name"),
        (add("other", "ftp://x", &secret, "o_"), "https://<host>"),
        (
            add("other", other, "/nowhere", "o_"),
            "cannot read /nowhere",
        ),
        (
            site.fail(&["org", "create", "--name", ""]),
            "1 to 128 bytes",
        ),
        (
            site.fail(&["org", "create", "--name", "x", "--preset", "y"]),
            "own-namespace",
        ),
        (
            site.fail(&["user", "create", "--org", &org, "user_alice"]),
            "is reserved",
        ),
        (
            site.fail(&["user", "create", "--org", &org, "a.b"]),
            "A-Z a-z 0-9 _ -",
        ),
        (
            site.fail(&[
                "key",
                "create",
                "--org",
                &org,
                "--kind",
                "restricted",
                "--name",
                "r",
            ]),
            "at least one --scope",
        ),
        (
            site.fail(&[
                "policy",
                "set",
                "--org",
                "org_aaaaaaaaaaaa",
                &site.path("jwt.secret"),
            ]),
            "no such organization",
        ),
    ] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    site.write(
        "bad.json",
        r#"{"rules":[{"user":"*","topic":"a/#/b","permission":"read"}]}"#,
    );
    let error = site.fail(&["policy", "set", "--org", &org, &site.path("bad.json")]);
    assert!(
        error.contains("rules[0].topic - ") && error.contains("rules[0].permission - "),
        "{error}"
    );
}

#[test]
fn all_mistakes_in_the_settings_are_told_at_once_and_no_secret_is_repeated() {
    let site = Site::set_up();
    site.write(
        "bad.toml",
        "[server]\nbind = \"nowhere\"\nport = 80\n[hooks]\nin_flight = 0\n\
         [brokers.main]\ndialect = \"carrier-pigeon\"\nsecret = \"hunter2\"\n[log]\nlevel = \"ticketgate=loud\"\n",
    );
    let output = program()
        .args([
            "--config",
            &site.path("bad.toml"),
            "--data",
            &site.path("data"),
            "serve",
        ])
        .env("TICKETGATE__CACHE__CAPACITY", "many")
        .env("TICKETGATE__KEYS__SEAL", "Ab3z top-secret-material")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    for expected in [
        "server.bind",
        "server.port: unknown field",
        "hooks.in_flight: must be at least 1",
        "cache.capacity",
        "TICKETGATE__CACHE__CAPACITY",
        "keys.seal",
        "brokers.main.dialect",
        "brokers.main.secret: secrets do not belong into the settings",
        "log.level",
    ] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert!(
        !error.contains("hunter2") && !error.contains("top-secret"),
        "{error}"
    );
}

#[test]
fn the_environment_overrules_the_file_and_flags_overrule_both() {
    let site = Site::set_up();
    site.write("one.toml", "[store]\nurl = \"embedded:/nowhere/file\"\n");
    let run = |data: Option<&str>, variable: Option<&str>| {
        let mut command = program();
        command.args(["--config", &site.path("one.toml")]);
        if let Some(data) = data {
            command.args(["--data", data]);
        }
        if let Some(variable) = variable {
            command.env("TICKETGATE__STORE__URL", variable);
        }
        let output = command
            .args(["org", "create", "--name", "x"])
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run(None, None).contains("/nowhere/file"));
    assert!(run(None, Some("embedded:/nowhere/variable")).contains("/nowhere/variable"));
    let flag = run(Some("/nowhere/flag"), Some("embedded:/nowhere/variable"));
    assert!(flag.contains("/nowhere/flag"), "{flag}");
}

#[tokio::test]
async fn no_secret_leaves_through_logs_metrics_errors_the_audit_or_the_store() {
    let site = Site::set_up();
    let every = [
        ("TICKETGATE__AUDIT__DECISIONS", "all"),
        ("TICKETGATE__AUDIT__SAMPLE", "1/1"),
    ];
    let mut server = site.serve_with(&every).await;
    let (username, password, id) = site.login("alice").await;
    assert!(site.can_connect(&username, &password).await);
    assert!(!site.can_connect(&username, "a-wrong-password").await);
    assert!(!site.can_connect(&username, &format!("{password}x")).await);
    let forged = format!("tkn_{}", "f".repeat(59));
    assert!(!site.can_connect(&username, &forged).await);
    // Clients put passwords where names belong.
    assert!(!site.can_connect(&password, &forged).await);
    assert!(!site.can_connect(&site.key, &forged).await);
    let http = reqwest::Client::new();
    let body = serde_json::json!({"token_id": id, "current_token_password": password});
    let refresh = http.post(format!("{}/v2/tokens/refresh", site.url()));
    assert_eq!(refresh.json(&body).send().await.unwrap().status(), 200);
    let list = http.get(format!("{}/v2/tokens", site.url()));
    let list = list.bearer_auth(&site.key).send().await.unwrap();
    assert!(!list.text().await.unwrap().contains(&password));
    let fields = [("token", password.as_str()), ("client_secret", &site.key)];
    for call in ["introspect", "token"] {
        let call = http.post(format!("{}/oauth/{call}", site.url()));
        let said = call.form(&fields).send().await.unwrap().text().await;
        assert!(!said.unwrap().contains(&password));
    }
    let bad_token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl";
    let body = serde_json::json!({"provider": "demo", "token": bad_token, "secret_key": site.key});
    let url = format!("{}/v2/tokens/exchange", site.url());
    let reply = reqwest::Client::new()
        .post(url)
        .json(&body)
        .send()
        .await
        .unwrap();
    let error = reply.text().await.unwrap();
    site.run(&["revoke", &id]);
    let socket = site.data().join("admin.sock");
    let local = reqwest::Client::builder()
        .unix_socket(socket)
        .build()
        .unwrap();
    let metrics = local.get("http://localhost/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        metrics.contains("ticketgate_tokens_minted_total 1"),
        "{metrics}"
    );
    let audit = audit_of(&site);
    assert!(server.terminate());

    let log = server.log();
    assert!(
        log.contains("TRACE") || log.contains("DEBUG"),
        "the log is at trace level"
    );
    let store = std::fs::read(site.data().join("store.redb")).unwrap();
    let store = String::from_utf8_lossy(&store);
    assert!(store.contains(&username), "the store can be searched");
    let key_files: Vec<String> = ["seal", "pepper"]
        .map(|name| std::fs::read_to_string(site.data().join(format!("keys/{name}.keys"))).unwrap())
        .iter()
        .map(|line| line.split_whitespace().nth(1).unwrap().to_owned())
        .collect();
    let mut secrets = vec![
        password.as_str(),
        &password[26..48],
        site.key.as_str(),
        &site.key[13..45],
        JWT_SECRET,
        HOOK_SECRET,
        "a-wrong-password",
        forged.as_str(),
        bad_token,
    ];
    secrets.extend(key_files.iter().map(String::as_str));
    for secret in secrets {
        for (place, text) in [
            ("log", log.as_str()),
            ("store", &store),
            ("metrics", &metrics),
            ("error", &error),
            ("audit", &audit),
        ] {
            assert!(!text.contains(secret), "{secret} is in the {place}");
        }
    }
}

/// All that the audit log shows, in every way that it is shown, when the last entry is in it.
fn audit_of(site: &Site) -> String {
    let trail = "changes,tokens,refusals,decisions";
    let of = ["--org", &site.organization, "--trail", trail];
    let started = Instant::now();
    loop {
        let export = site.run(&[&["audit", "export"], &of[..]].concat());
        let words = [
            "token.refresh",
            "token.revoke",
            "call.refused",
            "[redacted]",
        ];
        if words.iter().all(|word| export.contains(word)) {
            let list = site.run(&[&["audit", "list", "--limit", "500"], &of[..]].concat());
            let nobody = site.run(&["audit", "export", "--without-organization"]);
            return format!("{export}{list}{nobody}");
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{export}");
        std::thread::yield_now();
    }
}
