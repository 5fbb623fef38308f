//! Loads that are on their way, so that many readers of one record are one read of the store.
//!
//! A load belongs to all who wait for it: it goes on while one of them is left and ends with the
//! last one, so a reader that gives up takes nothing from the others. Nobody joins a load that
//! began before an invalidation. A load has a time limit of its own: readers that keep coming would
//! else keep one alive that the store has forgotten.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::quality::RandomState;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::store::freshness::{Freshness, Noted};
use crate::store::port::{Found, StoreError};
use crate::store::record::RecordKey;

/// What a load brings.
pub type Loaded = Result<Option<Found>, StoreError>;

/// A load that others may wait for too.
pub type Load = Shared<BoxFuture<'static, Loaded>>;

/// The loads on their way, at most one of a key that is still worth joining.
pub struct Flights {
    table: Table,
    limit: Duration,
}

#[derive(Clone, Default)]
struct Table(Arc<Mutex<HashMap<RecordKey, Flight, RandomState>>>);

struct Flight {
    /// What was noted before the load began.
    noted: Noted,
    load: WeakShared<BoxFuture<'static, Loaded>>,
}

/// Takes the load off the table when it ends or nobody is left who waits for it.
struct Landing {
    table: Table,
    key: RecordKey,
    noted: Noted,
}

impl Flights {
    /// An empty table whose loads may take so long and no longer.
    pub fn with_limit(limit: Duration) -> Self {
        Self {
            table: Table::default(),
            limit,
        }
    }

    /// Joins the load of `key` that is on its way, or starts the one that `load` makes, and says
    /// what was noted before it began.
    pub fn join<F>(
        &self,
        key: &RecordKey,
        freshness: &Freshness,
        load: impl FnOnce(Noted) -> F,
    ) -> (Noted, Load)
    where
        F: Future<Output = Loaded> + Send + 'static,
    {
        let mut flights = self.table.lock();
        if let Some(flight) = flights.get(key)
            && freshness.may_serve(&flight.noted)
            && let Some(load) = flight.load.upgrade()
        {
            return (flight.noted, load);
        }
        let noted = freshness.note(key);
        let landing = Landing {
            table: self.table.clone(),
            key: key.clone(),
            noted,
        };
        let load = limited(self.limit, load(noted));
        let load = async move {
            let _landing = landing;
            load.await
        };
        let load = load.boxed().shared();
        if let Some(weak) = load.downgrade() {
            flights.insert(key.clone(), Flight { noted, load: weak });
        }
        (noted, load)
    }
}

/// Makes a panic and a store that does not answer into an error for all who wait.
async fn limited(limit: Duration, load: impl Future<Output = Loaded>) -> Loaded {
    let load = AssertUnwindSafe(load).catch_unwind();
    let problem = match tokio::time::timeout(limit, load).await {
        Ok(Ok(loaded)) => return loaded,
        Ok(Err(_)) => "reading the record panicked",
        Err(_) => "the record could not be read in time",
    };
    Err(StoreError::Unavailable(problem.into()))
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, HashMap<RecordKey, Flight, RandomState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self.table.lock();
        // A later load may have taken the place.
        if flights
            .get(&self.key)
            .is_some_and(|flight| flight.noted == self.noted)
        {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use uuid::Uuid;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn key() -> RecordKey {
        RecordKey::Alias(Uuid::nil())
    }

    #[test]
    fn a_load_is_joined_until_it_is_overtaken_or_nobody_waits() {
        let (flights, freshness) = (Flights::with_limit(LONG), Freshness::alone());
        let join = || flights.join(&key(), &freshness, |_| pending());
        let (first, load) = join();
        let (second, joined) = join();
        assert_eq!(first, second);
        assert!(load.ptr_eq(&joined));
        freshness.invalidate(&key());
        let (third, newer) = join();
        assert_ne!(first, third);
        assert!(!load.ptr_eq(&newer));
        drop((load, joined));
        let (_, joined) = join();
        assert!(joined.ptr_eq(&newer), "the old load took only itself away");
        drop((newer, joined));
        assert!(flights.table.lock().is_empty());
    }

    #[tokio::test]
    async fn a_load_that_ended_is_not_joined() {
        let (flights, freshness) = (Flights::with_limit(LONG), Freshness::alone());
        let (_, load) = flights.join(&key(), &freshness, |_| ready(Ok(None)));
        assert!(matches!(load.clone().await, Ok(None)));
        assert!(flights.table.lock().is_empty());
    }

    #[tokio::test]
    async fn a_load_that_panics_is_an_error_for_all_who_wait_and_no_other() {
        let (flights, freshness) = (Flights::with_limit(LONG), Freshness::alone());
        let join = |panics: bool| {
            let load = async move |_| {
                assert!(!panics, "a panic that the test asked for");
                Ok(None)
            };
            flights.join(&key(), &freshness, load).1
        };
        for load in [join(true), join(true)] {
            assert!(matches!(load.await, Err(StoreError::Unavailable(_))));
        }
        assert!(matches!(join(false).await, Ok(None)));
    }

    #[tokio::test]
    async fn a_load_that_the_store_forgot_ends() {
        let limit = Duration::from_millis(1);
        let (flights, freshness) = (Flights::with_limit(limit), Freshness::alone());
        let (_, load) = flights.join(&key(), &freshness, |_| pending());
        let outcome = tokio::time::timeout(LONG, load).await.expect("it ends");
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))));
        let (_, load) = flights.join(&key(), &freshness, |_| ready(Ok(None)));
        assert!(matches!(load.await, Ok(None)));
    }
}
