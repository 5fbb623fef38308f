//! All records out of one store and into another, as lines of JSON.
//!
//! ```text
//! {"ticketgate_export":1,"exported_at":"2026-11-02T10:00:00Z"}
//! {"key":"alias:...","value":{"v":1,"record":{...}}}
//! {"ticketgate_export_records":1,"left_out":0,"peppers":["Ab3z"]}
//! ```
//!
//! A value is the record as it is stored: digests and encrypted secrets, never a
//! password or a key. The last line tells a whole file from one that was cut off.

pub mod export;
pub mod import;
mod lines;
mod merge;

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::credential::holder::CredentialKind;
use crate::names::key_id::RingKeyId;
use crate::org::provider::Provider;
use crate::store::record::Record;

/// The version of the lines around the records; those have their own.
const FORMAT: u16 = 1;

/// The longest text of a record, in bytes. Policies are the longest, at most about 8 MiB.
const MAX_TEXT: usize = 16 << 20;

/// The longest line, in bytes: the longest text with its key around it.
const MAX_LINE: usize = MAX_TEXT + 4_096;

/// How many records there are between two calls that tell of progress.
const TELL_EVERY: u64 = 1_000;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// [`FORMAT`]
    ticketgate_export: u16,
    exported_at: Timestamp,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
struct Footer {
    /// How many lines of records there are.
    ticketgate_export_records: u64,
    /// How many things in the store are not among them because they could not be read.
    left_out: u64,
    /// The peppers without which the records are of no use.
    peppers: Vec<RingKeyId>,
}

/// Tells whether a name came before, in 16 bytes for each.
#[derive(Default)]
struct Names(HashSet<[u8; 16]>);

impl Names {
    /// Whether this is the first time.
    fn add(&mut self, name: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(name).into();
        let (half, _) = digest.split_first_chunk().expect("32 bytes have a half");
        self.0.insert(*half)
    }
}

/// The peppers under which a record holds digests or encrypted secrets.
fn peppers(record: &Record) -> Vec<RingKeyId> {
    match record {
        Record::Organization(organization) => {
            let providers = organization.providers.iter();
            providers.flat_map(Provider::peppers).collect()
        }
        Record::Holder(holder) => {
            let kinds = holder.credentials.iter().map(|credential| &credential.kind);
            kinds
                .filter_map(|kind| match kind {
                    CredentialKind::Token { pepper, .. } => Some(*pepper),
                    CredentialKind::Password(_) => None,
                })
                .collect()
        }
        Record::ApiKey(key) => vec![key.pepper],
        Record::Alias(_)
        | Record::Policy(_)
        | Record::Token(_)
        | Record::Origin(_)
        | Record::KeyUse(_)
        | Record::LegacyKeys(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
