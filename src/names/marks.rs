//! Marks: how one change of one record ends all that an organization has issued.
//!
//! Whatever is issued carries the organization's epoch of that moment, and everything of an earlier
//! epoch is over. A mint that has read the older organization is over before it is stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How often everything of an organization has been revoked. A number and not a time, because no
/// two nodes' clocks agree.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(u32);

/// What of an organization's credentials and API keys is over, whatever their own records say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// What was issued in an earlier one is over.
    #[serde(default, skip_serializing_if = "Epoch::is_first")]
    pub epoch: Epoch,
    /// What was issued before this moment is over. It goes by the clock of the node that issued.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::timestamp::second::optional"
    )]
    pub not_issued_before: Option<Timestamp>,
}

impl Epoch {
    /// At this one nothing is good any more, since none would come after it.
    const LAST: Epoch = Epoch(u32::MAX);

    /// The epoch of everything that says nothing about it.
    pub fn is_first(&self) -> bool {
        *self == Epoch::default()
    }
}

impl Marks {
    /// Whether what was issued at `time` in `epoch` is over.
    pub fn end(&self, epoch: Epoch, time: Timestamp) -> bool {
        epoch < self.epoch
            || self.epoch == Epoch::LAST
            || self.not_issued_before.is_some_and(|mark| time < mark)
    }

    /// From now on everything issued until now is over.
    pub fn revoke_all(&mut self) {
        self.epoch = Epoch(self.epoch.0.saturating_add(1));
    }

    /// From now on everything issued before `time` is over. A mark never goes back; returns whether
    /// it moved.
    pub fn revoke_issued_before(&mut self, time: Timestamp) -> bool {
        let moves = self.not_issued_before.is_none_or(|mark| mark < time);
        if moves {
            self.not_issued_before = Some(time);
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn an_earlier_epoch_is_over_at_whatever_time() {
        let mut marks = Marks::default();
        let first = marks.epoch;
        assert!(!marks.end(first, at(0)));
        marks.revoke_all();
        for time in [-1, 0, i64::from(u32::MAX)] {
            assert!(marks.end(first, at(time)));
            assert!(!marks.end(marks.epoch, at(time)));
        }
        let second = marks.epoch;
        marks.revoke_all();
        assert!(marks.end(second, at(0)) && marks.end(first, at(0)));
    }

    #[test]
    fn what_was_issued_before_the_tick_is_over_and_the_mark_never_goes_back() {
        let mut marks = Marks::default();
        assert!(marks.revoke_issued_before(at(10)));
        let ends = |marks: &Marks| [9, 10, 11].map(|time| marks.end(Epoch::default(), at(time)));
        assert_eq!(ends(&marks), [true, false, false]);
        assert!(!marks.revoke_issued_before(at(10)) && !marks.revoke_issued_before(at(5)));
        assert_eq!(ends(&marks), [true, false, false]);
        assert!(marks.revoke_issued_before(at(11)));
        assert_eq!(ends(&marks), [true, true, false]);
    }

    #[test]
    fn epochs_that_are_used_up_revive_nothing() {
        let mut marks = Marks {
            epoch: Epoch(u32::MAX - 1),
            ..Marks::default()
        };
        let before = marks.epoch;
        assert!(!marks.end(before, at(0)));
        for _ in 0..2 {
            marks.revoke_all();
            assert!(marks.end(before, at(0)) && marks.end(marks.epoch, at(0)));
            assert!(marks.end(Epoch::default(), at(0)));
        }
    }

    #[test]
    fn marks_that_were_never_set_are_not_written() {
        let read = |text: &str| serde_json::from_str::<Marks>(text).unwrap();
        let write = |marks: &Marks| serde_json::to_string(marks).unwrap();
        assert_eq!(read("{}"), Marks::default());
        assert_eq!(write(&Marks::default()), "{}");
        let mut marks = Marks::default();
        marks.revoke_all();
        marks.revoke_issued_before(at(10));
        assert_eq!(write(&marks), r#"{"epoch":1,"not_issued_before":10}"#);
        assert_eq!(read(&write(&marks)), marks);
    }
}
