//! What the embedded store shows its operator: everything that lies in the file.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use tokio::task::spawn_blocking;

use super::{Embedded, RECORDS, Tables, lists, time, unavailable};
use crate::store::inventory::{Content, Inventory, Page, Stored};
use crate::store::list::ListRow;
use crate::store::port::{Revision, StoreError};
use crate::store::record::RecordKey;

/// The most things of one page.
const PAGE_THINGS: usize = 512;
/// A page ends after so many bytes of text: a policy may be long.
const PAGE_BYTES: usize = 1 << 20;

/// What was set aside: the new name -> as in [`RECORDS`]. Only an operator's own tools read it.
const ASIDE: TableDefinition<&str, (u64, i64, &str)> = TableDefinition::new("aside");

#[async_trait]
impl Inventory for Embedded {
    async fn scan(&self, from: Option<&str>) -> Result<Page, StoreError> {
        page(&self.database, from).map_err(unavailable)
    }

    /// Waits for the commit that the writer is at, and the writer for this one; neither waits for
    /// anything else while it holds the file, so neither waits for ever.
    async fn set_aside(&self, name: &str) -> Result<String, StoreError> {
        let (database, name) = (Arc::clone(&self.database), name.to_owned());
        let moved = spawn_blocking(move || set_aside(&database, &name)).await;
        let moved = moved.map_err(|error| StoreError::Unavailable(error.to_string().into()))?;
        moved.map_err(unavailable)?.ok_or(StoreError::Conflict)
    }

    async fn is_listed(&self, _key: &RecordKey, row: &ListRow) -> Result<bool, StoreError> {
        lists::has(&self.database, row).map_err(unavailable)
    }
}

/// The names behind `from`, in order.
fn page(database: &Database, from: Option<&str>) -> Result<Page, redb::Error> {
    let transaction = database.begin_read()?;
    let records = transaction.open_table(RECORDS)?;
    let start = from.map_or(Bound::Unbounded, Bound::Excluded);
    let (mut things, mut bytes) = (Vec::new(), 0);
    for row in records.range::<&str>((start, Bound::Unbounded))? {
        if things.len() == PAGE_THINGS || bytes >= PAGE_BYTES {
            let next = things.last().map(|last: &Stored| last.name.clone());
            return Ok(Page { things, next });
        }
        let (name, row) = row?;
        let (revision, expiry, text) = row.value();
        bytes += text.len();
        things.push(Stored {
            name: name.value().to_owned(),
            expires_at: time(expiry),
            content: Content::Text {
                text: text.to_owned(),
                revision: Some(Revision(revision)),
            },
        });
    }
    Ok(Page { things, next: None })
}

/// Moves a row and returns its new name; `None`: there is no such row.
fn set_aside(database: &Database, name: &str) -> Result<Option<String>, redb::Error> {
    let transaction = database.begin_write()?;
    let moved = {
        let mut tables = Tables::open(&transaction)?;
        let mut aside = transaction.open_table(ASIDE)?;
        let Some(row) = tables.records.remove(name)? else {
            return Ok(None);
        };
        let (_, expiry, _) = row.value();
        // Left behind, it would sweep whatever gets the name next.
        tables.expiries.remove((expiry, name))?;
        let mut moved = format!("aside:{name}");
        let mut number = 1;
        while aside.get(moved.as_str())?.is_some() {
            number += 1;
            moved = format!("aside:{name}#{number}");
        }
        aside.insert(moved.as_str(), row.value())?;
        moved
    };
    transaction.commit()?;
    Ok(Some(moved))
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, join_all};
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::clock::ManualClock;
    use crate::names::organization_id::OrganizationId;
    use crate::store::embedded::NEVER;
    use crate::store::port::{self, Store as _};
    use crate::store::record::{Alias, Kept as _};

    fn store() -> Embedded {
        let now = Timestamp::from_second(1_000).unwrap();
        Embedded::in_memory(Arc::new(ManualClock::at(now)), Arc::default())
    }

    fn lay(store: &Embedded, name: &str, text: &str) {
        let transaction = store.database.begin_write().unwrap();
        let mut tables = Tables::open(&transaction).unwrap();
        tables.records.insert(name, (1, NEVER, text)).unwrap();
        drop(tables);
        transaction.commit().unwrap();
    }

    fn aside(store: &Embedded) -> Vec<(String, String)> {
        let transaction = store.database.begin_read().unwrap();
        let aside = transaction.open_table(ASIDE).unwrap();
        let rows = aside.iter().unwrap().map(|row| {
            let (name, row) = row.unwrap();
            (name.value().to_owned(), row.value().2.to_owned())
        });
        rows.collect()
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_shown_and_kept_when_it_is_set_aside() {
        let store = store();
        let name = Alias::key(&Uuid::nil()).to_string();
        for text in ["{", "something else"] {
            lay(&store, &name, text);
            let page = store.scan(None).await.unwrap();
            let (text, revision) = (text.to_owned(), Some(Revision(1)));
            assert_eq!(page.things[0].content, Content::Text { text, revision });
            store.set_aside(&name).await.unwrap();
        }
        lay(&store, "no name of ours", "");
        assert_eq!(store.scan(None).await.unwrap().things.len(), 1);
        let (first, second) = (format!("aside:{name}"), format!("aside:{name}#2"));
        let kept = [(first, "{".into()), (second, "something else".into())];
        assert_eq!(aside(&store), kept);
    }

    #[tokio::test]
    async fn long_texts_make_short_pages_in_the_order_of_names() {
        let store = store();
        let text = "x".repeat(PAGE_BYTES / 2);
        for name in ["c", "a", "b", "d", "e"] {
            lay(&store, name, &text);
        }
        let (mut names, mut from) = (Vec::new(), None);
        loop {
            let page = store.scan(from.as_deref()).await.unwrap();
            assert!(page.things.len() <= 2);
            names.extend(page.things.into_iter().map(|thing| thing.name));
            let Some(next) = page.next else { break };
            from = Some(next);
        }
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
    }

    #[tokio::test]
    async fn setting_aside_and_the_writer_wait_for_each_other_and_both_end() {
        let store = store();
        for number in 0..20 {
            lay(&store, &format!("thing {number:02}"), "");
        }
        let creations = (0..500).map(|_| async {
            let organization = OrganizationId::random();
            port::create(&store, &Uuid::new_v4(), Alias { organization }).await
        });
        let moves = (0..20).map(|number| {
            let store = &store;
            async move { store.set_aside(&format!("thing {number:02}")).await }
        });
        let (created, moved) = join(join_all(creations), join_all(moves)).await;
        assert!(created.iter().all(Result::is_ok));
        assert!(moved.iter().all(Result::is_ok));
        assert_eq!(aside(&store).len(), 20);
        store.ready().await.unwrap();
    }
}
