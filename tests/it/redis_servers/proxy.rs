//! The proxy between a client and a server does what it is told, to whom it is told.

use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::proxy::{Mode, Proxy, contains};
use crate::support::redis::RedisServer;

/// Long enough for a reply that comes at all, over a wire of no length.
const A_WHILE: Duration = Duration::from_millis(100);
const DEADLINE: Duration = Duration::from_secs(10);

/// A client that sends a line and reads a line.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port())).await;
        Self(BufReader::new(stream.unwrap()))
    }

    async fn send(&mut self, command: &str) {
        let line = format!("{command}\r\n");
        self.0.write_all(line.as_bytes()).await.unwrap();
    }

    /// The next line, or nothing when the connection is closed.
    async fn receive(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(DEADLINE, self.0.read_line(&mut line)).await;
        let length = read.expect("something happens in time").unwrap_or(0);
        (length > 0).then(|| line.trim_end().to_owned())
    }

    async fn ask(&mut self, command: &str) -> Option<String> {
        self.send(command).await;
        self.receive().await
    }

    async fn is_silent(&mut self) -> bool {
        timeout(A_WHILE, self.0.fill_buf()).await.is_err()
    }
}

/// A server, a proxy before it, and two clients of which the first has said its name.
async fn set_up() -> (RedisServer, Proxy, Client, Client) {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port());
    let mut marked = Client::connect(&proxy).await;
    let reply = marked.ask("CLIENT SETNAME marked").await;
    assert_eq!(reply.as_deref(), Some("+OK"));
    let mut other = Client::connect(&proxy).await;
    assert!(other.answers().await);
    (server, proxy, marked, other)
}

impl Client {
    async fn answers(&mut self) -> bool {
        self.ask("PING").await.as_deref() == Some("+PONG")
    }
}

#[tokio::test]
async fn bytes_pass_and_are_counted() {
    let (server, proxy, marked, _other) = set_up().await;
    let counts = proxy.counts();
    assert_eq!((counts.accepted, counts.open), (2, 2));
    let sent = "CLIENT SETNAME marked\r\nPING\r\n".len() as u64;
    assert_eq!((counts.sent, counts.received), (sent, 5 + 7));
    assert_eq!(proxy.open_where(contains("setname marked")), 1);
    assert!(super::ping(&server.url_at(proxy.port()), &[]).contains("PONG"));

    drop(marked);
    let started = Instant::now();
    while proxy.open_where(contains("marked")) > 0 {
        assert!(started.elapsed() < DEADLINE, "it stays open");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_lost_bytes_stays_silent_and_a_new_one_does_not() {
    let (server, proxy, mut marked, mut other) = set_up().await;
    proxy.set_where(contains("marked"), Mode::Swallow);
    marked.send("SET key 1").await;
    assert!(marked.is_silent().await);
    assert!(other.answers().await);
    assert_eq!(server.cli(&["GET", "key"]).await, "", "it never arrived");

    proxy.set(Mode::Swallow);
    other.send("PING").await;
    server.kill();
    assert!(other.is_silent().await, "not even the end gets through");

    server.restart().await;
    proxy.set(Mode::Pass);
    marked.send("PING").await;
    assert!(marked.is_silent().await);
    assert!(Client::connect(&proxy).await.answers().await);
}

#[tokio::test]
async fn a_stall_loses_nothing() {
    let (server, proxy, mut marked, mut other) = set_up().await;
    proxy.set_where(contains("marked"), Mode::Stall);
    marked.send("SET key 1").await;
    assert!(marked.is_silent().await);
    assert!(other.answers().await);
    assert_eq!(server.cli(&["GET", "key"]).await, "");
    proxy.set(Mode::Pass);
    assert_eq!(marked.receive().await.as_deref(), Some("+OK"));
    assert_eq!(server.cli(&["GET", "key"]).await, "1");
}

#[tokio::test]
async fn a_cut_closes_and_refuses() {
    let (_server, proxy, mut marked, mut other) = set_up().await;
    proxy.set_where(contains("marked"), Mode::Cut);
    assert_eq!(marked.receive().await, None);
    assert!(other.answers().await);
    let mut again = Client::connect(&proxy).await;
    assert!(again.answers().await, "unknown until it says its name");
    assert_eq!(again.ask("CLIENT SETNAME marked").await, None);

    proxy.set(Mode::Cut);
    assert_eq!(proxy.counts().open, 0);
    assert_eq!(other.receive().await, None);
    let refused = TcpStream::connect(("127.0.0.1", proxy.port())).await;
    assert!(refused.is_err());
    proxy.set(Mode::Pass);
    assert!(Client::connect(&proxy).await.answers().await);
}

#[tokio::test]
async fn a_delay_counts_both_ways_and_ends_at_once() {
    let (_server, proxy, mut marked, mut other) = set_up().await;
    proxy.set_where(contains("marked"), Mode::Delay(A_WHILE));
    let started = Instant::now();
    assert!(marked.answers().await);
    assert!(started.elapsed() >= 2 * A_WHILE);
    assert!(other.answers().await);

    proxy.set(Mode::Delay(2 * DEADLINE));
    other.send("PING").await;
    proxy.set(Mode::Pass);
    assert_eq!(other.receive().await.as_deref(), Some("+PONG"));
}

#[tokio::test]
async fn a_hold_stops_the_reply_to_the_very_command() {
    let (server, proxy, mut marked, mut other) = set_up().await;
    assert_eq!(marked.ask("INCR key").await.as_deref(), Some(":1"));
    let hold = proxy.hold_after(contains("INCR key"));
    assert!(marked.answers().await, "what it sent before does not count");
    marked.send("INCR").await;
    hold_is_not_reached_by_half_a_command(&mut marked).await;
    marked.send("INCR key").await;
    hold.reached().await;
    hold.answered().await;
    assert_eq!(server.cli(&["GET", "key"]).await, "2", "the server did it");
    assert!(marked.is_silent().await, "and the client does not know");
    assert!(other.answers().await);

    hold.release();
    assert_eq!(marked.receive().await.as_deref(), Some(":2"));
    assert!(marked.answers().await);
}

async fn hold_is_not_reached_by_half_a_command(client: &mut Client) {
    let error = client.receive().await.unwrap();
    assert!(error.starts_with("-ERR"), "{error}");
}

#[tokio::test]
async fn a_dropped_proxy_frees_its_clients() {
    let (server, proxy, mut marked, _other) = set_up().await;
    let hold = proxy.hold_after(contains("GET"));
    marked.send("GET key").await;
    hold.answered().await;
    drop(proxy);
    assert_eq!(marked.receive().await, None);
    drop(hold);
    assert_eq!(server.cli(&["PING"]).await, "PONG");
}
