//! What filters match, contain and share: the arithmetic behind every topic decision.
//!
//! A filter stands for the set of topic names that it matches (MQTT 5 section 4.7). `a/#` matches
//! `a` too (4.7.1.2), and a filter that begins with a wildcard never matches a topic that begins
//! with `$` (4.7.2). [`covers`] is "superset of", [`overlaps`] is "not disjoint"; both are exact.
//!
//! Not every broker gives `$` its meaning: behind a prefix it stands in the second level, and AMQP
//! bindings know no such rule. [`matches`] and [`overlaps`] are told which it is; [`covers`] keeps
//! to MQTT's rule, which is the narrower reading.
//!
//! All three walk two texts level by level and allocate nothing. They take plain texts, so that a
//! caller that has split a topic already is not made to build another one; the texts must have
//! passed the checks of [`TopicName`](crate::mqtt::topic::TopicName) and
//! [`TopicFilter`](crate::mqtt::topic::TopicFilter).

/// What a `$` at the front of a topic means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dollar {
    /// Filters that begin with a wildcard do not match it, as MQTT says.
    Special,
    /// It is a character like any other.
    Ordinary,
}

/// Whether the filter matches the topic name.
pub fn matches(filter: &str, topic: &str, dollar: Dollar) -> bool {
    if dollar == Dollar::Special && begins_with_wildcard(filter) && topic.starts_with('$') {
        return false;
    }
    let mut topic_levels = topic.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match topic_levels.next() {
            Some(name) if level == "+" || level == name => {}
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}

/// Whether every topic that `requested` matches is matched by `filter` as well.
pub fn covers(filter: &str, requested: &str) -> bool {
    let requested = without_empty_topic(requested);
    if begins_with_wildcard(filter) && requested.starts_with('$') {
        return false;
    }
    // No topic has zero levels, so `#` and `+/#` match the same topics.
    if filter == "+/#" {
        return true;
    }
    let mut requested_levels = requested.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match requested_levels.next() {
            Some("#") | None => return false,
            Some(name) if level == "+" || level == name => {}
            Some(_) => return false,
        }
    }
    requested_levels.next().is_none()
}

/// Whether some topic is matched by both filters.
pub fn overlaps(a: &str, b: &str, dollar: Dollar) -> bool {
    let (a, b) = (without_empty_topic(a), without_empty_topic(b));
    let parted = |wild: &str, other: &str| begins_with_wildcard(wild) && other.starts_with('$');
    if dollar == Dollar::Special && (parted(a, b) || parted(b, a)) {
        return false;
    }
    let mut a_levels = a.split('/');
    let mut b_levels = b.split('/');
    loop {
        match (a_levels.next(), b_levels.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(x), Some(y)) if x == y || x == "+" || y == "+" => {}
            _ => return false,
        }
    }
}

/// By its levels `/#` would match the empty topic as well. There is none (MQTT-4.7.3-1), so it
/// matches what `/+/#` does.
fn without_empty_topic(filter: &str) -> &str {
    if filter == "/#" { "/+/#" } else { filter }
}

fn begins_with_wildcard(filter: &str) -> bool {
    filter.starts_with(['+', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/+/#", "a", false),
            ("+", "/", false),
            ("+/+", "/", true),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/+", "$SYS/x", true),
        ] {
            assert_eq!(
                matches(filter, topic, Dollar::Special),
                expected,
                "{filter} {topic}"
            );
        }
    }

    #[test]
    fn covering_is_containment() {
        for (filter, requested, expected) in [
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/+/+", "a/x/#", false),
            ("a/#", "a/#", true),
            ("a/#", "a", true),
            ("a/#", "a/+/b", true),
            ("a/+/#", "a/#", false),
            ("a/b", "a/+", false),
            ("#", "+", true),
            ("#", "$SYS/#", false),
            ("+/#", "#", true),
            ("+/#", "$SYS/#", false),
            ("+/+/#", "#", false),
            ("$SYS/#", "$SYS/+", true),
            ("$SYS/#", "#", false),
            ("/+/#", "/#", true),
            ("/#", "/+/#", true),
        ] {
            assert_eq!(covers(filter, requested), expected, "{filter} {requested}");
        }
    }

    #[test]
    fn overlapping_is_not_disjoint() {
        for (a, b, expected) in [
            ("a/secret", "a/+", true),
            ("a/secret", "#", true),
            ("a/secret", "+/secret", true),
            ("a/secret", "a/#", true),
            ("a/secret", "a/secret/#", true),
            ("a/secret", "b/#", false),
            ("a/secret", "a/+/+", false),
            ("a/+/c", "+/b/c", true),
            ("$SYS/x", "#", false),
            ("$SYS/x", "+/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("a", "a/+", false),
            ("+", "/#", false),
            ("+/+", "/#", true),
        ] {
            assert_eq!(overlaps(a, b, Dollar::Special), expected, "{a} {b}");
            assert_eq!(overlaps(b, a, Dollar::Special), expected, "{b} {a}");
        }
    }

    #[test]
    fn where_a_dollar_is_ordinary_wildcards_reach_it() {
        assert!(matches("#", "$internal/x", Dollar::Ordinary));
        assert!(overlaps("$internal/#", "+/x", Dollar::Ordinary));
    }
}
