//! The shared store: Redis or Valkey, as one server, behind Sentinels, or as a Cluster.
//!
//! A record is one string with compact JSON, so a read is one `GET`. A change is one script that
//! compares the revision, sets the record with its expiry, and appends to the change log of the
//! record's shard. Every node reads the logs (`log_reader`) and thereby renews the leases that its cache
//! stands on; `confirm` waits until all nodes have read a change.
//!
//! Connections have one fate: if any of them fails, all are made anew (`link`), so that a node
//! never reads records from one server and the log from another. Without a link calls fail at
//! once, and nothing queues up for a server that does not answer.

pub mod address;
mod audit;
mod change_log;
mod confirm;
mod connection;
mod inventory;
pub mod keys;
mod link;
mod lists;
mod log_reader;
mod readers;
mod scripts;
mod sentinel;
mod sharing;
mod trust;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use redis::{RedisError, RedisResult, cmd};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock::Stopwatch;
use crate::limits::limiter::Limiter;
use crate::metrics::{Metrics, StoreCallLabel};
use crate::names::base62::{self, LENGTH_OF_64_BITS};
use crate::names::organization_id::OrganizationId;
use crate::org::audit::Entry;
use crate::secret::{self, Secret};
use crate::store::audit::{AuditLog, Line, Stretch};
use crate::store::freshness::Freshness;
use crate::store::list::{ListKind, ListPlace, ListRow, Listed};
use crate::store::port::{Confirmation, Found, Revision, Store, StoreError, Write};
use crate::store::record::{BadRecord, Record, RecordKey, SHARDS};
use crate::store::redis::address::Address;
use crate::store::redis::change_log::Position;
use crate::store::redis::connection::{NO_HURRY, in_words};
use crate::store::redis::keys::{Keys, LOG_LENGTH};
use crate::store::redis::link::Link;
use crate::store::status::{Place, ShardStatus, SharedStatus, Status};

/// For how many leases a node whose lease has run out still asks the store record by record. A
/// registry entry lives for at least twice as long, so a revoke waits for such a node.
const CHECKED_LEASES: u32 = 8;

/// How to use Redis.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// The certificate authorities to trust with TLS, as PEM; `None`: the system's.
    pub authorities: Option<Vec<u8>>,
    /// The user and password of the Sentinels themselves.
    pub sentinel_login: (Option<String>, Option<Secret>),
    /// What every key begins with.
    pub prefix: String,
    /// How long the cache may serve after the change log was read. The same on every node.
    pub lease: Duration,
    /// The longest that one call may take.
    pub timeout: Duration,
    /// How many replicas must have a revoke before it is answered.
    pub min_replicas: usize,
}

impl Settings {
    /// What a cache in front of the store leans on.
    pub fn freshness(&self) -> Freshness {
        match self.address.servers {
            address::Servers::One { .. } => Freshness::leased(self.lease),
            address::Servers::Sentinel { .. } | address::Servers::Cluster(_) => {
                Freshness::leased_by_log(self.lease)
            }
        }
    }
}

/// The shared store.
pub struct Redis {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    /// What goes on in the background.
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What the calls and the background task hold on to.
struct Shared {
    settings: Settings,
    keys: Keys,
    metrics: Arc<Metrics>,
    /// `None`: this process only visits, and caches nothing.
    freshness: Option<Arc<Freshness>>,
    /// What this process is called in the registry of nodes.
    node: String,
    link: RwLock<Option<Arc<Link>>>,
    problem: Mutex<Option<Arc<str>>>,
    positions: Mutex<Vec<Option<Position>>>,
    nodes_seen: std::sync::atomic::AtomicUsize,
}

impl Redis {
    /// A store for a server. It connects, and reads the change logs into `freshness`, in the
    /// background until [`stop`](Redis::stop); a Redis that is down now may come up later. Must
    /// be called on a Tokio runtime.
    pub fn serve(settings: Settings, freshness: Arc<Freshness>, metrics: Arc<Metrics>) -> Self {
        let shared = Arc::new(Shared::new(settings, Some(freshness), metrics));
        let (stop, stopped) = watch::channel(false);
        let follower = tokio::spawn(log_reader::follow(Arc::clone(&shared), stopped));
        Self {
            shared,
            stop,
            tasks: Mutex::new(vec![follower]),
        }
    }

    /// A store for one command. It connects now, and nothing may be cached in front of it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], with what the server said.
    pub async fn visit(settings: Settings, metrics: Arc<Metrics>) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::new(settings, None, metrics));
        let attached = link::attach(&shared).await;
        let attached = attached.map_err(|problem| StoreError::Unavailable(problem.into()))?;
        shared.publish(attached.link);
        Ok(Self {
            shared,
            stop: watch::channel(false).0,
            tasks: Mutex::default(),
        })
    }

    /// Stops reading the log and leaves the registry, so that nobody waits for this node. It must
    /// not serve any more.
    pub async fn stop(&self) {
        let _ = self.stop.send(true);
        let tasks = std::mem::take(&mut *self.tasks());
        if tasks.is_empty() {
            return;
        }
        for task in tasks {
            let _ = task.await;
        }
        self.shared.leave().await;
    }

    /// Tells other nodes what this one uses of its limits, and it what they use, in the background
    /// until [`stop`](Redis::stop). Must be called on a Tokio runtime.
    pub fn share(&self, limiter: Arc<Limiter>) {
        if let Some(every) = limiter.settings().share_every {
            let (shared, stopped) = (Arc::clone(&self.shared), self.stop.subscribe());
            let sharing = tokio::spawn(sharing::share(shared, limiter, every, stopped));
            self.tasks().push(sharing);
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn new(settings: Settings, freshness: Option<Arc<Freshness>>, metrics: Arc<Metrics>) -> Self {
        let problem: Arc<str> = "not connected to Redis yet".into();
        Self {
            keys: Keys::with_prefix(&settings.prefix),
            settings,
            metrics,
            freshness,
            node: uuid::Uuid::now_v7().simple().to_string(),
            link: RwLock::new(None),
            problem: Mutex::new(Some(problem)),
            positions: Mutex::new(vec![None; SHARDS]),
            nodes_seen: Default::default(),
        }
    }

    fn link(&self) -> Result<Arc<Link>, StoreError> {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        match &*link {
            Some(link) => Ok(Arc::clone(link)),
            None => Err(StoreError::Unavailable(self.problem_now())),
        }
    }

    /// The link, for a record of this shard: not where nobody can say whether the server behind
    /// it is still the right one.
    ///
    /// A single server is always the right one, so its answers count even when the log could not
    /// be read in time. But a node that has been away for long is in no registry any more, and
    /// nobody would wait for what it has under way.
    fn link_for(&self, shard: usize) -> Result<Arc<Link>, StoreError> {
        if let Some(freshness) = &self.freshness {
            let lease = self.settings.lease;
            let longest = match self.settings.address.servers {
                address::Servers::One { .. } => lease * CHECKED_LEASES,
                address::Servers::Sentinel { .. } | address::Servers::Cluster(_) => lease,
            };
            let age = freshness.lease_age(shard);
            if age.is_none_or(|age| age >= longest) {
                let problem = self.known_problem();
                let unread =
                    || format!("the change log of shard {shard:02} could not be read").into();
                return Err(StoreError::Unavailable(problem.unwrap_or_else(unread)));
            }
        }
        self.link()
    }

    fn publish(&self, link: Arc<Link>) {
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }

    fn retract(&self) {
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn known_problem(&self) -> Option<Arc<str>> {
        self.problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn problem_now(&self) -> Arc<str> {
        self.known_problem()
            .unwrap_or_else(|| "there is no connection to Redis right now".into())
    }

    /// Notes what is wrong, or that nothing is; returns whether that is news.
    fn note_problem(&self, problem: Option<String>) -> bool {
        let mut noted = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = noted.as_deref() != problem.as_deref();
        *noted = problem.map(Into::into);
        is_news
    }

    /// Waits for a reply, no longer than the settings allow (the connection sees to that), and
    /// counts how it went.
    async fn call<T>(
        &self,
        label: StoreCallLabel,
        link: &Link,
        sent: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        let watch = Stopwatch::start();
        let outcome = sent.await;
        self.metrics.store_call(label, watch.seconds());
        match outcome {
            Ok(reply) => {
                link.answered(label);
                Ok(reply)
            }
            Err(error) => {
                link.failed(label, &error);
                Err(unavailable(&error))
            }
        }
    }

    async fn leave(&self) {
        let Ok(link) = self.link() else { return };
        let leaving = (0..SHARDS).map(|shard| {
            let mut command = cmd("HDEL");
            command.arg(self.keys.nodes(shard)).arg(&self.node);
            let link = &link;
            async move { link.write.send::<usize>(&command).await }
        });
        let left = timeout(
            self.settings.timeout,
            futures_util::future::join_all(leaving),
        )
        .await;
        if left.is_err() {
            tracing::warn!("the registry could not be left; the next revoke waits for a lease");
        }
    }
}

#[async_trait]
impl Store for Redis {
    async fn get(&self, key: &RecordKey) -> Result<Option<Found>, StoreError> {
        let Self { shared, .. } = self;
        shared.metrics.store_read(key.label());
        let link = shared.link_for(key.shard())?;
        let mut command = cmd("GET");
        command.arg(shared.keys.record(key));
        let connection = link.readers.mine();
        let reading = connection.text(&command);
        match shared.call(StoreCallLabel::Read, &link, reading).await? {
            Some(Ok(text)) => found(key, &text).map(Some),
            Some(Err(error)) => Err(StoreError::Bad {
                key: key.clone(),
                error,
            }),
            None => Ok(None),
        }
    }

    async fn put(&self, write: Write) -> Result<Revision, StoreError> {
        let Self { shared, .. } = self;
        let (key, shard) = (&write.key, write.key.shard());
        let link = shared.link_for(shard)?;
        let revision = Revision(u64::from_be_bytes(secret::random_bytes()));
        let text = |record| with_revision(revision, record);
        let end = write.record.as_ref().and_then(Record::expires_at);
        let (record, log) = (shared.keys.record(key), shared.keys.log(shard));
        let arguments = [
            write.expected.map(revision_text).unwrap_or_default(),
            write.record.as_ref().map(text).unwrap_or_default(),
            end.map(|end| end.as_second().to_string())
                .unwrap_or_default(),
            LOG_LENGTH.to_string(),
            key.to_string(),
            shared.keys.changes(),
            format!("{shard}{NO_HURRY}"),
        ];
        let row = write.record.as_ref().and_then(|one| ListRow::of(key, one));
        let row = row.or_else(|| lists::row_of_gone(&write));
        let (list, row) = lists::arguments(&shared.keys, shard, row);
        let (audit, line) = audit::of_change(&shared.keys, shard, write.audit.as_deref());
        let call = scripts::PUT.call(
            [record, log, list, audit],
            [&arguments[..], &row, &line].concat(),
        );
        let writing = link.write.run::<u64>(&call);
        match shared.call(StoreCallLabel::Write, &link, writing).await? {
            0 => Err(StoreError::Conflict),
            more => {
                if let Some(line) = &write.audit {
                    shared
                        .metrics
                        .audit_trimmed(line.log.trail.into(), more - 1);
                }
                shared.metrics.store_write(key.label());
                Ok(revision)
            }
        }
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let Self { shared, .. } = self;
        let link = shared.link()?;
        if let Some(freshness) = &shared.freshness {
            let stale = (0..SHARDS)
                .filter(|shard| !freshness.is_fresh(*shard))
                .count();
            if stale > 0 {
                let problem = shared.known_problem();
                let because = problem
                    .map(|problem| format!(": {problem}"))
                    .unwrap_or_default();
                let text = format!("{stale} of {SHARDS} change logs could not be read{because}");
                return Err(StoreError::Unavailable(text.into()));
            }
        }
        shared
            .call(StoreCallLabel::Read, &link, link.readers.shared().ping())
            .await
    }

    async fn confirm(
        &self,
        key: &RecordKey,
        state: Option<Revision>,
    ) -> Result<Confirmation, StoreError> {
        confirm::confirm(&self.shared, key, state).await
    }

    async fn place(&self, key: &RecordKey) -> Result<Option<Place>, StoreError> {
        let Self { shared, .. } = self;
        let (name, shard) = (shared.keys.record(key), key.shard());
        let link = shared.link_for(shard)?;
        let mut command = cmd("EXPIRETIME");
        command.arg(&name);
        let asking = link.readers.shared().send::<i64>(&command);
        let expires_at = match shared.call(StoreCallLabel::Read, &link, asking).await? {
            -2 => return Ok(None),
            end => Timestamp::from_second(end).ok().filter(|_| end >= 0),
        };
        Ok(Some(Place {
            name,
            expires_at,
            shard: Some(shard),
            log_position: shared.position(shard).map(|position| position.to_string()),
        }))
    }

    async fn list(
        &self,
        kind: ListKind,
        organization: &OrganizationId,
        now: Timestamp,
        from: Option<ListPlace>,
        limit: usize,
    ) -> Result<Listed, StoreError> {
        lists::list(&self.shared, kind, organization, now, from, limit).await
    }

    async fn count(
        &self,
        kind: ListKind,
        organization: &OrganizationId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        lists::count(&self.shared, kind, organization, now).await
    }

    async fn append_audit(&self, lines: Vec<Line>) -> Result<(), StoreError> {
        audit::append(&self.shared, lines).await
    }

    async fn read_audit(
        &self,
        log: &AuditLog,
        stretch: Stretch,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        audit::read(&self.shared, log, stretch, limit).await
    }

    fn status(&self) -> Status {
        let Self { shared, .. } = self;
        let freshness = shared.freshness.as_deref();
        let shard_status = |shard| {
            let age = freshness.and_then(|freshness| freshness.lease_age(shard));
            ShardStatus {
                position: shared.position(shard).map(|position| position.to_string()),
                read_milliseconds_ago: age.map(|age| age.as_millis() as u64),
                fresh: freshness.is_some_and(|freshness| freshness.is_fresh(shard)),
            }
        };
        let link = shared.link().ok();
        Status {
            kind: shared.settings.address.servers.kind(),
            shared: Some(SharedStatus {
                node: shared.node.clone(),
                server: link.map(|link| link.server.clone()),
                problem: shared.known_problem().map(|problem| problem.to_string()),
                lease_milliseconds: shared.settings.lease.as_millis() as u64,
                nodes: shared.nodes_seen.load(std::sync::atomic::Ordering::SeqCst),
                shards: (0..SHARDS).map(shard_status).collect(),
            }),
        }
    }
}

fn unavailable(error: &RedisError) -> StoreError {
    StoreError::Unavailable(format!("Redis: {}", in_words(error)).into())
}

/// The text of a record: the revision first, at a place that a script finds without reading JSON.
fn with_revision(revision: Revision, record: &Record) -> String {
    let text = record.encode();
    let rest = text.strip_prefix('{').expect("a record is a JSON object");
    format!("{{\"rev\":\"{}\",{rest}", revision_text(revision))
}

fn revision_text(revision: Revision) -> String {
    let mut text = String::with_capacity(LENGTH_OF_64_BITS);
    base62::encode(u128::from(revision.0), LENGTH_OF_64_BITS, &mut text);
    text
}

fn found(key: &RecordKey, text: &str) -> Result<Found, StoreError> {
    let bad = |error| StoreError::Bad {
        key: key.clone(),
        error,
    };
    let record = Record::decode(key, text).map_err(bad)?;
    let revision = revision_in(text);
    let revision =
        revision.ok_or_else(|| bad(BadRecord::Unreadable("it has no revision".into())))?;
    Ok(Found { record, revision })
}

/// The revision in a record's text; `None`: this program did not write it.
fn revision_in(text: &str) -> Option<Revision> {
    if !text.starts_with("{\"rev\":\"") {
        return None;
    }
    let revision = base62::decode(text.get(scripts::REVISION_AT)?)?;
    u64::try_from(revision).ok().map(Revision)
}
