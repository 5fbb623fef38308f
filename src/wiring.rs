//! Assembly: settings become the parts of a server, each handed what it needs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::app::App;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, StoreLocation};
use crate::http::routes::{self, Routes};
use crate::http::server::{self, Running, Stopper};
use crate::keyring::Keyring;
use crate::limits::limiter::Limiter;
use crate::metrics::Metrics;
use crate::store::cached::Cached;
use crate::store::embedded::{Embedded, OpenError};
use crate::store::freshness::Freshness;
use crate::store::inventory::Inventory;
use crate::store::port::Store;
use crate::store::redis::Redis;

/// A server with what goes on behind it.
pub struct Assembled {
    running: Running,
    redis: Option<Arc<Redis>>,
}

/// Builds the server that the settings describe and binds its addresses. Must be called on the
/// event loop.
///
/// # Errors
/// When the store cannot be opened or an address cannot be bound, with what to do about it. A
/// Redis that is down is no error: the server says no until it is up.
pub fn build(config: Config) -> anyhow::Result<Assembled> {
    build_with_routes(config, routes::public)
}

/// [`build`] with other routes on the public address: a benchmark adds one that does nothing.
///
/// # Errors
/// As [`build`].
pub fn build_with_routes(config: Config, public: Routes) -> anyhow::Result<Assembled> {
    let metrics = Arc::new(Metrics::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (store, freshness, redis) = match config.store {
        StoreLocation::Embedded(folder) => {
            let store = Embedded::open(&folder, Arc::clone(&clock), Arc::clone(&metrics))?;
            let store: Arc<dyn Store> = Arc::new(store);
            (store, Arc::new(Freshness::alone()), None)
        }
        StoreLocation::Redis(settings) => {
            let freshness = Arc::new(settings.freshness());
            let redis = Redis::serve(*settings, Arc::clone(&freshness), Arc::clone(&metrics));
            let redis = Arc::new(redis);
            (Arc::clone(&redis) as Arc<dyn Store>, freshness, Some(redis))
        }
    };
    let cached = Cached::new(
        store,
        &config.cache,
        freshness,
        Arc::clone(&clock),
        Arc::clone(&metrics),
    );
    let keys = Arc::new(config.keys);
    let limiter = Arc::new(Limiter::new(config.limits, Arc::clone(&clock)));
    if let Some(redis) = &redis {
        redis.share(Arc::clone(&limiter));
    }
    let app = App::new(Arc::new(cached), keys, clock, metrics, config.hashing);
    let app = app.with_root_keys(config.root_keys).with_limiter(limiter);
    if config.key_sets.allow_private_addresses {
        tracing::warn!(
            "identity.allow_private_addresses is on: whoever may add a provider can make this server \
             ask any address it reaches, and loopback ones without TLS; for development only"
        );
    }
    let app = app.with_key_sets(config.key_sets).with_audit(config.audit);
    let socket = config.local_socket.as_path();
    let running = server::start_with_routes(
        Arc::new(app),
        config.brokers,
        config.http,
        Some(socket),
        public,
    )?;
    Ok(Assembled { running, redis })
}

impl Assembled {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        self.running.stopper()
    }

    /// Runs until it is stopped. What goes on behind the server ends after the last answer.
    ///
    /// # Errors
    /// When accepting connections fails for good.
    pub async fn run(self) -> std::io::Result<()> {
        let ended = self.running.run().await;
        if let Some(redis) = self.redis {
            redis.stop().await;
        }
        ended
    }
}

/// The use cases on a store, without a server or a cache: for commands.
///
/// # Errors
/// When the store cannot be opened.
pub async fn app_on_store(location: &StoreLocation, keys: Keyring) -> anyhow::Result<App> {
    let metrics = Arc::new(Metrics::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store: Arc<dyn Store> = match location {
        StoreLocation::Embedded(folder) => {
            let metrics = Arc::clone(&metrics);
            Arc::new(Embedded::open(folder, Arc::clone(&clock), metrics)?)
        }
        StoreLocation::Redis(settings) => {
            let settings = (**settings).clone();
            let redis = Redis::visit(settings, Arc::clone(&metrics)).await;
            Arc::new(redis.context("store.url")?)
        }
    };
    Ok(App::new(store, Arc::new(keys), clock, metrics, 1))
}

/// The store itself, for an operator's upkeep.
///
/// # Errors
/// When it cannot be opened.
pub async fn inventory(location: &StoreLocation) -> anyhow::Result<Arc<dyn Inventory>> {
    let metrics = Arc::new(Metrics::new());
    match location {
        StoreLocation::Embedded(folder) => {
            let store = Embedded::open(folder, Arc::new(SystemClock), metrics)?;
            Ok(Arc::new(store))
        }
        StoreLocation::Redis(settings) => {
            let redis = Redis::visit((**settings).clone(), metrics).await;
            Ok(Arc::new(redis.context("store.url")?))
        }
    }
}

/// Makes an empty embedded store in a folder.
///
/// # Errors
/// When it cannot be made.
pub fn create_store(folder: &Path) -> Result<(), OpenError> {
    Embedded::create(folder, Arc::new(SystemClock), Arc::new(Metrics::new())).map(drop)
}

/// Whether the shared store can be reached with these settings.
///
/// # Errors
/// What is in the way.
pub async fn try_store(settings: &crate::store::redis::Settings) -> anyhow::Result<()> {
    let redis = Redis::visit(settings.clone(), Arc::new(Metrics::new())).await;
    redis
        .context("store.url")?
        .ready()
        .await
        .context("store.url")
}
