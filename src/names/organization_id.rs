//! Organization ids: `org_` and 12 lower-case base32 characters, beside a UUID alias.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::secret;

const PREFIX: &str = "org_";
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LENGTH: usize = PREFIX.len() + 12;

/// The id of an organization: `org_` + 12 characters of `a-z2-7` (60 random bits).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrganizationId([u8; LENGTH]);

/// Either form in which a caller may name an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrganizationName {
    /// `org_...`
    Id(OrganizationId),
    /// The organization's UUID alias.
    Alias(Uuid),
}

/// The text is not an organization id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an organization is named `org_` + 12 characters of a-z and 2-7, or by its UUID")]
pub struct NotAnOrganization;

impl OrganizationId {
    /// A fresh random id.
    pub fn random() -> Self {
        let mut id = String::from(PREFIX);
        push_base32(&secret::random_bytes::<12>(), 12, &mut id);
        id.parse().expect("the prefix and 12 characters are an id")
    }

    /// The text, `org_` included.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base32 is ASCII")
    }
}

text_name!(OrganizationId, NotAnOrganization);

impl fmt::Display for OrganizationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OrganizationName::Id(id) => write!(f, "{id}"),
            OrganizationName::Alias(alias) => write!(f, "{alias}"),
        }
    }
}

impl fmt::Debug for OrganizationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OrganizationId {
    type Err = NotAnOrganization;

    fn from_str(text: &str) -> Result<Self, NotAnOrganization> {
        let is_id = text.strip_prefix(PREFIX).is_some_and(is_base32);
        let bytes = text.as_bytes().try_into().ok().filter(|_| is_id);
        bytes.map(Self).ok_or(NotAnOrganization)
    }
}

impl FromStr for OrganizationName {
    type Err = NotAnOrganization;

    /// Accepts the id and the hyphenated UUID; other UUID spellings would be a second name.
    fn from_str(text: &str) -> Result<Self, NotAnOrganization> {
        if text.starts_with(PREFIX) {
            return text.parse().map(Self::Id);
        }
        match Uuid::try_parse(text) {
            Ok(alias) if text.len() == 36 => Ok(Self::Alias(alias)),
            _ => Err(NotAnOrganization),
        }
    }
}

/// Appends the low five bits of each of the first `length` bytes as lower-case base32.
pub fn push_base32(bytes: &[u8], length: usize, into: &mut String) {
    into.extend(
        bytes
            .iter()
            .take(length)
            .map(|byte| BASE32[usize::from(byte & 31)] as char),
    );
}

/// Whether the text is lower-case base32 throughout.
pub fn is_base32(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_id_reads_back() {
        let id = OrganizationId::random();
        assert_eq!(id.as_str().len(), 16);
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in [
            "",
            "org_",
            "org_k7xm4pqr2n5",
            "org_k7xm4pqr2n5tt",
            "org_K7xm4pqr2n5t",
            "org_k7xm4pqr2n1t",
            "org-k7xm4pqr2n5t",
            "ORG_k7xm4pqr2n5t",
            "org_k7xm4pqr2n5é",
            " org_k7xm4pqr2n5t",
        ] {
            assert!(text.parse::<OrganizationId>().is_err(), "{text}");
            assert!(text.parse::<OrganizationName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_uuid_names_an_organization_in_its_hyphenated_form_only() {
        let uuid = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
        assert!(matches!(uuid.parse(), Ok(OrganizationName::Alias(_))));
        for other in [
            "a1b2c3d4e5f67890abcdef1234567890",
            "{a1b2c3d4-e5f6-7890-abcd-ef1234567890}",
            "urn:uuid:a1b2c3d4-e5f6-7890-abcd-ef1234567890",
        ] {
            assert!(other.parse::<OrganizationName>().is_err(), "{other}");
        }
    }
}
