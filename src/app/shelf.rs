//! A store in memory that can hold anything under any name, for tests of upkeep.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::store::inventory::{Content, Inventory, Page, Stored};
use crate::store::list::ListRow;
use crate::store::port::{Found, Revision, Store, StoreError, Write};
use crate::store::record::{BadRecord, Kept, Record, RecordKey};
use crate::store::status::{Place, Status};

/// Pages are short, so that there are several.
const PAGE: usize = 2;

#[derive(Default)]
pub struct Shelf {
    things: Mutex<BTreeMap<String, Stored>>,
    revision: AtomicU64,
    overtaken: Mutex<Option<RecordKey>>,
    fails: AtomicBool,
}

/// Says a name after something was done.
pub struct Done;

impl Done {
    pub fn then(self, key: RecordKey) -> RecordKey {
        key
    }
}

impl Shelf {
    /// Puts a record as a store should.
    pub fn keep(&self, key: RecordKey, record: impl Kept) {
        self.set(&key, record.into_record());
    }

    /// Takes a thing away.
    pub fn lose(&self, key: RecordKey) -> Done {
        self.things
            .lock()
            .unwrap()
            .remove(&key.to_string())
            .unwrap();
        Done
    }

    /// Lays a text under any name.
    pub fn lay(&self, name: &str, text: &str) {
        let content = Content::Text {
            text: text.into(),
            revision: Some(self.next()),
        };
        let thing = Stored {
            name: name.into(),
            expires_at: None,
            content,
        };
        self.things.lock().unwrap().insert(name.into(), thing);
    }

    /// Replaces the text of a record.
    pub fn write(&self, key: &RecordKey, text: &str) -> Done {
        self.lay(&key.to_string(), text);
        Done
    }

    /// Sets when a record is dropped.
    pub fn expire(&self, key: &RecordKey, end: Option<i64>) -> Done {
        self.change(key, |thing| {
            thing.expires_at = end.map(|end| Timestamp::from_second(end).unwrap());
        })
    }

    /// Makes it something that no record is.
    pub fn make_list(&self, key: &RecordKey) -> Done {
        self.change(key, |thing| {
            thing.content = Content::WrongType("list".into())
        })
    }

    /// Gives a thing another name.
    pub fn rename(&self, key: &RecordKey, name: &str) {
        let mut things = self.things.lock().unwrap();
        let mut thing = things.remove(&key.to_string()).unwrap();
        thing.name = name.into();
        things.insert(name.into(), thing);
    }

    /// As if somebody else had written it.
    pub fn forget_revision(&self, key: &RecordKey) -> Done {
        self.change(key, |thing| {
            if let Content::Text { revision, .. } = &mut thing.content {
                *revision = None;
            }
        })
    }

    /// From now on somebody else changes the record just before each put.
    pub fn change_before_each_put(&self, key: RecordKey) {
        *self.overtaken.lock().unwrap() = Some(key);
    }

    /// From now on nothing can be read but the names.
    pub fn fail(&self) {
        self.fails.store(true, SeqCst);
    }

    /// All that is there.
    pub fn everything(&self) -> BTreeMap<String, Stored> {
        self.things.lock().unwrap().clone()
    }

    fn change(&self, key: &RecordKey, change: impl FnOnce(&mut Stored)) -> Done {
        change(
            self.things
                .lock()
                .unwrap()
                .get_mut(&key.to_string())
                .unwrap(),
        );
        Done
    }

    fn next(&self) -> Revision {
        Revision(self.revision.fetch_add(1, SeqCst))
    }

    fn set(&self, key: &RecordKey, record: Record) -> Revision {
        let revision = self.next();
        let content = Content::Text {
            text: record.encode(),
            revision: Some(revision),
        };
        let thing = Stored {
            name: key.to_string(),
            expires_at: record.expires_at(),
            content,
        };
        self.things.lock().unwrap().insert(key.to_string(), thing);
        revision
    }

    fn thing(&self, key: &RecordKey) -> Option<Stored> {
        self.things.lock().unwrap().get(&key.to_string()).cloned()
    }
}

#[async_trait]
impl Store for Shelf {
    async fn get(&self, key: &RecordKey) -> Result<Option<Found>, StoreError> {
        if self.fails.load(SeqCst) {
            return Err(StoreError::Unavailable("on purpose".into()));
        }
        let Some(thing) = self.thing(key) else {
            return Ok(None);
        };
        let unreadable = BadRecord::Unreadable("it is none".into());
        let found = match thing.content {
            Content::Text { text, revision } => Record::decode(key, &text)
                .and_then(|record| Ok((record, revision.ok_or(unreadable)?))),
            Content::WrongType(_) => Err(unreadable),
        };
        match found {
            Ok((record, revision)) => Ok(Some(Found { record, revision })),
            Err(error) => Err(StoreError::Bad {
                key: key.clone(),
                error,
            }),
        }
    }

    async fn put(&self, write: Write) -> Result<Revision, StoreError> {
        let overtaken = self.overtaken.lock().unwrap().clone();
        if let Some(key) = overtaken
            && let Some(found) = self.get(&key).await?
        {
            self.set(&key, found.record);
        }
        let current = self.get(&write.key).await?.map(|found| found.revision);
        if current != write.expected {
            return Err(StoreError::Conflict);
        }
        match write.record {
            Some(record) => Ok(self.set(&write.key, record)),
            None => {
                self.lose(write.key);
                Ok(self.next())
            }
        }
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn place(&self, key: &RecordKey) -> Result<Option<Place>, StoreError> {
        Ok(self.thing(key).map(|thing| Place {
            name: thing.name,
            expires_at: thing.expires_at,
            shard: None,
            log_position: None,
        }))
    }

    fn status(&self) -> Status {
        Status {
            kind: "shelf",
            shared: None,
        }
    }
}

#[async_trait]
impl Inventory for Shelf {
    async fn scan(&self, from: Option<&str>) -> Result<Page, StoreError> {
        let start = from.map_or(Bound::Unbounded, Bound::Excluded);
        let things = self.things.lock().unwrap();
        let page = things.range::<str, _>((start, Bound::Unbounded)).take(PAGE);
        let things: Vec<Stored> = page.map(|(_, thing)| thing.clone()).collect();
        let next = things.last().map(|thing| thing.name.clone());
        let next = next.filter(|_| things.len() == PAGE);
        Ok(Page { things, next })
    }

    async fn set_aside(&self, name: &str) -> Result<String, StoreError> {
        let thing = self.things.lock().unwrap().remove(name);
        thing
            .map(|_| format!("aside:{name}"))
            .ok_or(StoreError::Conflict)
    }

    async fn is_listed(&self, _key: &RecordKey, _row: &ListRow) -> Result<bool, StoreError> {
        Ok(true)
    }
}
