//! A real RabbitMQ and a real MQTT client: what a user of this set-up lives through.

use std::time::{Duration, Instant};

use rumqttc::{ConnectReturnCode, LastWill, MqttOptions, QoS};
use serde_json::json;
use ticketgate::metrics::RecordLabel;

use crate::support::mqtt::{MqttClient, Outcome};
use crate::support::rabbitmq::RabbitMq;
use crate::support::world::{HOOK_SECRET, Login, World};

const REFUSED: Result<(), ConnectReturnCode> = Err(ConnectReturnCode::BadUserNamePassword);

#[tokio::test]
async fn a_user_lives_through_login_topics_expiry_and_revoke() {
    let world = World::start().await;
    let broker = RabbitMq::start(&format!("{}/hooks/rabbitmq/main/{HOOK_SECRET}", world.url)).await;
    let port = broker.mqtt_port;

    let (alice, bob) = (world.login("alice").await, world.login("bob").await);
    messages_flow_inside_the_policy(port, &alice).await;
    foreign_topics_are_refused(port, &alice, &bob).await;
    a_group_gets_no_more_than_its_members(port, &alice, &bob).await;
    a_last_will_goes_where_its_owner_may_publish(port, &alice, &bob).await;
    wrong_passwords_are_refused(port, &alice, &bob).await;
    nobody_gets_in_without_a_name(port).await;
    a_forged_password_costs_nothing(&world, port, &alice).await;
    an_expired_login_is_refused(&world, port).await;
    let carol = world.login("carol").await;
    a_kept_session_waits_for_a_good_login(&world, port, &carol).await;
    a_revoked_login_is_refused(&world, port, &alice).await;
    assert_eq!(
        connect(port, "bob-again", &bob).await,
        Ok(()),
        "others are not touched"
    );
}

async fn messages_flow_inside_the_policy(port: u16, alice: &Login) {
    let mut reader = client(port, "alice-reader", alice).await;
    assert_eq!(reader.subscribe("users/user_alice/#").await, Outcome::Done);
    assert_eq!(reader.subscribe("announcements/+").await, Outcome::Done);
    let mut writer = client(port, "alice-writer", alice).await;
    assert_eq!(
        writer.publish("users/user_alice/mood", "fine").await,
        Outcome::Done
    );
    assert_eq!(reader.receive().await, "fine");
}

async fn foreign_topics_are_refused(port: u16, alice: &Login, bob: &Login) {
    let mut victim = client(port, "bob-reader", bob).await;
    assert_eq!(victim.subscribe("users/user_bob/#").await, Outcome::Done);
    for (step, topic) in ["users/user_bob/mood", "announcements/x", "elsewhere"]
        .iter()
        .enumerate()
    {
        let mut writer = client(port, &format!("alice-writer-{step}"), alice).await;
        assert_eq!(
            writer.publish(topic, "intruder").await,
            Outcome::Closed,
            "{topic}"
        );
    }
    let filters = [
        "#",
        "users/#",
        "users/+/#",
        "users/user_bob/mood",
        "+/user_alice/x",
    ];
    for (step, filter) in filters.iter().enumerate() {
        let mut reader = client(port, &format!("alice-reader-{step}"), alice).await;
        assert_ne!(reader.subscribe(filter).await, Outcome::Done, "{filter}");
    }
    // The first message that arrives is Bob's own: the intruder's never did.
    let mut own = client(port, "bob-writer", bob).await;
    assert_eq!(
        own.publish("users/user_bob/mood", "mine").await,
        Outcome::Done
    );
    assert_eq!(victim.receive().await, "mine");
}

/// RabbitMQ 3.10 knows no shared subscriptions: `$share` is a level like any other to it. Judged by
/// what a newer one would deliver, a stranger's is refused.
async fn a_group_gets_no_more_than_its_members(port: u16, alice: &Login, bob: &Login) {
    let filter = "$share/team/users/user_alice/jobs";
    let mut stranger = client(port, "bob-member", bob).await;
    assert_ne!(stranger.subscribe(filter).await, Outcome::Done);
    let mut member = client(port, "alice-member", alice).await;
    assert_eq!(member.subscribe(filter).await, Outcome::Done);
}

/// RabbitMQ asks when the will is sent, and forgets one that is denied.
async fn a_last_will_goes_where_its_owner_may_publish(port: u16, alice: &Login, bob: &Login) {
    let mut victim = client(port, "bob-heir", bob).await;
    assert_eq!(victim.subscribe("users/user_bob/#").await, Outcome::Done);
    let mut heir = client(port, "alice-heir", alice).await;
    assert_eq!(heir.subscribe("users/user_alice/#").await, Outcome::Done);
    for (client_id, topic) in [
        ("alice-poison", "users/user_bob/mood"),
        ("alice-testator", "users/user_alice/mood"),
    ] {
        let mut options = options(port, client_id, alice);
        options.set_last_will(LastWill::new(topic, "last words", QoS::AtLeastOnce, false));
        drop(MqttClient::open(options).await.unwrap());
    }
    assert_eq!(heir.receive().await, "last words");
    // The first message that arrives is Bob's own: the will never did.
    let mut own = client(port, "bob-own", bob).await;
    let topic = "users/user_bob/mood";
    assert_eq!(own.publish(topic, "mine").await, Outcome::Done);
    assert_eq!(victim.receive().await, "mine");
}

/// Revokes the login.
async fn a_kept_session_waits_for_a_good_login(world: &World, port: u16, carol: &Login) {
    let keep = || {
        let mut options = options(port, "carol-phone", carol);
        options.set_clean_session(false);
        options
    };
    let (mut phone, kept) = MqttClient::open(keep()).await.unwrap();
    assert!(!kept, "there was no session");
    let topic = "users/user_carol/mood";
    assert_eq!(phone.subscribe(topic).await, Outcome::Done);
    drop(phone);
    let mut writer = client(port, "carol-writer", carol).await;
    assert_eq!(writer.publish(topic, "missed").await, Outcome::Done);
    let (mut phone, kept) = MqttClient::open(keep()).await.unwrap();
    assert!(kept, "the session was kept");
    assert_eq!(phone.receive().await, "missed");
    drop(phone);
    let (status, _) = world.revoke(&json!({"target": carol.username})).await;
    assert_eq!(status, 200);
    assert_eq!(MqttClient::open(keep()).await.map(drop), REFUSED);
}

async fn nobody_gets_in_without_a_name(port: u16) {
    let options = MqttOptions::new("nobody", ("127.0.0.1", port));
    assert!(MqttClient::open(options).await.is_err());
}

async fn wrong_passwords_are_refused(port: u16, alice: &Login, bob: &Login) {
    let with = |username: &str, password: &str| Login {
        username: username.into(),
        password: password.into(),
        ..alice.clone()
    };
    for login in [
        with(&alice.username, "hunter2"),
        with(&alice.username, &bob.password),
        with("user_nobody@org_aaaaaaaaaaaa", &alice.password),
        with("alice", &alice.password),
        with(
            &format!("/:{}", alice.username.replace("user_alice", "user_bob")),
            &alice.password,
        ),
    ] {
        assert_eq!(
            connect(port, "wrong", &login).await,
            REFUSED,
            "{}",
            login.username
        );
    }
}

async fn a_forged_password_costs_nothing(world: &World, port: u16, alice: &Login) {
    let all = [
        RecordLabel::Holder,
        RecordLabel::Organization,
        RecordLabel::Alias,
    ];
    let reads = || all.map(|record| world.metrics.store_reads_so_far(record));
    let before = reads();
    let mut forged = alice.clone();
    let last = if forged.password.ends_with('0') {
        "1"
    } else {
        "0"
    };
    forged
        .password
        .replace_range(forged.password.len() - 1.., last);
    assert_eq!(connect(port, "forger", &forged).await, REFUSED);
    forged.username = format!("user_nobody@{}", world.organization);
    assert_eq!(connect(port, "forger", &forged).await, REFUSED);
    assert_eq!(reads(), before, "no record was read for a forged password");
}

async fn an_expired_login_is_refused(world: &World, port: u16) {
    let body = json!({
        "organization_id": world.organization,
        "token": world.identity_token("carol"),
        "ttl": 2,
    });
    let (status, reply) = world.exchange(&body).await;
    assert_eq!((status, &reply["expires_in"]), (200, &json!(2)));
    let text = |name: &str| reply[name].as_str().unwrap().to_owned();
    let carol = Login {
        username: text("mqtt_username"),
        password: text("mqtt_password"),
        token_id: text("token_id"),
        reply: reply.clone(),
    };
    assert_eq!(connect(port, "carol", &carol).await, Ok(()));
    let started = Instant::now();
    while connect(port, "carol", &carol).await.is_ok() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "the login never expires"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(connect(port, "carol", &carol).await, REFUSED);
}

async fn a_revoked_login_is_refused(world: &World, port: u16, alice: &Login) {
    assert_eq!(connect(port, "alice-again", alice).await, Ok(()));
    let revoked = world
        .app
        .revoke(alice.token_id.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(revoked.credentials, Some(1));
    assert_eq!(connect(port, "alice-again", alice).await, REFUSED);
}

fn options(port: u16, client_id: &str, login: &Login) -> MqttOptions {
    let mut options = MqttOptions::new(client_id, ("127.0.0.1", port));
    options.set_credentials(&login.username, login.password.clone());
    options
}

async fn client(port: u16, client_id: &str, login: &Login) -> MqttClient {
    let connected = MqttClient::connect(port, client_id, &login.username, &login.password).await;
    connected.unwrap_or_else(|code| panic!("{client_id} was refused: {code:?}"))
}

async fn connect(port: u16, client_id: &str, login: &Login) -> Result<(), ConnectReturnCode> {
    MqttClient::connect(port, client_id, &login.username, &login.password)
        .await
        .map(drop)
}
