//! What has a bucket of its own.

use std::fmt;
use std::str::FromStr;

use crate::limits::address::AddressGroup;
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::OrganizationId;

/// What a bucket is of. As a text, which nodes tell each other: `key:<id>`, `org:<id>`, `mint:<id>`
/// or `address:<address>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Whose {
    /// The calls of an API key.
    Key(ApiKeyId),
    /// The calls for an organization.
    Organization(OrganizationId),
    /// The tokens that are minted for an organization.
    Mint(OrganizationId),
    /// What has failed from an address.
    Address(AddressGroup),
}

/// The kinds of [`Whose`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`Whose::Key`]
    Key,
    /// [`Whose::Organization`]
    Organization,
    /// [`Whose::Mint`]
    Mint,
    /// [`Whose::Address`]
    Address,
}

/// The text names nothing that has a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nobody;

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Kind; 4] = [Kind::Key, Kind::Organization, Kind::Mint, Kind::Address];

    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Kind::Key => "this API key",
            Kind::Organization => "the organization",
            Kind::Mint => "new tokens of the organization",
            Kind::Address => "failed calls from this address",
        }
    }
}

impl Whose {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Whose::Key(_) => Kind::Key,
            Whose::Organization(_) => Kind::Organization,
            Whose::Mint(_) => Kind::Mint,
            Whose::Address(_) => Kind::Address,
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whose::Key(id) => write!(f, "key:{id}"),
            Whose::Organization(id) => write!(f, "org:{id}"),
            Whose::Mint(id) => write!(f, "mint:{id}"),
            Whose::Address(address) => write!(f, "address:{address}"),
        }
    }
}

impl FromStr for Whose {
    type Err = Nobody;

    fn from_str(text: &str) -> Result<Self, Nobody> {
        let (kind, name) = text.split_once(':').ok_or(Nobody)?;
        let whose = match kind {
            "key" => name.parse().map(Whose::Key).ok(),
            "org" => name.parse().map(Whose::Organization).ok(),
            "mint" => name.parse().map(Whose::Mint).ok(),
            "address" => name.parse().map(Whose::Address).ok(),
            _ => None,
        };
        whose.ok_or(Nobody)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_they_are_written() {
        let organization = OrganizationId::random();
        for whose in [
            Whose::Key(ApiKeyId::random()),
            Whose::Organization(organization.clone()),
            Whose::Mint(organization),
            Whose::Address("2001:db8::1".parse().unwrap()),
            Whose::Address("192.0.2.1".parse().unwrap()),
        ] {
            assert_eq!(whose.to_string().parse(), Ok(whose));
        }
        for bad in ["", "key", "key:", "address:x", "user:alice"] {
            assert_eq!(bad.parse::<Whose>(), Err(Nobody), "{bad}");
        }
    }
}
