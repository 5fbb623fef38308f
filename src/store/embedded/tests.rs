//! The embedded store keeps the promises of a store, and those of a file.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use jiff::Timestamp;
use tempfile::{TempDir, tempdir};
use uuid::Uuid;

use super::*;
use crate::clock::{ManualClock, Stopwatch};
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::org::audit::{Trail, first_id};
use crate::store::audit::Keep;
use crate::store::conformance::{self, InventorySubject, Subject, samples};
use crate::store::list::ListKind;
use crate::store::port;
use crate::store::record::{Alias, BadRecord, Kept, TokenIndex};

impl Embedded {
    /// A store that lives and dies with the process, for tests that are not about the file.
    pub(crate) fn in_memory(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self::on(InMemoryBackend::new(), clock, metrics)
    }

    fn on(backend: impl StorageBackend, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let builder = Database::builder();
        let database = builder.create_with_backend(backend).unwrap();
        Self::start("memory".into(), database, clock, metrics).unwrap()
    }
}

/// What a store is opened with, to open it again.
struct Parts {
    folder: TempDir,
    clock: Arc<ManualClock>,
    metrics: Arc<Metrics>,
}

impl Parts {
    fn new() -> Self {
        Self {
            folder: tempdir().unwrap(),
            clock: Arc::new(ManualClock::at(second(1_000))),
            metrics: Arc::default(),
        }
    }

    fn create(&self) -> Embedded {
        Embedded::create(self.folder.path(), self.clock(), self.metrics()).unwrap()
    }

    fn open(&self) -> Result<Embedded, OpenError> {
        Embedded::open(self.folder.path(), self.clock(), self.metrics())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(FILE_NAME)
    }
}

/// Counts how often it is read, which the writer does once for each commit.
#[derive(Debug, Default)]
struct CountingClock(AtomicUsize);

impl Clock for CountingClock {
    fn now(&self) -> Timestamp {
        self.0.fetch_add(1, Ordering::SeqCst);
        second(1_000)
    }
}

/// A disk that can be made to fail.
#[derive(Debug, Default, Clone)]
struct Disk {
    memory: Arc<InMemoryBackend>,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn room(&self) -> io::Result<()> {
        match self.full.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.room()?;
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.memory.write(offset, data)
    }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn alias() -> Alias {
    Alias {
        organization: OrganizationId::random(),
    }
}

fn index(expires_at: Timestamp) -> TokenIndex {
    TokenIndex {
        name: "u".parse().unwrap(),
        organization: OrganizationId::random(),
        expires_at,
    }
}

async fn is_there(store: &Embedded, key: &TokenId) -> bool {
    let found = port::read::<TokenIndex>(store, key).await;
    found.unwrap().is_some()
}

fn error_of<T>(outcome: Result<T, OpenError>) -> OpenError {
    outcome.err().expect("it cannot be opened")
}

/// Replaces the stored text of a record.
fn spoil(store: &Embedded, key: &RecordKey, text: &str) {
    let transaction = store.database.begin_write().unwrap();
    let mut records = transaction.open_table(RECORDS).unwrap();
    let key = key.to_string();
    records.insert(key.as_str(), (1, NEVER, text)).unwrap();
    drop(records);
    transaction.commit().unwrap();
}

/// Starts many writes while the writer cannot commit, then lets it.
async fn while_the_writer_is_held<F: Future>(
    store: &Embedded,
    start: impl FnOnce() -> Vec<F>,
) -> Vec<F::Output> {
    let held = store.database.begin_write().unwrap();
    let mut writes: Vec<_> = start().into_iter().map(Box::pin).collect();
    let mut ended = Vec::new();
    let mut waiting = Vec::new();
    for mut write in writes.drain(..) {
        match (&mut write).now_or_never() {
            Some(outcome) => ended.push(outcome),
            None => waiting.push(write),
        }
    }
    held.abort().unwrap();
    ended.extend(join_all(waiting).await);
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_keeps_every_promise_of_a_store() {
    conformance::suite(async || {
        let parts = Parts::new();
        // The file stays open without a name; the folder is not needed any more.
        let store = Arc::new(parts.create());
        let clock = parts.clock.clone();
        Subject { store, clock }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_keeps_every_promise_of_an_inventory() {
    conformance::inventory_suite(async || {
        let parts = Parts::new();
        let store = Arc::new(parts.create());
        let clock = parts.clock.clone();
        InventorySubject { store, clock }
    })
    .await;
}

#[test]
fn a_store_in_use_is_refused_with_advice() {
    let parts = Parts::new();
    let _open = parts.create();
    let again = Embedded::create(parts.folder.path(), parts.clock(), parts.metrics());
    for error in [error_of(parts.open()), error_of(again)] {
        assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
        let text = error.to_string();
        for part in ["in use", "ticketgate serve", "stop", FILE_NAME] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn a_missing_store_is_not_made_by_opening_it() {
    let parts = Parts::new();
    let error = error_of(parts.open());
    assert!(matches!(error, OpenError::Missing(_)), "{error:?}");
    assert!(error.to_string().contains("ticketgate init"), "{error}");
    assert!(!parts.file().exists());
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let cases: [&[u8]; 4] = [
        b"",
        b"not a store",
        &[0; 8_192],
        b"redb\x1A\x0A\xA9\x0D\x0A",
    ];
    for content in cases {
        let parts = Parts::new();
        std::fs::write(parts.file(), content).unwrap();
        let error = error_of(parts.open());
        assert!(matches!(error, OpenError::Failed { .. }), "{error:?}");
        assert_eq!(std::fs::read(parts.file()).unwrap(), content);
    }
}

#[tokio::test]
async fn what_was_answered_is_there_after_reopening() {
    let parts = Parts::new();
    let (kept, gone, record) = (Uuid::new_v4(), Uuid::new_v4(), alias());
    let store = parts.create();
    let first = port::create(&store, &kept, record.clone()).await.unwrap();
    let expected = Some(port::create(&store, &gone, alias()).await.unwrap());
    let (key, delete) = (Alias::key(&gone), None);
    let last = store.put(Write {
        key,
        expected,
        record: delete,
        audit: None,
    });
    let last = last.await.unwrap();
    drop(store);

    for store in [Embedded::create, Embedded::open] {
        let store = store(parts.folder.path(), parts.clock(), parts.metrics()).unwrap();
        let found = store.get(&Alias::key(&kept)).await.unwrap();
        let record = record.clone().into_record();
        let revision = first;
        assert_eq!(found, Some(Found { record, revision }));
        assert_eq!(port::read::<Alias>(&store, &gone).await.unwrap(), None);
    }
    let store = parts.open().unwrap();
    let next = port::create(&store, &gone, alias()).await.unwrap();
    assert!(next > last, "revisions go on where they were");
}

#[tokio::test]
async fn writes_that_wait_together_share_a_commit() {
    const WRITES: usize = BATCH / 2;
    let clock = Arc::new(CountingClock::default());
    let store = Embedded::in_memory(clock.clone(), Arc::default());
    let keys: Vec<_> = (0..WRITES).map(|_| Uuid::new_v4()).collect();
    let creations = || {
        let create = |key| port::create(&store, key, alias());
        keys.iter().map(create).collect()
    };
    for outcome in while_the_writer_is_held(&store, creations).await {
        outcome.unwrap();
    }
    let commits = clock.0.load(Ordering::SeqCst);
    // The first takes what was there when it began, the second all that gathered meanwhile.
    assert!(commits <= 2, "{WRITES} writes took {commits} commits");
    for key in &keys {
        assert!(port::read::<Alias>(&store, key).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn writes_over_the_limit_are_refused_and_the_others_are_made() {
    let parts = Parts::new();
    let store = Embedded::in_memory(parts.clock(), parts.metrics());
    // One batch may be in the writer's hands already.
    let keys: Vec<_> = (0..QUEUE + BATCH + 1).map(|_| Uuid::new_v4()).collect();
    let creations = || {
        let create = async |key| (key, port::create(&store, key, alias()).await);
        keys.iter().map(create).collect()
    };
    let outcomes = while_the_writer_is_held(&store, creations).await;
    let (made, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|o| o.1.is_ok());
    assert!(made.len() >= QUEUE, "{}", made.len());
    assert!(!refused.is_empty());
    for (key, outcome) in refused {
        assert!(
            matches!(outcome, Err(StoreError::Overloaded)),
            "{outcome:?}"
        );
        assert_eq!(port::read::<Alias>(&store, key).await.unwrap(), None);
    }
    for (key, _) in made {
        assert!(port::read::<Alias>(&store, key).await.unwrap().is_some());
    }
    let after = port::create(&store, &Uuid::new_v4(), alias()).await;
    assert!(after.is_ok(), "{after:?}");
}

#[tokio::test]
async fn a_write_that_a_full_disk_cannot_take_is_not_answered_as_made() {
    let (parts, disk) = (Parts::new(), Disk::default());
    let store = Embedded::on(disk.clone(), parts.clock(), parts.metrics());
    let (before, after) = (Uuid::new_v4(), Uuid::new_v4());
    port::create(&store, &before, alias()).await.unwrap();
    store.ready().await.unwrap();

    disk.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let outcome = port::create(&store, &after, alias()).await;
        assert!(
            matches!(outcome, Err(StoreError::Unavailable(_))),
            "{outcome:?}"
        );
    }
    let ready = store.ready().await;
    assert!(
        matches!(ready, Err(StoreError::Unavailable(_))),
        "{ready:?}"
    );
    let read = port::read::<Alias>(&store, &after).await;
    assert!(!matches!(read, Ok(Some(_))), "{read:?}");
    drop(store);

    disk.full.store(false, Ordering::SeqCst);
    let store = Embedded::on(disk, parts.clock(), parts.metrics());
    assert!(
        port::read::<Alias>(&store, &before)
            .await
            .unwrap()
            .is_some()
    );
    port::create(&store, &after, alias()).await.unwrap();
    store.ready().await.unwrap();
}

#[tokio::test]
async fn a_write_that_was_taken_is_made_even_if_its_caller_gives_up() {
    let parts = Parts::new();
    let store = parts.create();
    let key = Uuid::new_v4();
    let held = store.database.begin_write().unwrap();
    let outcome = port::create(&store, &key, alias()).now_or_never();
    assert!(outcome.is_none(), "it cannot be answered yet");
    held.abort().unwrap();
    drop(store);
    let store = parts.open().unwrap();
    assert!(port::read::<Alias>(&store, &key).await.unwrap().is_some());
}

#[tokio::test]
async fn expired_records_are_swept_at_the_tick_of_their_end() {
    let parts = Parts::new();
    let store = Embedded::in_memory(parts.clock(), parts.metrics());
    let keys: [TokenId; 3] = std::array::from_fn(|_| TokenId::random());
    for (key, end) in keys.iter().zip([1_009, 1_010, 1_011]) {
        port::create(&store, key, index(second(end))).await.unwrap();
    }
    for (advance, left) in [(8, 3), (1, 2), (1, 1), (1, 0)] {
        parts.clock.advance(advance);
        let (key, record) = (Uuid::new_v4(), alias());
        port::create(&store, &key, record).await.unwrap();
        for (number, key) in keys.iter().enumerate() {
            let expected = number >= keys.len() - left;
            assert_eq!(
                is_there(&store, key).await,
                expected,
                "{number}, {left} left"
            );
        }
    }
    let transaction = store.database.begin_read().unwrap();
    let expiries = transaction.open_table(EXPIRIES).unwrap();
    assert_eq!(expiries.iter().unwrap().count(), 0, "no row is left behind");
}

#[tokio::test]
async fn a_log_that_nobody_writes_to_is_swept_by_age() {
    let parts = Parts::new();
    let database = Arc::new(Database::create(parts.file()).unwrap());
    make_tables(&database).unwrap();
    let (_, jobs) = sync_channel(1);
    let mut writer = Writer {
        database: Arc::clone(&database),
        jobs,
        clock: parts.clock(),
        failure: Arc::default(),
        metrics: Arc::default(),
        swept: None,
        since_sweep: Stopwatch::start(),
    };
    let log = AuditLog {
        trail: Trail::Changes,
        organization: None,
    };
    let time = parts.clock.now();
    let text = format!(
        r#"{{"id":"{}","time":"{time}","actor":"nobody","action":"x","outcome":"ok"}}"#,
        first_id(time)
    );
    let entry = serde_json::from_str(&text).unwrap();
    let keep = Keep {
        entries: 5,
        from: Uuid::nil(),
        seconds: 10,
    };
    let line = Line {
        log: log.clone(),
        entry,
        keep,
    };
    let (done, _) = oneshot::channel();
    let work = Work::Append(vec![line]);
    writer.commit(Job { work, done });
    let count = || {
        let read = audit::read(&database, &log, Stretch::ALL, 5);
        read.unwrap().len()
    };
    parts.clock.advance(10);
    writer.sweep();
    assert_eq!(count(), 1, "its time is not up");
    parts.clock.advance(1);
    writer.sweep();
    assert_eq!(count(), 0);
}

#[test]
fn an_idle_store_is_swept_too() {
    let parts = Parts::new();
    let database = Arc::new(Database::create(parts.file()).unwrap());
    make_tables(&database).unwrap();
    let (_, jobs) = sync_channel(1);
    let mut writer = Writer {
        database: Arc::clone(&database),
        jobs,
        clock: parts.clock(),
        failure: Arc::default(),
        metrics: Arc::default(),
        swept: None,
        since_sweep: Stopwatch::start(),
    };
    let (done, _) = oneshot::channel();
    let key = TokenIndex::key(&TokenId::random());
    let write = Write {
        key,
        expected: None,
        record: Some(index(second(1_001)).into_record()),
        audit: None,
    };
    let work = Work::Put(write);
    writer.commit(Job { work, done });
    let records = || {
        let transaction = database.begin_read().unwrap();
        let records = transaction.open_table(RECORDS).unwrap();
        records.iter().unwrap().count()
    };
    writer.sweep();
    assert_eq!(records(), 1);
    parts.clock.advance(1);
    writer.sweep();
    assert_eq!(records(), 0);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_an_error_and_harms_no_other() {
    let parts = Parts::new();
    let store = Embedded::in_memory(parts.clock(), parts.metrics());
    let good = Uuid::new_v4();
    port::create(&store, &good, alias()).await.unwrap();
    let key = Uuid::new_v4();
    for (text, newer) in [
        ("", false),
        ("{", false),
        ("null", false),
        ("[]", false),
        ("{}", false),
        (r#"{"v":1}"#, false),
        (r#"{"v":1,"record":null}"#, false),
        (r#"{"v":1,"record":{"organization":"org_bad"}}"#, false),
        (r#"{"v":-1,"record":{}}"#, false),
        (r#"{"v":65536,"record":{}}"#, false),
        ("\0\u{10ffff}", false),
        (&*"[".repeat(100_000), false),
        (
            r#"{"v":3,"record":{"organization":"org_aaaaaaaaaaaa"}}"#,
            true,
        ),
        (r#"{"v":3,"record":{"quite":"different"}}"#, true),
        (r#"{"record":7,"v":9}"#, true),
    ] {
        spoil(&store, &Alias::key(&key), text);
        let error = port::read::<Alias>(&store, &key).await.unwrap_err();
        let StoreError::Bad { key: named, error } = error else {
            panic!("{error:?} for {text:.40}");
        };
        assert_eq!(named, Alias::key(&key));
        assert_eq!(matches!(error, BadRecord::Newer(_)), newer, "{text:.40}");
        let update = |_: Option<&Alias>| Ok(port::Change::Set(alias()));
        let update = port::update::<Alias, StoreError>(&store, &key, update).await;
        assert!(matches!(update, Err(StoreError::Bad { .. })), "{update:?}");
        assert!(port::read::<Alias>(&store, &good).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_repeated_in_the_error() {
    let parts = Parts::new();
    let store = Embedded::in_memory(parts.clock(), parts.metrics());
    let key = Uuid::new_v4();
    let text = r#"{"v":1,"record":{"organization":"hunter2"}}"#;
    spoil(&store, &Alias::key(&key), text);
    let error = port::read::<Alias>(&store, &key).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

/// As if an earlier version had made the file.
#[tokio::test]
async fn keys_and_users_that_were_made_before_there_were_lists_are_in_them() {
    let parts = Parts::new();
    let store = parts.create();
    let key = samples::api_key(OrganizationId::random());
    port::create(&store, &key.id, key.clone()).await.unwrap();
    let user = samples::holder("by-hand", None);
    port::create(&store, &user.username(), user.clone())
        .await
        .unwrap();
    let transaction = store.database.begin_write().unwrap();
    for name in ["keys", "users"] {
        let rows = TableDefinition::<(&str, i64, &str), ()>::new(name);
        assert!(transaction.delete_table(rows).unwrap());
    }
    for name in ["key_counts", "user_counts"] {
        let counts = TableDefinition::<&str, u64>::new(name);
        assert!(transaction.delete_table(counts).unwrap());
    }
    transaction.commit().unwrap();
    drop(store);
    let store = parts.open().unwrap();
    for (kind, organization, name) in [
        (ListKind::Keys, &key.organization, key.id.to_string()),
        (ListKind::Users, &user.organization, user.name.to_string()),
    ] {
        let listed = store.list(kind, organization, second(0), None, 9).await;
        assert_eq!(listed.unwrap().names, [name]);
        let counted = store.count(kind, organization, second(0)).await;
        assert_eq!(counted.unwrap(), 1);
    }
}
