//! Quality of Service levels (MQTT 5 section 4.3).

use serde::{Deserialize, Serialize};

/// A quality of service level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum QoS {
    /// 0
    AtMostOnce,
    /// 1
    AtLeastOnce,
    /// 2
    ExactlyOnce,
}

/// The number is not a quality of service level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("QoS is 0, 1 or 2")]
pub struct NotAQoS;

impl QoS {
    /// Every level, lowest first.
    pub const ALL: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
}

impl TryFrom<u8> for QoS {
    type Error = NotAQoS;

    fn try_from(level: u8) -> Result<Self, NotAQoS> {
        QoS::ALL.get(usize::from(level)).copied().ok_or(NotAQoS)
    }
}

impl From<QoS> for u8 {
    fn from(qos: QoS) -> u8 {
        qos as u8
    }
}

/// A set of levels, as a rule limits them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QoSSet(u8);

impl QoSSet {
    /// Every level.
    pub const ALL: QoSSet = QoSSet(0b111);

    /// Exactly these levels.
    pub fn of(levels: &[QoS]) -> Self {
        Self(levels.iter().fold(0, |set, qos| set | 1 << u8::from(*qos)))
    }

    /// Whether the level belongs to the set.
    pub fn contains(self, qos: QoS) -> bool {
        self.0 & (1 << u8::from(qos)) != 0
    }

    /// The highest level of the set that is not above `requested`.
    pub fn highest_up_to(self, requested: QoS) -> Option<QoS> {
        QoS::ALL
            .into_iter()
            .rev()
            .find(|qos| *qos <= requested && self.contains(*qos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_grants_its_highest_level_up_to_the_request() {
        use QoS::*;
        let zero_and_two = QoSSet::of(&[AtMostOnce, ExactlyOnce]);
        assert_eq!(zero_and_two.highest_up_to(ExactlyOnce), Some(ExactlyOnce));
        assert_eq!(zero_and_two.highest_up_to(AtLeastOnce), Some(AtMostOnce));
        assert_eq!(QoSSet::of(&[ExactlyOnce]).highest_up_to(AtLeastOnce), None);
        assert_eq!(QoSSet::ALL.highest_up_to(AtLeastOnce), Some(AtLeastOnce));
    }
}
