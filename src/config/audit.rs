//! What the audit log keeps.

use crate::app::audit::{Decisions, Settings};
use crate::config::reader::{Field, Reader, at_least_one};

/// The longest that entries are kept: ten years.
const LONGEST: u32 = 3_653;
/// The most entries of one sort: what a store lists without pain.
const MOST: u64 = 10_000_000;

impl Reader {
    /// Reads what the audit log keeps.
    pub fn audit(&mut self) -> Settings {
        let default = Settings::default();
        let field = |name, example, meaning| Field {
            name,
            example,
            meaning,
        };
        Settings {
            keep_days: self.with(
                field(
                    "audit.keep_days",
                    "90",
                    "For how many days the audit log is kept. The same on every node.",
                ),
                default.keep_days,
                |text| match at_least_one::<u32>(text)? {
                    days if days > LONGEST => Err(format!("must be at most {LONGEST}")),
                    days => Ok(days),
                },
            ),
            max_entries: self.with(
                field(
                    "audit.max_entries_per_organization",
                    "100000",
                    "The most entries that an organization has of each sort (changes, tokens, refusals,\n    \
                     decisions); the oldest make room. The same on every node.",
                ),
                default.max_entries,
                |text| match at_least_one::<u64>(text)? {
                    entries if entries > MOST => Err(format!("must be at most {MOST}")),
                    entries => Ok(entries),
                },
            ),
            decisions: self.with(
                field(
                    "audit.decisions",
                    "none",
                    "Which answers to brokers are written as well: none, denies or all.",
                ),
                default.decisions,
                |text| match text {
                    "none" => Ok(Decisions::None),
                    "denies" => Ok(Decisions::Denies),
                    "all" => Ok(Decisions::All),
                    _ => Err("is none of `none`, `denies`, `all`".to_owned()),
                },
            ),
            one_in: self.with(
                field(
                    "audit.sample",
                    "1/100",
                    "One of how many of those: 1/1 for each.",
                ),
                default.one_in,
                |text| match text.strip_prefix("1/") {
                    Some(number) => at_least_one(number),
                    None => Err("is not 1/<number>".to_owned()),
                },
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::{Flags, Source};

    fn read(name: &str, value: &str) -> Result<Settings, String> {
        let flags = Flags {
            file: None,
            fields: Vec::new(),
        };
        let variable = (format!("TICKETGATE__AUDIT__{name}"), value.to_owned());
        let mut reader = Reader::new(Source::gather_from(&flags, [variable].into_iter()));
        let settings = reader.audit();
        match reader.source.mistakes_so_far() {
            mistakes if mistakes.is_empty() => Ok(settings),
            mistakes => Err(mistakes.join("\n")),
        }
    }

    #[test]
    fn settings_are_read_and_mistakes_say_what_would_be_right() {
        assert_eq!(read("SAMPLE", "1/250").unwrap().one_in, 250);
        assert_eq!(
            read("DECISIONS", "denies").unwrap().decisions,
            Decisions::Denies
        );
        for (name, value, cure) in [
            ("SAMPLE", "0.01", "1/<number>"),
            ("SAMPLE", "1/0", "at least 1"),
            ("DECISIONS", "yes", "denies"),
            ("KEEP_DAYS", "0", "at least 1"),
            ("KEEP_DAYS", "99999", "at most 3653"),
            ("MAX_ENTRIES_PER_ORGANIZATION", "0", "at least 1"),
        ] {
            let error = read(name, value).unwrap_err();
            assert!(error.contains(cure), "{error}");
        }
    }
}
