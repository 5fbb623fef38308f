//! What each selector ends, and what it leaves alone.

use jiff::SignedDuration;
use serde_json::{Value, json};
use ticketgate::credential::holder::{Holder, HolderIdentity};
use ticketgate::engine::isolation::Isolation;
use ticketgate::names::organization_id::OrganizationId;
use ticketgate::org::organization::Organization;
use ticketgate::store::port::{self, Change, StoreError};

use super::{PASSWORD, assert_good, assert_over, key_of, revoke, status_with, user_of};
use crate::support::world::{Login, Plan, World, set_up};

/// A world with a second organization, where the same broker serves both.
async fn two_tenants() -> (World, OrganizationId) {
    let plan = Plan {
        isolation: Some(Isolation::Prefix),
        ..Plan::default()
    };
    let world = World::with(plan).await;
    let (other, _) = set_up(&world.app, &Plan::default().policy).await;
    (world, other)
}

async fn login_of(world: &World, organization: &OrganizationId, subject: &str) -> Login {
    let token = world.identity_token(subject);
    let body = json!({ "organization_id": organization, "token": token });
    let (status, reply) = world.exchange(&body).await;
    assert_eq!(status, 200, "{reply}");
    let text = |name: &str| reply[name].as_str().unwrap().to_owned();
    Login {
        username: text("mqtt_username"),
        password: text("mqtt_password"),
        token_id: text("token_id"),
        reply: reply.clone(),
    }
}

/// Whether the login may connect where client ids begin with their organization.
async fn connects(world: &World, username: &str, password: &str) -> bool {
    let client_id = format!("{}-c", username.rsplit_once('@').unwrap().1);
    let fields = [
        ("username", username),
        ("password", password),
        ("vhost", "/"),
        ("client_id", &client_id),
    ];
    world.ask_rabbitmq("user", &fields).await.1 == "allow"
}

/// A world whose clock stands still.
async fn at_rest() -> World {
    World::with(Plan {
        clock: Some("2026-08-01T00:00:00Z".parse().unwrap()),
        ..Plan::default()
    })
    .await
}

#[tokio::test]
async fn a_user_is_revoked_under_each_of_its_names_and_nobody_else_is() {
    let world = World::start().await;
    let (id, alias) = (world.organization.to_string(), world.alias.clone());
    let organization = port::read::<Organization>(&*world.store, &world.organization).await;
    let provider = organization.unwrap().unwrap().providers[0].id.to_string();
    let subject = |subject: &str, provider: &str, organization: &str| json!({"subject": subject, "provider": provider, "organization": organization});
    let (bob, odd) = (world.login("bob").await, world.login("auth0|bob").await);
    for body in [
        json!({"target": format!("user_alice@{id}")}),
        json!({"target": format!("user_alice@{alias}")}),
        subject("alice", "demo", &id),
        subject("alice", "demo", &alias),
        subject("alice", &provider, &id),
    ] {
        let (first, second) = (world.login("alice").await, world.login("alice").await);
        assert_good(&world, &first);
        let reply = revoke(&world, body).await;
        assert_eq!(reply["revoked"], 2, "{reply}");
        assert_eq!(reply["username"], first.username);
        assert_over(&world, &first);
        assert_over(&world, &second);
        assert_good(&world, &bob);
        assert_good(&world, &odd);
    }
    let reply = revoke(&world, subject("auth0|bob", "demo", &id)).await;
    assert_eq!(reply["username"], odd.username, "a hashed name");
    assert_over(&world, &odd);
    assert_good(&world, &bob);
}

#[tokio::test]
async fn a_token_ends_alone_and_a_revoke_may_be_repeated() {
    let world = World::start().await;
    let (first, second) = (world.login("alice").await, world.login("alice").await);
    let body = json!({"target": first.token_id});
    for expected in [1, 0, 0] {
        let reply = revoke(&world, body.clone()).await;
        assert_eq!(reply["revoked"], expected);
        assert_eq!(reply["token"], first.token_id);
        assert_eq!(reply["username"], first.username);
        assert!(!world.can_connect(&first.username, &first.password).await);
        assert_good(&world, &second);
    }
    revoke(&world, json!({"target": second.token_id})).await;
    assert_over(&world, &second);
    assert_over(&world, &first);
}

#[tokio::test]
async fn an_api_key_ends_alone() {
    let (world, other) = two_tenants().await;
    let (id, key) = key_of(&world, &world.organization).await;
    let (_, second) = key_of(&world, &world.organization).await;
    let (_, theirs) = key_of(&world, &other).await;
    assert_eq!(status_with(&world, &key).await, 200);
    let login = login_of(&world, &world.organization, "alice").await;
    for expected in [1, 0] {
        let reply = revoke(&world, json!({"target": format!("key:{id}")})).await;
        assert_eq!(reply["revoked"], expected);
        assert_eq!(reply["key"], id);
        assert_eq!(reply["organization"], world.organization.as_str());
        assert_eq!(status_with(&world, &key).await, 401);
    }
    assert_eq!(status_with(&world, &second).await, 200);
    assert_eq!(status_with(&world, &theirs).await, 200);
    assert!(connects(&world, &login.username, &login.password).await);
}

#[tokio::test]
async fn everything_of_one_organization_ends_and_it_begins_anew() {
    let (world, other) = two_tenants().await;
    for target in [
        world.organization.to_string(),
        format!("org:{}", world.organization),
        format!("org:{}", world.alias),
    ] {
        let ours = Belongings::of(&world, &world.organization, &target).await;
        let theirs = Belongings::of(&world, &other, &target).await;
        assert_eq!(ours.good(&world).await, [true; 3]);
        let reply = revoke(&world, json!({ "target": target })).await;
        assert_eq!(reply["organization"], world.organization.as_str());
        assert_eq!(reply["revoked"], Value::Null, "nobody counted");
        assert_eq!(ours.good(&world).await, [false; 3]);
        assert_eq!(theirs.good(&world).await, [true; 3]);
        let anew = Belongings::of(&world, &world.organization, &format!("{target}2")).await;
        assert_eq!(anew.good(&world).await, [true; 3]);
        assert_eq!(ours.good(&world).await, [false; 3]);
    }
}

/// A login, a user with a password and an API key.
struct Belongings {
    login: Login,
    user: String,
    key: String,
}

impl Belongings {
    async fn of(world: &World, organization: &OrganizationId, name: &str) -> Self {
        let name = format!("sensor-{}", name.replace(':', "-"));
        Self {
            login: login_of(world, organization, "alice").await,
            user: user_of(world, organization, &name).await,
            key: key_of(world, organization).await.1,
        }
    }

    async fn good(&self, world: &World) -> [bool; 3] {
        [
            connects(world, &self.login.username, &self.login.password).await,
            connects(world, &self.user, PASSWORD).await,
            status_with(world, &self.key).await == 200,
        ]
    }
}

#[tokio::test]
async fn what_was_issued_before_a_time_ends_to_the_tick() {
    let world = at_rest().await;
    let (clock, began) = (world.clock.clone().unwrap(), world.now());
    let mut logins = Vec::new();
    for subject in ["zero", "one", "two"] {
        let login = world.login(subject).await;
        let user = user_of(&world, &world.organization, &format!("sensor-{subject}")).await;
        let (_, key) = key_of(&world, &world.organization).await;
        assert!(world.can_connect(&user, PASSWORD).await);
        logins.push((login, user, key));
        clock.advance(1);
    }
    // From here on each second of mark ends one more.
    for (mark, over) in [(0, 0), (1, 1), (0, 1), (1, 1), (2, 2), (3, 3)] {
        let mark = began + SignedDuration::from_secs(mark);
        let body = json!({"issued_before": mark.to_string(), "organization": world.alias});
        let reply = revoke(&world, body).await;
        assert_eq!(reply["issued_before"], mark.to_string());
        assert_eq!(reply["organization"], world.organization.as_str());
        assert_eq!(reply["revoked"], Value::Null);
        for (number, (login, user, key)) in logins.iter().enumerate() {
            let good = number >= over;
            if good {
                assert_good(&world, login);
            } else {
                assert_over(&world, login);
            }
            assert_eq!(world.can_connect(user, PASSWORD).await, good, "{number}");
            assert_eq!(status_with(&world, key).await == 200, good, "{number}");
        }
    }
    assert_good(&world, &world.login("three").await);
}

#[tokio::test]
async fn a_mark_in_the_future_is_refused_and_ends_nothing() {
    let world = at_rest().await;
    let login = world.login("alice").await;
    for (time, expected) in [
        ("2026-08-01T00:00:00.000000001Z", 400),
        ("2026-08-01T00:00:00.5Z", 400),
        ("2026-08-01T00:00:01Z", 400),
        ("2026-08-01T00:00:00-00:01", 400),
        ("9999-12-30T22:00:00Z", 400),
        ("2026-07-31T23:59:59.5Z", 200),
        ("2026-08-01T02:00:00+02:00", 200),
        ("2026-08-01T00:00:00Z", 200),
        ("-009999-01-02T01:59:59Z", 200),
    ] {
        let body = json!({"issued_before": time, "organization": world.organization});
        let (status, reply) = world.revoke(&body).await;
        assert_eq!(status, expected, "{time}: {reply}");
        if expected == 400 {
            let text = reply["message"].as_str().unwrap();
            assert!(text.contains("in the future"), "{text}");
            assert!(text.contains("2026-08-01T00:00:00Z"), "{text}");
        }
        assert_good(&world, &login);
        assert_good(&world, &world.login("alice").await);
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_and_nothing_ends() {
    let (world, other) = two_tenants().await;
    let login = login_of(&world, &world.organization, "alice").await;
    let (id, key) = key_of(&world, &world.organization).await;
    let nobody = "org_aaaaaaaaaaaa";
    let subject = |subject: &str, provider: &str, organization: &str| json!({"subject": subject, "provider": provider, "organization": organization});
    let (us, them) = (world.organization.as_str(), other.as_str());
    for (body, expected) in [
        (json!({"target": uuid::Uuid::nil()}), "token"),
        (json!({"target": world.alias}), "token"),
        (json!({"target": format!("user_alice@{other}")}), "username"),
        (
            json!({"target": format!("user_alice@{nobody}")}),
            "username",
        ),
        (json!({"target": format!("user_nobody@{us}")}), "username"),
        (json!({"target": "key:0000000000"}), "API key"),
        (
            json!({"target": format!("key:{}", in_the_other_case(&id))}),
            "API key",
        ),
        (json!({"target": nobody}), "organization"),
        (
            json!({"target": format!("org:{}", uuid::Uuid::nil())}),
            "organization",
        ),
        (subject("alice", "demo", them), "subject"),
        (subject("alice", "demo", nobody), "subject"),
        (subject("alice", "supabase", us), "provider"),
        (subject("user_alice", "demo", us), "subject"),
        (subject("", "demo", us), "subject"),
        (
            json!({"issued_before": "2026-01-01T00:00:00Z", "organization": nobody}),
            "organization",
        ),
    ] {
        let (status, reply) = world.revoke(&body).await;
        assert_eq!(
            (status, &reply["error"]),
            (404, &json!("not_found")),
            "{body}"
        );
        let text = reply["message"].as_str().unwrap();
        assert!(text.contains(expected), "{body}: {text}");
    }
    assert!(connects(&world, &login.username, &login.password).await);
    assert_eq!(status_with(&world, &key).await, 200);
}

/// A random text of letters and digits has a letter, if hardly ever of a given case.
fn in_the_other_case(text: &str) -> String {
    let swapped = |one: char| match one.is_ascii_uppercase() {
        true => one.to_ascii_lowercase(),
        false => one.to_ascii_uppercase(),
    };
    text.chars().map(swapped).collect()
}

/// A subject is who its provider says, and not whoever has a username that looks like it.
#[tokio::test]
async fn a_username_that_is_somebody_elses_is_not_revoked_as_a_subjects() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let username = login.username.parse().unwrap();
    port::update::<Holder, StoreError>(&*world.store, &username, |holder| {
        let mut holder = holder.unwrap().clone();
        let subject = "alice".to_owned();
        let provider = uuid::Uuid::nil();
        holder.identity = HolderIdentity::Subject { provider, subject };
        Ok(Change::Set(holder))
    })
    .await
    .unwrap();
    let body = json!({"subject": "alice", "provider": "demo", "organization": world.alias});
    assert_eq!(world.revoke(&body).await.0, 404);
    assert_good(&world, &login);
}
