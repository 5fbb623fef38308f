//! One suite for every store: what [`Store`] promises, a small case for each promise.
//!
//! It uses the trait and the functions of [`port`] and nothing else, so it runs unchanged over the
//! embedded store, over the cache in front of it and over every store to come, from inside the
//! crate or outside it. A broken promise is a panic. Nothing that serves calls it, so a linked
//! server does not contain it.

mod auditing;
mod changing;
mod ending;
mod inventory;
mod keeping;
mod listing;
mod places;
mod racing;
pub(in crate::store) mod samples;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::ManualClock;
use crate::names::organization_id::OrganizationId;
use crate::org::organization::Organization;
use crate::store::inventory::Inventory;
use crate::store::port::{self, Change, Found, Revision, Store, StoreError, Write};
use crate::store::record::{Kept, Record, RecordKey};

/// The longest that one case may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// A life that is short and still longer than a busy machine takes for two writes, in seconds.
const SHORT: i64 = 3;
/// How often a condition that takes its time is looked at.
const POLL: Duration = Duration::from_millis(5);

/// How far from the truth a store may be about when it will drop something.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// A store to test.
pub struct Subject {
    /// The store, with nothing in it.
    pub store: Arc<dyn Store>,
    /// The clock that the store reads. A store whose time passes elsewhere too (a server that
    /// counts down by itself) is given up to a minute of real time to follow it.
    pub clock: Arc<ManualClock>,
}

/// A store with an inventory to test.
pub struct InventorySubject {
    /// The store, with nothing in it.
    pub store: Arc<dyn Inventory>,
    /// The clock that the store reads, as with [`Subject`].
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
    ($make:ident: $($group:ident::$case:ident)*) => { $(
        let subject = $make().await;
        let case = Case(stringify!($case));
        tokio::time::timeout(DEADLINE, $group::$case(&subject))
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
        keeping::an_empty_store_is_ready_and_has_nothing
        keeping::every_type_of_record_reads_back
        keeping::any_text_reads_back
        keeping::names_that_look_alike_are_apart
        keeping::many_records_are_kept
        changing::creating_twice_conflicts
        changing::only_the_current_state_can_be_changed
        changing::a_deleted_record_is_gone
        changing::a_revision_is_never_used_again
        changing::an_update_sees_the_current_state
        changing::an_update_that_keeps_or_fails_writes_nothing
        changing::peeking_agrees_with_reading
        racing::one_of_many_creators_wins
        racing::no_concurrent_update_is_lost
        ending::what_has_expired_goes_and_nothing_else
        places::a_place_is_told_of_what_is_there_only
        places::a_place_says_when_its_record_goes
        listing::tokens_are_listed_once_in_pages_of_any_length
        listing::a_token_whose_end_moves_is_listed_once
        listing::keys_and_users_are_listed_while_they_are_there
        auditing::an_entry_reads_back_as_it_was_written
        auditing::there_is_an_entry_for_each_change_and_for_nothing_else
        auditing::entries_of_many_records_come_in_one_order
        auditing::what_is_appended_while_a_log_is_read_moves_nothing
        auditing::a_log_is_bounded_by_number_and_by_age
        auditing::no_concurrent_entry_is_lost
    }
}

/// Holds a store to the promises of [`Inventory`], beyond those of [`suite`]. `make` gives a fresh,
/// empty store for each.
///
/// # Panics
/// When a promise is broken.
pub async fn inventory_suite(make: impl AsyncFn() -> InventorySubject) {
    run! { make:
        inventory::an_empty_store_shows_nothing
        inventory::every_type_of_record_is_shown_as_it_lies_there
        inventory::many_records_come_in_pages
        inventory::what_stays_is_shown_while_others_write
        inventory::what_was_seen_can_be_changed
        inventory::what_is_set_aside_is_out_of_the_way
        inventory::what_is_set_aside_leaves_its_expiry_behind
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
            None => samples::counter(key.clone()),
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
        audit: None,
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

/// When a store will drop something. One that counts down may be a little off.
fn assert_ends(told: Option<Timestamp>, expected: Option<Timestamp>) {
    let close = match (told, expected) {
        (Some(told), Some(expected)) => told.duration_since(expected).abs() <= TOLERANCE,
        (told, expected) => told == expected,
    };
    assert!(close, "{told:?} is not {expected:?}");
}
