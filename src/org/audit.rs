//! What the audit log says: who did what, to whom, from where, and how it ended.
//!
//! An entry holds texts of a bounded length without control characters, whatever was put in. The
//! types of secrets have no text form, so none of them fits in; what only looks like one is left out.

pub mod text;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::metrics::TrailLabel;
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::OrganizationId;
use crate::names::username::Username;
use crate::org::audit::text::Text;

/// The most details of one entry.
const MAX_DETAILS: usize = 8;

/// One entry. Entries are never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// A UUID of version 7: entries are ordered by it.
    pub id: Uuid,
    /// When, by the clock of the node that did it.
    pub time: Timestamp,
    /// Whose; `None`: of no organization that is known.
    #[serde(default)]
    pub organization: Option<OrganizationId>,
    /// Who, in the form of [`Actor`].
    pub actor: Text,
    /// One of the words of [`Action`]. A later version may know more.
    pub action: Text,
    /// On whom or what.
    #[serde(default)]
    pub target: Option<Text>,
    /// The address that the call came from, or the words for no network at all.
    #[serde(default)]
    pub from: Option<Text>,
    /// The id that the caller was told in `X-Request-Id`.
    #[serde(default)]
    pub request_id: Option<Uuid>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it did not end well: the code of the answer.
    #[serde(default)]
    pub code: Option<Text>,
    /// What else there is to say.
    #[serde(default)]
    pub details: BTreeMap<String, Text>,
}

impl Entry {
    /// Adds a detail. There is room for [`MAX_DETAILS`]; more are left out.
    pub fn detail(&mut self, name: &str, value: &dyn fmt::Display) {
        if self.details.len() < MAX_DETAILS {
            self.details.insert(name.to_owned(), Text::of(value));
        }
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Whoever holds an API key: `key:<id>`.
    ApiKey(ApiKeyId),
    /// Whoever may open the local socket or the store: `operator`.
    Operator,
    /// Whoever holds the deployment's root key: `root_key`.
    RootKey,
    /// Somebody whom an identity provider vouches for: `subject:<provider>:<subject>`.
    Subject {
        /// The provider.
        provider: Uuid,
        /// What it calls the subject.
        subject: String,
    },
    /// Whoever showed a password of the username: `holder:<username>`.
    Holder(Username),
    /// A broker, by the name of its connection: `broker:<name>`.
    Broker(String),
    /// Nobody whom we know: `nobody`.
    Nobody,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::ApiKey(id) => write!(f, "key:{id}"),
            Actor::Operator => f.write_str("operator"),
            Actor::RootKey => f.write_str("root_key"),
            Actor::Subject { provider, subject } => write!(f, "subject:{provider}:{subject}"),
            Actor::Holder(username) => write!(f, "holder:{username}"),
            Actor::Broker(name) => write!(f, "broker:{name}"),
            Actor::Nobody => f.write_str("nobody"),
        }
    }
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done, or allowed.
    Ok,
    /// It was not the caller's to do.
    Refused,
    /// We could not do it, or cannot say whether it was done.
    Failed,
}

impl Outcome {
    /// Reads the word; `None`: it is another.
    pub fn parse(word: &str) -> Option<Self> {
        [Outcome::Ok, Outcome::Refused, Outcome::Failed]
            .into_iter()
            .find(|one| one.as_str() == word)
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }
}

/// A closed set of words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident => $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$about])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }
        }
    };
}

words! {
    /// What was done.
    Action {
        /// A token was minted.
        TokenMint => "token.mint",
        /// A token got a later end.
        TokenRefresh => "token.refresh",
        /// A token was revoked.
        TokenRevoke => "token.revoke",
        /// An API key was made.
        KeyCreate => "key.create",
        /// An API key was changed.
        KeyUpdate => "key.update",
        /// An API key got a successor.
        KeyRotate => "key.rotate",
        /// An API key was revoked.
        KeyRevoke => "key.revoke",
        /// A user was made.
        UserCreate => "user.create",
        /// A user was changed.
        UserUpdate => "user.update",
        /// A user is gone.
        UserDelete => "user.delete",
        /// All credentials of a user were revoked.
        UserRevoke => "user.revoke",
        /// A provider was added.
        ProviderAdd => "provider.add",
        /// A provider accepts exchanges again.
        ProviderEnable => "provider.enable",
        /// A provider accepts no exchanges.
        ProviderDisable => "provider.disable",
        /// A provider is gone.
        ProviderRemove => "provider.remove",
        /// The topic rules were replaced.
        PolicyPut => "policy.put",
        /// An organization was made.
        OrganizationCreate => "organization.create",
        /// An organization was changed.
        OrganizationUpdate => "organization.update",
        /// An organization is gone.
        OrganizationDelete => "organization.delete",
        /// What an organization had issued was revoked.
        OrganizationRevoke => "organization.revoke",
        /// A call of the API was refused, or failed.
        CallRefused => "call.refused",
        /// A broker's question was answered.
        Decision => "decision",
    }
}

words! {
    /// Entries that are kept together. Each has a bound of its own, so that much of one sort cannot
    /// push out the other sorts.
    Trail {
        /// What an administrator does.
        Changes => "changes",
        /// What users do with their own tokens.
        Tokens => "tokens",
        /// What was not done.
        Refusals => "refusals",
        /// What brokers were answered.
        Decisions => "decisions",
    }
}

impl Trail {
    /// Where an action of somebody goes. A user may mint and end tokens without end.
    pub fn of(action: Action, actor: &Actor) -> Self {
        let by_user = matches!(
            actor,
            Actor::Subject { .. } | Actor::Holder(_) | Actor::Nobody
        );
        match action {
            Action::CallRefused => Trail::Refusals,
            Action::Decision => Trail::Decisions,
            Action::TokenMint | Action::TokenRefresh => Trail::Tokens,
            Action::TokenRevoke if by_user => Trail::Tokens,
            _ => Trail::Changes,
        }
    }

    /// Reads the word; `None`: it is another.
    pub fn parse(word: &str) -> Option<Self> {
        Trail::ALL.iter().copied().find(|one| one.as_str() == word)
    }
}

impl From<Trail> for TrailLabel {
    fn from(trail: Trail) -> Self {
        match trail {
            Trail::Changes => TrailLabel::Changes,
            Trail::Tokens => TrailLabel::Tokens,
            Trail::Refusals => TrailLabel::Refusals,
            Trail::Decisions => TrailLabel::Decisions,
        }
    }
}

/// The id before all those of entries made at a time or later.
pub fn first_id(time: Timestamp) -> Uuid {
    let milliseconds = u64::try_from(time.as_millisecond()).unwrap_or(0);
    Uuid::from_u128(u128::from(milliseconds) << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_cannot_push_out_what_an_administrator_did() {
        let subject = Actor::Subject {
            provider: Uuid::nil(),
            subject: "a".into(),
        };
        let trail = |action| Trail::of(action, &subject);
        for action in [Action::TokenMint, Action::TokenRefresh, Action::TokenRevoke] {
            assert_eq!(trail(action), Trail::Tokens);
        }
        let by_key = Actor::ApiKey(ApiKeyId::random());
        assert_eq!(Trail::of(Action::TokenRevoke, &by_key), Trail::Changes);
        assert_eq!(Trail::of(Action::TokenMint, &by_key), Trail::Tokens);
        assert_eq!(Trail::of(Action::PolicyPut, &by_key), Trail::Changes);
        assert_eq!(trail(Action::CallRefused), Trail::Refusals);
    }

    #[test]
    fn words_are_unlike_and_read_back() {
        let words: std::collections::BTreeSet<_> =
            Action::ALL.iter().map(|one| one.as_str()).collect();
        assert_eq!(words.len(), Action::ALL.len());
        for trail in Trail::ALL {
            assert_eq!(Trail::parse(trail.as_str()), Some(*trail));
        }
        assert_eq!(Outcome::parse("refused"), Some(Outcome::Refused));
        assert_eq!(Outcome::parse("Refused"), None);
    }

    #[test]
    fn an_entry_of_a_later_version_is_read() {
        let text = r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","time":"2026-01-01T00:00:00Z",
            "actor":"key:Ab3zAb3zAb","action":"moon.land","outcome":"ok","new":{"x":1}}"#;
        let entry: Entry = serde_json::from_str(text).unwrap();
        assert_eq!(entry.action.as_str(), "moon.land");
        assert_eq!((entry.organization, entry.target), (None, None));
    }

    #[test]
    fn the_first_id_of_a_time_is_before_all_of_its_ids() {
        let time: Timestamp = "2026-01-01T00:00:00.007Z".parse().unwrap();
        let stamp = uuid::Timestamp::from_unix(
            uuid::NoContext,
            time.as_second() as u64,
            time.subsec_nanosecond() as u32,
        );
        assert!(first_id(time) < Uuid::new_v7(stamp));
        let later = time + jiff::SignedDuration::from_millis(1);
        assert!(first_id(later) > Uuid::new_v7(stamp));
    }

    #[test]
    fn there_is_room_for_so_many_details() {
        let text = r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","time":"2026-01-01T00:00:00Z",
            "actor":"nobody","action":"decision","outcome":"ok"}"#;
        let mut entry: Entry = serde_json::from_str(text).unwrap();
        for number in 0..100 {
            entry.detail(&format!("d{number}"), &number);
        }
        assert_eq!(entry.details.len(), MAX_DETAILS);
    }
}
