//! The most that an organization may have of something.

use serde::{Deserialize, Serialize};

use crate::limits::rate::Rate;

/// What an operator has set for an organization, in place of what holds for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrganizationLimits {
    /// The most of each thing.
    #[serde(flatten)]
    pub counts: CountLimits,
    /// How often it may be called, by all its keys together; `None`: `limits.organization`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<Rate>,
    /// How often a token may be minted for it; `None`: `limits.mint`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mints: Option<Rate>,
}

/// A change of them; `None`: stays as it is, `Some(None)`: what holds for all.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitsChange {
    /// The most of each thing.
    pub counts: CountLimits,
    /// How often it may be called.
    pub calls: Option<Option<Rate>>,
    /// How often a token may be minted for it.
    pub mints: Option<Option<Rate>>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Users with a password of their own.
    Users,
    /// API keys that have not been revoked.
    Keys,
    /// Identity providers.
    Providers,
    /// Rules of the policy.
    Rules,
    /// Web origins that are allowed.
    Origins,
}

/// The most of each; `None`: [`Counted::usual`]. An operator sets them, the organization itself cannot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CountLimits {
    /// Users with a password of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<u32>,
    /// API keys that have not been revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<u32>,
    /// Identity providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<u32>,
    /// Rules of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<u32>,
    /// Web origins that are allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origins: Option<u32>,
}

/// There are as many as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the organization may have {max} {}; remove what is not needed, or ask the operator of this server: \
     `ticketgate org set --max-{} <NUMBER>` raises it up to {}",
    what.text(), what.option(), what.most()
)]
pub struct LimitReached {
    /// Of what.
    pub what: Counted,
    /// As many.
    pub max: u32,
}

/// More than the operator may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("--max-{} is at most {}: more do not fit", .0.option(), .0.most())]
pub struct TooHigh(pub Counted);

impl Counted {
    /// All of them.
    pub const ALL: [Counted; 5] = [
        Counted::Users,
        Counted::Keys,
        Counted::Providers,
        Counted::Rules,
        Counted::Origins,
    ];

    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Counted::Users => "users with a password",
            Counted::Keys => "API keys",
            Counted::Providers => "identity providers",
            Counted::Rules => "topic rules",
            Counted::Origins => "allowed origins",
        }
    }

    /// What the option of `ticketgate org set` is called, behind `--max-`.
    pub fn option(self) -> &'static str {
        match self {
            Counted::Users => "users",
            Counted::Keys => "keys",
            Counted::Providers => "providers",
            Counted::Rules => "rules",
            Counted::Origins => "origins",
        }
    }

    /// As many an organization may have for which nothing was set.
    pub fn usual(self) -> u32 {
        match self {
            Counted::Users => 10_000,
            Counted::Keys => 100,
            Counted::Providers => 32,
            Counted::Rules => 10_000,
            Counted::Origins => 64,
        }
    }

    /// As many can be allowed. Providers and origins are part of one record, and a policy is one.
    pub const fn most(self) -> u32 {
        match self {
            Counted::Users => 10_000_000,
            Counted::Keys => 10_000,
            Counted::Providers => 32,
            Counted::Rules => 10_000,
            Counted::Origins => 64,
        }
    }
}

impl OrganizationLimits {
    /// Whether nobody has changed them.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Changes them, all or none.
    ///
    /// # Errors
    /// [`TooHigh`].
    pub fn change(&mut self, change: &LimitsChange) -> Result<(), TooHigh> {
        self.counts = self.counts.with(&change.counts)?;
        self.calls = change.calls.unwrap_or(self.calls);
        self.mints = change.mints.unwrap_or(self.mints);
        Ok(())
    }
}

impl CountLimits {
    /// As many there may be.
    pub fn max(&self, what: Counted) -> u32 {
        let set = match what {
            Counted::Users => self.users,
            Counted::Keys => self.keys,
            Counted::Providers => self.providers,
            Counted::Rules => self.rules,
            Counted::Origins => self.origins,
        };
        set.unwrap_or_else(|| what.usual()).min(what.most())
    }

    /// Whether there may be as many as `number`, the new ones included. What is over the limit
    /// already, because that was lowered, may stay: ask only before something is added.
    ///
    /// # Errors
    /// [`LimitReached`].
    pub fn check(&self, what: Counted, number: u64) -> Result<(), LimitReached> {
        let max = self.max(what);
        if number <= u64::from(max) {
            Ok(())
        } else {
            Err(LimitReached { what, max })
        }
    }

    /// These, with what is named in `change` in place of what was.
    ///
    /// # Errors
    /// [`TooHigh`].
    pub fn with(&self, change: &CountLimits) -> Result<Self, TooHigh> {
        let changed = Self {
            users: change.users.or(self.users),
            keys: change.keys.or(self.keys),
            providers: change.providers.or(self.providers),
            rules: change.rules.or(self.rules),
            origins: change.origins.or(self.origins),
        };
        let set = [
            changed.users,
            changed.keys,
            changed.providers,
            changed.rules,
            changed.origins,
        ];
        let mut over = Counted::ALL.into_iter().zip(set);
        match over.find(|(what, set)| set.is_some_and(|set| set > what.most())) {
            Some((what, _)) => Err(TooHigh(what)),
            None => Ok(changed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_goes_before_what_is_usual() {
        let set = CountLimits {
            users: Some(3),
            ..CountLimits::default()
        };
        assert_eq!(set.check(Counted::Users, 3), Ok(()));
        let (what, max) = (Counted::Users, 3);
        assert_eq!(set.check(what, 4), Err(LimitReached { what, max }));
        for what in Counted::ALL {
            let usual = u64::from(what.usual());
            assert_eq!(CountLimits::default().check(what, usual), Ok(()));
            assert!(CountLimits::default().check(what, usual + 1).is_err());
        }
        let text = set.check(what, 4).unwrap_err().to_string();
        assert!(
            text.contains("--max-users") && text.contains("operator"),
            "{text}"
        );
    }

    #[test]
    fn a_change_names_some_and_stays_within_what_fits() {
        let change = |users, origins| CountLimits {
            users,
            origins,
            ..CountLimits::default()
        };
        let first = CountLimits::default().with(&change(Some(5), None)).unwrap();
        let second = first.with(&change(None, Some(7))).unwrap();
        assert_eq!(second, change(Some(5), Some(7)));
        let refused = second.with(&change(None, Some(65)));
        assert_eq!(refused, Err(TooHigh(Counted::Origins)));
    }

    #[test]
    fn stored_limits_without_a_field_are_the_usual_ones() {
        let usual = OrganizationLimits::default();
        let read = |text: &str| serde_json::from_str::<OrganizationLimits>(text).unwrap();
        assert_eq!(read("{}"), usual);
        assert_eq!(serde_json::to_string(&usual).unwrap(), "{}");
        let text = r#"{"users":3,"mints":"5/s burst 9"}"#;
        assert_eq!(read(text).counts.users, Some(3));
        assert_eq!(serde_json::to_string(&read(text)).unwrap(), text);
    }
}
