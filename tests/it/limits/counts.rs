//! How many of something an organization may have.

use ticketgate::app::organizations::{OrganizationChange, SetupError};
use ticketgate::limits::counts::{CountLimits, Counted, LimitReached, LimitsChange};
use ticketgate::names::organization_id::OrganizationName;
use ticketgate::org::organization::{CannotAdd, Organization};

use crate::support::world::World;

async fn change(world: &World, change: OrganizationChange) -> Result<Organization, SetupError> {
    let organization = OrganizationName::Id(world.organization.clone());
    world.app.change_organization(organization, change).await
}

fn most(counts: CountLimits) -> OrganizationChange {
    OrganizationChange {
        limits: LimitsChange {
            counts,
            ..LimitsChange::default()
        },
        ..OrganizationChange::default()
    }
}

#[tokio::test]
async fn an_operator_limits_origins_rules_and_providers() {
    let world = World::start().await;
    let limits = CountLimits {
        origins: Some(2),
        rules: Some(1),
        providers: Some(1),
        ..CountLimits::default()
    };
    let changed = change(&world, most(limits)).await.unwrap();
    assert_eq!(changed.limits.counts, limits);
    let more = |origin: &str| OrganizationChange {
        allow_origins: vec![origin.parse().unwrap()],
        ..OrganizationChange::default()
    };
    change(&world, more("https://two.example")).await.unwrap();
    let refused = change(&world, more("https://three.example")).await;
    let (what, max) = (Counted::Origins, 2);
    assert!(
        matches!(refused, Err(SetupError::Limit(LimitReached { what: w, max: m })) if (w, m) == (what, max))
    );
    // One that is there already is no new one.
    change(&world, more("https://two.example")).await.unwrap();

    let organization = || OrganizationName::Id(world.organization.clone());
    let rule = r#"{"user":"*","topic":"a","permission":"both"}"#;
    let policy = |rules: &[&str]| format!(r#"{{"rules":[{}]}}"#, rules.join(","));
    let set = |text| world.app.set_policy(organization(), text);
    assert_eq!(set(policy(&[rule])).await.unwrap(), 1);
    let refused = set(policy(&[rule, rule])).await.unwrap_err();
    assert!(refused.to_string().contains("--max-rules"), "{refused}");

    let providers = world.app.find_organization(organization()).await.unwrap();
    let mut provider = providers.unwrap().providers[0].clone();
    provider.name = "second".into();
    let refused = world
        .app
        .add_providers(organization(), vec![provider])
        .await;
    assert!(matches!(
        refused,
        Err(SetupError::CannotAdd(CannotAdd::TooMany(_)))
    ));
}

#[tokio::test]
async fn no_limit_is_set_beyond_what_fits() {
    let world = World::start().await;
    let limits = CountLimits {
        users: Some(50),
        origins: Some(65),
        ..CountLimits::default()
    };
    let refused = change(&world, most(limits)).await.unwrap_err();
    assert!(
        refused.to_string().contains("--max-origins is at most 64"),
        "{refused}"
    );
    let organization = OrganizationName::Id(world.organization.clone());
    let same = world
        .app
        .find_organization(organization)
        .await
        .unwrap()
        .unwrap();
    assert!(same.limits.is_default());
}
