//! How many tokens an organization may have: counted by the store now and then, and by this node in
//! between. With several nodes there may be a few more than allowed, at most what the others mint in
//! [`COUNT_FOR`] seconds; and a full one stays full for as long, though tokens have ended since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use jiff::SignedDuration;
use tokio::sync::Mutex as AsyncMutex;

use crate::app::App;
use crate::app::tokens::ExchangeError;
use crate::clock::Stopwatch;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::org::organization::Organization;
use crate::store::list::ListKind;
use crate::store::port::{self, Change, StoreError};
use crate::store::record::TokenIndex;

/// For how long a count is used, in seconds.
const COUNT_FOR: f64 = 5.0;
/// The most organizations whose count is remembered.
const MAX_REMEMBERED: usize = 4_096;

/// Counts of tokens that were taken a moment ago.
#[derive(Default)]
pub struct TokenCounts(Mutex<HashMap<OrganizationId, Arc<AsyncMutex<Option<Counted>>>>>);

/// One organization's. Whoever counts holds it, so that others wait for that count instead of taking
/// their own, of which each would miss the others' tokens.
struct Counted {
    at: Stopwatch,
    tokens: u64,
}

impl TokenCounts {
    fn of(&self, organization: &OrganizationId) -> Arc<AsyncMutex<Option<Counted>>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_REMEMBERED && !counts.contains_key(organization) {
            // One that somebody counts with is not forgotten under his hands.
            counts.retain(|_, count| Arc::strong_count(count) > 1);
        }
        Arc::clone(counts.entry(organization.clone()).or_default())
    }
}

/// For how long a token that was ended before its time is still listed, in seconds.
const LISTED_FOR: i64 = 10;

impl App {
    /// Lets tokens that are over no longer count. Where that cannot be written they count until their
    /// time is up: too many is the safe side.
    pub(in crate::app) async fn give_back(&self, organization: &Organization, tokens: &[TokenId]) {
        if organization.token_rules.max_tokens.is_none() {
            return;
        }
        let end = self.now() + SignedDuration::from_secs(LISTED_FOR);
        let shortened = tokens.iter().map(|id| {
            port::update::<TokenIndex, StoreError>(&*self.store, id, move |current| {
                let index = current.filter(|index| index.expires_at > end).cloned();
                Ok(index.map_or(Change::Keep, |mut index| {
                    index.expires_at = end;
                    Change::Set(index)
                }))
            })
        });
        for outcome in join_all(shortened).await {
            if let Err(error) = outcome {
                tracing::warn!(%error, "a token that is over counts on in its organization");
            }
        }
    }

    /// Takes a place for one more token of the organization. `spends`: places that the token gives
    /// back, because it takes the place of so many.
    pub(super) async fn check_room(
        &self,
        organization: &Organization,
        spends: u64,
    ) -> Result<(), ExchangeError> {
        let Some(max) = organization.token_rules.max_tokens else {
            return Ok(());
        };
        let id = &organization.id;
        let count = self.token_counts.of(id);
        let mut count = count.lock().await;
        let known = count.take().filter(|known| known.at.seconds() <= COUNT_FOR);
        let known = match known {
            // A no may be as old as the count: to count anew for each would cost more than a mint.
            Some(known) => count.insert(known),
            None => {
                let at = Stopwatch::start();
                let tokens = self.store.count(ListKind::Tokens, id, self.now()).await?;
                count.insert(Counted { at, tokens })
            }
        };
        if known.tokens.saturating_sub(spends) >= max {
            return Err(ExchangeError::OrganizationFull(max));
        }
        known.tokens = (known.tokens + 1).saturating_sub(spends);
        Ok(())
    }
}
