//! Three nodes on one Redis, the first of which reaches it through a network that can fail.

use crate::support::nodes::{Deployment, Node};
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::support::redis::options::RedisOptions;

/// How long a lease lasts where a test does not say otherwise, in milliseconds.
pub const LEASE: u64 = 1000;

/// What a test plays with. The nodes end first.
pub struct Scene {
    pub nodes: Vec<Node>,
    pub deployment: Deployment,
    pub proxy: Proxy,
    pub redis: RedisServer,
}

impl Scene {
    /// Sets up so many nodes.
    pub async fn set_up(nodes: usize) -> Self {
        Self::with(nodes, &[]).await
    }

    /// The same with more settings for all of them.
    pub async fn with(nodes: usize, settings: &[(&str, &str)]) -> Self {
        let redis = RedisOptions::default().durable().start().await;
        let deployment = Deployment::set_up(&redis.url());
        let proxy = Proxy::start(redis.port());
        let mut scene = Self {
            nodes: Vec::new(),
            deployment,
            proxy,
            redis,
        };
        for number in 0..nodes {
            let port = match number {
                0 => scene.proxy.port(),
                _ => scene.redis.port(),
            };
            let url = format!("redis://127.0.0.1:{port}");
            let node = scene.deployment.node_with(&url, settings).await;
            scene.nodes.push(node);
        }
        scene
    }
}
