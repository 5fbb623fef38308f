//! A store that does as it is told, in front of one that works. It stands below a cache or before
//! one.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use jiff::Timestamp;
use ticketgate::clock::Stopwatch;
use ticketgate::metrics::RecordLabel;
use ticketgate::names::organization_id::OrganizationId;
use ticketgate::store::generations::Generation;
use ticketgate::store::list::{ListKind, ListPlace, Listed};
use ticketgate::store::port::{Confirmation, Found, Revision, Store, StoreError, Write};
use ticketgate::store::record::RecordKey;
use ticketgate::store::status::{Place, Status};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::hooks::wire::PATIENCE;
use crate::support::world::Wrap;

/// What can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// A read that has its answer and has not yet given it.
    Read(RecordLabel),
    /// A write that is not yet made.
    Write(RecordLabel),
}

/// The test's side.
#[derive(Clone)]
pub struct Orders(Arc<Told>);

struct Told {
    held: watch::Sender<HashSet<Call>>,
    waiting: watch::Sender<usize>,
    /// Of what reads find nothing.
    blind: watch::Sender<Option<RecordLabel>>,
    /// Whether nobody can say how far a change has got.
    mute: AtomicBool,
    /// Whether it is too late to answer.
    late: AtomicBool,
    confirms: AtomicUsize,
    rereads: AtomicUsize,
}

struct Obedient {
    inner: Arc<dyn Store>,
    orders: Orders,
}

impl Orders {
    /// None so far.
    pub fn new() -> Self {
        Self(Arc::new(Told {
            held: watch::Sender::new(HashSet::new()),
            waiting: watch::Sender::new(0),
            blind: watch::Sender::new(None),
            mute: AtomicBool::new(false),
            late: AtomicBool::new(false),
            confirms: AtomicUsize::new(0),
            rereads: AtomicUsize::new(0),
        }))
    }

    /// The store under these orders.
    pub fn over(&self, inner: Arc<dyn Store>) -> Arc<dyn Store> {
        let orders = self.clone();
        Arc::new(Obedient { inner, orders })
    }

    /// What a plan takes to put it into its world.
    pub fn wrap(&self) -> Option<Wrap> {
        let orders = self.clone();
        Some(Box::new(move |inner| orders.over(inner)))
    }

    /// From now on such calls wait.
    pub fn hold(&self, call: Call) {
        self.0.held.send_modify(|held| _ = held.insert(call));
    }

    /// Waits until so many calls are held.
    pub async fn expect_held(&self, count: usize) {
        let mut waiting = self.0.waiting.subscribe();
        let reached = timeout(PATIENCE, waiting.wait_for(|now| *now == count));
        reached.await.expect("so many were never held").unwrap();
    }

    /// Lets all of them go on.
    pub fn release(&self) {
        self.0.held.send_modify(HashSet::clear);
    }

    /// Reads find no such records from now on.
    pub fn blind(&self, record: Option<RecordLabel>) {
        self.0.blind.send_replace(record);
    }

    /// Nobody can say how far a change has got.
    pub fn mute(&self, mute: bool) {
        self.0.mute.store(mute, SeqCst);
    }

    /// It is too late to answer.
    pub fn late(&self, late: bool) {
        self.0.late.store(late, SeqCst);
    }

    /// How often somebody waited for the other nodes.
    pub fn confirms(&self) -> usize {
        self.0.confirms.load(SeqCst)
    }

    /// How often somebody knew better than the cache.
    pub fn rereads(&self) -> usize {
        self.0.rereads.load(SeqCst)
    }

    async fn pass(&self, call: Call) {
        let mut held = self.0.held.subscribe();
        if held.borrow().contains(&call) {
            self.0.waiting.send_modify(|count| *count += 1);
            let _ = held.wait_for(|held| !held.contains(&call)).await;
            self.0.waiting.send_modify(|count| *count -= 1);
        }
    }
}

#[async_trait]
impl Store for Obedient {
    fn peek(&self, key: &RecordKey) -> Option<Option<Found>> {
        self.inner.peek(key)
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Found>, StoreError> {
        let found = self.inner.get(key).await;
        self.orders.pass(Call::Read(key.label())).await;
        let is_blind = *self.orders.0.blind.borrow() == Some(key.label());
        if is_blind { Ok(None) } else { found }
    }

    async fn put(&self, write: Write) -> Result<Revision, StoreError> {
        self.orders.pass(Call::Write(write.key.label())).await;
        self.inner.put(write).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }

    async fn reread(&self, key: &RecordKey) -> Result<Option<Found>, StoreError> {
        self.orders.0.rereads.fetch_add(1, SeqCst);
        self.inner.reread(key).await
    }

    fn note(&self, key: &RecordKey) -> Generation {
        self.inner.note(key)
    }

    fn is_current(&self, noted: Generation) -> bool {
        self.inner.is_current(noted)
    }

    fn may_answer(&self, asked: Stopwatch) -> bool {
        !self.orders.0.late.load(SeqCst) && self.inner.may_answer(asked)
    }

    async fn confirm(
        &self,
        key: &RecordKey,
        state: Option<Revision>,
    ) -> Result<Confirmation, StoreError> {
        self.orders.0.confirms.fetch_add(1, SeqCst);
        if self.orders.0.mute.load(SeqCst) {
            return Err(StoreError::Unavailable("as the test wants it".into()));
        }
        self.inner.confirm(key, state).await
    }

    async fn place(&self, key: &RecordKey) -> Result<Option<Place>, StoreError> {
        self.inner.place(key).await
    }

    async fn list(
        &self,
        kind: ListKind,
        organization: &OrganizationId,
        now: Timestamp,
        from: Option<ListPlace>,
        limit: usize,
    ) -> Result<Listed, StoreError> {
        let inner = &self.inner;
        inner.list(kind, organization, now, from, limit).await
    }

    async fn count(
        &self,
        kind: ListKind,
        organization: &OrganizationId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.inner.count(kind, organization, now).await
    }

    fn status(&self) -> Status {
        self.inner.status()
    }
}
