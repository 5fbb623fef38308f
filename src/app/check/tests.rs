//! Damage of every kind, in a store that can hold any.

mod site;

use self::site::{NOW, Site, at, credential, holder};
use super::*;
use crate::clock::ManualClock;
use crate::credential::holder::Holder;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::org::organization::Organization;
use crate::store::record::{Kept as _, Policy, TokenIndex};

#[tokio::test]
async fn what_fits_together_is_not_found_fault_with() {
    let site = Site::new();
    // Over, and revoked: they need no index.
    let mut credentials = vec![
        credential(TokenId::random(), 500),
        credential(TokenId::random(), 2_000),
    ];
    credentials[1].revoked_at = Some(Box::new(at(10)));
    credentials.push(credential(site.token, 2_000));
    site.shelf.keep(
        site.holder_key(),
        holder(&site.organization.id, credentials),
    );
    // Over as well: it is about to go.
    let over = TokenIndex {
        expires_at: at(NOW),
        ..site.index_of(&site.holder)
    };
    site.shelf.keep(TokenIndex::key(&TokenId::random()), over);
    assert_eq!(site.check(true).await, []);
}

/// Damage, the name and kind of what is found, and whether it can be mended.
type Damage = (fn(&Site) -> RecordKey, &'static str, bool);

const DAMAGES: [Damage; 18] = [
    (
        |site| site.shelf.lose(site.index()).then(site.holder_key()),
        "no_index",
        true,
    ),
    (
        |site| site.shelf.lose(site.holder_key()).then(site.index()),
        "dangling_index",
        true,
    ),
    (
        |site| {
            site.shelf
                .keep(site.holder_key(), holder(&site.organization.id, vec![]));
            site.shelf.expire(&site.holder_key(), None);
            site.index()
        },
        "dangling_index",
        true,
    ),
    (
        |site| {
            site.shelf
                .expire(&site.holder_key(), None)
                .then(site.holder_key())
        },
        "expiry",
        true,
    ),
    (
        |site| {
            site.shelf
                .expire(&site.index(), Some(1_500))
                .then(site.index())
        },
        "expiry",
        true,
    ),
    (
        |site| {
            site.shelf
                .expire(&site.policy(), Some(1_500))
                .then(site.policy())
        },
        "expiry",
        true,
    ),
    (
        |site| site.shelf.write(&site.policy(), "{").then(site.policy()),
        "unreadable",
        true,
    ),
    (
        |site| {
            site.shelf
                .write(&site.alias(), r#"{"v":1,"record":{"organization":"x"}}"#)
                .then(site.alias())
        },
        "unreadable",
        true,
    ),
    (
        |site| site.shelf.make_list(&site.origin()).then(site.origin()),
        "wrong_type",
        true,
    ),
    (
        |site| {
            site.shelf
                .write(&site.origin(), r#"{"v":999,"record":7}"#)
                .then(site.origin())
        },
        "newer",
        false,
    ),
    (
        |site| {
            site.shelf
                .forget_revision(&site.holder_key())
                .then(site.holder_key())
        },
        "no_revision",
        false,
    ),
    (
        |site| {
            let other = Organization::key(&OrganizationId::random());
            site.shelf.keep(other.clone(), site.organization.clone());
            other
        },
        "misnamed",
        false,
    ),
    (
        |site| {
            let mut bob = site.index_of(&site.holder);
            bob.name = "bob".parse().unwrap();
            site.shelf.keep(site.index(), bob);
            // The same from the other side.
            let holder = Holder {
                name: "bob".parse().unwrap(),
                ..site.holder.clone()
            };
            site.shelf.keep(Holder::key(&holder.username()), holder);
            site.holder_key()
        },
        "foreign_index",
        false,
    ),
    (
        |site| {
            site.shelf
                .lose(site.policy())
                .then(Organization::key(&site.organization.id))
        },
        "no_policy",
        false,
    ),
    (
        |site| {
            site.shelf
                .lose(site.alias())
                .then(Organization::key(&site.organization.id))
        },
        "no_alias",
        false,
    ),
    (
        |site| {
            site.shelf
                .lose(site.origin())
                .then(Organization::key(&site.organization.id))
        },
        "no_origin",
        false,
    ),
    (
        |site| {
            let mut other = site.organization.clone();
            other.id = OrganizationId::random();
            site.shelf.keep(
                Policy::key(&other.id),
                Policy::parse(r#"{"rules":[]}"#.into()).unwrap(),
            );
            site.shelf.keep(Organization::key(&other.id), other.clone());
            Organization::key(&other.id)
        },
        "foreign_alias",
        false,
    ),
    (
        |site| {
            let key = Policy::key(&OrganizationId::random());
            site.shelf.keep(
                key.clone(),
                Policy::parse(r#"{"rules":[]}"#.into()).unwrap(),
            );
            key
        },
        "no_organization",
        false,
    ),
];

#[tokio::test]
async fn every_damage_is_found_and_mended_where_that_loses_nothing() {
    for (damage, kind, can_be_mended) in DAMAGES {
        let site = Site::new();
        let name = damage(&site).to_string();
        let before = site.shelf.everything();
        let found = site.check(false).await;
        assert_eq!(found, [(name.clone(), kind, Outcome::Left)]);
        assert_eq!(site.shelf.everything(), before, "only looked at");

        let [(_, _, outcome)] = &site.check(true).await[..] else {
            panic!("{kind}")
        };
        assert_eq!(
            matches!(outcome, Outcome::Mended(_)),
            can_be_mended,
            "{kind}"
        );
        if can_be_mended {
            let left: Vec<_> = site
                .check(true)
                .await
                .into_iter()
                .map(|(_, kind, _)| kind)
                .collect();
            // Where something was moved aside, what it belonged to misses it now.
            let lacks: &[&str] = match (kind, &*name) {
                ("unreadable", name) if name.starts_with("policy:") => &["no_policy"],
                ("unreadable", _) => &["no_alias"],
                ("wrong_type", _) => &["no_origin"],
                _ => &[],
            };
            assert_eq!(left, lacks, "{kind}");
        } else {
            assert_eq!(site.shelf.everything(), before, "{kind} is never touched");
        }
    }
}

#[tokio::test]
async fn all_that_belonged_to_a_missing_organization_is_found() {
    let site = Site::new();
    site.shelf.lose(Organization::key(&site.organization.id));
    let found = site.check(true).await;
    let kinds: Vec<_> = found
        .iter()
        .map(|(name, kind, _)| (name.split(':').next().unwrap(), *kind))
        .collect();
    let expected = ["alias", "policy", "holder", "key"].map(|name| (name, "no_organization"));
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn a_name_of_nobody_knows_what_is_left_alone() {
    let site = Site::new();
    for name in ["session:7", "holder:no name", "\u{1b}[2J"] {
        site.shelf.lay(name, "something");
    }
    site.shelf.make_list(&site.index());
    site.shelf.rename(&site.index(), "a list");
    site.shelf.lose(site.holder_key());
    let before = site.shelf.everything();
    for (_, kind, outcome) in site.check(true).await {
        assert_eq!((kind, outcome), ("not_a_key", Outcome::Left));
    }
    assert_eq!(site.shelf.everything(), before);
}

#[tokio::test]
async fn what_is_being_written_is_not_found_fault_with() {
    let site = Site::new();
    site.shelf.lose(site.holder_key());
    let new = TokenId::random();
    let mut holder = site.holder.clone();
    holder.credentials.push(credential(new, 2_000));
    let mut waited = 0;
    let mut tell = |event: Event<'_>| match event {
        Event::Waiting(suspects, _) => {
            waited += suspects;
            site.shelf.keep(site.holder_key(), holder.clone());
            site.shelf
                .keep(TokenIndex::key(&new), site.index_of(&holder));
        }
        Event::Found(finding) => panic!("{finding:?}"),
        Event::Progress(_) => {}
    };
    let options = Options {
        fix: true,
        patience: Duration::from_millis(1),
    };
    let clock = ManualClock::at(at(NOW));
    let report = check(&site.shelf, &clock, options, &mut tell)
        .await
        .unwrap();
    assert_eq!((report.found, waited), (0, 1));
}

#[tokio::test]
async fn a_change_that_comes_first_is_not_overwritten() {
    let site = Site::new();
    site.shelf.expire(&site.holder_key(), None);
    site.shelf.change_before_each_put(site.holder_key());
    let found = site.check(true).await;
    assert_eq!(
        found,
        [(site.holder_key().to_string(), "expiry", Outcome::Overtaken)]
    );
}

#[tokio::test]
async fn a_store_that_fails_is_an_error_and_not_a_finding() {
    let site = Site::new();
    site.shelf.fail();
    let options = Options {
        fix: true,
        patience: Duration::ZERO,
    };
    let clock = ManualClock::at(at(NOW));
    let mut tell = |event: Event<'_>| assert!(!matches!(event, Event::Found(_)));
    let failed = check(&site.shelf, &clock, options, &mut tell).await;
    assert!(matches!(failed, Err(StoreError::Unavailable(_))));
}
