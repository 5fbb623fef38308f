//! How often what may be done, over real HTTP.

mod calls;
mod counts;
mod in_flight;
mod logins;
mod shared;

use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::limits::limiter::Settings;
use ticketgate::names::organization_id::OrganizationName;

use crate::support::world::World;

/// A secret or publishable key of the world's organization.
async fn key(world: &World, kind: ApiKeyKind) -> String {
    let organization = OrganizationName::Id(world.organization.clone());
    let made = world.app.create_key(organization, kind, "tests", vec![]);
    made.await.unwrap().1.expose().to_owned()
}

/// The settings with small buckets.
fn small() -> Settings {
    Settings {
        key: "1/s burst 3".parse().ok(),
        organization: "1/s burst 8".parse().ok(),
        mint: None,
        failures: "1/min burst 4".parse().ok(),
        share_every: None,
    }
}
