//! A private RabbitMQ, run by `scripts/private-rabbitmq` with the configuration that users copy.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(90);

/// A running broker. It stops when this is dropped, or when the test process ends in any way.
pub struct RabbitMq {
    /// Where MQTT clients connect.
    pub mqtt_port: u16,
    child: Child,
    folder: TempDir,
}

/// How a broker differs from what users copy.
#[derive(Default)]
pub struct Differently {
    /// Lines of `rabbitmq.conf` that count over all others.
    pub settings: String,
    /// One plugin more.
    pub plugin: Option<&'static str>,
}

impl RabbitMq {
    /// Starts one that asks `hook_url`, and waits until it lets clients in.
    pub async fn start(hook_url: &str) -> Self {
        Self::start_differently(hook_url, &Differently::default()).await
    }

    /// The same with other settings.
    pub async fn start_differently(hook_url: &str, differently: &Differently) -> Self {
        let folder = TempDir::new().unwrap();
        let (mqtt_port, management_port) = (free_port(), free_port());
        // In a file, because everybody can see what is on a command line.
        let url_file = folder.path().join("hook.url");
        std::fs::write(&url_file, hook_url).unwrap();
        let settings_file = folder.path().join("more.conf");
        std::fs::write(&settings_file, &differently.settings).unwrap();
        let log = std::fs::File::create(folder.path().join("script.log")).unwrap();
        let child = Command::new(script())
            .arg("--folder")
            .arg(folder.path())
            .arg("--hook-url-file")
            .arg(url_file)
            .arg("--settings")
            .arg(settings_file)
            .args(
                differently
                    .plugin
                    .iter()
                    .flat_map(|plugin| ["--plugin", plugin]),
            )
            .arg("--stop-on-eof")
            .args(["--mqtt-port", &mqtt_port.to_string()])
            .args(["--management-port", &management_port.to_string()])
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("scripts/private-rabbitmq can be run");
        let mut broker = Self {
            mqtt_port,
            child,
            folder,
        };
        broker.wait_until_ready().await;
        broker
    }

    async fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while !self.folder.path().join("ready").exists() {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || started.elapsed() > DEADLINE {
                let log = self.folder.path().join("script.log");
                let log = std::fs::read_to_string(log).unwrap_or_default();
                panic!(
                    "RabbitMQ did not start ({ended:?}); `scripts/test` installs what it needs. \
                     It said:\n{log}"
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        // The end of its input tells the script to stop.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/private-rabbitmq")
}

/// A port that nobody listens on right now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
