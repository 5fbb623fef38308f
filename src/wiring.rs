//! Assembly: settings become a running server. Every background task starts here and ends with it.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App as WebApp, HttpServer, web};
use anyhow::Context as _;

use crate::app::App;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, StoreLocation};
use crate::hooks::connection::BrokerConnection;
use crate::http::{Edge, Settings, routes};
use crate::metrics::Metrics;
use crate::store::cached::Cached;
use crate::store::embedded::Embedded;
use crate::store::port::Store;

/// Longer than any broker keeps an idle connection, so that the broker is the one to close it: a
/// request that crosses our close would be lost.
const KEEP_ALIVE: Duration = Duration::from_secs(120);
/// Connections that wait to be accepted; a broker reconnects all of its pool at once.
const BACKLOG: u32 = 4_096;

/// A server that runs.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    edge: web::Data<Edge>,
    public: Server,
    local: Option<Server>,
}

/// Stops a server from elsewhere.
#[derive(Clone)]
pub struct Stopper {
    edge: web::Data<Edge>,
    handles: Vec<ServerHandle>,
}

/// Builds the server that the settings describe and binds its addresses.
///
/// # Errors
/// When the store cannot be opened or an address cannot be bound, with what to do about it.
pub fn build(config: Config) -> anyhow::Result<Running> {
    let metrics = Arc::new(Metrics::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let StoreLocation::Embedded(folder) = &config.store;
    let store = Embedded::open(folder, Arc::clone(&clock), Arc::clone(&metrics))?;
    let (inner, own_clock) = (Arc::new(store), Arc::clone(&clock));
    let store = Cached::new(inner, &config.cache, own_clock, Arc::clone(&metrics));
    let keys = Arc::new(config.keys);
    let app = App::new(Arc::new(store), keys, clock, metrics, config.hashing);
    let socket = Some(config.local_socket.as_path());
    start(Arc::new(app), config.brokers, config.http, socket)
}

/// An app over an embedded store, without a server or a cache: for commands.
///
/// # Errors
/// When the store cannot be opened.
pub fn app_on_store(store: &StoreLocation, keys: crate::keyring::Keyring) -> anyhow::Result<App> {
    let metrics = Arc::new(Metrics::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let StoreLocation::Embedded(folder) = store;
    let store = Embedded::open(folder, Arc::clone(&clock), Arc::clone(&metrics))?;
    let store: Arc<dyn Store> = Arc::new(store);
    Ok(App::new(store, Arc::new(keys), clock, metrics, 1))
}

/// Serves an app. The local socket is optional: a test needs none.
///
/// # Errors
/// When an address cannot be bound.
pub fn start(
    app: Arc<App>,
    brokers: Vec<BrokerConnection>,
    settings: Settings,
    local_socket: Option<&Path>,
) -> anyhow::Result<Running> {
    let bind = settings.bind;
    let listener = listen(bind).with_context(|| format!("cannot listen on {bind}"))?;
    let address = listener.local_addr()?;
    let edge = web::Data::new(Edge::new(app, brokers, settings));
    let local = local_socket
        .map(|path| serve_local(path, &edge))
        .transpose()?;
    let public = serve_public(listener, &edge)?;
    Ok(Running {
        address,
        edge,
        public,
        local,
    })
}

impl Running {
    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        let servers = [Some(&self.public), self.local.as_ref()];
        let handles = servers.into_iter().flatten().map(Server::handle).collect();
        Stopper {
            edge: self.edge.clone(),
            handles,
        }
    }

    /// Runs until it is stopped; requests that are being answered finish first.
    ///
    /// # Errors
    /// When accepting connections fails for good.
    pub async fn run(self) -> std::io::Result<()> {
        let local = async {
            match self.local {
                Some(local) => local.await,
                None => Ok(()),
            }
        };
        tokio::try_join!(self.public, local).map(drop)
    }
}

impl Stopper {
    /// Reports "not ready", then stops accepting and lets requests finish.
    pub async fn stop(&self) {
        self.edge.begin_to_stop();
        for handle in &self.handles {
            handle.stop(true).await;
        }
    }
}

fn serve_public(listener: TcpListener, edge: &web::Data<Edge>) -> std::io::Result<Server> {
    let settings = edge.settings().clone();
    let shared = edge.clone();
    let mut server = HttpServer::new(move || {
        WebApp::new()
            .app_data(shared.clone())
            .configure(routes::public)
    })
    .keep_alive(KEEP_ALIVE)
    .tcp_nodelay(true)
    .shutdown_timeout(settings.shutdown_seconds)
    .disable_signals();
    if settings.workers > 0 {
        server = server.workers(settings.workers);
    }
    Ok(server.listen(listener)?.run())
}

/// The local socket. A file that is left from a crash is replaced: the store's lock has told
/// already that no other server uses this folder.
fn serve_local(path: &Path, edge: &web::Data<Edge>) -> anyhow::Result<Server> {
    let context = || format!("cannot listen on the local socket {}", path.display());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(context);
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(context)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).with_context(context)?;
    let shared = edge.clone();
    let server = HttpServer::new(move || {
        WebApp::new()
            .app_data(shared.clone())
            .configure(routes::local)
    });
    let shutdown = edge.settings().shutdown_seconds;
    let server = server
        .workers(1)
        .shutdown_timeout(shutdown)
        .disable_signals();
    Ok(server.listen_uds(listener)?.run())
}

/// Binds with a longer backlog than the standard library's.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG as i32)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// The folder of an embedded store.
pub fn folder_of(store: &StoreLocation) -> &PathBuf {
    let StoreLocation::Embedded(folder) = store;
    folder
}
