//! One suite for every store: what [`Store`] promises, a small case for each promise.
//!
//! It uses the trait and the functions of [`port`] and nothing else, so it runs unchanged over the
//! embedded store, over the cache in front of it and over every store to come, from inside the
//! crate or outside it. A broken promise is a panic. Nothing that serves calls it, so a linked
//! server does not contain it.

mod samples;

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use uuid::Uuid;

use self::samples::{
    alias, counter, holder, later, organization, origin, policy, second, some_alias, username,
};
use crate::clock::ManualClock;
use crate::credential::api_key::{ApiKey, ApiKeyKind};
use crate::credential::holder::{Holder, HolderIdentity};
use crate::keyring::Keyring;
use crate::names::key_id::ApiKeyId;
use crate::names::marks::Epoch;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::org::organization::Organization;
use crate::store::port::{self, Change, Found, Revision, Store, StoreError, Write};
use crate::store::record::{Alias, Kept, KnownOrigin, Policy, Record, RecordKey, TokenIndex};

/// The longest that one case may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// A life that is short and still longer than a busy machine takes for two writes, in seconds.
const SHORT: i64 = 3;
/// How often a condition that takes its time is looked at.
const POLL: Duration = Duration::from_millis(5);

/// A store to test.
pub struct Subject {
    /// The store, with nothing in it.
    pub store: Arc<dyn Store>,
    /// The clock that the store reads. A store whose time passes elsewhere too (a server that
    /// counts down by itself) is given up to [`DEADLINE`] of real time to follow it.
    pub clock: Arc<ManualClock>,
}

/// Says which case it was when one panics.
struct Case(&'static str);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the store breaks the promise `{}`", self.0);
        }
    }
}

macro_rules! run {
    ($make:ident: $($case:ident)*) => { $(
        let subject = $make().await;
        let case = Case(stringify!($case));
        tokio::time::timeout(DEADLINE, $case(&subject))
            .await
            .unwrap_or_else(|_| panic!("no end after {DEADLINE:?}"));
        drop(case);
    )* };
}

/// Holds a store to all its promises. `make` gives a fresh, empty store for each.
///
/// # Panics
/// When a promise is broken.
pub async fn suite(make: impl AsyncFn() -> Subject) {
    run! { make:
        an_empty_store_is_ready_and_has_nothing
        every_type_of_record_reads_back
        any_text_reads_back
        names_that_look_alike_are_apart
        many_records_are_kept
        creating_twice_conflicts
        only_the_current_state_can_be_changed
        a_deleted_record_is_gone
        a_revision_is_never_used_again
        an_update_sees_the_current_state
        an_update_that_keeps_or_fails_writes_nothing
        one_of_many_creators_wins
        no_concurrent_update_is_lost
        what_has_expired_goes_and_nothing_else
        peeking_agrees_with_reading
    }
}

async fn an_empty_store_is_ready_and_has_nothing(subject: &Subject) {
    let store = &*subject.store;
    store.ready().await.expect("an open store is ready");
    for key in [
        RecordKey::Organization(OrganizationId::random()),
        RecordKey::Alias(Uuid::new_v4()),
        RecordKey::Policy(OrganizationId::random()),
        RecordKey::Holder(username("nobody")),
        RecordKey::Token(TokenId::random()),
        RecordKey::ApiKey(ApiKeyId::random()),
        RecordKey::Origin(origin("https://nobody.example")),
    ] {
        assert_eq!(get(store, &key).await, None, "{key}");
        assert_eq!(get(store, &key).await, None, "{key}, the second time");
    }
}

async fn every_type_of_record_reads_back(subject: &Subject) {
    let store = &*subject.store;
    let keys = Keyring::random();
    let organization = organization("Acme", &keys);
    let id = organization.id.clone();
    let alias = Alias {
        organization: id.clone(),
    };
    let (api_key, _) = ApiKey::create(
        &keys,
        id.clone(),
        ApiKeyKind::Secret,
        "server".into(),
        ApiKeyKind::Secret.default_scopes(),
        Epoch::default(),
        second(0),
    );
    let holder = holder("alice", Some(later(subject, 3_600)));
    let token = TokenIndex {
        name: holder.name.clone(),
        organization: id.clone(),
        expires_at: later(subject, 3_600),
    };
    let origin = origin("https://app.example:8443");

    reads_back(store, &organization.alias, alias).await;
    reads_back(store, &id, policy(3)).await;
    reads_back(store, &id, organization).await;
    reads_back(store, &holder.username(), holder).await;
    reads_back(store, &TokenId::random(), token).await;
    reads_back(store, &api_key.id.clone(), api_key).await;
    reads_back(store, &origin, KnownOrigin {}).await;
}

async fn any_text_reads_back(subject: &Subject) {
    let store = &*subject.store;
    let keys = Keyring::random();
    for text in [
        "",
        " ",
        "\0",
        "\u{7f}\u{1b}[31m\r\n\t",
        "'); DROP TABLE records; --",
        r#"","v":9,"record":{"#,
        r"\u0000 \ / {} [] %s %00",
        "Zoë Ωmega 名前 مرحبا 👩‍👩‍👧 e\u{301} \u{202e}rtl\u{feff}\u{fffd}\u{10ffff}",
        &"long ".repeat(50_000),
        &"長".repeat(50_000),
    ] {
        let organization = organization(text, &keys);
        reads_back(store, &organization.id.clone(), organization).await;
        let mut holder = holder("texts", None);
        holder.organization = OrganizationId::random();
        holder.identity = HolderIdentity::Subject {
            provider: Uuid::nil(),
            subject: text.into(),
        };
        reads_back(store, &holder.username(), holder).await;
    }
    reads_back(store, &OrganizationId::random(), policy(5_000)).await;
}

/// Types share the text of a name, tenants share local names, and case matters.
async fn names_that_look_alike_are_apart(subject: &Subject) {
    let store = &*subject.store;
    let organization = organization("one id, two records", &Keyring::random());
    let id = organization.id.clone();
    reads_back(store, &id, organization.clone()).await;
    assert_eq!(read::<Policy>(store, &id).await, None, "of the same id");
    reads_back(store, &id, policy(1)).await;
    assert_eq!(read(store, &id).await, Some(organization));

    let (here, there) = (OrganizationId::random(), OrganizationId::random());
    for organization in [here, there] {
        for name in ["a", "A", "_a", "a_", "a-", "aa", "0", "00"] {
            let mut holder = holder(name, None);
            holder.organization = organization.clone();
            reads_back(store, &holder.username(), holder).await;
        }
    }
    for text in ["http://a", "https://a", "https://a:443", "https://a.a"] {
        reads_back(store, &origin(text), KnownOrigin {}).await;
    }
}

async fn many_records_are_kept(subject: &Subject) {
    const MANY: usize = 2_000;
    let mut writers = JoinSet::new();
    for _ in 0..MANY {
        let store = Arc::clone(&subject.store);
        writers.spawn(async move {
            let (alias, record) = (Uuid::new_v4(), alias());
            let revision = port::create(&*store, &alias, record.clone()).await;
            (alias, record, revision.expect("a first creation succeeds"))
        });
    }
    let written = writers.join_all().await;
    let revisions: HashSet<_> = written.iter().map(|(_, _, revision)| revision).collect();
    assert_eq!(revisions.len(), MANY, "every change has its own revision");
    for (alias, record, revision) in written {
        let found = get(&*subject.store, &Alias::key(&alias)).await;
        let record = record.into_record();
        assert_eq!(found, Some(Found { record, revision }));
    }
}

async fn creating_twice_conflicts(subject: &Subject) {
    let store = &*subject.store;
    let (key, first) = (Uuid::new_v4(), alias());
    reads_back(store, &key, first.clone()).await;
    for again in [first.clone(), alias()] {
        assert_conflict(port::create(store, &key, again).await);
        assert_eq!(read(store, &key).await.as_ref(), Some(&first));
    }
}

async fn only_the_current_state_can_be_changed(subject: &Subject) {
    let store = &*subject.store;
    let key = RecordKey::Alias(Uuid::new_v4());
    let old = put(store, &key, None, some_alias()).await;
    let record = alias().into_record();
    let revision = put(store, &key, Some(old), Some(record.clone())).await;
    let unharmed = Some(Found { record, revision });
    let made_up = [0, revision.0 + 1, u64::MAX].map(Revision);
    for expected in [old].into_iter().chain(made_up).map(Some).chain([None]) {
        for record in [some_alias(), None] {
            let change = write(&key, expected, record);
            assert_conflict(store.put(change.clone()).await);
            assert_eq!(get(store, &key).await, unharmed, "after {change:?}");
        }
    }
    // The same wrong ideas about a record that is not there.
    let absent = RecordKey::Alias(Uuid::new_v4());
    for expected in made_up.into_iter().chain([revision]).map(Some) {
        for record in [some_alias(), None] {
            let change = write(&absent, expected, record);
            assert_conflict(store.put(change.clone()).await);
            assert_eq!(get(store, &absent).await, None, "after {change:?}");
        }
    }
}

async fn a_deleted_record_is_gone(subject: &Subject) {
    let store = &*subject.store;
    let key = RecordKey::Alias(Uuid::new_v4());
    let current = put(store, &key, None, some_alias()).await;
    assert!(get(store, &key).await.is_some());
    put(store, &key, Some(current), None).await;
    assert_eq!(get(store, &key).await, None);
    for record in [some_alias(), None] {
        assert_conflict(store.put(write(&key, Some(current), record)).await);
        assert_eq!(get(store, &key).await, None);
    }
    let record = alias().into_record();
    let revision = put(store, &key, None, Some(record.clone())).await;
    assert_eq!(get(store, &key).await, Some(Found { record, revision }));
}

/// Otherwise a change made from the first life of a record could hit its second one.
async fn a_revision_is_never_used_again(subject: &Subject) {
    let store = &*subject.store;
    let key = RecordKey::Alias(Uuid::new_v4());
    let same = alias().into_record();
    let mut used = Vec::new();
    for _ in 0..10 {
        let created = put(store, &key, None, Some(same.clone())).await;
        let updated = put(store, &key, Some(created), Some(same.clone())).await;
        for old in used.iter().copied().chain([created]) {
            assert_conflict(store.put(write(&key, Some(old), None)).await);
        }
        put(store, &key, Some(updated), None).await;
        for revision in [created, updated] {
            assert!(!used.contains(&revision), "{revision:?} was used before");
            used.push(revision);
        }
    }
}

async fn an_update_sees_the_current_state(subject: &Subject) {
    let store = &*subject.store;
    let key = OrganizationId::random();
    for expected in 0..5 {
        assert_eq!(count(store, &key).await.expect("an update"), expected);
    }
    let organization: Organization = read(store, &key).await.expect("a record");
    assert_eq!(organization.token_life.default_seconds, 5);
}

async fn an_update_that_keeps_or_fails_writes_nothing(subject: &Subject) {
    let store = &*subject.store;
    let key = Uuid::new_v4();
    let keep = |_: Option<&Alias>| Ok::<_, StoreError>(Change::Keep);
    let kept = port::update(store, &key, keep).await.expect("an update");
    assert_eq!((kept.written, kept.revision), (false, None));
    assert_eq!(read::<Alias>(store, &key).await, None);

    let record = alias();
    reads_back(store, &key, record.clone()).await;
    let before = get(store, &Alias::key(&key)).await;
    let kept = port::update(store, &key, keep).await.expect("an update");
    let revision = before.as_ref().map(|found| found.revision);
    assert_eq!((kept.written, kept.revision), (false, revision));
    let fail = |_: Option<&Alias>| Err::<Change<Alias>, _>(StoreError::Overloaded);
    let failed = port::update(store, &key, fail).await;
    assert!(matches!(failed, Err(StoreError::Overloaded)), "{failed:?}");
    assert_eq!(get(store, &Alias::key(&key)).await, before);
}

async fn one_of_many_creators_wins(subject: &Subject) {
    for _ in 0..20 {
        let key = Uuid::new_v4();
        let mut creators = JoinSet::new();
        for _ in 0..16 {
            let store = Arc::clone(&subject.store);
            creators.spawn(async move {
                let record = alias();
                let outcome = port::create(&*store, &key, record.clone()).await;
                (record, outcome)
            });
        }
        let outcomes = creators.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(_, o)| o.is_ok());
        assert_eq!(won.len(), 1);
        lost.into_iter()
            .for_each(|(_, outcome)| assert_conflict(outcome));
        assert_eq!(
            read(&*subject.store, &key).await.as_ref(),
            Some(&won[0].0),
            "the winner's record is the one that is kept"
        );
    }
}

async fn no_concurrent_update_is_lost(subject: &Subject) {
    const WRITERS: u32 = 16;
    const UPDATES: u32 = 25;
    let key = OrganizationId::random();
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (store, key) = (Arc::clone(&subject.store), key.clone());
        writers.spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < UPDATES as usize {
                match count(&*store, &key).await {
                    Ok(before) => seen.push(before),
                    // Unlucky every time; nothing was written.
                    Err(StoreError::Conflict) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            seen
        });
    }
    let mut seen = writers.join_all().await.concat();
    seen.sort_unstable();
    let every: Vec<_> = (0..WRITERS * UPDATES).collect();
    assert_eq!(seen, every, "every update was made from its own state");
}

async fn what_has_expired_goes_and_nothing_else(subject: &Subject) {
    let store = &*subject.store;
    let (short, long, for_ever) = (
        holder("short", Some(later(subject, SHORT))),
        holder("long", Some(later(subject, 3_600))),
        holder("for_ever", None),
    );
    let mut first_life = None;
    for holder in [&short, &long, &for_ever] {
        let created = port::create(store, &holder.username(), holder.clone()).await;
        first_life.get_or_insert(created.expect("a first creation succeeds"));
    }
    // Its end was moved before it came.
    let mut renewed = holder("renewed", Some(later(subject, SHORT)));
    let created = port::create(store, &renewed.username(), renewed.clone()).await;
    renewed.credentials[0].expires_at = Some(later(subject, 3_600));
    let key = Holder::key(&renewed.username());
    put(
        store,
        &key,
        created.ok(),
        Some(renewed.clone().into_record()),
    )
    .await;

    subject.clock.advance(SHORT);
    let key = Holder::key(&short.username());
    loop {
        // A store may do its sweeping along with writes.
        put(store, &RecordKey::Alias(Uuid::new_v4()), None, some_alias()).await;
        if get(store, &key).await.is_none() {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    assert_conflict(store.put(write(&key, first_life, None)).await);
    let second_life = put(store, &key, None, Some(short.into_record())).await;
    assert_ne!(Some(second_life), first_life);
    for holder in [long, for_ever, renewed] {
        assert_eq!(read(store, &holder.username()).await, Some(holder));
    }
}

async fn peeking_agrees_with_reading(subject: &Subject) {
    let store = &*subject.store;
    let key = RecordKey::Alias(Uuid::new_v4());
    assert_peek(store, &key, None);
    let mut current = None;
    for absent in [false, false, true, false, true, true, false] {
        let record = some_alias().filter(|_| !absent);
        let change = write(&key, current, record.clone());
        let revision = store.put(change).await.expect("the state is current");
        let found = record.map(|record| Found { record, revision });
        assert_peek(store, &key, found.as_ref());
        assert_eq!(get(store, &key).await, found);
        assert_peek(store, &key, found.as_ref());
        assert_conflict(store.put(write(&key, Some(Revision(0)), None)).await);
        assert_peek(store, &key, found.as_ref());
        current = found.map(|found| found.revision);
    }
}

/// Creates the record where there was none, and finds exactly it.
async fn reads_back<T: Kept + PartialEq + Debug>(store: &dyn Store, key: &T::Key, record: T) {
    assert_eq!(read::<T>(store, key).await, None);
    let created = port::create(store, key, record.clone()).await;
    let revision = created.expect("a first creation succeeds");
    assert_eq!(read(store, key).await.as_ref(), Some(&record));
    let found = get(store, &T::key(key)).await;
    let record = record.into_record();
    assert_eq!(found, Some(Found { record, revision }));
}

/// Adds one to a number in a record, and returns what it was.
async fn count(store: &dyn Store, key: &OrganizationId) -> Result<u32, StoreError> {
    let mut before = 0;
    let change = |current: Option<&Organization>| {
        let mut next = match current {
            Some(organization) => organization.clone(),
            None => counter(key.clone()),
        };
        before = next.token_life.default_seconds;
        next.token_life.default_seconds += 1;
        Ok::<_, StoreError>(Change::Set(next))
    };
    let updated = port::update(store, key, change).await?;
    assert!(updated.written, "a new state was given");
    Ok(before)
}

async fn get(store: &dyn Store, key: &RecordKey) -> Option<Found> {
    store.get(key).await.expect("a store that works can read")
}

async fn read<T: Kept>(store: &dyn Store, key: &T::Key) -> Option<T> {
    let record = port::read::<T>(store, key).await;
    record
        .expect("a store that works can read")
        .map(Arc::unwrap_or_clone)
}

/// A change that must succeed.
async fn put(
    store: &dyn Store,
    key: &RecordKey,
    expected: Option<Revision>,
    record: Option<Record>,
) -> Revision {
    let outcome = store.put(write(key, expected, record)).await;
    outcome.expect("a change of the current state succeeds")
}

fn write(key: &RecordKey, expected: Option<Revision>, record: Option<Record>) -> Write {
    Write {
        key: key.clone(),
        expected,
        record,
    }
}

fn assert_conflict(outcome: Result<Revision, StoreError>) {
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
}

/// A store may know nothing at a glance; what it knows is true.
fn assert_peek(store: &dyn Store, key: &RecordKey, found: Option<&Found>) {
    if let Some(known) = store.peek(key) {
        assert_eq!(known.as_ref(), found);
    }
}
