//! A real OpenID provider (`oidc-provider`), as a process on a free loopback port.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A running one. It ends when this is dropped.
pub struct OpenId {
    /// `http://127.0.0.1:<port>`
    pub url: String,
    process: Child,
    orders: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
    _folder: TempDir,
}

impl OpenId {
    pub fn start() -> Self {
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/js");
        assert!(
            packages.join("node_modules/oidc-provider").exists(),
            "the OpenID provider of the tests is missing below {}; `scripts/js-packages` installs \
             it, and `scripts/test` runs that",
            packages.display()
        );
        // Modules are looked for in the folders above the importing file.
        let folder = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(packages)
            .unwrap();
        let file = folder.path().join("openid-provider.mjs");
        fs::write(&file, include_str!("../../js/openid-provider.mjs")).unwrap();
        let mut process = Command::new("node")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs; on Debian: scripts/install-packages nodejs npm");
        let orders = process.stdin.take();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let url = next_line(&mut lines, "http://");
        Self {
            url,
            process,
            orders,
            lines,
            _folder: folder,
        }
    }

    /// `rotate` or `retire`; see tests/js/openid-provider.mjs.
    pub fn order(&mut self, order: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        next_line(&mut self.lines, "done");
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

/// The next line that begins so. The library writes some of its own.
fn next_line(lines: &mut BufReader<ChildStdout>, beginning: &str) -> String {
    loop {
        let mut line = String::new();
        let length = lines.read_line(&mut line).unwrap();
        assert_ne!(
            length, 0,
            "the OpenID provider ended: run node on it by hand to see why"
        );
        if line.starts_with(beginning) {
            return line.trim().to_owned();
        }
    }
}

impl Drop for OpenId {
    fn drop(&mut self) {
        self.orders.take();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
