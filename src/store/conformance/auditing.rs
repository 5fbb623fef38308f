//! An entry of the audit log is there if and only if its change is, and a log is bounded.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::samples::{alias, second};
use super::{Subject, assert_conflict, write};
use crate::names::organization_id::OrganizationId;
use crate::org::audit::text::Text;
use crate::org::audit::{Entry, Outcome, Trail, first_id};
use crate::store::audit::{AuditLog, Keep, Line, Stretch};
use crate::store::port::{Revision, Store};
use crate::store::record::{Alias, Kept as _};

const ALL: Keep = Keep {
    entries: 1_000_000,
    from: Uuid::nil(),
    seconds: 86_400,
};

fn line(log: &AuditLog, number: u64) -> Line {
    let time = second(1_000) + jiff::SignedDuration::from_millis(number as i64);
    let id = Uuid::from_u128(first_id(time).as_u128() | u128::from(number));
    Line {
        log: log.clone(),
        entry: entry(id, time, log),
        keep: ALL,
    }
}

fn entry(id: Uuid, time: Timestamp, log: &AuditLog) -> Entry {
    Entry {
        id,
        time,
        organization: log.organization.clone(),
        actor: Text::new("operator"),
        action: Text::new("policy.put"),
        target: Some(Text::new("zoë \"quoted\"\n")),
        from: None,
        request_id: Some(Uuid::nil()),
        outcome: Outcome::Ok,
        code: None,
        details: [("a".to_owned(), Text::new("b"))].into(),
    }
}

fn log(trail: Trail) -> AuditLog {
    AuditLog {
        trail,
        organization: Some(OrganizationId::random()),
    }
}

/// All entries of a log in pages of some length, newest first.
async fn pages(store: &dyn Store, log: &AuditLog, page: usize) -> Vec<Entry> {
    let mut stretch = Stretch::ALL;
    let mut found: Vec<Entry> = Vec::new();
    loop {
        let read = store.read_audit(log, stretch, page).await.expect("a page");
        assert!(read.len() <= page, "a page is not longer");
        let is_last = read.len() < page;
        found.extend(read);
        if is_last {
            return found;
        }
        stretch.before = found.last().expect("a full page has a last").id;
    }
}

async fn put_alias(
    store: &dyn Store,
    expected: Option<Revision>,
    key: &Uuid,
    line: Line,
) -> Result<Revision, crate::store::port::StoreError> {
    let mut write = write(&Alias::key(key), expected, Some(alias().into_record()));
    write.audit = Some(Box::new(line));
    store.put(write).await
}

pub async fn an_entry_reads_back_as_it_was_written(subject: &Subject) {
    let store = &*subject.store;
    for trail in Trail::ALL {
        let nobody = AuditLog {
            trail: *trail,
            organization: None,
        };
        for log in [log(*trail), nobody] {
            assert_eq!(pages(store, &log, 5).await, []);
            let line = line(&log, 1);
            store.append_audit(vec![line.clone()]).await.expect("added");
            assert_eq!(pages(store, &log, 5).await, [line.entry]);
        }
    }
}

pub async fn there_is_an_entry_for_each_change_and_for_nothing_else(subject: &Subject) {
    let store = &*subject.store;
    let log = log(Trail::Changes);
    let key = Uuid::new_v4();
    let first = put_alias(store, None, &key, line(&log, 1)).await;
    let first = first.expect("nobody was there before");
    assert_conflict(put_alias(store, None, &key, line(&log, 2)).await);
    put_alias(store, Some(first), &key, line(&log, 3))
        .await
        .expect("a change of the current state");
    assert_conflict(put_alias(store, Some(first), &key, line(&log, 4)).await);
    let found: Vec<Uuid> = pages(store, &log, 10)
        .await
        .iter()
        .map(|one| one.id)
        .collect();
    assert_eq!(found, [line(&log, 3).entry.id, line(&log, 1).entry.id]);
}

pub async fn entries_of_many_records_come_in_one_order(subject: &Subject) {
    let store = &*subject.store;
    let (ours, theirs) = (log(Trail::Changes), log(Trail::Changes));
    let tokens = AuditLog {
        trail: Trail::Tokens,
        ..ours.clone()
    };
    let mut expected = Vec::new();
    for number in 0..150 {
        let entry = line(&ours, number);
        expected.insert(0, entry.entry.id);
        put_alias(store, None, &Uuid::new_v4(), entry)
            .await
            .expect("made");
    }
    for other in [&theirs, &tokens] {
        let entry = line(other, 7);
        put_alias(store, None, &Uuid::new_v4(), entry)
            .await
            .expect("made");
    }
    for page in [1, 7, 149, 150, 151, 1_000] {
        let found = pages(store, &ours, page).await;
        let found: Vec<Uuid> = found.iter().map(|entry| entry.id).collect();
        assert_eq!(found, expected, "pages of {page}");
    }
    assert_eq!(
        pages(store, &tokens, 9).await.len(),
        1,
        "sorts are kept apart"
    );
    let stretch = Stretch {
        from: line(&ours, 20).entry.id,
        before: line(&ours, 30).entry.id,
    };
    let some = store.read_audit(&ours, stretch, 100).await.expect("a page");
    let some: Vec<Uuid> = some.iter().map(|entry| entry.id).collect();
    let (first, end) = (150 - 30, 150 - 20);
    assert_eq!(
        some,
        expected[first..end],
        "its beginning is in it, its end is not"
    );
}

pub async fn what_is_appended_while_a_log_is_read_moves_nothing(subject: &Subject) {
    let store = &*subject.store;
    let log = log(Trail::Refusals);
    let lines = (0..20).map(|number| line(&log, number)).collect();
    store.append_audit(lines).await.expect("added");
    let mut stretch = Stretch::ALL;
    let mut seen = Vec::new();
    for number in 20..30 {
        let page = store.read_audit(&log, stretch, 2).await.expect("a page");
        stretch.before = page[1].id;
        seen.extend(page.iter().map(|entry| entry.id));
        let added = store.append_audit(vec![line(&log, number)]).await;
        added.expect("added");
    }
    let expected: Vec<Uuid> = (0..20)
        .rev()
        .map(|number| line(&log, number).entry.id)
        .collect();
    assert_eq!(seen, expected);
}

pub async fn a_log_is_bounded_by_number_and_by_age(subject: &Subject) {
    let store = &*subject.store;
    let log = log(Trail::Refusals);
    let other = AuditLog {
        trail: Trail::Decisions,
        ..log.clone()
    };
    store
        .append_audit(vec![line(&other, 0)])
        .await
        .expect("added");
    for number in 0..50 {
        let mut line = line(&log, number);
        line.keep.entries = 10;
        store.append_audit(vec![line]).await.expect("added");
    }
    let left = pages(store, &log, 100).await;
    let left: Vec<Uuid> = left.iter().map(|entry| entry.id).collect();
    let expected: Vec<Uuid> = (40..50)
        .rev()
        .map(|number| line(&log, number).entry.id)
        .collect();
    assert_eq!(left, expected, "the newest stay");

    let mut last = line(&log, 50);
    last.keep.from = line(&log, 48).entry.id;
    store.append_audit(vec![last]).await.expect("added");
    let left = pages(store, &log, 100).await.len();
    assert_eq!(left, 3, "48, 49 and 50");
    assert_eq!(pages(store, &other, 5).await.len(), 1, "others stay");
}

pub async fn no_concurrent_entry_is_lost(subject: &Subject) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 25;
    let log = log(Trail::Tokens);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, log) = (Arc::clone(&subject.store), log.clone());
        writers.spawn(async move {
            for number in 0..EACH {
                let line = line(&log, writer * EACH + number);
                let key = Uuid::new_v4();
                let put = put_alias(&*store, None, &key, line);
                put.await.expect("made");
            }
        });
    }
    writers.join_all().await;
    let found = pages(&*subject.store, &log, 33).await;
    let ids: BTreeSet<Uuid> = found.iter().map(|entry| entry.id).collect();
    assert_eq!((found.len(), ids.len()), (200, 200));
}
