//! The server itself: listening, serving, stopping in order.

use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol as HttpProtocol};
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use actix_web::{App as WebApp, HttpServer, web};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::app::App;
use crate::hooks::connection::BrokerConnection;
use crate::http::raw_targets::RawTargets;
use crate::http::routes::{self, Routes};
use crate::http::{Edge, Settings};

/// Longer than any broker keeps an idle connection, so that the broker is the one to close it: a
/// request that crosses our close would be lost.
pub const KEEP_ALIVE: Duration = Duration::from_secs(130);
/// When a connection that has never asked anything is closed, without a word. The framework would send
/// 408 at [`KEEP_ALIVE`], as it does when the first request has begun and does not end.
const LONGEST_SILENCE: Duration = Duration::from_secs(125);
/// How long a client may take to close a connection that is over.
const CLIENT_DISCONNECT: Duration = Duration::from_secs(1);
/// Connections that wait to be accepted; a broker reconnects all of its pool at once.
const BACKLOG: i32 = 4_096;
const LOCAL_BACKLOG: i32 = 64;
/// How long the last entries of the audit log may take.
const LONGEST_WRITE: Duration = Duration::from_secs(5);

/// A server that is bound and will run.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    edge: web::Data<Edge>,
    public: Server,
    local: Option<Server>,
    audit: AuditWriter,
}

/// The task that writes the audit log, and what ends it when it is dropped.
struct AuditWriter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Stops a server from elsewhere.
#[derive(Clone)]
pub struct Stopper {
    edge: web::Data<Edge>,
    handles: Vec<ServerHandle>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The public address.
    #[error("cannot listen on {address}: {error}; choose another with server.bind")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: Error,
    },
    /// The local socket.
    #[error("cannot listen on {path}: {error}; choose another with server.local_socket")]
    Socket {
        /// The socket's file.
        path: PathBuf,
        /// What the system said.
        error: Error,
    },
}

/// Runs the work on the HTTP framework's event loop.
pub fn run_event_loop<T>(work: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(work)
}

/// Binds the addresses. Must be called on the event loop. The local socket is optional: without
/// one there are no local calls.
///
/// # Errors
/// [`ListenError`].
pub fn start(
    app: Arc<App>,
    brokers: Vec<BrokerConnection>,
    settings: Settings,
    local_socket: Option<&Path>,
) -> Result<Running, ListenError> {
    start_with_routes(app, brokers, settings, local_socket, routes::public)
}

/// [`start`] with other routes on the public address.
///
/// # Errors
/// [`ListenError`].
pub fn start_with_routes(
    app: Arc<App>,
    brokers: Vec<BrokerConnection>,
    settings: Settings,
    local_socket: Option<&Path>,
    public: Routes,
) -> Result<Running, ListenError> {
    let address = settings.bind;
    let wrong = |error| ListenError::Address { address, error };
    let listener = listen(address).map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    let audit = AuditWriter::start(&app);
    let settings = Settings {
        bind: address,
        ..settings
    };
    let edge = web::Data::new(Edge::new(app, brokers, settings));
    let local = match local_socket {
        Some(path) => {
            let path = path.to_owned();
            let wrong = |error| ListenError::Socket {
                path: path.clone(),
                error,
            };
            Some(serve_local(&path, &edge).map_err(wrong)?)
        }
        None => None,
    };
    let public = serve_public(listener, &edge, public).map_err(wrong)?;
    Ok(Running {
        address,
        edge,
        public,
        local,
        audit,
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
    pub async fn run(self) -> Result<(), Error> {
        let local = async {
            match self.local {
                Some(local) => local.await,
                None => Ok(()),
            }
        };
        let ended = tokio::try_join!(self.public, local).map(drop);
        self.audit.end().await;
        ended
    }
}

impl AuditWriter {
    fn start(app: &Arc<App>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(Arc::clone(app).write_audit(stopped));
        Self { stop, task }
    }

    /// After the last answer: what waits is written. A store that is down is not waited for.
    async fn end(self) {
        drop(self.stop);
        if timeout(LONGEST_WRITE, self.task).await.is_err() {
            tracing::warn!("entries of the audit log could not be written before the end");
        }
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

fn serve_public(
    listener: TcpListener,
    edge: &web::Data<Edge>,
    routes: Routes,
) -> Result<Server, Error> {
    let shared = edge.clone();
    let Settings {
        workers,
        shutdown_seconds,
        ..
    } = *edge.settings();
    let address = listener.local_addr()?;
    let mut builder = Server::build()
        .shutdown_timeout(shutdown_seconds)
        .disable_signals();
    if workers > 0 {
        builder = builder.workers(workers);
    }
    let stopping = builder.graceful_shutdown_signal();
    // The framework's own way to listen has no place for a look at what comes in.
    let serving = move || {
        let stopping = stopping.clone();
        let app = WebApp::new().app_data(shared.clone()).configure(routes);
        let app = map_config(app, |()| AppConfig::default());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            // Brokers open connections long before they ask.
            .client_request_timeout(KEEP_ALIVE)
            .client_disconnect_timeout(CLIENT_DISCONNECT)
            // VerneMQ hangs up when its client does: nobody waits for the answer then.
            .h1_allow_half_closed(false)
            .local_addr(address)
            .finish(app);
        fn_service(accept).and_then(http)
    };
    Ok(builder.listen("public", listener, serving)?.run())
}

async fn accept(
    stream: TcpStream,
) -> Result<(RawTargets<TcpStream>, HttpProtocol, Option<SocketAddr>), DispatchError> {
    stream.set_nodelay(true).map_err(DispatchError::Io)?;
    let peer = stream.peer_addr().ok();
    let stream = RawTargets::new(stream, LONGEST_SILENCE);
    Ok((stream, HttpProtocol::Http1, peer))
}

/// The local socket. One that is left from a crash is replaced; one that somebody answers on, and
/// a file that is no socket, stay. It gets its mode before anybody can connect.
fn serve_local(path: &Path, edge: &web::Data<Edge>) -> Result<Server, Error> {
    match UnixStream::connect(path) {
        Ok(_) => return Err(ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(LOCAL_BACKLOG)?;
    socket.set_nonblocking(true)?;
    let listener = UnixListener::from(OwnedFd::from(socket));
    let shared = edge.clone();
    let app = move || {
        WebApp::new()
            .app_data(shared.clone())
            .configure(routes::local)
    };
    let shutdown = edge.settings().shutdown_seconds;
    let server = HttpServer::new(app)
        .workers(1)
        .shutdown_timeout(shutdown)
        .disable_signals();
    Ok(server.listen_uds(listener)?.run())
}

/// Binds with a longer backlog than the standard library's.
fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
