//! Ids of API keys and of the keys that seal and pepper.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::base62;

/// Characters of an API key's id.
pub const API_KEY_ID_LENGTH: usize = 10;
/// Characters of a seal key's or a pepper's id.
pub const RING_KEY_ID_LENGTH: usize = 4;

/// The public id of an API key: 10 base62 characters.
pub type ApiKeyId = Base62Id<API_KEY_ID_LENGTH>;
/// The id of a seal key or a pepper: 4 base62 characters.
pub type RingKeyId = Base62Id<RING_KEY_ID_LENGTH>;

/// An id of exactly `N` base62 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Base62Id<const N: usize>([u8; N]);

/// The text is not such an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id is {0} characters of 0-9 A-Z a-z")]
pub struct NotAnId(usize);

impl<const N: usize> Base62Id<N> {
    /// A fresh random id.
    pub fn random() -> Self {
        base62::random(N)
            .parse()
            .expect("random base62 of this length is an id")
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base62 is ASCII")
    }
}

text_name!(Base62Id<N>, NotAnId, const N: usize);

impl<const N: usize> FromStr for Base62Id<N> {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if !base62::is_base62(text) {
            return Err(NotAnId(N));
        }
        text.as_bytes().try_into().map(Self).map_err(|_| NotAnId(N))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_length_and_alphabet() {
        assert!("Ab3z".parse::<RingKeyId>().is_ok());
        for text in ["", "Ab3", "Ab3zz", "Ab-z", "Abéz"] {
            assert!(text.parse::<RingKeyId>().is_err(), "{text}");
        }
        assert_eq!(ApiKeyId::random().as_str().len(), 10);
    }
}
