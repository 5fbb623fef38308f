//! Looking at API keys: never at their secrets.

use std::sync::Arc;

use jiff::Timestamp;

use crate::app::App;
use crate::credential::api_key::{ApiKey, KeyStanding};
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::OrganizationId;
use crate::org::organization::Organization;
use crate::store::list::{ListKind, ListPlace};
use crate::store::port::{self, Revision, StoreError};

/// The most keys of one page.
pub const MAX_PAGE: usize = 200;

/// A key as its owner sees it.
#[derive(Debug)]
pub struct KeyEntry {
    /// The key.
    pub key: Arc<ApiKey>,
    /// Its state.
    pub revision: Revision,
    /// How it stands now.
    pub standing: KeyStanding,
    /// When it was used last, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// Some keys.
#[derive(Debug)]
pub struct KeyPage {
    /// At most as many as were asked for; there may be fewer, or none, and more to come.
    pub keys: Vec<KeyEntry>,
    /// Where to go on; `None`: these were the last.
    pub next: Option<ListPlace>,
}

impl App {
    /// Lists the keys of an organization: those that are good, or all.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_keys(
        &self,
        organization: &OrganizationId,
        with_all: bool,
        from: Option<ListPlace>,
        limit: usize,
    ) -> Result<KeyPage, StoreError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let listed = self
            .store
            .list(ListKind::Keys, organization, self.now(), from, limit);
        let listed = listed.await?;
        let mut keys = Vec::new();
        for id in listed.names.iter().filter_map(|name| name.parse().ok()) {
            let entry = self.find_key(organization, &id).await?;
            let wanted = |one: &KeyEntry| with_all || one.standing == KeyStanding::Live;
            keys.extend(entry.filter(wanted));
        }
        let next = listed.next;
        Ok(KeyPage { keys, next })
    }

    /// A key of the organization; `None`: to it there is none of that id.
    ///
    /// # Errors
    /// The store's.
    pub async fn find_key(
        &self,
        organization: &OrganizationId,
        id: &ApiKeyId,
    ) -> Result<Option<KeyEntry>, StoreError> {
        let found = port::read_state::<ApiKey>(&*self.store, id).await?;
        let Some((key, revision)) = found.filter(|(key, _)| key.organization == *organization)
        else {
            return Ok(None);
        };
        let of = port::read::<Organization>(&*self.store, organization).await?;
        let standing = |of: Arc<Organization>| key.standing(&of.marks, self.now());
        let standing = of.map_or(KeyStanding::Revoked, standing);
        let last_used_at = self.last_use(id).await?;
        Ok(Some(KeyEntry {
            key,
            revision,
            standing,
            last_used_at,
        }))
    }
}
