//! The embedded store: one crash-safe file, one process (redb).
//!
//! Reads go straight to the file's pages. Writes are taken by one thread that commits whatever has
//! gathered while the last commit was on its way to the disk: mints per second are not bound to one
//! `fsync` each. A write is answered after the commit that holds it is durable.

mod audit;
mod inventory;
mod lists;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, Table, TableDefinition};
// For the tests, which have no redb of their own.
#[cfg(test)]
use redb::{StorageBackend, backends::InMemoryBackend};
use tokio::sync::oneshot;

use crate::clock::{Clock, Stopwatch};
use crate::metrics::Metrics;
use crate::names::organization_id::OrganizationId;
use crate::org::audit::{Entry, Trail};
use crate::store::audit::{AuditLog, Line, Stretch};
use crate::store::embedded::audit::Audit;
use crate::store::embedded::lists::Lists;
use crate::store::list::{ListKind, ListPlace, Listed};
use crate::store::port::{Found, Revision, Store, StoreError, Write};
use crate::store::record::{Record, RecordKey};
use crate::store::status::{Place, Status};

/// The file's name in the data folder.
pub const FILE_NAME: &str = "store.redb";

/// The most writes that may wait for a commit.
const QUEUE: usize = 10_000;
/// The most writes or expired records that one commit takes.
const BATCH: usize = 1_024;
/// How often expired records are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Stands for "does not expire" where a time is stored; such a record is in no expiry row.
const NEVER: i64 = i64::MAX;

/// Key text -> (revision, expiry in seconds, record text).
const RECORDS: TableDefinition<&str, (u64, i64, &str)> = TableDefinition::new("records");
/// (Expiry in seconds, key text): what to sweep, oldest first.
const EXPIRIES: TableDefinition<(i64, &str), ()> = TableDefinition::new("expiries");
/// `revision`: the last one given out.
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");

/// An open embedded store. The file is locked until this is dropped.
pub struct Embedded {
    database: Arc<Database>,
    queue: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
    failure: Arc<Failure>,
    metrics: Arc<Metrics>,
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the embedded store {0} is in use by another process, most likely a running \
         `ticketgate serve`; stop that server first, or use its API"
    )]
    InUse(PathBuf),
    /// There is no store.
    #[error("there is no embedded store at {0}; `ticketgate init` makes one")]
    Missing(PathBuf),
    /// The file system or the file says no.
    #[error("the embedded store {path} cannot be opened: {text}")]
    Failed {
        /// The file.
        path: PathBuf,
        /// What it said.
        text: String,
    },
}

/// Why the file could not be written, from the first failed commit to the next good one. (After a
/// failed one redb refuses every other until the file is opened again.)
#[derive(Default)]
struct Failure(Mutex<Option<StoreError>>);

/// What the writer is asked for.
enum Work {
    Put(Write),
    Append(Vec<Line>),
}

struct Job {
    work: Work,
    done: oneshot::Sender<Result<Revision, StoreError>>,
}

impl Embedded {
    /// Makes an empty store in an existing folder.
    ///
    /// # Errors
    /// [`OpenError`]; a store that is there already is opened and left as it is.
    pub fn create(
        folder: &Path,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let path = folder.join(FILE_NAME);
        let database = Database::create(&path).map_err(|error| opening(&path, error))?;
        Self::start(path, database, clock, metrics)
    }

    /// Opens the store in `folder`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        folder: &Path,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let path = folder.join(FILE_NAME);
        if !path.exists() {
            return Err(OpenError::Missing(path));
        }
        let database = Database::open(&path).map_err(|error| opening(&path, error))?;
        Self::start(path, database, clock, metrics)
    }

    fn start(
        path: PathBuf,
        database: Database,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let database = Arc::new(database);
        let failed = |text: String| OpenError::Failed {
            path: path.clone(),
            text,
        };
        make_tables(&database).map_err(|error| failed(error.to_string()))?;
        let (queue, jobs) = sync_channel(QUEUE);
        let failure = Arc::default();
        let writer = Writer {
            database: Arc::clone(&database),
            jobs,
            clock,
            failure: Arc::clone(&failure),
            metrics: Arc::clone(&metrics),
            swept: None,
            since_sweep: Stopwatch::start(),
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            database,
            queue: Some(queue),
            writer: Some(writer),
            failure,
            metrics,
        })
    }

    /// Has the writer do something; there is an answer when it is durable.
    async fn do_work(&self, work: Work) -> Result<Revision, StoreError> {
        let (done, outcome) = oneshot::channel();
        let queue = self
            .queue
            .as_ref()
            .expect("the queue is there until the store is dropped");
        queue
            .try_send(Job { work, done })
            .map_err(|error| match error {
                TrySendError::Full(_) => StoreError::Overloaded,
                TrySendError::Disconnected(_) => writer_is_gone(),
            })?;
        outcome.await.map_err(|_| writer_is_gone())?
    }

    fn read(&self, key: &RecordKey) -> Result<Option<(u64, i64, String)>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let records = transaction.open_table(RECORDS)?;
        let row = records.get(key.to_string().as_str())?;
        Ok(row.map(|row| {
            let (revision, expiry, text) = row.value();
            (revision, expiry, text.to_owned())
        }))
    }
}

#[async_trait]
impl Store for Embedded {
    async fn get(&self, key: &RecordKey) -> Result<Option<Found>, StoreError> {
        self.metrics.store_read(key.label());
        let Some((revision, _, text)) = self.read(key).map_err(unavailable)? else {
            return Ok(None);
        };
        let record = Record::decode(key, &text).map_err(|error| StoreError::Bad {
            key: key.clone(),
            error,
        })?;
        Ok(Some(Found {
            record,
            revision: Revision(revision),
        }))
    }

    async fn put(&self, write: Write) -> Result<Revision, StoreError> {
        let label = write.key.label();
        let revision = self.do_work(Work::Put(write)).await?;
        self.metrics.store_write(label);
        Ok(revision)
    }

    async fn ready(&self) -> Result<(), StoreError> {
        if self.writer.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(writer_is_gone());
        }
        if let Some(failure) = &*self.failure.lock() {
            return Err(failure.clone());
        }
        self.database
            .begin_read()
            .map(drop)
            .map_err(|error| unavailable(error.into()))
    }

    async fn place(&self, key: &RecordKey) -> Result<Option<Place>, StoreError> {
        let row = self.read(key).map_err(unavailable)?;
        Ok(row.map(|(_, expiry, _)| Place {
            name: key.to_string(),
            expires_at: time(expiry),
            shard: None,
            log_position: None,
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
        lists::list(&self.database, kind, organization, now, from, limit).map_err(unavailable)
    }

    async fn count(
        &self,
        kind: ListKind,
        organization: &OrganizationId,
        _now: Timestamp,
    ) -> Result<u64, StoreError> {
        lists::count(&self.database, kind, organization).map_err(unavailable)
    }

    async fn append_audit(&self, lines: Vec<Line>) -> Result<(), StoreError> {
        self.do_work(Work::Append(lines)).await.map(drop)
    }

    async fn read_audit(
        &self,
        log: &AuditLog,
        stretch: Stretch,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        audit::read(&self.database, log, stretch, limit).map_err(unavailable)
    }

    fn status(&self) -> Status {
        Status {
            kind: "embedded",
            shared: None,
        }
    }
}

impl Failure {
    fn lock(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a commit ended. Of several failures the first says most.
    fn note(&self, failure: Option<&StoreError>) {
        let mut noted = self.lock();
        if noted.is_none() || failure.is_none() {
            *noted = failure.cloned();
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Ends the writer after what is queued; the lock on the file goes with the last handle.
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// The thread that writes.
struct Writer {
    database: Arc<Database>,
    jobs: Receiver<Job>,
    clock: Arc<dyn Clock>,
    failure: Arc<Failure>,
    metrics: Arc<Metrics>,
    /// The log of the audit that was looked at last for old entries.
    swept: Option<String>,
    since_sweep: Stopwatch,
}

impl Writer {
    fn run(mut self) {
        loop {
            match self.jobs.recv_timeout(SWEEP_EVERY) {
                Ok(first) => {
                    self.commit(first);
                    // A busy store is never idle, and its logs have an end all the same.
                    if self.since_sweep.elapsed() >= SWEEP_EVERY {
                        self.sweep();
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.sweep(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn commit(&self, first: Job) {
        let jobs: Vec<Job> = std::iter::once(first)
            .chain(self.jobs.try_iter().take(BATCH - 1))
            .collect();
        let outcomes = self.apply(&jobs);
        self.failure.note(outcomes.as_ref().err());
        for (number, job) in jobs.into_iter().enumerate() {
            let outcome = match &outcomes {
                Ok(outcomes) => outcomes[number].clone(),
                Err(error) => Err(error.clone()),
            };
            // Whoever asked may have gone; the change stands all the same.
            let _ = job.done.send(outcome);
        }
    }

    /// Applies the writes in order in one transaction; the outer error is of all of them.
    fn apply(&self, jobs: &[Job]) -> Result<Vec<Result<Revision, StoreError>>, StoreError> {
        let now = self.clock.now().as_second();
        let outcomes = (|| {
            let trimmed;
            let transaction = self.database.begin_write()?;
            let outcomes = {
                let mut tables = Tables::open(&transaction)?;
                let writes = jobs.iter().map(|job| match &job.work {
                    Work::Put(write) => tables.write(write),
                    Work::Append(lines) => tables.append(lines).map(Ok),
                });
                // A write that fails half-way takes the transaction with it.
                let outcomes = writes.collect::<Result<_, redb::Error>>()?;
                tables.sweep(now, BATCH)?;
                trimmed = tables.trimmed;
                outcomes
            };
            transaction.commit()?;
            for (trail, count) in trimmed {
                self.metrics.audit_trimmed(trail.into(), count);
            }
            Ok(outcomes)
        })();
        outcomes.map_err(unavailable)
    }

    fn sweep(&mut self) {
        self.since_sweep = Stopwatch::start();
        let now = self.clock.now().as_second();
        let swept = (|| -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            let (swept, audit_swept);
            {
                let mut tables = Tables::open(&transaction)?;
                swept = tables.sweep(now, BATCH)?;
                (audit_swept, self.swept) = tables.audit.sweep(now, self.swept.as_deref())?;
            }
            if swept == 0 && !audit_swept {
                return Ok(transaction.abort()?);
            }
            Ok(transaction.commit()?)
        })();
        if let Err(error) = swept {
            tracing::warn!(%error, "expired records could not be swept; trying again later");
            self.failure.note(Some(&unavailable(error)));
        }
    }
}

struct Tables<'a> {
    records: Table<'a, &'static str, (u64, i64, &'static str)>,
    expiries: Table<'a, (i64, &'static str), ()>,
    counters: Table<'a, &'static str, u64>,
    lists: Lists<'a>,
    audit: Audit<'a>,
    /// How many entries of the audit log made room for others.
    trimmed: Vec<(Trail, u64)>,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a redb::WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            expiries: transaction.open_table(EXPIRIES)?,
            counters: transaction.open_table(COUNTERS)?,
            lists: Lists::open(transaction)?,
            audit: Audit::open(transaction)?,
            trimmed: Vec::new(),
        })
    }

    fn write(&mut self, write: &Write) -> Result<Result<Revision, StoreError>, redb::Error> {
        let key = write.key.to_string();
        let current = self.records.get(key.as_str())?.map(|row| {
            let (revision, expiry, _) = row.value();
            (Revision(revision), expiry)
        });
        if current.map(|(revision, _)| revision) != write.expected {
            return Ok(Err(StoreError::Conflict));
        }
        if let Some((_, expiry)) = current {
            self.expiries.remove((expiry, key.as_str()))?;
        }
        if let Some(line) = &write.audit {
            self.append(std::slice::from_ref(&**line))?;
        }
        // The row of a token moves with its end; others stay until their record goes.
        if matches!(write.key, RecordKey::Token(_)) || write.record.is_none() {
            let text = self.records.get(key.as_str())?;
            let text = text.map(|row| row.value().2.to_owned());
            if let Some(text) = text {
                self.lists.remove(&key, &text)?;
            }
        }
        if let Some(record) = &write.record {
            self.lists.insert(&write.key, record)?;
        }
        let revision = self.next_revision()?;
        match &write.record {
            None => drop(self.records.remove(key.as_str())?),
            Some(record) => {
                let expiry = record.expires_at().map_or(NEVER, |end| end.as_second());
                let text = record.encode();
                self.records
                    .insert(key.as_str(), (revision.0, expiry, text.as_str()))?;
                if expiry != NEVER {
                    self.expiries.insert((expiry, key.as_str()), ())?;
                }
            }
        }
        Ok(Ok(revision))
    }

    /// Adds entries to the audit log. They are no record, so they take no revision.
    fn append(&mut self, lines: &[Line]) -> Result<Revision, redb::Error> {
        for line in lines {
            let dropped = self.audit.append(line)?;
            if dropped > 0 {
                self.trimmed.push((line.log.trail, dropped));
            }
        }
        Ok(Revision(0))
    }

    fn next_revision(&mut self) -> Result<Revision, redb::Error> {
        let last = self.counters.get("revision")?.map_or(0, |row| row.value());
        self.counters.insert("revision", last + 1)?;
        Ok(Revision(last + 1))
    }

    fn sweep(&mut self, now: i64, limit: usize) -> Result<usize, redb::Error> {
        let mut expired = Vec::new();
        // At the tick of its end a record is over; so all that end by then, whatever their names.
        for row in self.expiries.range(..(now + 1, ""))?.take(limit) {
            let (row, ()) = row.map(|(key, _)| (key, ()))?;
            let (expiry, key) = row.value();
            expired.push((expiry, key.to_owned()));
        }
        for (expiry, key) in &expired {
            self.expiries.remove((*expiry, key.as_str()))?;
            let removed = self.records.remove(key.as_str())?;
            if let Some(row) = removed.filter(|_| key.starts_with("token:")) {
                self.lists.remove(key, row.value().2)?;
            }
        }
        Ok(expired.len())
    }
}

fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let unlisted = lists::are_missing(&transaction)?;
    let mut tables = Tables::open(&transaction)?;
    if unlisted {
        lists::fill(&mut tables.lists, &tables.records)?;
    }
    drop(tables);
    Ok(transaction.commit()?)
}

/// A stored expiry as a time.
fn time(expiry: i64) -> Option<Timestamp> {
    (expiry != NEVER)
        .then(|| Timestamp::from_second(expiry).ok())
        .flatten()
}

fn opening(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path),
        error => OpenError::Failed {
            path,
            text: error.to_string(),
        },
    }
}

fn unavailable(error: redb::Error) -> StoreError {
    StoreError::Unavailable(error.to_string().into())
}

fn writer_is_gone() -> StoreError {
    StoreError::Unavailable("the embedded store's writer has stopped".into())
}

#[cfg(test)]
mod tests;
