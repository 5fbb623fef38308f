//! What leans on several records: organization, policy and holder, at one moment.

use serde_json::json;
use ticketgate::app::organizations::OrganizationChange;
use ticketgate::credential::holder::Holder;
use ticketgate::metrics::RecordLabel;
use ticketgate::names::organization_id::OrganizationName;
use ticketgate::org::organization::Organization;
use ticketgate::store::port::{self, Change, StoreError, Write};
use ticketgate::store::record::{Kept, Policy};

use super::orders::{Call, Orders};
use super::{
    PASSWORD, assert_good, assert_over, assert_refused, key_of, revoke, status_with, user_of,
};
use crate::hooks::questions::allowed;
use crate::hooks::wire::{Connection, PATIENCE};
use crate::support::world::{Login, Plan, World};

/// A world whose store, below the cache, is under orders.
async fn world_under(orders: &Orders) -> World {
    let mut plan = Plan {
        wrap: orders.wrap(),
        ..Plan::default()
    };
    plan.settings.hook_deadline = PATIENCE;
    World::with(plan).await
}

/// Writes the record as it is, so that no cache holds it.
async fn touch<T: Kept>(world: &World, key: &T::Key) {
    let same = |current: Option<&T>| {
        let current = current.expect("it is there").clone();
        Ok::<_, StoreError>(Change::Set(current))
    };
    port::update::<T, _>(&*world.store, key, same)
        .await
        .unwrap();
}

async fn cool_down(world: &World, login: &Login) {
    touch::<Organization>(world, &world.organization).await;
    touch::<Policy>(world, &world.organization).await;
    touch::<Holder>(world, &login.username.parse().unwrap()).await;
}

#[tokio::test]
async fn a_mint_that_was_on_its_way_is_over_before_it_is_stored() {
    let orders = Orders::new();
    let world = world_under(&orders).await;
    let everything = json!({"target": world.organization});
    orders.hold(Call::Write(RecordLabel::Holder));
    orders.hold(Call::Write(RecordLabel::ApiKey));
    let meanwhile = async {
        orders.expect_held(3).await;
        revoke(&world, everything).await;
        orders.release();
    };
    let (login, user, (_, key), ()) = tokio::join!(
        world.login("alice"),
        user_of(&world, &world.organization, "sensor-1"),
        key_of(&world, &world.organization),
        meanwhile
    );
    assert_over(&world, &login);
    assert!(!world.can_connect(&user, PASSWORD).await);
    assert_eq!(status_with(&world, &key).await, 401);

    let anew = world.login("alice").await;
    assert!(world.can_connect(&anew.username, &anew.password).await);
    assert!(!world.can_connect(&login.username, &login.password).await);
}

#[tokio::test]
async fn what_a_decision_needs_is_read_at_once() {
    let orders = Orders::new();
    let world = world_under(&orders).await;
    let login = world.login("alice").await;
    let reads = [
        RecordLabel::Organization,
        RecordLabel::Policy,
        RecordLabel::Holder,
    ];
    for question in allowed(&login) {
        let needs_rules = question.hook == "topic"
            || question.hook.contains("publish")
            || question.hook.contains("subscribe");
        cool_down(&world, &login).await;
        for record in reads {
            orders.hold(Call::Read(record));
        }
        let mut connection = Connection::open(&world);
        connection.send(&question.request().to_bytes());
        orders.expect_held(if needs_rules { 3 } else { 2 }).await;
        let before = reads.map(|record| world.metrics.store_reads_so_far(record));
        orders.release();
        let reply = connection.reply().unwrap();
        assert_eq!(reply.text(), question.broker.yes(), "{}", question.hook);
        let after = reads.map(|record| world.metrics.store_reads_so_far(record));
        assert_eq!(before, after, "{}", question.hook);
    }
}

/// The organization was read, the holder was still on its way, and everything was revoked.
#[tokio::test]
async fn a_decision_is_not_made_of_states_that_never_were_together() {
    let orders = Orders::new();
    let world = world_under(&orders).await;
    for number in 0..allowed(&world.login("alice").await).len() {
        let login = world.login("alice").await;
        let question = &allowed(&login)[number];
        cool_down(&world, &login).await;
        orders.hold(Call::Read(RecordLabel::Holder));
        let mut connection = Connection::open(&world);
        connection.send(&question.request().to_bytes());
        orders.expect_held(1).await;
        revoke(&world, json!({"target": world.organization})).await;
        orders.release();
        let reply = connection.reply().unwrap();
        let no = question.broker.no("not_authorized");
        assert_eq!(reply.text(), no, "{}", question.hook);
    }
}

#[tokio::test]
async fn a_revoke_of_everything_is_not_overtaken_by_a_password_hash() {
    for _ in 0..10 {
        let world = World::start().await;
        let user = user_of(&world, &world.organization, "sensor-1").await;
        let connect = world.can_connect(&user, PASSWORD);
        let revoke = async {
            revoke(&world, json!({"target": world.organization})).await;
            world.metrics.render().contains("question=\"connect\"")
        };
        let (allowed, answered_before) = tokio::join!(connect, revoke);
        assert!(
            !allowed || answered_before,
            "allowed after the revoke had returned"
        );
    }
}

#[tokio::test]
async fn an_organization_that_is_gone_means_no() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let user = user_of(&world, &world.organization, "sensor-1").await;
    let (_, key) = key_of(&world, &world.organization).await;
    assert_good(&world, &login);
    let gone = Organization::key(&world.organization);
    let found = world.store.get(&gone).await.unwrap().unwrap();
    let write = Write {
        key: gone,
        expected: Some(found.revision),
        record: None,
        audit: None,
    };
    world.store.put(write).await.unwrap();
    assert_over(&world, &login);
    assert!(!world.can_connect(&user, PASSWORD).await);
    assert_eq!(status_with(&world, &key).await, 401);
    let revoked = revoke(&world, json!({"target": login.username})).await;
    assert_eq!(revoked["revoked"], 0, "none of it was live");
}

#[tokio::test]
async fn what_a_mark_has_ended_makes_room() {
    let world = World::start().await;
    let body = json!({"organization_id": world.organization, "token": world.identity_token("a")});
    let quota = OrganizationChange {
        max_per_user: Some(2),
        ..OrganizationChange::default()
    };
    let organization = OrganizationName::Id(world.organization.clone());
    world
        .app
        .change_organization(organization, quota)
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(world.exchange(&body).await.0, 200);
    }
    assert_eq!(world.exchange(&body).await.0, 429);
    revoke(&world, json!({"target": world.organization})).await;
    assert_good(&world, &world.login("a").await);
}

#[tokio::test]
async fn a_yes_that_comes_too_late_is_not_said() {
    let orders = Orders::new();
    let world = World::with(Plan {
        front: orders.wrap(),
        ..Plan::default()
    })
    .await;
    let (alice, bob) = (world.login("alice").await, world.login("bob").await);
    revoke(&world, json!({"target": bob.username})).await;
    assert_good(&world, &alice);
    orders.late(true);
    assert_refused(&world, &alice, "unavailable");
    assert_over(&world, &bob);
    let rendered = world.metrics.render();
    let expected = "question=\"publish\",outcome=\"unavailable\"";
    assert!(rendered.contains(expected), "{rendered}");
    orders.late(false);
    assert_good(&world, &alice);
}
