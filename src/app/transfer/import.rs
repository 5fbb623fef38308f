//! Import: the records of an export into a store, after all of them have been looked at.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Seek};

use futures_util::{TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;

use crate::app::transfer::lines::{Line, Lines, Numbered};
use crate::app::transfer::merge::merged;
use crate::app::transfer::{Footer, Names, TELL_EVERY, peppers};
use crate::clock::Clock;
use crate::keyring::Keyring;
use crate::names::key_id::RingKeyId;
use crate::store::port::{Store, StoreError, Write};
use crate::store::record::{Record, RecordKey};

/// The most mistakes that are told at a time.
const MAX_MISTAKES: usize = 20;
/// How many records are on their way at a time, so that a store can write them together.
const AT_A_TIME: usize = 256;
/// How often a record is tried again after somebody else changed it.
const MAX_TRIES: usize = 8;

/// What an import does with the records that are there already with other contents.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mode {
    /// Put the imported one in its place. What is revoked stays revoked.
    pub replace: bool,
    /// Write nothing, only say what would be done.
    pub dry_run: bool,
}

/// What was imported, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The records in the file.
    pub records: u64,
    /// Those that were not there.
    pub created: u64,
    /// Those that took the place of others.
    pub replaced: u64,
    /// Those that were there with the same contents.
    pub unchanged: u64,
    /// Those that were left out because there are others in their place.
    pub refused: u64,
    /// Those whose time was up.
    pub expired: u64,
    /// The peppers that records need and the keyring lacks.
    pub missing_peppers: Vec<RingKeyId>,
    /// What the export says of things that it could not read.
    pub left_out_of_export: u64,
}

/// What is told while it goes on.
#[derive(Debug)]
pub enum Event<'a> {
    /// So many records have been looked at, of nobody knows how many.
    Checked(u64),
    /// So many records are in the store, of so many.
    Progress(u64, u64),
    /// A record is left out, because of what is in its place.
    Refused(&'a RecordKey, &'a str),
}

/// Why an import was not made, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is wrong. Nothing was written.
    #[error("the export is not good, nothing was imported:\n{}", lines(.0))]
    Mistakes(Vec<(u64, String)>),
    /// The file cannot be read.
    #[error("cannot read the export: {0}")]
    Read(#[from] io::Error),
    /// The file is another than the one that was looked at.
    #[error("the export was changed while it was read; import it again")]
    Changed,
    /// The store.
    #[error("{0}; import it again: what is in the store already is passed over")]
    Store(#[from] StoreError),
}

enum Outcome {
    Created,
    Replaced,
    Unchanged,
    Refused(String),
    Expired,
}

/// Looks at the whole export first, and writes nothing when anything is wrong with it. Importing
/// the same again changes nothing.
///
/// # Errors
/// [`ImportError`]
pub async fn import(
    store: &dyn Store,
    keys: &Keyring,
    clock: &dyn Clock,
    reader: &mut (impl BufRead + Seek),
    mode: Mode,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Imported, ImportError> {
    let mut imported = verify(keys, &mut *reader, tell)?;
    reader.rewind()?;
    let now = clock.now();
    let records = Lines::new(reader).filter_map(|line| record(line).transpose());
    let mut outcomes = stream::iter(records)
        .map_ok(|(key, record)| async move {
            let outcome = bring(store, &key, record, mode, now).await?;
            Ok::<_, ImportError>((key, outcome))
        })
        .try_buffer_unordered(AT_A_TIME);
    let mut done = 0;
    while let Some((key, outcome)) = outcomes.try_next().await? {
        if let Outcome::Refused(why) = &outcome {
            tell(Event::Refused(&key, why));
        }
        imported.count(&outcome);
        done += 1;
        if done % TELL_EVERY == 0 {
            tell(Event::Progress(done, imported.records));
        }
    }
    if done == imported.records {
        Ok(imported)
    } else {
        Err(ImportError::Changed)
    }
}

/// Reads everything once.
fn verify(
    keys: &Keyring,
    reader: impl BufRead,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Imported, ImportError> {
    let mut verify = Verify::default();
    for line in Lines::new(reader) {
        let Numbered { number, line } = line?;
        verify.last = number;
        if let Err(mistake) = line.and_then(|line| verify.line(line)) {
            verify.mistakes.push((number, mistake));
            // Whatever follows such a first line is no better.
            if number == 1 || verify.mistakes.len() == MAX_MISTAKES {
                return Err(ImportError::Mistakes(verify.mistakes));
            }
        }
        if number.is_multiple_of(TELL_EVERY) {
            tell(Event::Checked(number));
        }
    }
    verify.finish(keys)
}

#[derive(Default)]
struct Verify {
    names: Names,
    peppers: BTreeSet<RingKeyId>,
    records: u64,
    footer: Option<Footer>,
    last: u64,
    mistakes: Vec<(u64, String)>,
}

impl Verify {
    fn line(&mut self, line: Line) -> Result<(), String> {
        if self.footer.is_some() {
            return Err("it stands behind the last line of the export".into());
        }
        match line {
            Line::Header => {}
            Line::Footer(footer) => self.footer = Some(footer),
            Line::Record(key, record) => {
                self.records += 1;
                self.peppers.extend(peppers(&record));
                if !self.names.add(&key.to_string()) {
                    return Err(format!("{key} was there before"));
                }
            }
        }
        Ok(())
    }

    fn finish(mut self, keys: &Keyring) -> Result<Imported, ImportError> {
        let mut left_out_of_export = 0;
        let end = match &self.footer {
            None if self.last == 0 => Some("it is empty".to_owned()),
            None => Some("the last line is missing: the file was cut off".to_owned()),
            Some(footer) => {
                left_out_of_export = footer.left_out;
                let expected = footer.ticketgate_export_records;
                (expected != self.records && self.mistakes.is_empty()).then(|| {
                    format!(
                        "{expected} records were exported, here are {}",
                        self.records
                    )
                })
            }
        };
        self.mistakes.extend(end.map(|end| (self.last, end)));
        if !self.mistakes.is_empty() {
            return Err(ImportError::Mistakes(self.mistakes));
        }
        let peppers = self.peppers.into_iter();
        Ok(Imported {
            records: self.records,
            missing_peppers: peppers.filter(|id| !keys.has_pepper(*id)).collect(),
            left_out_of_export,
            ..Imported::default()
        })
    }
}

impl Imported {
    fn count(&mut self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Created => &mut self.created,
            Outcome::Replaced => &mut self.replaced,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::Expired => &mut self.expired,
        };
        *counter += 1;
    }
}

/// The record of a line that has been looked at before.
fn record(line: io::Result<Numbered>) -> Result<Option<(RecordKey, Record)>, ImportError> {
    match line?.line {
        Ok(Line::Record(key, record)) => Ok(Some((key, record))),
        Ok(Line::Header | Line::Footer(_)) => Ok(None),
        Err(_) => Err(ImportError::Changed),
    }
}

/// Brings one record into the store.
async fn bring(
    store: &dyn Store,
    key: &RecordKey,
    record: Record,
    mode: Mode,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let is_over = |record: &Record| record.expires_at().is_some_and(|end| end <= now);
    if is_over(&record) {
        return Ok(Outcome::Expired);
    }
    for _ in 0..MAX_TRIES {
        let (expected, record, outcome) = match store.get(key).await {
            Ok(None) => (None, record.clone(), Outcome::Created),
            Ok(Some(found)) if found.record == record => return Ok(Outcome::Unchanged),
            Ok(Some(found)) if is_over(&found.record) => {
                (Some(found.revision), record.clone(), Outcome::Created)
            }
            Ok(Some(_)) if !mode.replace => {
                let why = "there is another in its place; --replace takes this one";
                return Ok(Outcome::Refused(why.into()));
            }
            Ok(Some(found)) => {
                let merged = merged(&found.record, record.clone());
                if merged == found.record {
                    return Ok(Outcome::Unchanged);
                }
                (Some(found.revision), merged, Outcome::Replaced)
            }
            Err(StoreError::Bad { error, .. }) => {
                let cure = "`ticketgate store check --fix` makes room";
                return Ok(Outcome::Refused(format!(
                    "what is in its place: {error}; {cure}"
                )));
            }
            Err(error) => return Err(error),
        };
        if mode.dry_run {
            return Ok(outcome);
        }
        let write = Write {
            key: key.clone(),
            expected,
            record: Some(record),
            audit: None,
        };
        match store.put(write).await {
            Ok(_) => return Ok(outcome),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Outcome::Refused("others keep changing it".into()))
}

fn lines(mistakes: &[(u64, String)]) -> String {
    let line = |(number, mistake): &(u64, String)| format!("  line {number}: {mistake}");
    let lines: Vec<String> = mistakes.iter().map(line).collect();
    lines.join("\n")
}
