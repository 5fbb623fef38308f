//! Mending what is wrong, where that can lose nothing.

use crate::app::check::look::Seen;
use crate::app::check::problem::{Outcome, Problem};
use crate::names::token_id::TokenId;
use crate::store::inventory::Inventory;
use crate::store::port::{self, Found, StoreError, Write};
use crate::store::record::{Record, RecordKey, TokenIndex};

/// Mends a problem of what was just seen. Whatever was changed since is left as it is.
pub async fn mend(
    store: &dyn Inventory,
    key: &RecordKey,
    seen: &Seen,
    problem: &Problem,
) -> Result<Outcome, StoreError> {
    let mended = match (problem, &seen.content) {
        (Problem::WrongType(_) | Problem::Unreadable(_), _) => {
            let moved = store.set_aside(&key.to_string()).await;
            moved.map(|name| format!("moved aside to {name}"))
        }
        (Problem::DanglingIndex, Ok(found)) => {
            let gone = store.put(write(key, found, None)).await;
            gone.map(|_| "deleted it".to_owned())
        }
        (Problem::Expiry { .. } | Problem::NotListed(_), Ok(found)) => {
            let same = store.put(write(key, found, Some(found.record.clone())));
            same.await.map(|_| "wrote the record again".to_owned())
        }
        (Problem::NoIndex(id), Ok(found)) => match index(&found.record, *id) {
            Some(index) => {
                let made = port::create(store, id, index).await;
                made.map(|_| "made the index".to_owned())
            }
            None => return Ok(Outcome::Left),
        },
        _ => return Ok(Outcome::Left),
    };
    match mended {
        Ok(what) => Ok(Outcome::Mended(what)),
        Err(StoreError::Conflict) => Ok(Outcome::Overtaken),
        Err(error) => Err(error),
    }
}

fn write(key: &RecordKey, found: &Found, record: Option<Record>) -> Write {
    Write {
        key: key.clone(),
        expected: Some(found.revision),
        record,
        audit: None,
    }
}

/// The index of a holder's token; `None`: a token without an end has none.
fn index(holder: &Record, id: TokenId) -> Option<TokenIndex> {
    let Record::Holder(holder) = holder else {
        return None;
    };
    Some(TokenIndex {
        name: holder.name.clone(),
        organization: holder.organization.clone(),
        expires_at: holder.token(id)?.expires_at?,
    })
}
