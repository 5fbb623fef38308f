//! Export: every record that is not over, one a line.

use std::collections::BTreeSet;
use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::app::transfer::{FORMAT, Footer, Header, MAX_TEXT, Names, TELL_EVERY, peppers};
use crate::clock::Clock;
use crate::names::key_id::RingKeyId;
use crate::store::inventory::{Content, Inventory, Stored};
use crate::store::port::StoreError;
use crate::store::record::{Record, RecordKey};

/// What was exported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The records in the file.
    pub records: u64,
    /// Those whose time was up.
    pub expired: u64,
    /// What could not be read.
    pub left_out: u64,
}

/// What is told while it goes on.
#[derive(Debug)]
pub enum Event<'a> {
    /// So many records are written.
    Progress(u64),
    /// A thing in the store is not in the file, and why.
    LeftOut(&'a str, String),
}

/// Why there is no whole export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error("cannot write the export: {0}")]
    Write(#[from] io::Error),
}

/// Writes every record that is not over. What cannot be read is told of and left out. Where others
/// write at the same time, what they write may be in it or not.
///
/// # Errors
/// [`ExportError`]; what was written until then lacks its last line.
pub async fn export(
    store: &dyn Inventory,
    clock: &dyn Clock,
    writer: &mut dyn Write,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Exported, ExportError> {
    let now = clock.now();
    let mut export = Export {
        now,
        writer,
        tell,
        names: Names::default(),
        peppers: BTreeSet::new(),
        exported: Exported::default(),
    };
    export.line(&Header {
        ticketgate_export: FORMAT,
        exported_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
    })?;
    let mut from = None;
    loop {
        let page = store.scan(from.as_deref()).await?;
        for thing in &page.things {
            export.thing(thing)?;
        }
        let Some(next) = page.next else { break };
        from = Some(next);
    }
    export.line(&Footer {
        ticketgate_export_records: export.exported.records,
        left_out: export.exported.left_out,
        peppers: export.peppers.iter().copied().collect(),
    })?;
    export.writer.flush()?;
    Ok(export.exported)
}

struct Export<'a> {
    now: Timestamp,
    writer: &'a mut dyn Write,
    tell: &'a mut dyn FnMut(Event<'_>),
    names: Names,
    peppers: BTreeSet<RingKeyId>,
    exported: Exported,
}

impl Export<'_> {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.writer, line)?;
        self.writer.write_all(b"\n")
    }

    fn thing(&mut self, thing: &Stored) -> io::Result<()> {
        // A scan may show a thing twice.
        if !self.names.add(&thing.name) {
            return Ok(());
        }
        match read(thing) {
            Ok((record, _)) if record.expires_at().is_some_and(|end| end <= self.now) => {
                self.exported.expired += 1;
            }
            Ok((record, text)) => return self.record(&thing.name, &record, text),
            Err(why) => {
                self.exported.left_out += 1;
                (self.tell)(Event::LeftOut(&thing.name, why));
            }
        }
        Ok(())
    }

    fn record(&mut self, name: &str, record: &Record, text: &str) -> io::Result<()> {
        let (name, value) = (Value::from(name), portable(text)?);
        writeln!(self.writer, r#"{{"key":{name},"value":{value}}}"#)?;
        self.peppers.extend(peppers(record));
        self.exported.records += 1;
        if self.exported.records.is_multiple_of(TELL_EVERY) {
            (self.tell)(Event::Progress(self.exported.records));
        }
        Ok(())
    }
}

/// The text without what a store adds of its own, such as a revision. What a newer version added
/// to the record stays.
fn portable(text: &str) -> serde_json::Result<String> {
    let value: Value = serde_json::from_str(text)?;
    Ok(format!(
        r#"{{"v":{},"record":{}}}"#,
        value["v"], value["record"]
    ))
}

/// The record and its text.
fn read(thing: &Stored) -> Result<(Record, &str), String> {
    let key: RecordKey = thing.name.parse().map_err(|error| format!("{error}"))?;
    match &thing.content {
        Content::WrongType(kind) => Err(format!("it is of the type {kind}, not a text")),
        Content::Text { text, .. } if text.len() > MAX_TEXT => {
            Err(format!("it has {} bytes", text.len()))
        }
        Content::Text { text, .. } => match Record::decode(&key, text) {
            Ok(record) => Ok((record, text)),
            Err(error) => Err(error.to_string()),
        },
    }
}
