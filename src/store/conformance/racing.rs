//! Of many changes at a time none is lost.

use std::sync::Arc;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::samples::alias;
use super::{Subject, assert_conflict, count, read};
use crate::names::organization_id::OrganizationId;
use crate::store::port::{self, StoreError};

pub async fn one_of_many_creators_wins(subject: &Subject) {
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

pub async fn no_concurrent_update_is_lost(subject: &Subject) {
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
