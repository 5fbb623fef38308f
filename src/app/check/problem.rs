//! What can be wrong with something in a store, and what an operator can do about it.

use jiff::Timestamp;
use uuid::Uuid;

use crate::names::organization_id::OrganizationId;
use crate::names::origin::Origin;
use crate::names::token_id::TokenId;
use crate::store::list::ListKind;
use crate::store::record::BadRecord;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is wrong with: a name in the store.
    pub name: String,
    /// What is wrong.
    pub problem: Problem,
    /// What was done about it.
    pub outcome: Outcome,
}

/// What was done about a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    Left,
    /// It is no more; the text says what was done.
    Mended(String),
    /// It was changed by somebody else in that moment.
    Overtaken,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The name is none that this version gives. Of something that is no text: what it is.
    #[error("the name is not that of a record{}", .0.as_ref().map(|kind| format!(", and it is a {kind}")).unwrap_or_default())]
    NotAKey(Option<String>),
    /// No record can be such.
    #[error("it is of the type {0}, and a record is a text")]
    WrongType(String),
    /// A newer version wrote it.
    #[error("{}", BadRecord::Newer(*.0))]
    Newer(u16),
    /// The text is no record.
    #[error("{}", BadRecord::Unreadable(.0.clone()))]
    Unreadable(String),
    /// Something else wrote it.
    #[error("the record has no revision, so it was not written by this program")]
    NoRevision,
    /// The record says that it is another.
    #[error("the record is of another name")]
    Misnamed,
    /// The store drops it at another time than the record says.
    #[error("the store drops it {}, and should {}", at(.is), at(.should))]
    Expiry {
        /// When it does.
        is: Option<Timestamp>,
        /// When it should.
        should: Option<Timestamp>,
    },
    /// A live token cannot be found by its id.
    #[error("the token {0} has no index, so it cannot be revoked by its id")]
    NoIndex(TokenId),
    /// A live token's id leads to somebody else.
    #[error("the index of the token {0} leads to another user, so its id revokes nothing")]
    ForeignIndex(TokenId),
    /// A token's id leads to nothing.
    #[error("the index leads to no credential")]
    DanglingIndex,
    /// What belongs to an organization is there without it.
    #[error("the organization {0} does not exist")]
    NoOrganization(OrganizationId),
    /// Nobody has any rights.
    #[error("the organization has no policy")]
    NoPolicy,
    /// The UUID does not lead to the organization.
    #[error("the alias {0} of the organization is missing")]
    NoAlias(Uuid),
    /// The UUID leads to another organization.
    #[error("the alias {0} leads to another organization")]
    ForeignAlias(Uuid),
    /// A CORS preflight is refused that should not be.
    #[error("the allowed origin {0} is missing")]
    NoOrigin(Origin),
    /// It works, but its organization does not see it.
    #[error("it is not in the list of its organization's {}", .0.as_str())]
    NotListed(ListKind),
}

impl Problem {
    /// Its kind, as one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Problem::NotAKey(_) => "not_a_key",
            Problem::WrongType(_) => "wrong_type",
            Problem::Newer(_) => "newer",
            Problem::Unreadable(_) => "unreadable",
            Problem::NoRevision => "no_revision",
            Problem::Misnamed => "misnamed",
            Problem::Expiry { .. } => "expiry",
            Problem::NoIndex(_) => "no_index",
            Problem::ForeignIndex(_) => "foreign_index",
            Problem::DanglingIndex => "dangling_index",
            Problem::NoOrganization(_) => "no_organization",
            Problem::NoPolicy => "no_policy",
            Problem::NoAlias(_) => "no_alias",
            Problem::ForeignAlias(_) => "foreign_alias",
            Problem::NoOrigin(_) => "no_origin",
            Problem::NotListed(_) => "not_listed",
        }
    }

    /// What can be done about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Problem::WrongType(_) | Problem::Unreadable(_) => {
                "--fix moves it aside; then import the record from an export, or make it anew"
            }
            Problem::Expiry { .. } => "--fix writes the record again",
            Problem::NotListed(_) => {
                "--fix writes the record again; such was made before there were lists"
            }
            Problem::NoIndex(_) => "--fix makes the index",
            Problem::DanglingIndex => {
                "--fix deletes it; such is left of a login that a crash broke off, or that made \
                 room after its revoke, and it harms nobody"
            }
            Problem::NotAKey(_) => {
                "it is never touched: a newer version may have written it; if you are sure that \
                 none did, remove it with the store's own tools"
            }
            Problem::Newer(_) => "it is never touched; upgrade, and check with the newer version",
            Problem::NoRevision | Problem::Misnamed => {
                "find out who wrote it, remove it with the store's own tools, and import the \
                 record from an export"
            }
            Problem::ForeignIndex(_) => "revoke the username instead of the token",
            Problem::NoOrganization(_) => {
                "it gives nobody any rights; import the organization from an export if it should \
                 be there"
            }
            Problem::NoPolicy => "everything is refused until `ticketgate policy set` sets one",
            Problem::NoAlias(_) | Problem::ForeignAlias(_) | Problem::NoOrigin(_) => {
                "import the record from an export"
            }
        }
    }
}

impl From<BadRecord> for Problem {
    fn from(error: BadRecord) -> Self {
        match error {
            BadRecord::Newer(version) => Problem::Newer(version),
            BadRecord::Unreadable(why) => Problem::Unreadable(why),
        }
    }
}

fn at(time: &Option<Timestamp>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("at {time}"))
}
