//! An export, line by line, with what is wrong with it.

use std::io::{self, BufRead, Read as _};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::app::transfer::{FORMAT, Footer, Header, MAX_LINE};
use crate::store::record::{Record, RecordKey};

/// A line that is as it should be.
pub enum Line {
    /// The first.
    Header,
    /// A record.
    Record(RecordKey, Record),
    /// The last.
    Footer(Footer),
}

/// A line with its number, or what is wrong with it.
pub struct Numbered {
    /// From 1.
    pub number: u64,
    /// The line.
    pub line: Result<Line, String>,
}

/// Reads lines, none of them longer than [`MAX_LINE`] in memory.
pub struct Lines<R> {
    reader: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// From the start.
    pub fn new(reader: R) -> Self {
        Self { reader, number: 0 }
    }

    /// The next line; `None`: there is none.
    fn read(&mut self) -> io::Result<Option<Numbered>> {
        let mut text = Vec::new();
        let limit = MAX_LINE as u64 + 1;
        let read = (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut text)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let line = if text.len() > MAX_LINE {
            self.pass_over_the_rest()?;
            Err(format!("it is longer than {MAX_LINE} bytes"))
        } else if self.number == 1 {
            header(&text)
        } else {
            record_or_footer(&text)
        };
        Ok(Some(Numbered {
            number: self.number,
            line,
        }))
    }

    fn pass_over_the_rest(&mut self) -> io::Result<()> {
        loop {
            let rest = self.reader.fill_buf()?;
            let end = rest.iter().position(|byte| *byte == b'\n');
            let read = end.map_or(rest.len(), |end| end + 1);
            self.reader.consume(read);
            if read == 0 || end.is_some() {
                return Ok(());
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Numbered>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn header(text: &[u8]) -> Result<Line, String> {
    let header: Header = value(text).and_then(fields).map_err(|_| {
        "it is not the first line of an export, such as {\"ticketgate_export\":1,...}".to_owned()
    })?;
    match header.ticketgate_export {
        1..=FORMAT => Ok(Line::Header),
        newer => Err(format!(
            "the export has the format {newer}, this program reads up to {FORMAT}: upgrade it"
        )),
    }
}

/// Errors never repeat what the line says but its key.
fn record_or_footer(text: &[u8]) -> Result<Line, String> {
    let mut line = value(text)?;
    let Some(name) = line.get("key").and_then(Value::as_str) else {
        return fields(line).map(Line::Footer);
    };
    let key: RecordKey = name.parse().map_err(|error| format!("{name:?}: {error}"))?;
    let text = line["value"].take().to_string();
    let record = Record::decode(&key, &text).map_err(|error| format!("{key}: {error}"))?;
    if record.own_key().is_some_and(|own| own != key) {
        return Err(format!("{key}: the record is of another name"));
    }
    Ok(Line::Record(key, record))
}

fn value(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text).map_err(|error| format!("it is not JSON ({:?})", error.classify()))
}

fn fields<T: DeserializeOwned>(line: Value) -> Result<T, String> {
    serde_json::from_value(line)
        .map_err(|_| "it is neither a record nor the last line of an export".to_owned())
}
