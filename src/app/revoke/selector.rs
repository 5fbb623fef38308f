//! What an operator may name to have it revoked.

use std::str::FromStr;

use jiff::Timestamp;

use crate::names::key_id::{ApiKeyId, NotAnId};
use crate::names::organization_id::{NotAnOrganization, OrganizationName};
use crate::names::token_id::{NotATokenId, TokenId};
use crate::names::username::{NotAUsername, PresentedUsername};

/// What to revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// One token.
    Token(TokenId),
    /// Every credential of a username.
    Username(PresentedUsername),
    /// Every credential of a subject of an identity provider.
    Subject {
        /// Whose provider it is.
        organization: OrganizationName,
        /// The provider's name or id.
        provider: String,
        /// What the provider calls the subject (`sub`).
        subject: String,
    },
    /// One API key.
    ApiKey(ApiKeyId),
    /// Everything of an organization: minted tokens, passwords and API keys made until now.
    Organization(OrganizationName),
    /// The same, as far as it was issued before a time.
    IssuedBefore {
        /// Whose.
        organization: OrganizationName,
        /// By the clocks of the nodes that issued. It must not lie in the future.
        time: Timestamp,
    },
}

/// The text selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASelector {
    /// It has an `@`, but is not a username.
    #[error(transparent)]
    Username(#[from] NotAUsername),
    /// It begins with `key:`, but no id of an API key follows.
    #[error("behind `key:` stands the id of an API key: {0}")]
    ApiKey(#[from] NotAnId),
    /// It begins with `org_` or `org:`, but names no organization.
    #[error(transparent)]
    Organization(#[from] NotAnOrganization),
    /// It is none of these.
    #[error(
        "{0}, or a username `<name>@<organization>`, or `key:<id of an API key>`, or an \
         organization `org_...`"
    )]
    Token(#[from] NotATokenId),
}

impl Selector {
    /// What there is none of when nothing is found.
    pub fn noun(&self) -> &'static str {
        match self {
            Selector::Token(_) => "token",
            Selector::Username(_) => "username",
            Selector::Subject { .. } => "organization, provider or subject",
            Selector::ApiKey(_) => "API key",
            Selector::Organization(_) | Selector::IssuedBefore { .. } => "organization",
        }
    }
}

impl FromStr for Selector {
    type Err = NotASelector;

    /// A bare UUID is a token's id. An organization's UUID is written `org:<UUID>`.
    fn from_str(text: &str) -> Result<Self, NotASelector> {
        if text.contains('@') {
            return Ok(Selector::Username(text.parse()?));
        }
        if let Some(id) = text.strip_prefix("key:") {
            return Ok(Selector::ApiKey(id.parse()?));
        }
        if let Some(name) = text.strip_prefix("org:") {
            return Ok(Selector::Organization(name.parse()?));
        }
        if text.starts_with("org_") {
            return Ok(Selector::Organization(text.parse()?));
        }
        Ok(Selector::Token(text.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "3f0c2a8e-6a54-4a57-9a0e-0d4f6b1c2d3e";
    const ORG: &str = "org_k7xm4pqr2n5t";

    #[test]
    fn a_text_selects_one_kind_of_thing_only() {
        for (text, noun) in [
            (UUID, "token"),
            (&*format!("u@{ORG}"), "username"),
            (&*format!("u@{UUID}"), "username"),
            (&*format!("org_x@{ORG}"), "username"),
            ("key:Ab3zAb3zAb", "API key"),
            (ORG, "organization"),
            (&*format!("org:{ORG}"), "organization"),
            (&*format!("org:{UUID}"), "organization"),
        ] {
            let selector = text.parse::<Selector>();
            assert_eq!(selector.map(|found| found.noun()), Ok(noun), "{text}");
        }
    }

    #[test]
    fn other_texts_select_nothing() {
        for text in [
            "",
            "@",
            "u@",
            "alice",
            "org_",
            "org:",
            "org_K7xm4pqr2n5t",
            "key:",
            "key:short",
            "key:Ab3zAb3zAb ",
            "KEY:Ab3zAb3zAb",
            " 3f0c2a8e-6a54-4a57-9a0e-0d4f6b1c2d3e",
            "*",
        ] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
        let error = "alice".parse::<Selector>().unwrap_err().to_string();
        for form in ["a token id is a UUID", "<name>@<", "key:<id", "org_..."] {
            assert!(error.contains(form), "{error}");
        }
    }
}
