//! When a key was used last: noted in memory, written at most once a minute in the background. A
//! crash loses at most that minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::app::App;
use crate::credential::api_key::KeyLastUse;
use crate::names::key_id::ApiKeyId;
use crate::store::port::{self, Change, StoreError};

/// How exact the time is.
const EVERY: SignedDuration = SignedDuration::from_secs(60);
/// Of how many keys it is remembered that their use was written.
const MAX_KEYS: usize = 10_000;

/// When this node has last written that a key was used.
#[derive(Default)]
pub struct Written(Mutex<HashMap<ApiKeyId, Timestamp>>);

impl Written {
    /// Whether it is time to write again; if so, that is noted.
    fn is_due(&self, key: ApiKeyId, now: Timestamp) -> bool {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Timestamp| now.duration_since(*at) < EVERY;
        if written.get(&key).is_some_and(is_recent) {
            return false;
        }
        if written.len() >= MAX_KEYS {
            written.retain(|_, at| is_recent(at));
        }
        let has_room = written.len() < MAX_KEYS;
        if has_room {
            written.insert(key, now);
        }
        has_room
    }
}

impl App {
    /// Notes in the background that a key was used.
    pub(super) fn note_use_later(&self, key: ApiKeyId, now: Timestamp) {
        if !self.key_uses.is_due(key, now) {
            return;
        }
        self.renew_later(move |store| async move {
            port::update::<KeyLastUse, StoreError>(&*store, &key, |current| {
                // Another node may have written it a moment ago.
                let known = current.is_some_and(|used| now.duration_since(used.at) < EVERY);
                Ok(if known {
                    Change::Keep
                } else {
                    Change::Set(KeyLastUse { at: now })
                })
            })
            .await
        });
    }

    /// When a key was used last, to the minute.
    pub(super) async fn last_use(&self, key: &ApiKeyId) -> Result<Option<Timestamp>, StoreError> {
        let used = port::read::<KeyLastUse>(&*self.store, key).await?;
        Ok(used.map(|used| used.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_once_a_minute_for_each_key() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (written, one, other) = (Written::default(), ApiKeyId::random(), ApiKeyId::random());
        let due = |key, second| written.is_due(key, at(second));
        assert!(due(one, 0) && due(other, 1));
        assert!(!due(one, 59) && !due(other, 60));
        assert!(due(one, 60) && !due(one, 61));
    }

    #[test]
    fn few_keys_are_remembered() {
        let written = Written::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        for _ in 0..MAX_KEYS {
            assert!(written.is_due(ApiKeyId::random(), at(0)));
        }
        assert!(!written.is_due(ApiKeyId::random(), at(59)));
        assert!(written.is_due(ApiKeyId::random(), at(60)));
    }
}
