//! A TCP proxy that loses, delays and holds back what goes through it, as a test wants.

mod connection;
mod control;
pub mod hold;

use std::net::{Shutdown, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle as Task;

use crate::support::proxy::connection::Connection;
use crate::support::proxy::control::{Predicate, Shared};
use crate::support::proxy::hold::Hold;
use crate::support::redis::port::Port;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bytes pass.
    Pass,
    /// Each chunk takes this long, and the next one waits for it.
    Delay(Duration),
    /// Nothing moves and nothing is lost: a network that will heal.
    Stall,
    /// Connections stay open and bytes vanish. One that lost bytes never passes any again, because
    /// TCP does not lose bytes in the middle either; later connections do.
    Swallow,
    /// Connections are closed, and new ones refused.
    Cut,
}

/// What went through, or would have: swallowed bytes count too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Connections so far.
    pub accepted: u64,
    /// Connections now.
    pub open: usize,
    /// Bytes from clients.
    pub sent: u64,
    /// Bytes from the server.
    pub received: u64,
}

/// A running proxy, in a thread of its own: it goes on while the test's runtime is busy.
pub struct Proxy {
    port: Port,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts one in front of this loopback port. Everything passes.
    pub fn start(upstream: u16) -> Self {
        let port = Port::reserve();
        let shared = Arc::new(Shared::default());
        let (number, for_thread) = (port.number(), Arc::clone(&shared));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let serve = move || runtime.block_on(serve(number, upstream, for_thread));
        let proxy = Self {
            port,
            shared,
            thread: Some(std::thread::spawn(serve)),
        };
        proxy.set(Mode::Pass);
        proxy
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// From the moment that this returns, what happens to every connection.
    pub fn set(&self, mode: Mode) {
        self.shared.change(|control| {
            control.mode = mode;
            control.only = None;
        });
    }

    /// The same for those connections only whose client has sent first bytes that match; all others
    /// pass.
    pub fn set_where(&self, matches: impl Fn(&[u8]) -> bool + Send + Sync + 'static, mode: Mode) {
        let only: Predicate = Arc::new(matches);
        self.shared.change(|control| {
            control.mode = mode;
            control.only = Some(only);
        });
    }

    /// From the moment that this returns, new connections lead to this loopback port. Old ones stay
    /// where they are, as with a name or an address that moves.
    pub fn lead_to(&self, upstream: u16) {
        self.shared
            .change(|control| control.upstream = Some(upstream));
    }

    /// Stops the replies on each connection once its client has sent bytes that match, counted from
    /// now. The server gets them, the client learns nothing, until the hold is released or dropped.
    pub fn hold_after(&self, matches: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Hold {
        Hold::set_up(Arc::clone(&self.shared), Arc::new(matches))
    }

    /// Counts since the start.
    pub fn counts(&self) -> Counts {
        Counts {
            accepted: self.shared.accepted.load(Ordering::Relaxed),
            open: self.open_where(|_| true),
            sent: self.shared.sent.load(Ordering::Relaxed),
            received: self.shared.received.load(Ordering::Relaxed),
        }
    }

    /// How many connections are open whose client has sent first bytes that match.
    pub fn open_where(&self, matches: impl Fn(&[u8]) -> bool) -> usize {
        let open = self.shared.open.lock().unwrap();
        open.iter().filter(|one| one.has_sent(&matches)).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|control| control.stopped = true);
        let _ = self.thread.take().unwrap().join();
    }
}

/// Whether the bytes hold this text, as a predicate. Commands may come in either case.
pub fn contains(text: &str) -> impl Fn(&[u8]) -> bool + Send + Sync + 'static {
    let text = text.as_bytes().to_owned();
    move |bytes| {
        let mut windows = bytes.windows(text.len());
        windows.any(|window| window.eq_ignore_ascii_case(&text))
    }
}

async fn serve(port: u16, upstream: u16, shared: Arc<Shared>) {
    let mut changes = shared.changes();
    let mut listener: Option<TcpListener> = None;
    let mut tasks: Vec<(Arc<Connection>, Task<()>)> = Vec::new();
    loop {
        let control = changes.borrow_and_update().clone();
        listener = match listener {
            Some(open) if control.refuses_all() => close(open),
            None if !control.refuses_all() => Some(listen(port)),
            unchanged => unchanged,
        };
        for (connection, task) in &mut tasks {
            if control.mode_of(connection) == Mode::Cut {
                task.abort();
                let _ = task.await;
            }
        }
        tasks.retain(|(_, task)| !task.is_finished());
        shared.applied(control.revision);
        if control.stopped {
            return;
        }
        tokio::select! {
            client = accept(listener.as_ref()) => {
                let connection = Connection::open(Arc::clone(&shared));
                let carried = Arc::clone(&connection).carry(client, control.upstream.unwrap_or(upstream));
                tasks.push((connection, tokio::spawn(carried)));
            }
            _ = changes.changed() => {}
        }
    }
}

fn listen(port: u16) -> TcpListener {
    let listener = StdListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    listener.set_nonblocking(true).unwrap();
    TcpListener::from_std(listener).unwrap()
}

/// A drop is not enough: a process that another thread just starts has a copy of the socket for a
/// moment, and would keep it listening.
fn close(listener: TcpListener) -> Option<TcpListener> {
    let socket = SockRef::from(&listener);
    socket.shutdown(Shutdown::Both).unwrap();
    None
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => listener.accept().await.unwrap().0,
        None => std::future::pending().await,
    }
}
