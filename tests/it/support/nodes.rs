//! Several servers on one store: each a process with a folder and a port of its own, all with the
//! same keys.

pub mod client;
mod process;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use ticketgate::clock::{Clock as _, SystemClock};

use crate::support::nodes::client::{Client, Login};
use crate::support::nodes::process::Process;
use crate::support::program::program;
use crate::support::redis::port::Port;
use crate::support::redis::wait::{check, until};
use crate::support::world::{HOOK_SECRET, JWT_SECRET, PROJECT_URL, sign};

/// Longer than a server takes for anything, other than one that is stopped.
const PATIENCE: Duration = Duration::from_secs(20);

/// An organization with a provider, in a store that nodes will share.
pub struct Deployment {
    folder: TempDir,
    /// The organization's id.
    pub organization: String,
}

/// A server. It is killed when this is dropped.
pub struct Node {
    port: Port,
    folder: PathBuf,
    organization: String,
    process: Process,
    http: reqwest::Client,
    local: reqwest::Client,
}

/// What became of a call to revoke.
pub struct RevokeCall {
    /// How long it took.
    pub took: Duration,
    /// The reply; `Err`: the status and what was said, or why there was no reply.
    pub outcome: Result<Value, String>,
}

impl Deployment {
    /// Sets one up with the program's own commands.
    pub fn set_up(store_url: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let mut deployment = Self {
            folder,
            organization: String::new(),
        };
        deployment.write("jwt.secret", JWT_SECRET);
        deployment.write("hook.secret", HOOK_SECRET);
        let run = |arguments: &[&str]| deployment.run(store_url, arguments);
        run(&["init"]);
        let created = run(&["--json", "org", "create", "--name", "demo"]);
        let created: Value = serde_json::from_str(&created).unwrap();
        let organization = created["id"].as_str().unwrap().to_owned();
        let secret = deployment.path("jwt.secret").display().to_string();
        let provider = ["provider", "add", "supabase", "--name", "demo"];
        let of = ["--org", &organization, "--project-url", PROJECT_URL];
        run(&[&provider[..], &of, &["--jwt-secret-file", &secret]].concat());
        deployment.organization = organization;
        deployment
    }

    /// Starts a node that finds the store there, and waits until it is ready.
    pub async fn node(&self, store_url: &str) -> Node {
        self.node_with(store_url, &[]).await
    }

    /// The same with more settings, such as `("STORE__LEASE_MS", "200")`.
    pub async fn node_with(&self, store_url: &str, settings: &[(&str, &str)]) -> Node {
        let port = Port::reserve();
        let folder = self.path(&format!("node-{}", port.number()));
        copy(&self.path("data/keys"), &folder.join("keys"));
        let mut process = Process::new(&folder);
        let hook_secret = self.path("hook.secret").display().to_string();
        let bind = format!("127.0.0.1:{}", port.number());
        let data = folder.display().to_string();
        for (name, value) in [
            ("SERVER__BIND", bind.as_str()),
            ("SERVER__DATA_FOLDER", &data),
            ("STORE__URL", store_url),
            // As long as a lease allows: the machine may be busy with other tests.
            ("STORE__TIMEOUT_MS", "500"),
            ("LOG__LEVEL", "ticketgate=info"),
            ("BROKERS__MAIN__DIALECT", "vernemq"),
            ("BROKERS__MAIN__ORGANIZATION", &self.organization),
            ("BROKERS__MAIN__SECRET_FILE", &hook_secret),
        ] {
            process.set(name, value);
        }
        for (name, value) in settings {
            process.set(name, value);
        }
        let local = reqwest::Client::builder().unix_socket(folder.join("admin.sock"));
        let node = Node {
            port,
            folder,
            organization: self.organization.clone(),
            process,
            http: reqwest::Client::new(),
            local: local.timeout(PATIENCE).build().unwrap(),
        };
        node.start().await;
        node
    }

    /// Changes the organization with `ticketgate org set`, as one may while nodes run on Redis.
    pub fn set(&self, store_url: &str, arguments: &[&str]) {
        let set = ["org", "set", "--org", &self.organization];
        self.run(store_url, &[&set[..], arguments].concat());
    }

    /// A command on the store itself; returns what it printed.
    pub fn run_on(&self, store_url: &str, arguments: &[&str]) -> String {
        self.run(store_url, arguments)
    }

    /// Makes a secret API key; returns it.
    pub fn create_key(&self, store_url: &str) -> String {
        let of = [
            "--org",
            &self.organization,
            "--kind",
            "secret",
            "--name",
            "tests",
        ];
        let made = self.run(store_url, &[&["--json", "key", "create"][..], &of].concat());
        let made: Value = serde_json::from_str(&made).unwrap();
        made["key"].as_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn run(&self, store_url: &str, arguments: &[&str]) -> String {
        let mut command = program();
        command.env("TICKETGATE__STORE__URL", store_url);
        command.arg("--data").arg(self.path("data")).args(arguments);
        succeeded(arguments, command.output().unwrap())
    }
}

impl Node {
    /// Starts it, if it does not run, and waits until it is ready.
    pub async fn start(&self) {
        self.process.start();
        self.wait_ready().await;
    }

    /// Waits until it says that it can do its work; returns how long that took.
    pub async fn wait_ready(&self) -> Duration {
        let started = Instant::now();
        until(
            || self.log(),
            async || {
                let alive = self.process.is_alive();
                assert!(alive, "the server ended:\n{}", self.log());
                let (status, text) = self.ready().await?;
                check(status == 200, || text)
            },
        )
        .await;
        started.elapsed()
    }

    /// What `/health/ready` says.
    pub async fn ready(&self) -> Result<(u16, String), String> {
        let call = self.http.get(self.url("/health/ready")).timeout(PATIENCE);
        let reply = call.send().await.map_err(|error| error.to_string())?;
        let status = reply.status().as_u16();
        Ok((status, reply.text().await.unwrap_or_default()))
    }

    /// Whether `/health/live` answers.
    pub async fn is_live(&self) -> bool {
        let call = self.http.get(self.url("/health/live")).timeout(PATIENCE);
        call.send().await.is_ok_and(|reply| reply.status() == 200)
    }

    /// SIGKILL. It is gone when this returns.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// SIGTERM; returns whether it ended well.
    pub fn terminate(&self) -> bool {
        self.process.terminate()
    }

    /// SIGSTOP. It does nothing more when this returns.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// A connection for hooks. It is made when it is used.
    pub fn client(&self) -> Client {
        Client::of(self.port.number())
    }

    /// Exchanges a good identity token of the subject.
    pub async fn mint(&self, subject: &str) -> Result<Login, String> {
        let now = SystemClock.now().as_second();
        let token = sign(&json!({
            "iss": format!("{PROJECT_URL}/auth/v1"),
            "aud": "authenticated",
            "sub": subject,
            "email": format!("{subject}@example.com"),
            "exp": now + 3600,
        }));
        let body = json!({ "organization_id": self.organization, "token": token });
        let call = self.http.post(self.url("/v2/tokens/exchange"));
        let call = call.timeout(PATIENCE).json(&body);
        Ok(Login::new(&reply(call).await?))
    }

    /// `POST` of a JSON body on the public address.
    pub async fn call(&self, path: &str, body: &Value) -> Result<Value, String> {
        let call = self.http.post(self.url(path)).timeout(PATIENCE);
        reply(call.json(body)).await
    }

    /// Asks for the list of tokens with an API key; returns the status.
    pub async fn list_tokens(&self, key: &str) -> u16 {
        let call = self.http.get(self.url("/v2/tokens")).timeout(PATIENCE);
        let reply = call.bearer_auth(key).send().await.unwrap();
        let status = reply.status().as_u16();
        reply.bytes().await.unwrap();
        status
    }

    /// `POST /revoke` on the local socket: a token id or a username.
    pub async fn revoke(&self, target: &str) -> RevokeCall {
        let started = Instant::now();
        let call = self.local.post("http://localhost/revoke");
        let outcome = reply(call.json(&json!({ "target": target }))).await;
        RevokeCall {
            took: started.elapsed(),
            outcome,
        }
    }

    /// `ticketgate revoke` on this node; returns what it printed.
    pub async fn revoke_by_command(&self, target: &str) -> String {
        self.run(&["--json", "revoke", target]).await
    }

    /// A command on this node that must succeed; returns what it printed.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let mut command = program();
        command.arg("--data").arg(&self.folder).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output());
        succeeded(arguments, output.await.unwrap().unwrap())
    }

    /// The whole address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port.number())
    }
}

async fn reply(call: reqwest::RequestBuilder) -> Result<Value, String> {
    let reply = call.send().await.map_err(|error| format!("{error:?}"))?;
    let status = reply.status();
    let text = reply.text().await.map_err(|error| format!("{error:?}"))?;
    match serde_json::from_str(&text) {
        Ok(value) if status == 200 => Ok(value),
        _ => Err(format!("{status}: {text}")),
    }
}

fn succeeded(arguments: &[&str], output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
