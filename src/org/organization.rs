//! An organization and its settings.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::limits::counts::{Counted, LimitReached, OrganizationLimits};
use crate::names::key_id::ApiKeyId;
use crate::names::marks::Marks;
use crate::names::organization_id::{OrganizationId, push_base32};
use crate::names::origin::Origin;
use crate::names::username::{LocalName, NATIVE_PREFIX, SERVICE_NAME};
use crate::org::provider::{self, Provider};

/// The longest name of an organization, provider or key, in bytes.
pub const MAX_NAME_LENGTH: usize = provider::MAX_NAME_LENGTH;
/// The most username prefixes that are kept for providers that were removed.
pub const MAX_RETIRED: usize = 128;

/// A tenant. Its providers are part of the record, so that an exchange finds both in one read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// The id, `org_...`.
    pub id: OrganizationId,
    /// The UUID that every API accepts in place of the id.
    pub alias: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// How long minted tokens live.
    #[serde(default)]
    pub token_life: TokenLife,
    /// Web origins whose pages may exchange tokens. None: no browser may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<Origin>,
    /// The identity providers it trusts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<Provider>,
    /// Prefixes of providers that were removed. Their usernames may never be another's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired_prefixes: Vec<RetiredPrefix>,
    /// When it was made.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub created_at: Timestamp,
    /// What becomes of minted tokens, and how many there may be.
    #[serde(default, skip_serializing_if = "TokenRules::is_default")]
    pub token_rules: TokenRules,
    /// How much it may have and how often it may ask, where an operator has set that.
    #[serde(default, skip_serializing_if = "OrganizationLimits::is_default")]
    pub limits: OrganizationLimits,
    /// Keys with which the service user may have connected: brokers do not say with which one a
    /// session was opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_keys: Vec<ApiKeyId>,
    /// What of its credentials and API keys is over.
    #[serde(flatten)]
    pub marks: Marks,
}

/// A username prefix whose provider was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredPrefix {
    /// The prefix.
    pub prefix: String,
    /// The issuer whose subjects had it: they are the same people, so it may have it again.
    pub issuer: String,
    /// The provider's id, which it gets back with the prefix: its subjects keep their usernames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// The provider's name, by which its subjects' logins can still be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What becomes of an organization's minted tokens, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenRules {
    /// What a refresh does to the password.
    pub refresh: RefreshMode,
    /// For how long a token may be refreshed, from when it was minted.
    pub refreshable_seconds: u32,
    /// The most live tokens of one user; never more than a record can hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_user: Option<u32>,
    /// The most tokens of all users that have not expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
}

/// What a refresh does to the password of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefreshMode {
    /// It stays, and is good for longer.
    #[default]
    Extend,
    /// A new one takes its place; the old one dies after a grace.
    Rotate,
}

/// The most keys of the service user.
pub const MAX_SERVICE_KEYS: usize = 64;

impl Default for TokenRules {
    fn default() -> Self {
        Self {
            refresh: RefreshMode::Extend,
            refreshable_seconds: 30 * 86_400,
            max_per_user: None,
            max_tokens: None,
        }
    }
}

impl TokenRules {
    /// Whether nobody has changed them.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How long minted tokens live, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLife {
    /// When the caller names no time.
    pub default_seconds: u32,
    /// However much the caller asks for.
    pub max_seconds: u32,
}

/// The longest life that any organization may allow: a day.
pub const LONGEST_TOKEN_LIFE: Duration = Duration::from_secs(86_400);

impl Default for TokenLife {
    fn default() -> Self {
        Self {
            default_seconds: 3_600,
            max_seconds: LONGEST_TOKEN_LIFE.as_secs() as u32,
        }
    }
}

impl TokenLife {
    /// The end of a token minted `now`: what was asked for (or the default), at most the cap, and
    /// never beyond the identity token's own end. `None` where that leaves no whole second.
    pub fn end(
        self,
        now: Timestamp,
        asked_seconds: Option<u32>,
        identity_end: Timestamp,
    ) -> Option<Timestamp> {
        let cap = self.max_seconds.min(LONGEST_TOKEN_LIFE.as_secs() as u32);
        let life = asked_seconds.unwrap_or(self.default_seconds).min(cap);
        let end = now.as_second() + i64::from(life);
        let end = end.min(identity_end.as_second());
        (end > now.as_second())
            .then(|| Timestamp::from_second(end).ok())
            .flatten()
    }
}

/// The organization does not allow the web origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the organization does not allow requests from this web origin")]
pub struct ForeignOrigin;

/// Stands for this server where a record names a provider: the organization's own servers have named
/// the subject.
pub const NATIVE_PROVIDER: Uuid = Uuid::max();
/// What it is called on the wire.
pub const NATIVE_PROVIDER_NAME: &str = "cloudsignal";

const NATIVE_NAME_LENGTH: usize = 20;

/// The username of somebody whom a server of the organization has named. It tells nothing about that
/// name in itself.
pub fn native_name(organization: &OrganizationId, subject: &str) -> LocalName {
    // The id has a fixed length, so no other pair gives the same input.
    let hash = Sha256::new()
        .chain_update(organization.as_str())
        .chain_update(subject)
        .finalize();
    let mut name = NATIVE_PREFIX.to_owned();
    push_base32(&hash, NATIVE_NAME_LENGTH, &mut name);
    name.parse()
        .expect("a clean prefix with base32 behind it is a local name")
}

/// Why a provider cannot be added to an organization.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotAdd {
    /// There are as many as there may be.
    #[error(transparent)]
    TooMany(#[from] LimitReached),
    /// The name is taken.
    #[error("there is a provider named `{0}` already; choose another --name")]
    NameTaken(String),
    /// Two enabled providers with one issuer could not be told apart.
    #[error(
        "provider `{0}` has the same issuer already; remove it first (its users keep their names if it comes back)"
    )]
    IssuerTaken(String),
    /// Two subjects could get the same username.
    #[error(
        "the username prefix `{prefix}` and `{taken}` of provider `{name}` overlap: one begins \
         with the other, so two people could get one username; choose another --username-prefix"
    )]
    PrefixTaken {
        /// The prefix asked for.
        prefix: String,
        /// The prefix in its way.
        taken: String,
        /// Whose prefix that is.
        name: String,
    },
    /// A later subject could get the username of an earlier one.
    #[error(
        "the username prefix `{prefix}` overlaps with `{taken}` of a removed provider with the \
         issuer {issuer}: two people could get one username over time; choose another \
         --username-prefix"
    )]
    PrefixRetired {
        /// The prefix asked for.
        prefix: String,
        /// The prefix in its way.
        taken: String,
        /// Whose it was.
        issuer: String,
    },
}

/// Why a provider cannot be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotRemove {
    /// There is none of that name.
    #[error("the organization has no provider of that name or id")]
    NoSuchProvider,
    /// [`MAX_RETIRED`] reached.
    #[error(
        "{MAX_RETIRED} providers were removed from this organization already; disable this one"
    )]
    TooManyRetired,
}

impl Organization {
    /// Adds a provider.
    ///
    /// # Errors
    /// [`CannotAdd`] when it could be mixed up with one that is there; nothing is changed then.
    pub fn add_provider(&mut self, provider: Provider) -> Result<(), CannotAdd> {
        let number = self.providers.len() as u64 + 1;
        self.limits.counts.check(Counted::Providers, number)?;
        let new = &provider.username_prefix;
        if new.starts_with(NATIVE_PREFIX) || NATIVE_PREFIX.starts_with(new.as_str()) {
            return Err(CannotAdd::PrefixTaken {
                prefix: new.clone(),
                taken: NATIVE_PREFIX.into(),
                name: "of this server itself".into(),
            });
        }
        for known in &self.providers {
            if known.name == provider.name {
                return Err(CannotAdd::NameTaken(known.name.clone()));
            }
            if known.issuer == provider.issuer {
                return Err(CannotAdd::IssuerTaken(known.name.clone()));
            }
            let (new, old) = (&provider.username_prefix, &known.username_prefix);
            if new.starts_with(old.as_str()) || old.starts_with(new.as_str()) {
                return Err(CannotAdd::PrefixTaken {
                    prefix: new.clone(),
                    taken: old.clone(),
                    name: known.name.clone(),
                });
            }
        }
        let (new, issuer) = (&provider.username_prefix, &provider.issuer);
        for RetiredPrefix {
            prefix: old,
            issuer: of,
            ..
        } in &self.retired_prefixes
        {
            let same = new == old && issuer == of;
            if !same && (new.starts_with(old.as_str()) || old.starts_with(new.as_str())) {
                return Err(CannotAdd::PrefixRetired {
                    prefix: new.clone(),
                    taken: old.clone(),
                    issuer: of.clone(),
                });
            }
        }
        self.providers.push(provider);
        Ok(())
    }

    /// Takes a provider away. Its username prefix stays taken.
    ///
    /// # Errors
    /// [`CannotRemove`]; nothing is changed then.
    pub fn remove_provider(&mut self, name: &str) -> Result<Provider, CannotRemove> {
        let id = self.provider_named(name).map(|provider| provider.id);
        let at = self.providers.iter().position(|known| Some(known.id) == id);
        let at = at.ok_or(CannotRemove::NoSuchProvider)?;
        let retired = RetiredPrefix {
            prefix: self.providers[at].username_prefix.clone(),
            issuer: self.providers[at].issuer.clone(),
            id: Some(self.providers[at].id),
            name: Some(self.providers[at].name.clone()),
        };
        let same = |known: &RetiredPrefix| {
            (&known.prefix, &known.issuer) == (&retired.prefix, &retired.issuer)
        };
        self.retired_prefixes.retain(|known| !same(known));
        if self.retired_prefixes.len() >= MAX_RETIRED {
            return Err(CannotRemove::TooManyRetired);
        }
        self.retired_prefixes.push(retired);
        Ok(self.providers.remove(at))
    }

    /// The id that a provider of this issuer and prefix had before it was removed.
    pub fn former_id(&self, provider: &Provider) -> Option<Uuid> {
        let (prefix, issuer) = (&provider.username_prefix, &provider.issuer);
        let mut retired = self.retired_prefixes.iter();
        let same = retired.find(|known| (&known.prefix, &known.issuer) == (prefix, issuer));
        same?.id
    }

    /// The usernames that its providers give a subject, those that were removed included.
    pub fn names_of(&self, subject: &str) -> impl Iterator<Item = LocalName> {
        let providers = self.providers.iter();
        let removed = self.retired_prefixes.iter();
        let removed = removed
            .filter_map(move |known| Some(provider::local_name(&known.prefix, known.id?, subject)));
        providers
            .map(move |one| one.local_name(subject))
            .chain(removed)
    }

    /// The id of a provider, known by name or id, and the username that it gives a subject. Those that
    /// were removed count: their logins live on until they end.
    pub fn name_at(&self, provider: &str, subject: &str) -> Option<(Uuid, LocalName)> {
        if let Some(provider) = self.provider_named(provider) {
            return Some((provider.id, provider.local_name(subject)));
        }
        let mut retired = self.retired_prefixes.iter();
        let removed = retired.find(|known| {
            let id = known.id.map(|id| id.to_string());
            known.name.as_deref() == Some(provider) || id.as_deref() == Some(provider)
        })?;
        let id = removed.id?;
        Some((id, provider::local_name(&removed.prefix, id, subject)))
    }

    /// The enabled provider with exactly this issuer.
    pub fn provider_by_issuer(&self, issuer: &str) -> Option<&Provider> {
        self.providers
            .iter()
            .find(|provider| provider.enabled && provider.issuer == issuer)
    }

    /// The provider of this name or id, enabled or not.
    pub fn provider_named(&self, name: &str) -> Option<&Provider> {
        let named = self.providers.iter().find(|provider| provider.name == name);
        named.or_else(|| {
            let id = Uuid::try_parse(name).ok()?;
            self.providers.iter().find(|provider| provider.id == id)
        })
    }

    /// Whether pages of this origin may exchange tokens.
    pub fn allows_origin(&self, origin: &Origin) -> bool {
        self.allowed_origins.contains(origin)
    }

    /// Whether a caller with this origin may go on. Without one it is no browser.
    ///
    /// # Errors
    /// [`ForeignOrigin`].
    pub fn check_origin(&self, origin: Option<&Origin>) -> Result<(), ForeignOrigin> {
        match origin {
            Some(origin) if !self.allows_origin(origin) => Err(ForeignOrigin),
            _ => Ok(()),
        }
    }

    /// Whether a name made by hand could be given to a subject of a provider as well.
    pub fn reserves(&self, name: &str) -> bool {
        name == SERVICE_NAME
            || name.starts_with(NATIVE_PREFIX)
            || self
                .providers
                .iter()
                .any(|provider| name.starts_with(&provider.username_prefix))
            || self
                .retired_prefixes
                .iter()
                .any(|retired| name.starts_with(&retired.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Keyring;
    use crate::org::provider::tests::supabase;

    fn organization() -> Organization {
        Organization {
            id: OrganizationId::random(),
            alias: Uuid::nil(),
            name: "demo".into(),
            token_life: TokenLife::default(),
            allowed_origins: vec![],
            providers: vec![],
            retired_prefixes: vec![],
            created_at: Timestamp::UNIX_EPOCH,
            token_rules: TokenRules::default(),
            limits: OrganizationLimits::default(),
            service_keys: Vec::new(),
            marks: Marks::default(),
        }
    }

    #[test]
    fn an_older_record_has_no_marks_and_marks_read_back() {
        let mut organization = organization();
        let text = serde_json::to_string(&organization).unwrap();
        assert!(!text.contains("epoch") && !text.contains("marks"), "{text}");
        let read = |text: &str| serde_json::from_str::<Organization>(text).unwrap();
        assert_eq!(read(&text), organization);
        organization.marks.revoke_all();
        let mark = Timestamp::from_second(7).unwrap();
        organization.marks.revoke_issued_before(mark);
        let text = serde_json::to_string(&organization).unwrap();
        assert!(
            text.ends_with(r#""epoch":1,"not_issued_before":7}"#),
            "{text}"
        );
        assert_eq!(read(&text), organization);
    }

    #[test]
    fn a_provider_is_named_by_its_name_before_its_id() {
        let keys = Keyring::random();
        let mut organization = organization();
        let mut one = supabase(&keys, "one", "https://a.example", "a_");
        one.enabled = false;
        let id = one.id.to_string();
        organization.add_provider(one).unwrap();
        let name = |organization: &Organization, text: &str| {
            let found = organization.provider_named(text);
            found.map(|provider| provider.name.clone())
        };
        assert_eq!(name(&organization, "one").as_deref(), Some("one"));
        assert_eq!(name(&organization, &id).as_deref(), Some("one"));
        assert_eq!(name(&organization, "supabase"), None);
        let confusing = supabase(&keys, &id, "https://b.example", "b_");
        organization.add_provider(confusing).unwrap();
        assert_eq!(name(&organization, &id), Some(id));
    }

    #[test]
    fn a_life_is_clamped_three_ways() {
        let life = TokenLife {
            default_seconds: 60,
            max_seconds: 100,
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let far = at(1_000_000);
        assert_eq!(life.end(at(0), None, far), Some(at(60)));
        assert_eq!(life.end(at(0), Some(99), far), Some(at(99)));
        assert_eq!(life.end(at(0), Some(u32::MAX), far), Some(at(100)));
        assert_eq!(life.end(at(0), Some(99), at(7)), Some(at(7)));
        assert_eq!(life.end(at(7), Some(99), at(7)), None);
        assert_eq!(life.end(at(8), Some(99), at(7)), None);
        let endless = TokenLife {
            default_seconds: 60,
            max_seconds: u32::MAX,
        };
        assert_eq!(endless.end(at(0), Some(u32::MAX), far), Some(at(86_400)));
    }

    #[test]
    fn providers_that_could_be_mixed_up_are_refused() {
        let keys = Keyring::random();
        let mut organization = organization();
        organization
            .add_provider(supabase(&keys, "one", "https://a.example", "user_"))
            .unwrap();
        let mut add = |name, url, prefix| {
            organization
                .add_provider(supabase(&keys, name, url, prefix))
                .unwrap_err()
        };
        assert!(matches!(
            add("one", "https://b.example", "b_"),
            CannotAdd::NameTaken(_)
        ));
        assert!(matches!(
            add("two", "https://a.example", "b_"),
            CannotAdd::IssuerTaken(_)
        ));
        for prefix in ["user_", "user_x_", "us"] {
            let error = add("two", "https://b.example", prefix);
            assert!(matches!(error, CannotAdd::PrefixTaken { .. }), "{prefix}");
        }
        assert!(organization.reserves("user_x") && organization.reserves("server"));
        assert!(!organization.reserves("sensor-1"));
    }

    #[test]
    fn the_prefix_of_a_removed_provider_is_for_its_issuer_only() {
        let keys = Keyring::random();
        let mut organization = organization();
        let one = supabase(&keys, "one", "https://a.example", "user_");
        organization.add_provider(one.clone()).unwrap();
        let missing = organization.remove_provider("two");
        assert_eq!(missing, Err(CannotRemove::NoSuchProvider));
        assert_eq!(organization.remove_provider("one"), Ok(one));
        assert!(organization.providers.is_empty() && organization.reserves("user_x"));
        let other = supabase(&keys, "one", "https://b.example", "user_");
        let refused = organization.add_provider(other);
        assert!(matches!(refused, Err(CannotAdd::PrefixRetired { .. })));
        let longer = supabase(&keys, "one", "https://a.example", "user_a_");
        assert!(organization.add_provider(longer).is_err());
        let again = supabase(&keys, "one", "https://a.example", "user_");
        organization.add_provider(again).unwrap();
        organization.remove_provider("one").unwrap();
        assert_eq!(organization.retired_prefixes.len(), 1);
    }

    #[test]
    fn only_an_enabled_provider_is_found() {
        let keys = Keyring::random();
        let mut organization = organization();
        organization
            .add_provider(supabase(&keys, "one", "https://a.example", "user_"))
            .unwrap();
        let issuer = organization.providers[0].issuer.clone();
        assert!(organization.provider_by_issuer(&issuer).is_some());
        assert!(
            organization
                .provider_by_issuer(&format!("{issuer}/"))
                .is_none()
        );
        organization.providers[0].enabled = false;
        assert!(organization.provider_by_issuer(&issuer).is_none());
    }
}
