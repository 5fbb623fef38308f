//! How many tokens an organization may have: counted by the store now and then, and by this node in
//! between. With several nodes there may be a few more than allowed, at most what the others mint in
//! [`COUNT_FOR`] seconds; and a full one stays full for as long, though tokens have expired since.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::app::App;
use crate::app::tokens::ExchangeError;
use crate::clock::Stopwatch;
use crate::names::organization_id::OrganizationId;
use crate::org::organization::Organization;

/// For how long a count is used, in seconds.
const COUNT_FOR: f64 = 5.0;
/// The most organizations whose count is remembered.
const MAX_REMEMBERED: usize = 4_096;

/// Counts of tokens that were taken a moment ago.
#[derive(Default)]
pub struct TokenCounts(Mutex<HashMap<OrganizationId, Counted>>);

struct Counted {
    at: Stopwatch,
    tokens: u64,
}

impl TokenCounts {
    /// Counts one more; `None`: the store has to be asked.
    fn add(&self, organization: &OrganizationId, max: u64) -> Option<bool> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.get_mut(organization)?;
        if known.at.seconds() > COUNT_FOR {
            return None;
        }
        let fits = known.tokens < max;
        known.tokens += u64::from(fits);
        Some(fits)
    }

    fn set(&self, organization: &OrganizationId, tokens: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_REMEMBERED {
            counts.clear();
        }
        let at = Stopwatch::start();
        counts.insert(organization.clone(), Counted { at, tokens });
    }
}

impl App {
    /// Whether the organization may have one more token.
    pub(super) async fn check_room(
        &self,
        organization: &Organization,
    ) -> Result<(), ExchangeError> {
        let Some(max) = organization.token_rules.max_tokens else {
            return Ok(());
        };
        let id = &organization.id;
        let fits = match self.token_counts.add(id, max) {
            // A no may be as old as the count: to count anew for each would cost more than a mint.
            Some(fits) => fits,
            None => {
                let tokens = self.store.count_tokens(id, self.now()).await?;
                self.token_counts.set(id, tokens);
                self.token_counts.add(id, max) != Some(false)
            }
        };
        if fits {
            Ok(())
        } else {
            Err(ExchangeError::OrganizationFull(max))
        }
    }
}
