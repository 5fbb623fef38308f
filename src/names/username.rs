//! MQTT usernames: `<local>@<organization>`, split at the last `@`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::names::organization_id::{NotAnOrganization, OrganizationId, OrganizationName};

/// The local part of an organization's service user, whose password is a secret API key.
pub const SERVICE_NAME: &str = "server";
/// What the usernames of those begin with whom this deployment knows by a name that a server of the
/// organization gave them, and not by an identity provider.
pub const NATIVE_PREFIX: &str = "tok_";
/// The longest local part.
pub const MAX_LOCAL_LENGTH: usize = 64;

/// The local part of a username: 1 to 64 of `A-Z a-z 0-9 _ -`, and neither `undefined` nor `null`.
///
/// Every other character is an injection in some broker: `%` in RMQTT's templates, `.` and `*` in
/// RabbitMQ's routing keys, `,` in NanoMQ's lists, `:` in RabbitMQ's vhost syntax, `/ + #` in topics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalName(Arc<str>);

/// A whole username of an organization, in the form that records and topics use.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Username {
    /// The part before the last `@`.
    pub local: LocalName,
    /// The organization behind it.
    pub organization: OrganizationId,
}

/// A username as a client sent it: the organization may still be named by its UUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedUsername {
    /// The part before the last `@`.
    pub local: LocalName,
    /// What stands behind it.
    pub organization: OrganizationName,
}

/// Why a text is not a username.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAUsername {
    /// No `@`: there is no organization.
    #[error("a username is `<name>@<organization>`, and there is no `@`")]
    NoOrganization,
    /// The part behind the last `@` names no organization.
    #[error(transparent)]
    Organization(#[from] NotAnOrganization),
    /// The part before it has a refused character, length or word.
    #[error(
        "the name before the `@` is 1 to {MAX_LOCAL_LENGTH} of A-Z a-z 0-9 _ -, \
         and not the word `undefined` or `null`"
    )]
    Local,
}

impl LocalName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_name!(LocalName, NotAUsername);

impl FromStr for LocalName {
    type Err = NotAUsername;

    fn from_str(text: &str) -> Result<Self, NotAUsername> {
        let clean = is_clean(text) && text.len() <= MAX_LOCAL_LENGTH;
        // EMQX 4 sends the word `undefined` for an absent username, other brokers `null`.
        if !clean || matches!(text, "" | "undefined" | "null") {
            return Err(NotAUsername::Local);
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for PresentedUsername {
    type Err = NotAUsername;

    fn from_str(text: &str) -> Result<Self, NotAUsername> {
        let (local, organization) = text.rsplit_once('@').ok_or(NotAUsername::NoOrganization)?;
        Ok(Self {
            local: local.parse()?,
            organization: organization.parse()?,
        })
    }
}

impl FromStr for Username {
    type Err = NotAUsername;

    fn from_str(text: &str) -> Result<Self, NotAUsername> {
        let (local, organization) = text.rsplit_once('@').ok_or(NotAUsername::NoOrganization)?;
        Ok(Self {
            local: local.parse()?,
            organization: organization.parse()?,
        })
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.organization)
    }
}

/// Whether every character may stand in a local part.
pub fn is_clean(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORG: &str = "org_k7xm4pqr2n5t";

    #[test]
    fn both_forms_of_an_organization_are_read() {
        let plain: Username = format!("user_abc-1@{ORG}").parse().unwrap();
        assert_eq!(plain.local.as_str(), "user_abc-1");
        assert_eq!(plain.to_string(), format!("user_abc-1@{ORG}"));
        let alias: PresentedUsername = "u@a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap();
        assert!(matches!(alias.organization, OrganizationName::Alias(_)));
    }

    #[test]
    fn every_other_character_is_refused_in_the_local_part() {
        for code in (0..=0x17F_u32).chain([0x2028, 0xFFFD, 0x1F600]) {
            let character = char::from_u32(code).unwrap();
            let allowed = character.is_ascii_alphanumeric() || "_-".contains(character);
            let text = format!("a{character}b@{ORG}");
            assert_eq!(text.parse::<Username>().is_ok(), allowed, "{character:?}");
            assert_eq!(
                text.parse::<PresentedUsername>().is_ok(),
                allowed,
                "{character:?}"
            );
        }
    }

    #[test]
    fn lengths_and_reserved_words() {
        for (local, expected) in [
            ("", false),
            ("a", true),
            (&*"a".repeat(64), true),
            (&*"a".repeat(65), false),
            ("undefined", false),
            ("null", false),
            ("undefined1", true),
            ("a@b", false),
        ] {
            assert_eq!(
                format!("{local}@{ORG}").parse::<Username>().is_ok(),
                expected,
                "{local}"
            );
        }
    }

    #[test]
    fn the_organization_is_needed() {
        for text in [
            "alice",
            "alice@",
            "@",
            "alice@org",
            "alice@ORG_k7xm4pqr2n5t",
        ] {
            assert!(text.parse::<PresentedUsername>().is_err(), "{text}");
        }
    }
}
