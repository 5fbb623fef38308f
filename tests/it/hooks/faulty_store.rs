//! A store that fails as it is told, in front of one that works.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use ticketgate::names::organization_id::OrganizationId;
use ticketgate::org::audit::Entry;
use ticketgate::store::audit::{AuditLog, Line, Stretch};
use ticketgate::store::list::{ListKind, ListPlace, Listed};
use ticketgate::store::port::{Found, Revision, Store, StoreError, Write};
use ticketgate::store::record::RecordKey;
use ticketgate::store::status::{Place, Status};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::hooks::wire::PATIENCE;
use crate::support::world::Wrap;

/// How reads behave. Writes and `ready` behave so only when it is [`Fault::Unavailable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    Unavailable,
    Panics,
    /// Until the fault is another.
    Hangs,
}

/// The test's side: tells the store what to do.
#[derive(Clone)]
pub struct Faults {
    fault: watch::Sender<Fault>,
    hanging: watch::Sender<usize>,
}

struct Faulty {
    inner: Arc<dyn Store>,
    faults: Faults,
}

/// One read that hangs; it may be given up.
struct Hanging<'a>(&'a watch::Sender<usize>);

impl Faults {
    pub fn new() -> Self {
        Self {
            fault: watch::Sender::new(Fault::None),
            hanging: watch::Sender::new(0),
        }
    }

    /// What a plan takes to put the faults into its world.
    pub fn wrap(&self) -> Option<Wrap> {
        let faults = self.clone();
        Some(Box::new(move |inner| Arc::new(Faulty { inner, faults })))
    }

    /// From now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Waits until so many reads hang.
    pub async fn expect_hanging(&self, count: usize) {
        let mut hanging = self.hanging.subscribe();
        let waiting = timeout(PATIENCE, hanging.wait_for(|now| *now == count));
        waiting.await.expect("so many reads never hung").unwrap();
    }

    /// Waits until any read hangs.
    pub async fn expect_some_hanging(&self) {
        let mut hanging = self.hanging.subscribe();
        let waiting = timeout(PATIENCE, hanging.wait_for(|now| *now > 0));
        waiting.await.expect("no read ever hung").unwrap();
    }

    fn check_available(&self) -> Result<(), StoreError> {
        match *self.fault.borrow() {
            Fault::Unavailable => Err(StoreError::Unavailable("as the test wants it".into())),
            _ => Ok(()),
        }
    }

    async fn hang(&self) {
        let _hanging = Hanging::one(&self.hanging);
        let mut fault = self.fault.subscribe();
        let _ = fault.wait_for(|now| *now != Fault::Hangs).await;
    }
}

#[async_trait]
impl Store for Faulty {
    async fn get(&self, key: &RecordKey) -> Result<Option<Found>, StoreError> {
        let fault = *self.faults.fault.borrow();
        match fault {
            Fault::Panics => panic!("as the test wants it"),
            Fault::Hangs => self.faults.hang().await,
            Fault::None | Fault::Unavailable => {}
        }
        self.faults.check_available()?;
        self.inner.get(key).await
    }

    async fn put(&self, write: Write) -> Result<Revision, StoreError> {
        self.faults.check_available()?;
        self.inner.put(write).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.faults.check_available()?;
        self.inner.ready().await
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

    async fn append_audit(&self, lines: Vec<Line>) -> Result<(), StoreError> {
        self.faults.check_available()?;
        self.inner.append_audit(lines).await
    }

    async fn read_audit(
        &self,
        log: &AuditLog,
        stretch: Stretch,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.faults.check_available()?;
        self.inner.read_audit(log, stretch, limit).await
    }

    fn status(&self) -> Status {
        self.inner.status()
    }
}

impl<'a> Hanging<'a> {
    fn one(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
