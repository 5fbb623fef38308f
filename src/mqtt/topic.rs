//! Topic names and topic filters (MQTT 5 section 4.7), and shared subscriptions (4.8.2).

use std::borrow::Cow;

/// The longest topic name or filter that the protocol can carry, in bytes.
pub const MAX_LENGTH: usize = 65_535;
/// The most levels that are judged; brokers have limits of the same order.
pub const MAX_LEVELS: usize = 128;

const SHARE_PREFIX: &str = "$share/";

/// The topic of a PUBLISH: at least one character, no wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicName<'a>(Cow<'a, str>);

/// The pattern of a SUBSCRIBE, without a `$share/<group>/` in front of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicFilter<'a>(Cow<'a, str>);

/// Why a text is not a topic name or filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotATopic {
    /// MQTT-4.7.3-1.
    #[error("a topic has at least one character")]
    Empty,
    /// MQTT-4.7.3-3.
    #[error("a topic is at most {MAX_LENGTH} bytes")]
    TooLong,
    /// Our own limit.
    #[error("a topic has at most {MAX_LEVELS} levels")]
    TooManyLevels,
    /// MQTT-4.7.3-2.
    #[error("a topic has no NUL character")]
    Nul,
    /// MQTT-3.3.2-2: a topic name has no wildcard; MQTT-4.7.1-1 and -2: where a filter may have one.
    #[error(
        "`+` stands alone in its level, `#` alone in the last one, and a topic name has neither"
    )]
    Wildcard,
    /// MQTT-4.8.2-1 and -2.
    #[error("a shared subscription is `$share/<group>/<filter>`, with a group without wildcards")]
    Share,
}

impl<'a> TopicName<'a> {
    /// Checks a topic name.
    ///
    /// # Errors
    /// [`NotATopic`] for an empty, over-long or wildcard-carrying one.
    pub fn parse(text: impl Into<Cow<'a, str>>) -> Result<Self, NotATopic> {
        let text = text.into();
        check_bounds(&text)?;
        if text.contains(['+', '#']) {
            return Err(NotATopic::Wildcard);
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'a> TopicFilter<'a> {
    /// Checks a filter that is not a shared subscription (or is meant literally).
    ///
    /// # Errors
    /// [`NotATopic`] for an empty or over-long one, or for a wildcard out of its place.
    pub fn parse(text: impl Into<Cow<'a, str>>) -> Result<Self, NotATopic> {
        let text = text.into();
        check_bounds(&text)?;
        check_wildcards(&text)?;
        Ok(Self(text))
    }

    /// Checks a filter as a SUBSCRIBE carries it: of `$share/<group>/<filter>` the inner filter
    /// stays, because that is what the client will receive.
    ///
    /// # Errors
    /// [`NotATopic`], also for a shared subscription without a group or an inner filter.
    pub fn parse_subscription(text: &'a str) -> Result<Self, NotATopic> {
        let Some(shared) = text.strip_prefix(SHARE_PREFIX) else {
            // `$share` without more would be a literal topic that a broker may read otherwise.
            return if text == "$share" {
                Err(NotATopic::Share)
            } else {
                Self::parse(text)
            };
        };
        let (group, filter) = shared.split_once('/').ok_or(NotATopic::Share)?;
        let shared_again = filter.starts_with(SHARE_PREFIX) || filter == "$share";
        if group.is_empty() || group.contains(['+', '#']) || shared_again {
            return Err(NotATopic::Share);
        }
        Self::parse(filter)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same filter, owned.
    pub fn into_owned(self) -> TopicFilter<'static> {
        TopicFilter(Cow::Owned(self.0.into_owned()))
    }
}

fn check_bounds(text: &str) -> Result<(), NotATopic> {
    if text.is_empty() {
        return Err(NotATopic::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(NotATopic::TooLong);
    }
    if text.contains('\0') {
        return Err(NotATopic::Nul);
    }
    if text.bytes().filter(|byte| *byte == b'/').count() >= MAX_LEVELS {
        return Err(NotATopic::TooManyLevels);
    }
    Ok(())
}

fn check_wildcards(text: &str) -> Result<(), NotATopic> {
    let mut levels = text.split('/').peekable();
    while let Some(level) = levels.next() {
        let misplaced = match level {
            "+" => false,
            "#" => levels.peek().is_some(),
            _ => level.contains(['+', '#']),
        };
        if misplaced {
            return Err(NotATopic::Wildcard);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names() {
        let long = "a".repeat(MAX_LENGTH + 1);
        let deep = "/".repeat(MAX_LEVELS);
        for (text, expected) in [
            ("a", Ok(())),
            ("/", Ok(())),
            ("a//b", Ok(())),
            ("$SYS/x", Ok(())),
            ("sp ace/ü", Ok(())),
            ("", Err(NotATopic::Empty)),
            ("a/+", Err(NotATopic::Wildcard)),
            ("a#", Err(NotATopic::Wildcard)),
            ("a\0", Err(NotATopic::Nul)),
            (&*long, Err(NotATopic::TooLong)),
            (&*deep, Err(NotATopic::TooManyLevels)),
        ] {
            assert_eq!(TopicName::parse(text).map(drop), expected, "{text:.20}");
        }
        assert!(TopicName::parse("/".repeat(MAX_LEVELS - 1)).is_ok());
        assert!(TopicName::parse("a".repeat(MAX_LENGTH)).is_ok());
    }

    #[test]
    fn wildcards_stand_alone_in_their_level() {
        for good in ["#", "+", "a/#", "+/+", "/+/#", "a/+/b"] {
            assert!(TopicFilter::parse(good).is_ok(), "{good}");
        }
        for bad in ["a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+/c", "##", "++"] {
            assert_eq!(TopicFilter::parse(bad), Err(NotATopic::Wildcard), "{bad}");
        }
    }

    #[test]
    fn a_shared_subscription_is_its_inner_filter() {
        let inner = |text| TopicFilter::parse_subscription(text).map(|f| f.as_str().to_owned());
        assert_eq!(inner("$share/g/a/+"), Ok("a/+".into()));
        assert_eq!(inner("$share/g/$SYS/#"), Ok("$SYS/#".into()));
        assert_eq!(inner("$share/g//x"), Ok("/x".into()));
        assert_eq!(inner("$shared/g/x"), Ok("$shared/g/x".into()));
        for bad in [
            "$share",
            "$share/",
            "$share/g",
            "$share//x",
            "$share/+/x",
            "$share/g#/x",
        ] {
            assert_eq!(inner(bad), Err(NotATopic::Share), "{bad}");
        }
        assert_eq!(inner("$share/g/$share/h/x"), Err(NotATopic::Share));
        assert_eq!(inner("$share/g/"), Err(NotATopic::Empty));
        assert_eq!(inner("$share/g/a/#/b"), Err(NotATopic::Wildcard));
    }
}
