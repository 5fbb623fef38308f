//! What the entries of a change log say.

use std::fmt;
use std::str::FromStr;

/// The most entries of one log in one reply.
pub const BATCH: usize = 512;

/// The id of an entry in a log: milliseconds and a number within them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64, u64);

/// An entry: its id, and names and values.
pub type Entry = (String, Vec<Vec<u8>>);

/// What a reply told of one shard.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Nothing that is cached can be trusted.
    pub forget_all: bool,
    /// There is more to read.
    pub more: bool,
    /// Somebody waits for this node to say that it has read so far.
    pub asked: bool,
}

/// What a reply means to a reader that stood at `from`; the names that changed; where it stands
/// then.
pub fn digest(from: Option<Position>, entries: &[Entry]) -> (Digest, Vec<&str>, Position) {
    let id = |entry: &Entry| entry.0.parse().unwrap_or(Position::START);
    let (first, last) = (entries.first().map(id), entries.last().map(id));
    let position = last.unwrap_or(Position::START);
    let mut digest = Digest::default();
    let unread = match from {
        // The log's end is all that was asked for; what stands before it was never heard.
        None => {
            digest.forget_all = true;
            &[]
        }
        // There was no log. What has come since may have been cut already.
        Some(Position::START) => {
            digest.forget_all = !entries.is_empty();
            entries
        }
        Some(from) if first == Some(from) => &entries[1..],
        Some(_) => {
            digest.forget_all = true;
            entries
        }
    };
    digest.more = entries.len() >= BATCH;
    let mut changed = Vec::new();
    for (_, fields) in unread {
        for field in fields.chunks_exact(2) {
            match &*field[0] {
                b"changed" => changed.extend(std::str::from_utf8(&field[1])),
                b"asked" => digest.asked = true,
                _ => {}
            }
        }
    }
    (digest, changed, position)
}

impl Position {
    /// Before every entry: of a log that is not there yet.
    pub const START: Position = Position(0, 0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

impl FromStr for Position {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (milliseconds, number) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Self(milliseconds.parse()?, number.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Position {
        Position(7, number)
    }

    fn entry(number: u64, name: &str, value: &str) -> Entry {
        (at(number).to_string(), vec![name.into(), value.into()])
    }

    #[test]
    fn a_reply_that_begins_where_we_stood_tells_what_is_new() {
        let entries = [
            entry(1, "changed", "a"),
            entry(2, "changed", "b"),
            entry(3, "asked", "n"),
            entry(4, "later", "c"),
        ];
        let (told, changed, position) = digest(Some(at(1)), &entries);
        assert_eq!((changed, position), (vec!["b"], at(4)));
        let asked = Digest {
            asked: true,
            ..Digest::default()
        };
        assert_eq!(told, asked);
        let (told, changed, position) = digest(Some(at(4)), &entries[3..]);
        assert_eq!((told, position), (Digest::default(), at(4)));
        assert!(changed.is_empty());
    }

    #[test]
    fn a_log_that_was_cut_or_is_another_empties_the_cache() {
        let entries = [entry(5, "changed", "a")];
        for from in [None, Some(Position::START), Some(at(1)), Some(at(9))] {
            let (told, _, position) = digest(from, &entries);
            assert!(told.forget_all, "{from:?}");
            assert_eq!(position, at(5));
        }
        let (told, _, position) = digest(Some(at(1)), &[]);
        assert!(told.forget_all);
        assert_eq!(position, Position::START);
        let (told, _, position) = digest(Some(Position::START), &[]);
        assert_eq!((told.forget_all, position), (false, Position::START));
    }

    #[test]
    fn a_full_reply_is_not_the_end() {
        let entries: Vec<Entry> = (0..BATCH as u64)
            .map(|n| entry(n, "changed", "a"))
            .collect();
        assert!(digest(Some(at(0)), &entries).0.more);
    }

    #[test]
    fn positions_are_ordered_as_numbers() {
        let read = |text: &str| text.parse::<Position>().unwrap();
        assert!(read("9-10") > read("9-9") && read("10-0") > read("9-10"));
        assert_eq!(read("5-0").to_string(), "5-0");
        assert!("x-1".parse::<Position>().is_err());
    }
}
