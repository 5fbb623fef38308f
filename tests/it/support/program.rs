//! The program itself, as a process with a data folder of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use ticketgate::clock::{Clock as _, SystemClock};

use crate::support::rabbitmq::free_port;
use crate::support::world::{HOOK_SECRET, JWT_SECRET, PROJECT_URL, sign};

/// A data folder with an organization, a provider and a settings file.
pub struct Site {
    folder: TempDir,
    /// The organization's id.
    pub organization: String,
    /// A secret API key.
    pub key: String,
    port: u16,
}

/// `ticketgate serve`, running. It is killed when this is dropped.
pub struct Serving {
    child: Child,
    /// Everything that it has written so far.
    log: Arc<Mutex<String>>,
}

impl Site {
    /// Sets one up with the program's own commands.
    pub fn set_up() -> Self {
        let folder = TempDir::new().unwrap();
        let mut site = Self {
            folder,
            organization: String::new(),
            key: String::new(),
            port: free_port(),
        };
        site.write("jwt.secret", JWT_SECRET);
        site.write("hook.secret", HOOK_SECRET);
        site.run(&["init"]);
        site.organization = site.json(&["org", "create", "--name", "demo"])["id"]
            .as_str()
            .unwrap()
            .into();
        let org = site.organization.clone();
        let secret = site.path("jwt.secret");
        let provider = [
            "provider", "add", "supabase", "--org", &org, "--name", "demo",
        ];
        let project = ["--project-url", PROJECT_URL, "--jwt-secret-file", &secret];
        site.run(&[&provider[..], &project[..]].concat());
        let key = [
            "key", "create", "--org", &org, "--kind", "secret", "--name", "k",
        ];
        site.key = site.json(&key)["key"].as_str().unwrap().into();
        site.write("ticketgate.toml", &site.settings());
        site
    }

    /// The same for another broker's dialect.
    pub fn set_up_for(dialect: &str) -> Self {
        let site = Self::set_up();
        let settings = site.settings();
        let named = settings.replace("\"rabbitmq\"", &format!("\"{dialect}\""));
        site.write("ticketgate.toml", &named);
        site
    }

    /// Another folder, with the same keys and an empty store.
    pub fn with_same_keys(&self) -> Self {
        let folder = TempDir::new().unwrap();
        let keys = folder.path().join("data/keys");
        std::fs::create_dir_all(&keys).unwrap();
        for name in ["seal.keys", "pepper.keys"] {
            std::fs::copy(self.data().join("keys").join(name), keys.join(name)).unwrap();
        }
        let site = Self {
            folder,
            organization: self.organization.clone(),
            key: self.key.clone(),
            port: free_port(),
        };
        site.write("hook.secret", HOOK_SECRET);
        site.write("ticketgate.toml", &site.settings());
        site.run(&["init"]);
        site
    }

    /// An absolute path in the folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Runs a command that must succeed and returns what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail and returns what it said.
    pub fn fail(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs a command with `--json` and reads what it printed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[&["--json"], arguments].concat())).unwrap()
    }

    /// Runs a command, however it ends.
    pub fn output(&self, arguments: &[&str]) -> Output {
        let data = self.path("data");
        program()
            .args(["--data", &data])
            .args(arguments)
            .output()
            .unwrap()
    }

    fn settings(&self) -> String {
        let (data, secret) = (self.path("data"), self.path("hook.secret"));
        let (organization, port) = (&self.organization, self.port);
        format!(
            "[server]\nbind = \"127.0.0.1:{port}\"\n\
             [store]\nurl = \"embedded:{data}\"\n\
             [log]\nlevel = \"trace\"\n\
             [brokers.main]\ndialect = \"rabbitmq\"\nsecret_file = \"{secret}\"\n\
             organization = \"{organization}\"\n"
        )
    }

    /// Starts the server and waits until it is ready.
    pub async fn serve(&self) -> Serving {
        self.serve_with(&[]).await
    }

    /// The same with variables in its environment.
    pub async fn serve_with(&self, variables: &[(&str, &str)]) -> Serving {
        let mut child = program()
            .envs(variables.iter().copied())
            .args(["--config", &self.path("ticketgate.toml"), "serve"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (
            BufReader::new(child.stderr.take().unwrap()),
            Arc::clone(&log),
        );
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let mut serving = Serving { child, log };
        while !self.is_ready().await {
            let ended = serving.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {}", serving.log());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        serving
    }

    /// `http://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn is_ready(&self) -> bool {
        let reply = reqwest::get(format!("{}/health/ready", self.url())).await;
        reply.is_ok_and(|reply| reply.status() == 200)
    }

    /// Exchanges a good identity token; returns username, password and token id.
    pub async fn login(&self, subject: &str) -> (String, String, String) {
        let now = SystemClock.now().as_second();
        let token = sign(&json!({
            "iss": format!("{PROJECT_URL}/auth/v1"),
            "aud": "authenticated",
            "sub": subject,
            "email": "a@b.example",
            "exp": now + 3600,
        }));
        let body = json!({ "organization_id": self.organization, "token": token });
        let call = reqwest::Client::new().post(format!("{}/v2/tokens/exchange", self.url()));
        let reply: Value = call.json(&body).send().await.unwrap().json().await.unwrap();
        let text = |name: &str| {
            reply[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name} in {reply}"))
                .to_owned()
        };
        (
            text("mqtt_username"),
            text("mqtt_password"),
            text("token_id"),
        )
    }

    /// Whether RabbitMQ would let this login in.
    pub async fn can_connect(&self, username: &str, password: &str) -> bool {
        let url = format!("{}/hooks/rabbitmq/main/{HOOK_SECRET}/user", self.url());
        let fields = [
            ("username", username),
            ("password", password),
            ("vhost", "/"),
            ("client_id", "c"),
        ];
        let reply = reqwest::Client::new()
            .post(url)
            .form(&fields)
            .send()
            .await
            .unwrap();
        reply.text().await.unwrap() == "allow"
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Serving {
    /// What it has written so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns whether it ended well.
    pub fn terminate(&mut self) -> bool {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap().success()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, with an environment that says nothing about it.
pub fn program() -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_ticketgate")));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TICKETGATE") {
            command.env_remove(name);
        }
    }
    command
}
