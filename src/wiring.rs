//! Assembly: settings become the parts of a server, each handed what it needs.

use std::path::Path;
use std::sync::Arc;

use crate::app::App;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, StoreLocation};
use crate::http::routes::{self, Routes};
use crate::http::server::{self, Running};
use crate::keyring::Keyring;
use crate::metrics::Metrics;
use crate::store::cached::Cached;
use crate::store::embedded::{Embedded, OpenError};
use crate::store::freshness::Freshness;
use crate::store::port::Store;

/// Builds the server that the settings describe and binds its addresses. Must be called on the
/// event loop.
///
/// # Errors
/// When the store cannot be opened or an address cannot be bound, with what to do about it.
pub fn build(config: Config) -> anyhow::Result<Running> {
    build_with_routes(config, routes::public)
}

/// [`build`] with other routes on the public address: a benchmark adds one that does nothing.
///
/// # Errors
/// As [`build`].
pub fn build_with_routes(config: Config, public: Routes) -> anyhow::Result<Running> {
    let metrics = Arc::new(Metrics::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = open(&config.store, &clock, &metrics)?;
    let cached = Cached::new(
        store,
        &config.cache,
        Arc::new(Freshness::alone()),
        Arc::clone(&clock),
        Arc::clone(&metrics),
    );
    let keys = Arc::new(config.keys);
    let app = App::new(Arc::new(cached), keys, clock, metrics, config.hashing);
    let socket = config.local_socket.as_path();
    Ok(server::start_with_routes(
        Arc::new(app),
        config.brokers,
        config.http,
        Some(socket),
        public,
    )?)
}

/// The use cases on a store, without a server or a cache: for commands.
///
/// # Errors
/// When the store cannot be opened.
pub fn app_on_store(location: &StoreLocation, keys: Keyring) -> Result<App, OpenError> {
    let metrics = Arc::new(Metrics::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = open(location, &clock, &metrics)?;
    Ok(App::new(store, Arc::new(keys), clock, metrics, 1))
}

/// Makes an empty embedded store in a folder.
///
/// # Errors
/// When it cannot be made.
pub fn create_store(folder: &Path) -> Result<(), OpenError> {
    Embedded::create(folder, Arc::new(SystemClock), Arc::new(Metrics::new())).map(drop)
}

fn open(
    location: &StoreLocation,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<Arc<dyn Store>, OpenError> {
    let StoreLocation::Embedded(folder) = location;
    Ok(Arc::new(Embedded::open(
        folder,
        Arc::clone(clock),
        Arc::clone(metrics),
    )?))
}
