//! Claims of a subject that topic rules may use: short names, short texts, few of them.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest claim name, in bytes.
pub const MAX_NAME_LENGTH: usize = 64;
/// The longest claim value, in bytes.
pub const MAX_VALUE_LENGTH: usize = 256;
/// The most claims of one subject.
pub const MAX_CLAIMS: usize = 16;

/// The mapped claims of a subject, such as `email` and `user_id`.
///
/// A server keeps those of a million subjects in memory, so they lie one behind the other in one
/// piece: for each, sorted by name, the lengths of name and value in three digits each, the name,
/// the value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Claims(Box<str>);

/// How many digits a length takes.
const LENGTH_DIGITS: usize = 3;

impl Claims {
    /// Adds a claim; one that is over a limit is left out, so that the rules that need it do not
    /// apply. Returns whether it was taken.
    pub fn insert(&mut self, name: &str, value: &str) -> bool {
        let fits = is_claim_name(name) && value.len() <= MAX_VALUE_LENGTH;
        let room = self.iter().count() < MAX_CLAIMS || self.get(name).is_some();
        if fits && room {
            let (before, behind): (Vec<_>, Vec<_>) = self
                .iter()
                .filter(|(known, _)| *known != name)
                .partition(|(known, _)| *known < name);
            let all = before.into_iter().chain([(name, value)]).chain(behind);
            *self = Self::packed(all);
        }
        fits && room
    }

    /// The value of a claim.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find_map(|(known, value)| (known == name).then_some(value))
    }

    /// The claims that both have with the same value.
    pub fn shared_with(&self, other: &Claims) -> Claims {
        let shared = |(name, value): &(&str, &str)| other.get(name) == Some(*value);
        Self::packed(self.iter().filter(shared))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (lengths, behind) = rest.split_at_checked(2 * LENGTH_DIGITS)?;
            let (name, value) = lengths.split_at(LENGTH_DIGITS);
            let (name, behind) = behind.split_at_checked(name.parse().ok()?)?;
            let (value, behind) = behind.split_at_checked(value.parse().ok()?)?;
            rest = behind;
            Some((name, value))
        })
    }

    fn packed<'a>(claims: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::new();
        for (name, value) in claims {
            let lengths = format!("{:03}{:03}", name.len(), value.len());
            text.extend([&lengths, name, value]);
        }
        Self(text.into())
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Claims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor)
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
        let mut claims = Claims::default();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            if !claims.insert(&name, &value) {
                return Err(A::Error::custom("a claim is over a limit"));
            }
        }
        Ok(claims)
    }
}

/// Whether a text can name a claim: `a-z A-Z 0-9 _`, not empty, at most 64 bytes.
pub fn is_claim_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_LENGTH
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_over_a_limit_are_left_out() {
        let mut claims = Claims::default();
        assert!(claims.insert("email", "a@b"));
        assert!(!claims.insert("e-mail", "a@b"));
        assert!(!claims.insert("long", &"x".repeat(MAX_VALUE_LENGTH + 1)));
        for n in 1..MAX_CLAIMS {
            assert!(claims.insert(&format!("c{n}"), "x"));
        }
        assert!(!claims.insert("one_more", "x"));
        assert!(
            claims.insert("email", "c@d"),
            "an existing claim can still change"
        );
        assert_eq!(claims.get("email"), Some("c@d"));
    }

    #[test]
    fn any_value_reads_back_and_order_does_not_matter() {
        let long = "ü".repeat(MAX_VALUE_LENGTH / 2);
        let values = ["", "003003", "a\0b", "\"\\\u{7f}", "日本語", &long];
        let (mut one, mut other) = (Claims::default(), Claims::default());
        for (n, value) in values.iter().enumerate() {
            assert!(one.insert(&format!("c{n}"), value));
        }
        for (n, value) in values.iter().enumerate().rev() {
            assert!(
                other.insert(&format!("c{n}"), "before") && other.insert(&format!("c{n}"), value)
            );
        }
        assert_eq!(one, other);
        for (n, value) in values.iter().enumerate() {
            assert_eq!(one.get(&format!("c{n}")), Some(*value));
        }
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Claims>(&text).unwrap(), one);
        assert_eq!(one.shared_with(&other), one);
        assert!(serde_json::from_str::<Claims>(r#"{"a b":"x"}"#).is_err());
        assert_eq!(
            serde_json::from_str::<Claims>("{}").unwrap(),
            Claims::default()
        );
    }
}
