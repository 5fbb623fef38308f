//! Claims of a subject that topic rules may use: short names, short texts, few of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The longest claim name, in bytes.
pub const MAX_NAME_LENGTH: usize = 64;
/// The longest claim value, in bytes.
pub const MAX_VALUE_LENGTH: usize = 256;
/// The most claims of one subject.
pub const MAX_CLAIMS: usize = 16;

/// The mapped claims of a subject, such as `email` and `user_id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Claims(BTreeMap<String, String>);

impl Claims {
    /// Adds a claim; one that is over a limit is left out, so that the rules that need it do not
    /// apply. Returns whether it was taken.
    pub fn insert(&mut self, name: &str, value: &str) -> bool {
        let fits = is_claim_name(name) && value.len() <= MAX_VALUE_LENGTH;
        let room = self.0.len() < MAX_CLAIMS || self.0.contains_key(name);
        if fits && room {
            self.0.insert(name.to_owned(), value.to_owned());
        }
        fits && room
    }

    /// The value of a claim.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The claims that both have with the same value.
    pub fn shared_with(&self, other: &Claims) -> Claims {
        let shared = self
            .0
            .iter()
            .filter(|(name, value)| other.0.get(*name) == Some(*value));
        Claims(
            shared
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        )
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
}
