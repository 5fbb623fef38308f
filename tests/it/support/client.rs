//! A client program in another language, told what to do and heard out line by line.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// Longer than anything takes on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running client. It writes a JSON object with an `event` per line, and ends with its input.
pub struct ClientProgram {
    child: Child,
    orders: Option<ChildStdin>,
    events: UnboundedReceiver<Value>,
    /// What it has said so far, events and complaints.
    said: Arc<Mutex<String>>,
    _folder: TempDir,
}

impl ClientProgram {
    /// Runs the first of these files with Node; it may import the others, and what
    /// `tests/js/package.json` names.
    pub fn node(files: &[(&str, &str)], argument: &Value) -> Self {
        let packages = root().join("target/js");
        assert!(
            packages.join("node_modules/mqtt").exists(),
            "mqtt.js is missing below {}; `scripts/js-packages` installs it, and `scripts/test` \
             runs that",
            packages.display()
        );
        Self::run("node", &packages, files, argument)
    }

    /// The same with Debian's Python, which has Debian's packages: another one in `PATH` need not.
    pub fn python(files: &[(&str, &str)], argument: &Value) -> Self {
        let python = "/usr/bin/python3";
        let found = Command::new(python)
            .args(["-c", "import paho.mqtt"])
            .output();
        assert!(
            found.is_ok_and(|output| output.status.success()),
            "{python} has no paho; `scripts/install-packages python3-paho-mqtt` installs it, and \
             `scripts/test` runs that"
        );
        Self::run(python, &std::env::temp_dir(), files, argument)
    }

    fn run(program: &str, place: &Path, files: &[(&str, &str)], argument: &Value) -> Self {
        // Modules are looked for in the folders above the importing file.
        let folder = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(place)
            .unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut child = Command::new(program)
            .arg(folder.path().join(files[0].0))
            .arg(argument.to_string())
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; `scripts/test` installs it"));
        let said = Arc::new(Mutex::new(String::new()));
        let (sender, events) = unbounded_channel();
        let (out, heard) = (child.stdout.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line);
                heard.lock().unwrap().push_str(&(line + "\n"));
                let _ = event.map(|event| sender.send(event));
            }
        });
        let (mut complaints, heard) = (child.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = complaints.read_to_string(&mut text);
            heard.lock().unwrap().push_str(&text);
        });
        Self {
            orders: child.stdin.take(),
            child,
            events,
            said,
            _folder: folder,
        }
    }

    /// Has it call a method with these arguments.
    pub fn order(&mut self, method: &str, arguments: &Value) {
        let line = json!({ "do": method, "with": arguments });
        writeln!(self.orders.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The same, and waits until it has succeeded; returns its result.
    pub async fn done(&mut self, method: &str, arguments: &Value) -> Value {
        self.order(method, arguments);
        let ended = self.next_of(&["done", "failed"]).await;
        assert_eq!(ended["event"], "done", "{method}: {}", self.said());
        ended["result"].clone()
    }

    /// The next event of this name; those before it are passed over.
    pub async fn next(&mut self, name: &str) -> Value {
        self.next_of(&[name]).await
    }

    /// The next event of one of these names.
    pub async fn next_of(&mut self, names: &[&str]) -> Value {
        let waiting = async {
            loop {
                let event = self.events.recv().await?;
                if names.iter().any(|name| event["event"] == *name) {
                    return Some(event);
                }
                // Whoever does not wait for a failure waits in vain after one.
                if event["event"] == "failed" {
                    return None;
                }
            }
        };
        let event = timeout(DEADLINE, waiting).await.ok().flatten();
        event.unwrap_or_else(|| panic!("none of {names:?} came. It said:\n{}", self.said()))
    }

    /// Everything that it has said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}

impl Drop for ClientProgram {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
