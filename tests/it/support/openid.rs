//! A real OpenID provider (`oidc-provider`), as a process on a free loopback port.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running one. It ends when this is dropped.
pub struct OpenId {
    /// `http://127.0.0.1:<port>`
    pub url: String,
    process: Child,
    orders: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
}

impl OpenId {
    pub fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc");
        assert!(
            folder.join("node_modules/oidc-provider").exists(),
            "the OpenID provider of the tests is not installed: run scripts/install-test-issuer"
        );
        let mut process = Command::new("node")
            .arg("server.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs; on Debian: scripts/install-packages nodejs npm");
        let orders = process.stdin.take();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut url = String::new();
        lines.read_line(&mut url).unwrap();
        Self {
            url: url.trim().to_owned(),
            process,
            orders,
            lines,
        }
    }

    /// `rotate` or `retire`; see tests/oidc/server.mjs.
    pub fn order(&mut self, order: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        let mut done = String::new();
        self.lines.read_line(&mut done).unwrap();
        assert_eq!(done.trim(), "done");
    }

    /// An access token of a client, signed so.
    pub async fn token(&self, client: &str, algorithm: &str) -> String {
        let call = reqwest::Client::new()
            .post(format!("{}/token", self.url))
            .basic_auth(client, Some("a%20secret%20of%20a%20test%20client"))
            .header("x-algorithm", algorithm)
            .form(&[("grant_type", "client_credentials")]);
        let reply: Value = call.send().await.unwrap().json().await.unwrap();
        let token = reply["access_token"].as_str();
        token.unwrap_or_else(|| panic!("{reply}")).to_owned()
    }
}

impl Drop for OpenId {
    fn drop(&mut self) {
        self.orders.take();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
