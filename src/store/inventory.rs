//! What a store lets its operator do beyond what serving needs: see everything in it, and move
//! aside what cannot be read.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::store::list::ListRow;
use crate::store::port::{Revision, Store, StoreError};
use crate::store::record::RecordKey;

/// One thing in a store, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The text of its key, as `RecordKey` prints it.
    pub name: String,
    /// When the store will drop it by itself.
    pub expires_at: Option<Timestamp>,
    /// What lies there.
    pub content: Content,
}

/// What lies under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text, most likely that of a record.
    Text {
        /// The text that `Record::decode` reads, with what the store adds of its own.
        text: String,
        /// Its state; `None`: it was not written by this program.
        revision: Option<Revision>,
    },
    /// Something that no record can be, such as a list.
    WrongType(String),
}

/// Some of the things in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In no order. A thing may come twice, and one that was written during the scan not at all.
    pub things: Vec<Stored>,
    /// Where to go on; `None`: these were the last.
    pub next: Option<String>,
}

/// What a store lets its operator do beyond what serving needs.
#[async_trait]
pub trait Inventory: Store {
    /// Some of the things in the store, from the start or from where an earlier page ended.
    async fn scan(&self, from: Option<&str>) -> Result<Page, StoreError>;

    /// Moves what lies under a name out of the way without losing it, out of the sight of
    /// [`scan`](Inventory::scan) too. Returns its new name.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when nothing lies there.
    async fn set_aside(&self, name: &str) -> Result<String, StoreError>;

    /// Whether a record's row is in its list.
    async fn is_listed(&self, key: &RecordKey, row: &ListRow) -> Result<bool, StoreError>;
}
