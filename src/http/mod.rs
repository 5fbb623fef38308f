//! The HTTP edge: routes, who may call them, wire forms, and the one mapping of errors to statuses.

pub mod address;
pub mod api;
pub mod api_keys;
pub mod audit;
pub mod body;
pub mod cors;
pub mod doctor;
pub mod error;
pub mod gate;
pub mod health;
pub mod hooks;
pub mod keys;
pub mod limits;
pub mod local;
pub mod oauth;
pub mod query;
pub mod raw_targets;
pub mod routes;
pub mod server;
pub mod tokens;
pub mod watch;
pub mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipnet::IpNet;

use crate::app::App;
use crate::hooks::connection::BrokerConnection;
use crate::http::watch::Watch;

/// Limits and addresses of the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen. Port 0: any free one.
    pub bind: SocketAddr,
    /// Threads that answer; 0: one for each core.
    pub workers: usize,
    /// How long requests may go on after a stop was asked for, in seconds.
    pub shutdown_seconds: u64,
    /// How long a whole hook answer may take.
    pub hook_deadline: Duration,
    /// The address that clients know the server by, such as `https://auth.example.com`; `None`: the
    /// one that it listens on.
    pub public_url: Option<String>,
    /// The longest hook body, in bytes. A client certificate or a payload may be part of it.
    pub hook_body_limit: usize,
    /// Proxies whose word about who asked them is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// The most hooks that are answered at a time.
    pub hooks_in_flight: i64,
    /// The longest body of an API call, in bytes.
    pub api_body_limit: usize,
    /// How long a whole API call may take, its body included.
    pub api_deadline: Duration,
    /// The most API calls that are answered at a time, from when their bodies are there.
    pub api_in_flight: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 8080)),
            workers: 0,
            shutdown_seconds: 10,
            public_url: None,
            hook_deadline: Duration::from_secs(1),
            hook_body_limit: 1024 * 1024,
            trusted_proxies: Vec::new(),
            hooks_in_flight: 4_096,
            api_body_limit: 64 * 1024,
            api_deadline: Duration::from_secs(5),
            api_in_flight: 256,
        }
    }
}

/// What handlers share.
pub struct Edge {
    /// The use cases.
    pub app: Arc<App>,
    brokers: HashMap<String, BrokerConnection>,
    settings: Settings,
    watch: Watch,
    stopping: AtomicBool,
}

impl Edge {
    /// Joins the parts.
    pub fn new(app: Arc<App>, brokers: Vec<BrokerConnection>, settings: Settings) -> Self {
        let brokers = brokers
            .into_iter()
            .map(|broker| (broker.name.clone(), broker))
            .collect();
        Self {
            app,
            brokers,
            settings,
            watch: Watch::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// The limits.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// From now on the server reports that it is not ready.
    pub fn begin_to_stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
