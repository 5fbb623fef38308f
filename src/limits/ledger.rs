//! What this node tells the others of its buckets, and what it has taken in from them.
//!
//! A node says for each bucket how much it has used since it began to speak of it; the others take
//! the difference to what they have heard before. So a report that nobody read, or that somebody
//! read twice, does no harm. A bucket that has not been used for [`QUIET`] reports is left out, and
//! comes back under another beginning, so that its new count is not taken for the old one.

use std::collections::HashMap;

use crate::limits::rate::Rate;
use crate::limits::whose::{Kind, Whose};

/// The most buckets of each kind that a node speaks of. What is used beyond them is known here only.
pub const MOST_SPOKEN_OF: usize = 256;
/// The most other nodes that are listened to.
const MOST_NODES: usize = 64;
/// After how many reports without use a bucket is left out.
const QUIET: u64 = 30;

/// What this node has used.
#[derive(Debug, Default)]
pub struct Ledger {
    used: HashMap<Whose, Used>,
    /// How many of [`Kind::ALL`] are in `used`.
    spoken_of: [usize; 4],
    /// How many reports were made.
    reports: u64,
}

#[derive(Debug)]
struct Used {
    rate: Rate,
    /// The report that it first stood in.
    beginning: u64,
    total: u64,
    last: u64,
}

/// What other nodes have said.
#[derive(Debug, Default)]
pub struct Heard(HashMap<String, HashMap<Whose, (u64, u64)>>);

/// Use of a bucket on another node that this one did not know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Of which.
    pub whose: Whose,
    /// How the other node limits it.
    pub rate: Rate,
    /// How much.
    pub number: u64,
}

impl Ledger {
    /// Something was taken out of a bucket.
    pub fn note(&mut self, whose: &Whose, rate: Rate) {
        if let Some(used) = self.used.get_mut(whose) {
            (used.rate, used.last) = (rate, self.reports);
            used.total += 1;
            return;
        }
        let of_kind = &mut self.spoken_of[whose.kind() as usize];
        if *of_kind >= MOST_SPOKEN_OF {
            return;
        }
        *of_kind += 1;
        let used = Used {
            rate,
            beginning: self.reports,
            total: 1,
            last: self.reports,
        };
        self.used.insert(whose.clone(), used);
    }

    /// What the others should know, one bucket a line.
    pub fn report(&mut self) -> String {
        self.reports += 1;
        let (reports, spoken_of) = (self.reports, &mut self.spoken_of);
        self.used.retain(|whose, used| {
            let stays = reports - used.last <= QUIET;
            spoken_of[whose.kind() as usize] -= usize::from(!stays);
            stays
        });
        let line = |(whose, used): (&Whose, &Used)| {
            format!("{whose} {} {} {}\n", used.beginning, used.total, used.rate)
        };
        self.used.iter().map(line).collect()
    }
}

impl Heard {
    /// Takes in what all other nodes say now. Of a node that is heard of for the first time, only what
    /// it uses from now on counts.
    pub fn take_in(&mut self, reports: Vec<(String, String)>) -> Vec<Foreign> {
        let mut news = Vec::new();
        let mut now = HashMap::new();
        for (node, report) in reports.into_iter().take(MOST_NODES) {
            let before = self.0.remove(&node);
            let mut said = HashMap::new();
            for (whose, beginning, total, rate) in lines(&report) {
                if let Some(before) = &before {
                    let number = match before.get(&whose) {
                        Some((begun, known)) if *begun == beginning => total.saturating_sub(*known),
                        _ => total,
                    };
                    if number > 0 {
                        let whose = whose.clone();
                        news.push(Foreign {
                            whose,
                            rate,
                            number,
                        });
                    }
                }
                said.insert(whose, (beginning, total));
            }
            now.insert(node, said);
        }
        self.0 = now;
        news
    }
}

/// Reads a report. What cannot be read, of a newer version perhaps, is left out.
fn lines(report: &str) -> impl Iterator<Item = (Whose, u64, u64, Rate)> {
    let most = MOST_SPOKEN_OF * Kind::ALL.len();
    report.lines().take(most).filter_map(|line| {
        let mut words = line.splitn(4, ' ');
        let whose = words.next()?.parse().ok()?;
        let beginning = words.next()?.parse().ok()?;
        let total = words.next()?.parse().ok()?;
        Some((whose, beginning, total, words.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::rate::Period;
    use crate::names::key_id::ApiKeyId;

    const RATE: Rate = Rate::new(50, Period::Second, 100);

    fn use_some(ledger: &mut Ledger, whose: &Whose, number: u64) {
        (0..number).for_each(|_| ledger.note(whose, RATE));
    }

    fn said(report: String) -> Vec<(String, String)> {
        vec![("other".to_owned(), report)]
    }

    fn number(news: &[Foreign]) -> u64 {
        news.iter().map(|one| one.number).sum()
    }

    #[test]
    fn each_use_counts_once_however_often_reports_are_read() {
        let whose = Whose::Key(ApiKeyId::random());
        let (mut ledger, mut heard) = (Ledger::default(), Heard::default());
        use_some(&mut ledger, &whose, 5);
        // Before this node listened, that one had a bucket of its own.
        assert_eq!(heard.take_in(said(ledger.report())), []);
        use_some(&mut ledger, &whose, 3);
        let report = ledger.report();
        let news = heard.take_in(said(report.clone()));
        assert_eq!((number(&news), news[0].rate), (3, RATE));
        assert_eq!(heard.take_in(said(report)), []);
        use_some(&mut ledger, &whose, 2);
        let _nobody_read_it = ledger.report();
        use_some(&mut ledger, &whose, 4);
        assert_eq!(number(&heard.take_in(said(ledger.report()))), 6);
    }

    #[test]
    fn a_bucket_that_comes_back_begins_anew() {
        let whose = Whose::Key(ApiKeyId::random());
        let (mut ledger, mut heard) = (Ledger::default(), Heard::default());
        heard.take_in(said(ledger.report()));
        use_some(&mut ledger, &whose, 3);
        assert_eq!(number(&heard.take_in(said(ledger.report()))), 3);
        for _ in 0..=QUIET {
            ledger.report();
        }
        assert_eq!(ledger.report(), "");
        use_some(&mut ledger, &whose, 4);
        assert_eq!(number(&heard.take_in(said(ledger.report()))), 4);
    }

    #[test]
    fn what_is_spoken_of_is_bounded_by_kind() {
        let mut ledger = Ledger::default();
        for number in 0..10 * MOST_SPOKEN_OF as u32 {
            let address = std::net::Ipv4Addr::from(number).into();
            let group = crate::limits::address::AddressGroup::of(address);
            ledger.note(&Whose::Address(group), RATE);
        }
        let key = Whose::Key(ApiKeyId::random());
        ledger.note(&key, RATE);
        let report = ledger.report();
        assert_eq!(report.lines().count(), MOST_SPOKEN_OF + 1);
        assert!(report.contains(&key.to_string()));
    }

    #[test]
    fn nonsense_is_left_out() {
        let mut heard = Heard::default();
        heard.take_in(said(String::new()));
        let whose = Whose::Key(ApiKeyId::random());
        let good = format!("{whose} 0 7 {RATE}");
        let text = format!("\n\nkey:x 1 2 {RATE}\n{whose} 1\n{whose} a b c\n{good}\n\u{0}");
        assert_eq!(number(&heard.take_in(said(text))), 7);
    }
}
