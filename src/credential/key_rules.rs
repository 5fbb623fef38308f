//! How an API key is narrower than its kind and scopes say: from where, on what, for how long.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::credential::terms::Limits;
use crate::mqtt::filter_algebra::covers;
use crate::names::origin::Origin;

/// The most allowed origins of one key.
pub const MAX_ORIGINS: usize = 32;
/// The most address ranges of one key.
pub const MAX_RANGES: usize = 32;
/// The most requests per second, and at once, that a key's rate can say.
pub const MAX_RATE: u32 = 1_000_000;

/// The rules of one key. Each is optional, and all that there are must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyRules {
    /// Web origins that may use it; none: those that the organization allows. It narrows browsers
    /// only: whoever is none sends whatever origin, or none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<Origin>,
    /// Addresses that may use it; none: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_addresses: Vec<IpNet>,
    /// What it, and every token minted with it, may do at most; `None`: as the policy says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// The longest life of a token minted with it, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ttl_seconds: Option<u32>,
    /// At this moment it is over.
    #[serde(
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::timestamp::second::optional"
    )]
    pub expires_at: Option<Timestamp>,
    /// How often it may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<KeyRate>,
}

/// How often a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRate {
    /// Requests per second, in the long run.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
}

/// A rule in words, as the API calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wider(pub &'static str);

impl KeyRules {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a page of this origin may use the key; without one it is no browser.
    pub fn admits_origin(&self, origin: Option<&Origin>) -> bool {
        let all = self.allowed_origins.is_empty();
        all || origin.is_none_or(|origin| self.allowed_origins.contains(origin))
    }

    /// Whether somebody at this address may use the key. Where nobody can tell the address, a key
    /// that has ranges is not for them.
    pub fn admits_address(&self, address: Option<IpAddr>) -> bool {
        let within = |address| {
            self.allowed_addresses
                .iter()
                .any(|net| net.contains(&address))
        };
        self.allowed_addresses.is_empty() || address.is_some_and(within)
    }

    /// Whether these rules are nowhere wider than others.
    ///
    /// # Errors
    /// The first rule that is.
    pub fn check_within(&self, outer: &KeyRules) -> Result<(), Wider> {
        let origins = part_of(&self.allowed_origins, &outer.allowed_origins, |one, all| {
            all == one
        });
        let addresses = part_of(
            &self.allowed_addresses,
            &outer.allowed_addresses,
            |one, all| all.contains(one),
        );
        let topics = at_most(&self.limits, &outer.limits, limits_within);
        let ttl = at_most(&self.max_ttl_seconds, &outer.max_ttl_seconds, |a, b| a <= b);
        let end = at_most(&self.expires_at, &outer.expires_at, |a, b| a <= b);
        let rate = at_most(&self.rate, &outer.rate, |a, b| {
            a.per_second <= b.per_second && a.burst <= b.burst
        });
        for (good, name) in [
            (origins, "allowed_origins"),
            (addresses, "allowed_addresses"),
            (topics, "permissions or topics"),
            (ttl, "max_ttl"),
            (end, "expires_at"),
            (rate, "rate"),
        ] {
            if !good {
                return Err(Wider(name));
            }
        }
        Ok(())
    }
}

/// Whether everything in one list is within something in the other. An empty list stands for
/// everything.
fn part_of<T>(inner: &[T], outer: &[T], within: impl Fn(&T, &T) -> bool) -> bool {
    let is_in = |one: &T| outer.iter().any(|all| within(one, all));
    outer.is_empty() || (!inner.is_empty() && inner.iter().all(is_in))
}

/// Whether one limit is within the other; none stands for no limit.
fn at_most<T>(inner: &Option<T>, outer: &Option<T>, within: impl Fn(&T, &T) -> bool) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => within(inner, outer),
    }
}

/// Whether a right is nowhere wider than another. A placeholder stands for one level or a part of
/// it, so it is within whatever covers its level; two of them are the same where their texts are.
pub fn limits_within(inner: &Limits, outer: &Limits) -> bool {
    let topics = at_most(&inner.topics, &outer.topics, |inner, outer| {
        part_of(inner, outer, |one, all| covers(all, one))
            && (!outer.is_empty() || inner.is_empty())
    });
    (outer.publish || !inner.publish) && (outer.subscribe || !inner.subscribe) && topics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_second(second).unwrap())
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn limits(publish: bool, subscribe: bool, topics: Option<&[&str]>) -> Option<Limits> {
        let topics = topics.map(|topics| topics.iter().map(|one| (*one).to_owned()).collect());
        Some(Limits {
            publish,
            subscribe,
            topics,
        })
    }

    fn rate(per_second: u32, burst: u32) -> Option<KeyRate> {
        Some(KeyRate { per_second, burst })
    }

    /// Every rule once.
    fn outer() -> KeyRules {
        KeyRules {
            allowed_origins: vec![
                "https://a.example".parse().unwrap(),
                "https://b.example".parse().unwrap(),
            ],
            allowed_addresses: nets(&["10.0.0.0/8", "2001:db8::/32"]),
            limits: limits(true, false, Some(&["a/#", "u/{user_id}/+"])),
            max_ttl_seconds: Some(600),
            expires_at: at(1_000),
            rate: rate(10, 20),
        }
    }

    #[test]
    fn rules_are_within_themselves_and_within_none() {
        assert_eq!(outer().check_within(&outer()), Ok(()));
        assert_eq!(outer().check_within(&KeyRules::default()), Ok(()));
        assert_eq!(
            KeyRules::default().check_within(&KeyRules::default()),
            Ok(())
        );
    }

    #[test]
    fn each_rule_can_be_narrower_and_never_wider() {
        let origins = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let with = |change: &dyn Fn(&mut KeyRules)| {
            let mut rules = outer();
            change(&mut rules);
            rules.check_within(&outer())
        };
        for narrower in [
            &|one: &mut KeyRules| one.allowed_origins = origins(&["https://b.example"]),
            &|one| one.allowed_addresses = nets(&["10.1.0.0/16", "10.2.0.1/32"]),
            &|one| one.allowed_addresses = nets(&["2001:db8:1::/48"]),
            &|one| one.limits = limits(false, false, Some(&["a/b"])),
            &|one| one.limits = limits(true, false, Some(&["a/{email}/#", "a/+"])),
            &|one| one.limits = limits(true, false, Some(&["u/{user_id}/x"])),
            &|one| one.max_ttl_seconds = Some(1),
            &|one| one.expires_at = at(999),
            &|one| one.rate = rate(10, 1),
        ] as [&dyn Fn(&mut KeyRules); 9]
        {
            assert_eq!(with(narrower), Ok(()));
        }
        for (wider, name) in [
            (
                &|one: &mut KeyRules| one.allowed_origins = vec![],
                "allowed_origins",
            ),
            (
                &|one| one.allowed_origins = origins(&["https://a.example.evil"]),
                "allowed_origins",
            ),
            (
                &|one| one.allowed_origins = origins(&["http://a.example"]),
                "allowed_origins",
            ),
            (&|one| one.allowed_addresses = vec![], "allowed_addresses"),
            (
                &|one| one.allowed_addresses = nets(&["0.0.0.0/0"]),
                "allowed_addresses",
            ),
            (
                &|one| one.allowed_addresses = nets(&["10.0.0.0/7"]),
                "allowed_addresses",
            ),
            (
                &|one| one.allowed_addresses = nets(&["10.0.0.0/8", "::/0"]),
                "allowed_addresses",
            ),
            (&|one| one.limits = None, "permissions or topics"),
            (
                &|one| one.limits = limits(true, true, Some(&["a/b"])),
                "permissions or topics",
            ),
            (
                &|one| one.limits = limits(true, false, None),
                "permissions or topics",
            ),
            (
                &|one| one.limits = limits(true, false, Some(&["#"])),
                "permissions or topics",
            ),
            (
                &|one| one.limits = limits(true, false, Some(&["a/b", "b"])),
                "permissions or topics",
            ),
            (
                &|one| one.limits = limits(true, false, Some(&["u/bob/x"])),
                "permissions or topics",
            ),
            (
                &|one| one.limits = limits(true, false, Some(&["u/{user_id}/#"])),
                "permissions or topics",
            ),
            (&|one| one.max_ttl_seconds = None, "max_ttl"),
            (&|one| one.max_ttl_seconds = Some(601), "max_ttl"),
            (&|one| one.expires_at = None, "expires_at"),
            (&|one| one.expires_at = at(1_001), "expires_at"),
            (&|one| one.rate = None, "rate"),
            (&|one| one.rate = rate(11, 20), "rate"),
            (&|one| one.rate = rate(10, 21), "rate"),
        ] as [(&dyn Fn(&mut KeyRules), &str); 21]
        {
            assert_eq!(with(wider), Err(Wider(name)));
        }
    }

    #[test]
    fn an_unknown_address_is_within_no_range() {
        let rules = outer();
        let admits = |text: &str| rules.admits_address(text.parse().ok());
        assert!(admits("10.255.0.1") && admits("2001:db8::1"));
        assert!(!admits("11.0.0.1") && !admits("::1") && !admits("unknown"));
        assert!(!admits("::ffff:10.0.0.1"), "it is made plain before");
        assert!(KeyRules::default().admits_address(None));
    }

    #[test]
    fn a_page_of_another_origin_is_not_admitted() {
        let rules = outer();
        let admits = |text: &str| rules.admits_origin(Some(&text.parse().unwrap()));
        assert!(admits("https://a.example") && rules.admits_origin(None));
        for other in [
            "http://a.example",
            "https://a.example:8443",
            "https://a.example.evil",
            "https://evila.example",
        ] {
            assert!(!admits(other), "{other}");
        }
    }
}
