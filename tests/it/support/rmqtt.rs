//! A private RMQTT, put together by `tests/brokers/rmqtt`, with the configuration that users copy.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::program::Site;
use crate::support::redis::keeper::Keeper;
use crate::support::redis::port::Port;

const DEADLINE: Duration = Duration::from_secs(30);

/// A running broker. It ends when this is dropped, or when the test process ends in any way.
pub struct Rmqtt {
    // First, so that the broker is gone before its port is free.
    keeper: Keeper,
    port: Port,
    folder: TempDir,
}

impl Rmqtt {
    /// Starts one that asks the site's server, with the files that `ticketgate broker config` makes.
    pub async fn start(site: &Site) -> Self {
        let program = program();
        assert!(
            program.exists(),
            "{} is missing; `scripts/test-brokers` builds it",
            program.display()
        );
        let (folder, port) = (TempDir::new().unwrap(), Port::reserve());
        let files = folder.path().join("rmqtt");
        let into = files.display().to_string();
        let secret = site.path("hook.secret");
        let config = ["broker", "config", "rmqtt", "--url", &site.url()];
        let rest = ["--secret-file", &secret, "--into", &into];
        site.run(&[&config[..], &rest[..]].concat());
        // The only changes: a folder and a port of its own.
        let settings = files.join("rmqtt.toml");
        let text = fs::read_to_string(&settings).unwrap();
        let (place, listener) = ("/etc/rmqtt/plugins", "127.0.0.1:1883");
        assert!(text.contains(place) && text.contains(listener));
        let text = text
            .replace(place, &files.join("plugins").display().to_string())
            .replace(listener, &format!("127.0.0.1:{}", port.number()));
        fs::write(&settings, text).unwrap();
        let command = [program.as_os_str(), settings.as_os_str()];
        let broker = Self {
            keeper: Keeper::new(folder.path(), &command),
            port,
            folder,
        };
        broker.keeper.start();
        broker.wait_until_ready().await;
        broker
    }

    /// Where MQTT clients connect.
    pub fn mqtt_port(&self) -> u16 {
        self.port.number()
    }

    async fn wait_until_ready(&self) {
        let started = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", self.mqtt_port()))
            .await
            .is_err()
        {
            if !self.keeper.is_running() || started.elapsed() > DEADLINE {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("RMQTT did not start. It said:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn program() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/brokers/rmqtt");
    package.join("target/debug/test-broker-rmqtt")
}
