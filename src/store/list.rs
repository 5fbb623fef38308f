//! Lists of an organization's tokens, keys and users. A list is kept in the step that writes the
//! record, so neither is without the other.

use jiff::Timestamp;

use crate::credential::holder::HolderIdentity;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::names::username::LocalName;
use crate::store::record::{Record, RecordKey};

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// Tokens that have not ended, by their ends. Revoked ones are among them.
    Tokens,
    /// API keys, by when they were made. Revoked ones are among them.
    Keys,
    /// Users made by hand, by name.
    Users,
}

/// A place in a list: behind the one that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPlace {
    /// The part of a shared store; 0 where there are none.
    pub shard: usize,
    /// What the list is ordered by, in seconds of Unix time; 0 in a list by name.
    pub order: i64,
    /// The thing, as the list names it.
    pub name: String,
}

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRow {
    /// Of which list.
    pub kind: ListKind,
    /// Whose.
    pub organization: OrganizationId,
    /// What the list is ordered by.
    pub order: i64,
    /// The thing, as the list names it.
    pub name: String,
}

/// Some rows of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// As the list names things, in order within each part of a shared store. A token whose end
    /// moves while the list is read may come twice.
    pub names: Vec<String>,
    /// Where to go on; `None`: these were the last.
    pub next: Option<ListPlace>,
}

/// A token in the list of its organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedToken {
    /// Which token.
    pub id: TokenId,
    /// Whose, in its organization.
    pub holder: LocalName,
}

impl ListKind {
    /// Every kind.
    pub const ALL: [ListKind; 3] = [ListKind::Tokens, ListKind::Keys, ListKind::Users];

    /// What it is called in a store.
    pub fn as_str(self) -> &'static str {
        match self {
            ListKind::Tokens => "tokens",
            ListKind::Keys => "keys",
            ListKind::Users => "users",
        }
    }

    /// Whether its rows go when their time is up.
    pub fn expires(self) -> bool {
        self == ListKind::Tokens
    }
}

impl ListPlace {
    /// Before everything of this part that is not over `now`.
    pub fn start(kind: ListKind, shard: usize, now: Timestamp) -> Self {
        let order = match kind {
            ListKind::Tokens => now.as_second().saturating_add(1),
            ListKind::Keys | ListKind::Users => -SECONDS,
        };
        Self {
            shard,
            order,
            name: String::new(),
        }
    }
}

/// More than any time in seconds, and a number that Redis holds exactly.
const SECONDS: i64 = 1 << 50;

impl ListRow {
    /// What a record adds to a list; `None`: it is in none.
    pub fn of(key: &RecordKey, record: &Record) -> Option<Self> {
        let (kind, organization, order, name) = match (key, record) {
            (RecordKey::Token(id), Record::Token(index)) => (
                ListKind::Tokens,
                &index.organization,
                index.expires_at.as_second(),
                ListedToken::name(id, &index.name),
            ),
            (_, Record::ApiKey(key)) => (
                ListKind::Keys,
                &key.organization,
                key.created_at.as_second(),
                key.id.to_string(),
            ),
            (_, Record::Holder(holder)) if holder.identity == HolderIdentity::Static => (
                ListKind::Users,
                &holder.organization,
                0,
                holder.name.to_string(),
            ),
            _ => return None,
        };
        Some(Self {
            kind,
            organization: organization.clone(),
            order,
            name,
        })
    }
}

impl ListedToken {
    /// As the list names it.
    pub fn name(id: &TokenId, holder: &LocalName) -> String {
        format!("{id}:{holder}")
    }

    /// Reads a name; `None`: it is none.
    pub fn parse(name: &str) -> Option<Self> {
        let (id, holder) = name.split_once(':')?;
        Some(Self {
            id: id.parse().ok()?,
            holder: holder.parse().ok()?,
        })
    }
}
