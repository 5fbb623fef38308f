//! The cache keeps the promises of a store, and serves nothing that is over.

mod several;
mod slow;

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use uuid::Uuid;

use self::slow::{Held, Point, Reader, Stack, in_time, look, still_waits, waiting};
use futures_util::FutureExt as _;

use super::*;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::store::conformance::{self, Subject};
use crate::store::record::{Alias, Kept as _, Record, TokenIndex};

fn some_key() -> RecordKey {
    RecordKey::Alias(Uuid::new_v4())
}

fn some_record() -> Option<Record> {
    let organization = OrganizationId::random();
    Some(Alias { organization }.into_record())
}

fn index(name: &str, expires_at: Timestamp) -> Record {
    TokenIndex {
        name: name.parse().unwrap(),
        organization: "org_aaaaaaaaaaaa".parse().unwrap(),
        expires_at,
    }
    .into_record()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cached_store_keeps_every_promise_of_a_store() {
    let hardly_a_cache = Settings {
        capacity: 1,
        max_age_seconds: 0,
        negative_capacity: 1,
        negative_max_age_seconds: 1,
    };
    for settings in [Settings::default(), hardly_a_cache] {
        conformance::suite(async || {
            let Stack { cached, clock, .. } = Stack::with(&settings, |_| {});
            Subject {
                store: cached,
                clock,
            }
        })
        .await;
    }
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Create,
    Update,
    Delete,
}

/// How the store changes and the cache learns of it.
#[derive(Debug, Clone, Copy)]
enum Way {
    Put,
    Invalidate,
    InvalidateAll,
}

/// When the load that has read the old state ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LoadEnds {
    AfterTheCacheWasTold,
    /// The store has changed already.
    BeforeTheCacheIsTold,
}

/// Lets loads that have read the old state race with a change. Returns how many reads that ended
/// after the change had returned did not see it.
async fn race(stack: &Stack, change: Change, way: Way, ends: LoadEnds, joining: usize) -> usize {
    let Stack { cached, slow, .. } = stack;
    let key = &some_key();
    let (old, new) = match change {
        Change::Create => (None, some_record()),
        Change::Update => (some_record(), some_record()),
        Change::Delete => (some_record(), None),
    };
    stack.set(key, old).await;
    let mut load = slow.hold(Point::Read, key);
    let mut readers = waiting(1 + joining, cached, key);
    load.reached().await;

    // The store changes.
    let write = stack.replacing(key, new.clone()).await;
    let mut made = slow.hold(Point::Made, key);
    let store: &dyn Store = match way {
        Way::Put => &**cached,
        Way::Invalidate | Way::InvalidateAll => slow,
    };
    let mut put = store.put(write);
    assert!((&mut put).now_or_never().is_none(), "its answer is held");
    made.reached().await;
    let load = match ends {
        LoadEnds::AfterTheCacheWasTold => Some(load),
        LoadEnds::BeforeTheCacheIsTold => {
            drop(load);
            in_time(join_all(readers.drain(..))).await;
            None
        }
    };
    // The cache is told.
    drop(made);
    in_time(put).await.expect("nobody else writes");
    match way {
        Way::Put => {}
        Way::Invalidate => cached.freshness().invalidate(key),
        Way::InvalidateAll => cached.freshness().invalidate_all(),
    }

    stale_reads(cached, key, new.as_ref(), readers, load).await
}

/// Begins more reads now that a change has returned, lets go of the load that was on its way, and
/// counts the reads that see anything but `new`.
async fn stale_reads<'a>(
    cached: &'a Cached,
    key: &'a RecordKey,
    new: Option<&Record>,
    mut readers: Vec<Reader<'a>>,
    load: Option<Held>,
) -> usize {
    let glance = cached.peek(key).into_iter().map(Ok);
    let mut seen: Vec<Loaded> = glance.collect();
    for _ in 0..1 + readers.len() {
        let mut reader: Reader = Box::pin(look(cached, key));
        match (&mut reader).now_or_never() {
            Some(loaded) => seen.push(loaded),
            None => readers.push(reader),
        }
    }
    drop(load);
    readers.push(Box::pin(look(cached, key)));
    seen.extend(in_time(join_all(readers)).await);
    seen.push(look(cached, key).await);
    let is_stale = |loaded: &&Loaded| {
        let found = loaded.as_ref().expect("the store works").as_ref();
        found.map(|found| &found.record) != new
    };
    seen.iter().filter(is_stale).count()
}

#[tokio::test]
async fn no_read_is_older_than_the_last_change_that_returned() {
    let stack = Stack::new();
    let mut stale = Vec::new();
    for change in [Change::Create, Change::Update, Change::Delete] {
        // Telling the cache that all has changed is slow, and not different otherwise.
        for (way, rounds) in [
            (Way::Put, 300),
            (Way::Invalidate, 300),
            (Way::InvalidateAll, 30),
        ] {
            for ends in [
                LoadEnds::AfterTheCacheWasTold,
                LoadEnds::BeforeTheCacheIsTold,
            ] {
                let mut reads = 0;
                for _ in 0..rounds / 10 {
                    let races = (0..10).map(|n| race(&stack, change, way, ends, n));
                    reads += join_all(races).await.iter().sum::<usize>();
                }
                stale.push((reads, change, way, ends));
            }
        }
    }
    let reads: usize = stale.iter().map(|(reads, ..)| reads).sum();
    assert_eq!(reads, 0, "stale reads: {stale:#?}");
}

/// The life of one record that a single writer leads through numbered states.
struct Life {
    key: RecordKey,
    begun: AtomicU32,
    returned: AtomicU32,
}

const CHANGES: u32 = 400;

/// Absent in every third state, else the number itself.
fn state(number: u32) -> Option<u32> {
    (!number.is_multiple_of(3)).then_some(number)
}

fn numbered(number: u32) -> Option<Record> {
    let end = Timestamp::from_second(1_000_000).unwrap();
    state(number).map(|number| index(&format!("n{number}"), end))
}

fn number(found: Option<Found>) -> Option<u32> {
    let index = TokenIndex::from_record(found?.record).unwrap();
    Some(index.name.as_str()[1..].parse().unwrap())
}

/// Changes the record, now through the cache and now behind it.
async fn lead(stack: Arc<Stack>, life: Arc<Life>) {
    for next in 1..=CHANGES {
        let write = stack.replacing(&life.key, numbered(next)).await;
        life.begun.store(next, SeqCst);
        if next.is_multiple_of(2) {
            stack.cached.put(write).await.unwrap();
        } else {
            stack.slow.inner.put(write).await.unwrap();
            stack.cached.freshness().invalidate(&life.key);
        }
        life.returned.store(next, SeqCst);
    }
}

/// Reads until the last change; returns how many reads there were and which were wrong.
async fn watch(stack: Arc<Stack>, life: Arc<Life>) -> (usize, Vec<String>) {
    let (mut reads, mut wrong) = (0, Vec::new());
    loop {
        let from = life.returned.load(SeqCst);
        let seen = number(look(&stack.cached, &life.key).await.unwrap());
        let to = life.begun.load(SeqCst);
        reads += 1;
        if !(from..=to).any(|number| state(number) == seen) {
            wrong.push(format!("{seen:?} between {from} and {to}"));
        }
        if from == CHANGES {
            return (reads, wrong);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_every_read_sees_a_state_of_its_own_time() {
    let stack = Stack::with(&Settings::default(), |slow| slow.dawdles = true);
    let stack = Arc::new(stack);
    let (mut writers, mut readers) = (JoinSet::new(), JoinSet::new());
    for _ in 0..4 {
        let life = Arc::new(Life {
            key: TokenIndex::key(&TokenId::random()),
            begun: AtomicU32::new(0),
            returned: AtomicU32::new(0),
        });
        writers.spawn(lead(Arc::clone(&stack), Arc::clone(&life)));
        for _ in 0..3 {
            readers.spawn(watch(Arc::clone(&stack), Arc::clone(&life)));
        }
    }
    in_time(writers.join_all()).await;
    let (reads, wrong): (Vec<_>, Vec<_>) = in_time(readers.join_all()).await.into_iter().unzip();
    let (reads, wrong) = (reads.iter().sum::<usize>(), wrong.concat());
    let some = &wrong[..wrong.len().min(5)];
    assert_eq!(wrong.len(), 0, "of {reads} reads, such as {some:?}");
}

#[tokio::test]
async fn many_misses_are_one_read_of_the_store() {
    let stack = Stack::new();
    for record in [some_record(), None] {
        let key = some_key();
        let found = stack.set(&key, record).await;
        let before = stack.slow.reads();
        let load = stack.slow.hold(Point::Read, &key);
        let readers = waiting(100, &stack.cached, &key);
        drop(load);
        for seen in in_time(join_all(readers)).await {
            assert_eq!(seen.unwrap(), found);
        }
        assert_eq!(stack.slow.reads(), before + 1);
    }
}

/// A reader that has just missed may come when the load has just ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_reads_again_what_another_has_just_loaded() {
    const KEYS: usize = 500;
    let stack = Arc::new(Stack::new());
    for _ in 0..KEYS {
        let key = some_key();
        let found = stack.set(&key, some_record()).await;
        let mut readers = JoinSet::new();
        for _ in 0..8 {
            let (stack, key) = (Arc::clone(&stack), key.clone());
            readers.spawn(async move { look(&stack.cached, &key).await });
        }
        for seen in in_time(readers.join_all()).await {
            assert_eq!(seen.unwrap(), found);
        }
    }
    assert_eq!(stack.slow.reads(), KEYS);
}

#[tokio::test]
async fn a_hit_waits_for_nothing_and_reads_nothing() {
    let stack = Stack::new();
    for record in [some_record(), None] {
        let key = some_key();
        let found = stack.set(&key, record).await;
        assert_eq!(stack.cached.peek(&key), None, "nobody has asked yet");
        assert_eq!(stack.cached.get(&key).await.unwrap(), found);
        let before = stack.slow.reads();
        for _ in 0..1_000 {
            assert_eq!(stack.cached.peek(&key), Some(found.clone()));
            let got = stack.cached.get(&key).now_or_never();
            assert_eq!(got.expect("at once").unwrap(), found);
        }
        assert_eq!(stack.slow.reads(), before);
        stack.cached.freshness().invalidate(&key);
        assert_eq!(stack.cached.peek(&key), None);
        assert_eq!(stack.cached.get(&key).await.unwrap(), found);
        assert_eq!(stack.slow.reads(), before + 1);
    }
}

#[tokio::test]
async fn a_load_that_failed_is_not_kept() {
    let stack = Stack::new();
    for record in [some_record(), None] {
        let key = some_key();
        let found = stack.set(&key, record).await;
        stack.slow.fails.store(true, SeqCst);
        let load = stack.slow.hold(Point::Read, &key);
        let readers = waiting(3, &stack.cached, &key);
        drop(load);
        for seen in in_time(join_all(readers)).await {
            assert!(matches!(seen, Err(StoreError::Unavailable(_))), "{seen:?}");
        }
        assert_eq!(stack.cached.peek(&key), None);
        stack.slow.fails.store(false, SeqCst);
        assert_eq!(in_time(look(&stack.cached, &key)).await.unwrap(), found);
    }
}

#[tokio::test]
async fn a_cancelled_load_wedges_nobody() {
    let stack = Stack::new();
    for others in [0, 1, 10] {
        let key = some_key();
        let found = stack.set(&key, some_record()).await;
        let load = stack.slow.hold(Point::Read, &key);
        let mut readers = waiting(1 + others, &stack.cached, &key);
        drop(readers.remove(0));
        let late: Reader = Box::pin(look(&stack.cached, &key));
        drop(load);
        for seen in in_time(join_all(readers)).await {
            assert_eq!(seen.unwrap(), found);
        }
        assert_eq!(in_time(late).await.unwrap(), found);
    }
}

/// As when the store stalls and readers come and go at their deadlines.
#[tokio::test]
async fn a_patient_reader_outlasts_any_number_of_impatient_ones() {
    let stack = Stack::new();
    let key = some_key();
    let found = stack.set(&key, some_record()).await;
    let mut holds = vec![stack.slow.hold(Point::Read, &key)];
    let mut readers = waiting(1_000, &stack.cached, &key);
    while readers.len() > 1 {
        drop(readers.remove(0));
        holds.push(stack.slow.hold(Point::Read, &key));
        assert!(readers.iter_mut().all(still_waits));
    }
    drop(holds);
    assert_eq!(in_time(readers.remove(0)).await.unwrap(), found);
}

#[tokio::test]
async fn nobody_waits_for_a_load_that_is_already_overtaken() {
    let stack = Stack::new();
    let key = some_key();
    stack.set(&key, some_record()).await;
    let load = stack.slow.hold(Point::Read, &key);
    let readers = waiting(3, &stack.cached, &key);
    let found = stack.set(&key, some_record()).await;
    stack.cached.freshness().invalidate(&key);
    let seen = look(&stack.cached, &key).now_or_never();
    assert_eq!(seen.expect("at once").unwrap(), found);
    drop(load);
    for seen in in_time(join_all(readers)).await {
        assert_eq!(seen.unwrap(), found);
    }
    assert_eq!(stack.cached.peek(&key), Some(found));
    let reads = stack.slow.reads();
    assert_eq!(reads, 2, "the old load did not replace the new one");
}

#[tokio::test]
async fn a_record_that_never_holds_still_is_unavailable_and_not_stale() {
    let stack = Stack::new();
    let key = some_key();
    stack.set(&key, some_record()).await;
    let mut reader: Reader = Box::pin(stack.cached.get(&key));
    for tries in 0..=MAX_TRIES {
        let load = stack.slow.hold(Point::Read, &key);
        if let Some(loaded) = (&mut reader).now_or_never() {
            assert!(
                matches!(loaded, Err(StoreError::Unavailable(_))),
                "{loaded:?}"
            );
            assert_eq!(tries, MAX_TRIES);
            return;
        }
        stack.cached.freshness().invalidate(&key);
        drop(load);
    }
    panic!("the number of tries is bounded");
}

/// The write is made after its caller gave up; what was loaded in between must not stay.
#[tokio::test]
async fn a_write_whose_caller_gave_up_is_seen_when_it_is_made() {
    let stack = Stack::new();
    let key = some_key();
    let old = stack.set(&key, some_record()).await;
    let new = some_record();
    let write = stack.replacing(&key, new.clone()).await;
    let mut taken = stack.slow.hold(Point::Taken, &key);
    assert!(stack.cached.put(write).now_or_never().is_none());
    taken.reached().await;
    assert_eq!(look(&stack.cached, &key).await.unwrap(), old);
    drop(taken);
    let new_is_seen = async {
        while look(&stack.cached, &key)
            .await
            .unwrap()
            .map(|found| found.record)
            != new
        {
            tokio::task::yield_now().await;
        }
    };
    in_time(new_is_seen).await;
}

#[tokio::test]
async fn a_flood_of_unknown_names_does_not_push_out_what_is_known() {
    let settings = Settings {
        capacity: 100,
        negative_capacity: 100,
        ..Settings::default()
    };
    let stack = Stack::with(&settings, |_| {});
    let mut known = Vec::new();
    for _ in 0..50 {
        let key = some_key();
        let found = stack.set(&key, some_record()).await;
        assert_eq!(look(&stack.cached, &key).await.unwrap(), found);
        known.push((key, found));
    }
    for _ in 0..20_000 {
        assert_eq!(look(&stack.cached, &some_key()).await.unwrap(), None);
    }
    for (key, found) in known {
        assert_eq!(stack.cached.peek(&key), Some(found));
    }
    let absent = &stack.cached.parts.absent;
    assert!(absent.len() <= settings.negative_capacity);
}

#[test]
fn an_entry_is_kept_no_longer_than_its_record_lives() {
    let stack = Stack::new();
    for (left, kept) in [
        (-1_000, 0),
        (-1, 0),
        (0, 0),
        (1, 1),
        (599, 599),
        (600, 600),
        (601, 600),
        (1_000_000_000, 600),
    ] {
        let end = stack.clock.now() + SignedDuration::from_secs(left);
        let found = Found {
            record: index("u", end),
            revision: Revision(1),
        };
        let keep = stack.cached.parts.time_left(&found);
        assert_eq!(keep, Duration::from_secs(kept), "{left} seconds left");
    }
}

#[tokio::test]
async fn a_record_whose_time_is_up_is_not_kept() {
    let stack = Stack::new();
    let key = TokenIndex::key(&TokenId::random());
    let end = stack.clock.now() + SignedDuration::from_secs(100);
    let found = stack.set(&key, Some(index("u", end))).await;
    assert_eq!(look(&stack.cached, &key).await.unwrap(), found);
    assert_eq!(stack.cached.peek(&key), Some(found.clone()));

    stack.cached.freshness().invalidate(&key);
    stack.clock.advance(100);
    for _ in 0..3 {
        let before = stack.slow.reads();
        let seen = look(&stack.cached, &key).await.unwrap();
        assert_eq!(seen, found, "the store has not swept it yet");
        assert_eq!(stack.slow.reads(), before + 1);
        assert_eq!(stack.cached.peek(&key), None);
    }
}
