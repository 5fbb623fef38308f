//! Connections: to one server, or to all the masters of a Cluster. One connection carries any
//! number of commands at a time, and none of them longer than the timeout.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisError,
    RedisResult, ServerErrorKind, TlsCertificates, Value, cmd,
};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::secret::Secret;
use crate::store::record::{BadRecord, SHARDS};
use crate::store::redis::address::{Address, Host, Servers};
use crate::store::redis::scripts::Call;

/// How much longer than a command making a connection may take: name lookup, TLS, login.
const CONNECTING_TAKES: u32 = 4;

/// How many calls may stand before a connection that is being written to. With fewer than brokers
/// have questions at a time, each that has to wait is woken once more.
const WAITING: usize = 1024;

/// How connections are made.
#[derive(Debug, Clone)]
pub struct Connector {
    tls: bool,
    user: Option<String>,
    password: Option<Secret>,
    /// The certificate authorities to trust, as PEM; `None`: the system's.
    authorities: Option<Vec<u8>>,
    timeout: Duration,
}

/// A connection. A clone is the same connection.
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    One(MultiplexedConnection),
    /// To the masters of a Cluster.
    Cluster(ClusterConnection),
}

/// Which logs have grown, as the servers tell it. It gathers: however late it is looked at, it is
/// no bigger.
#[derive(Debug, Default)]
pub struct Hints {
    shards: AtomicU64,
    /// Somebody waits until this node has read.
    asked: Notify,
    /// Something has changed.
    changed: Notify,
}

/// What a message has behind the shard's number when nobody waits for its readers.
pub const NO_HURRY: char = '~';

/// How long changes gather that nobody waits for: a node that writes a thousand a second is not
/// to read its logs a thousand times for that.
const GATHERING: Duration = Duration::from_millis(5);

impl Connector {
    /// For the servers of an address.
    pub fn new(address: &Address, authorities: Option<Vec<u8>>, timeout: Duration) -> Self {
        if address.tls {
            // The library asks for the process' one; whoever came first has set the same.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        Self {
            tls: address.tls,
            user: address.user.clone(),
            password: address.password.clone(),
            authorities,
            timeout,
        }
    }

    /// The same with another login: Sentinels have their own.
    pub fn with_login(&self, user: Option<String>, password: Option<Secret>) -> Self {
        Self {
            user,
            password,
            ..self.clone()
        }
    }

    /// Connects to one server.
    pub async fn one(&self, host: &Host, database: i64) -> RedisResult<Connection> {
        let config = self.config();
        let client = self.client(host, database)?;
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Connection::One(connection))
    }

    /// Connects to a Cluster through any of its nodes.
    pub async fn cluster(&self, nodes: &[Host]) -> RedisResult<Connection> {
        let nodes = nodes.iter().map(|node| self.info(node, 0));
        let nodes: Vec<ConnectionInfo> = nodes.collect::<RedisResult<_>>()?;
        let mut builder = ClusterClientBuilder::new(nodes)
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(self.timeout * CONNECTING_TAKES)
            .response_timeout(self.timeout)
            .overall_response_timeout(Some(self.timeout))
            .tcp_settings(TcpSettings::default().set_nodelay(true))
            .retries(1);
        if self.tls
            && let Some(certificates) = self.certificates()
        {
            builder = builder.certs(certificates);
        }
        Ok(Connection::Cluster(
            builder.build()?.get_async_connection().await?,
        ))
    }

    /// Connects to one server for being told of changes. What it tells goes into `hints`.
    pub async fn listener(
        &self,
        host: &Host,
        channel: &str,
        hints: &Arc<Hints>,
    ) -> RedisResult<Connection> {
        let told = Arc::clone(hints);
        let config = self.config().set_push_sender(move |push: PushInfo| {
            told.take(&push);
            Ok::<_, redis::aio::SendError>(())
        });
        let mut connection = self
            .client(host, 0)?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        connection.subscribe(channel).await?;
        Ok(Connection::One(connection))
    }

    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout * CONNECTING_TAKES))
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(WAITING)
    }

    fn client(&self, host: &Host, database: i64) -> RedisResult<Client> {
        let info = self.info(host, database)?;
        match self.certificates().filter(|_| self.tls) {
            Some(certificates) => Client::build_with_tls(info, certificates),
            None => Client::open(info),
        }
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        let root_cert = Some(self.authorities.clone()?);
        Some(TlsCertificates {
            client_tls: None,
            root_cert,
        })
    }

    fn info(&self, host: &Host, database: i64) -> RedisResult<ConnectionInfo> {
        let Host { name, port } = host.clone();
        let address = if self.tls {
            ConnectionAddr::TcpTls {
                host: name,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(name, port)
        };
        let mut login = RedisConnectionInfo::default()
            .set_db(database)
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("ticketgate", env!("CARGO_PKG_VERSION"));
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.expose());
        }
        Ok(address
            .into_connection_info()?
            .set_redis_settings(login)
            .set_tcp_settings(TcpSettings::default().set_nodelay(true)))
    }
}

impl Connection {
    /// Sends a command and reads the reply.
    pub async fn send<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self.clone() {
            Connection::One(mut connection) => command.query_async(&mut connection).await,
            Connection::Cluster(mut connection) => command.query_async(&mut connection).await,
        }
    }

    /// Reads a text by this command. What is none there is no failure of the server.
    pub async fn text(&self, get: &Cmd) -> RedisResult<Option<Result<String, BadRecord>>> {
        let no_text = || BadRecord::Unreadable("it is no text".into());
        match self.send::<Option<Vec<u8>>>(get).await {
            Ok(bytes) => Ok(bytes.map(|bytes| String::from_utf8(bytes).map_err(|_| no_text()))),
            Err(error) if error.code() == Some("WRONGTYPE") => Ok(Some(Err(no_text()))),
            Err(error) => Err(error),
        }
    }

    /// Runs a script, by its hash where the server knows it.
    pub async fn run<T: FromRedisValue>(&self, call: &Call) -> RedisResult<T> {
        match self.send(&call.by_hash()).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&call.by_text()).await
            }
            outcome => outcome,
        }
    }

    /// Runs a script on the master of `key`, then waits until replicas have everything that was
    /// written before. Returns the reply, and how many have it.
    ///
    /// Both go out as one: `WAIT` speaks of the writes of its own connection. Behind a reconnect, or
    /// on another server of a Cluster, it would be answered at once.
    pub async fn run_and_wait<T: FromRedisValue>(
        &self,
        call: &Call,
        key: &str,
        replicas: usize,
        at_most: Duration,
    ) -> RedisResult<(T, usize)> {
        let mut wait = cmd("WAIT");
        wait.arg(replicas).arg(at_most.as_millis() as u64);
        let mut both = redis::pipe();
        // By its text: where the server does not know the hash, the wait would be for nothing.
        both.add_command(call.by_text()).add_command(wait);
        let replies = match self.clone() {
            Connection::One(mut connection) => connection.req_packed_commands(&both, 0, 2).await?,
            Connection::Cluster(mut connection) => {
                let master = Route::with_key(key, SlotAddr::Master);
                let master = SingleNodeRoutingInfo::SpecificNode(master);
                connection.route_pipeline(both, 0, 2, master).await?
            }
        };
        let mut replies = replies.into_iter().map(Value::extract_error);
        let mut next = || replies.next().unwrap_or(Ok(Value::Nil));
        let reply = T::from_redis_value(next()?)?;
        Ok((reply, usize::from_redis_value(next()?)?))
    }

    /// Which process the server is: another after each start.
    pub async fn run_id(&self) -> RedisResult<String> {
        let about: redis::InfoDict = self.send(cmd("INFO").arg("server")).await?;
        let run_id = about.get("run_id").filter(|text: &String| !text.is_empty());
        run_id.ok_or_else(|| {
            let text = "INFO does not say which process the server is";
            RedisError::from((ErrorKind::UnexpectedReturnType, text))
        })
    }

    /// Whether the server on the other side answers.
    pub async fn ping(&self) -> RedisResult<()> {
        self.send::<Value>(&cmd("PING")).await.map(drop)
    }
}

impl Hints {
    /// The shards of which something was heard since this was asked last.
    pub fn take_all(&self) -> impl Iterator<Item = usize> {
        let shards = self.shards.swap(0, Ordering::SeqCst);
        (0..SHARDS).filter(move |shard| shards >> shard & 1 == 1)
    }

    /// Waits until there is something to look at.
    pub async fn news(&self) {
        let gathered = async {
            self.changed.notified().await;
            sleep(GATHERING).await;
        };
        tokio::select! {
            () = self.asked.notified() => {}
            () = gathered => {}
        }
    }

    fn take(&self, push: &PushInfo) {
        if push.kind == PushKind::Message
            && let Some((shard, is_awaited)) = push.data.get(1).and_then(shard_in)
        {
            self.shards.fetch_or(1 << shard, Ordering::SeqCst);
            match is_awaited {
                true => self.asked.notify_one(),
                false => self.changed.notify_one(),
            }
        }
    }
}

/// The shard that a message is about, and whether somebody waits for its readers.
fn shard_in(payload: &Value) -> Option<(usize, bool)> {
    let text = match payload {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?,
        Value::SimpleString(text) => text,
        _ => return None,
    };
    let number = text.strip_suffix(NO_HURRY);
    let shard = number.unwrap_or(text).parse().ok();
    let shard = shard.filter(|shard| *shard < SHARDS)?;
    Some((shard, number.is_none()))
}

impl Servers {
    /// The nodes that a listener may connect to: any of a Cluster tells of all.
    pub fn is_cluster(&self) -> bool {
        matches!(self, Servers::Cluster(_))
    }
}

/// What went wrong, in words that an operator can act on. Redis' own texts are kept.
pub fn in_words(error: &RedisError) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    if error.code() == Some("WRONGPASS") || error.kind() == ErrorKind::AuthenticationFailed {
        return format!("the login was refused ({error}); check user and password");
    }
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ReadOnly) => {
            "it is a replica and takes no writes; name the master, or use redis+sentinel://".into()
        }
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            format!("the user may not do that ({error}); docs/runbook.md lists the rights it needs")
        }
        _ => error.to_string(),
    }
}
