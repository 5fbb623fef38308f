//! What is lost on RabbitMQ's way from MQTT to AMQP names, and whose names are whose.

use serde_json::json;

use crate::hooks::questions::rule;
use crate::support::world::{Login, Plan, World};

/// Some fields of a form.
type Fields<'a> = &'a [(&'a str, &'a str)];

/// A world with rules for everybody, given as (permission, topic).
async fn world(rules: &[(&str, &str)]) -> (World, Login) {
    let rules = rules
        .iter()
        .map(|(permission, topic)| rule(permission, topic));
    let rules: Vec<_> = rules.collect();
    let world = World::with(Plan {
        policy: json!({ "rules": rules }),
        ..Plan::default()
    })
    .await;
    let login = world.login("alice").await;
    (world, login)
}

/// Asks about a routing key on behalf of a client.
async fn topic(world: &World, login: &Login, client_id: &str, asked: (&str, &str)) -> String {
    let (permission, key) = asked;
    let fields = [
        ("username", login.username.as_str()),
        ("vhost", "/"),
        ("resource", "topic"),
        ("name", "amq.topic"),
        ("permission", permission),
        ("tags", ""),
        ("routing_key", key),
        ("variable_map.client_id", client_id),
        ("variable_map.username", &login.username),
        ("variable_map.vhost", "/"),
    ];
    world.ask_rabbitmq("topic", &fields).await.1
}

#[tokio::test]
async fn a_dot_is_a_slash_and_a_star_in_a_filter_is_a_plus() {
    let rules = [
        ("both", "a/b"),
        ("both", "d.e"),
        ("both", "s/+"),
        ("both", "one/1"),
        ("both", "lit/*"),
        ("both", "t/#"),
    ];
    let (world, login) = world(&rules).await;
    for (permission, key, expected) in [
        // The broker delivers `a.b` where `a/b` goes, so it is judged as that.
        ("write", "a.b", "allow"),
        ("read", "a.b", "allow"),
        // A rule about a literal dot cannot be told from one about a slash: it allows nothing.
        ("write", "d.e", "deny"),
        ("read", "d.e", "deny"),
        // A filter `s/*` would match every `s/...` in the broker.
        ("read", "s.*", "allow"),
        ("read", "one.*", "deny"),
        ("read", "lit.*", "deny"),
        ("read", "lit.x", "deny"),
        // Subscribers would get a published star as a `+`, which no topic of a message may have.
        ("write", "lit.*", "deny"),
        ("write", "one.*", "deny"),
        ("write", "t.#", "deny"),
        ("write", "t.+", "deny"),
        ("read", "t.#", "allow"),
        ("read", "t", "allow"),
        ("read", "t..x", "allow"),
        ("read", "t.#.x", "deny"),
        ("read", "t.x#", "deny"),
        ("read", ".t", "deny"),
        ("read", "", "deny"),
        ("write", "", "deny"),
    ] {
        let answer = topic(&world, &login, "dev-1", (permission, key)).await;
        assert_eq!(answer, expected, "{permission} {key}");
    }
}

#[tokio::test]
async fn a_shared_subscription_is_judged_by_what_it_delivers() {
    let (world, login) = world(&[("both", "t/#")]).await;
    for (key, expected) in [
        ("$share.g.t.shared.#", "allow"),
        ("$share.g.t", "allow"),
        ("$share.g.#", "deny"),
        ("$share.g.x", "deny"),
        ("$share.g", "deny"),
        ("$share", "deny"),
        ("$share.*.t.x", "deny"),
        ("$share.#", "deny"),
        ("$share..t.x", "deny"),
        ("$share.g.$share.h.t.x", "deny"),
        ("$queue.t.x", "deny"),
    ] {
        let answer = topic(&world, &login, "dev-1", ("read", key)).await;
        assert_eq!(answer, expected, "{key}");
    }
}

#[tokio::test]
async fn a_rule_for_everything_does_not_open_the_brokers_own_topics() {
    let (world, login) = world(&[("both", "#")]).await;
    for (permission, key, expected) in [
        ("read", "#", "allow"),
        ("read", "*.x", "allow"),
        ("read", "$share.g.#", "allow"),
        ("write", "a.b", "allow"),
        ("read", "$SYS.#", "deny"),
        ("read", "$share.g.$SYS.#", "deny"),
        ("write", "$SYS.x", "deny"),
    ] {
        let answer = topic(&world, &login, "dev-1", (permission, key)).await;
        assert_eq!(answer, expected, "{permission} {key}");
    }
}

#[tokio::test]
async fn a_client_id_cannot_widen_a_rule_that_names_it() {
    let (world, login) = world(&[("both", "c/{client_id}/#")]).await;
    for (client_id, permission, key, expected) in [
        ("dev", "read", "c.dev.#", "allow"),
        ("dev", "write", "c.dev.x", "allow"),
        ("dev", "read", "c.*.#", "deny"),
        ("dev", "read", "c.other.#", "deny"),
        ("*", "read", "c.*.#", "deny"),
        ("#", "read", "c.#", "deny"),
        ("+", "read", "c.*.#", "deny"),
        ("a.b", "write", "c.a.b.x", "deny"),
        ("a/b", "write", "c.a.b.x", "deny"),
        ("", "read", "c.#", "deny"),
        ("", "write", "c..x", "deny"),
    ] {
        let answer = topic(&world, &login, client_id, (permission, key)).await;
        assert_eq!(answer, expected, "{client_id} {permission} {key}");
    }
}

/// The four questions of an MQTT client that connects and publishes.
async fn all_four(world: &World, login: &Login, username: &str, vhost: &str) -> [String; 4] {
    let who = [("username", username), ("vhost", vhost)];
    let client = [("client_id", "dev-1")];
    let exchange = [
        ("resource", "exchange"),
        ("name", "amq.topic"),
        ("permission", "write"),
    ];
    let topic = [
        ("resource", "topic"),
        ("name", "amq.topic"),
        ("permission", "write"),
        ("routing_key", "t.x"),
        ("variable_map.client_id", "dev-1"),
    ];
    let password = [("password", login.password.as_str())];
    let ask = async |hook, parts: &[Fields<'_>]| world.ask_rabbitmq(hook, &parts.concat()).await.1;
    [
        ask("user", &[&who, &client, &password]).await,
        ask("vhost", &[&who, &client, &[("ip", "127.0.0.1")]]).await,
        ask("resource", &[&who, &client, &exchange]).await,
        ask("topic", &[&who, &topic]).await,
    ]
}

#[tokio::test]
async fn a_vhost_is_neither_part_of_a_username_nor_chosen_by_the_client() {
    let (world, login) = world(&[("both", "t/#")]).await;
    let name = login.username.as_str();
    assert_eq!(all_four(&world, &login, name, "/").await, ["allow"; 4]);
    for (username, vhost) in [
        (format!("/:{name}"), "/"),
        (format!(":{name}"), "/"),
        (format!("other:{name}"), "other"),
        (name.to_owned(), "other"),
        (name.to_owned(), ""),
        (name.to_owned(), "//"),
        (name.to_owned(), world.organization.as_str()),
    ] {
        let answers = all_four(&world, &login, &username, vhost).await;
        assert_eq!(answers, ["deny"; 4], "{username} in {vhost}");
    }
}

#[tokio::test]
async fn a_client_has_its_own_queues_and_the_exchange_of_mqtt() {
    let (world, login) = world(&[]).await;
    for (client_id, resource, name, permissions) in [
        (
            "dev-1",
            "queue",
            "mqtt-subscription-dev-1qos0",
            "configure write read",
        ),
        (
            "dev-1",
            "queue",
            "mqtt-subscription-dev-1qos1",
            "configure write read",
        ),
        ("dev-1", "queue", "mqtt-will-dev-1", "configure write read"),
        (
            "dev-1qos0",
            "queue",
            "mqtt-subscription-dev-1qos0qos1",
            "configure write read",
        ),
        ("dev-1", "exchange", "amq.topic", "write read"),
        ("dev-1", "queue", "mqtt-subscription-dev-2qos1", ""),
        ("dev-1", "queue", "mqtt-subscription-dev-1qos0qos1", ""),
        ("dev-1", "queue", "mqtt-subscription-dev-1", ""),
        ("dev-1", "queue", "mqtt-subscription-qos1", ""),
        ("dev-1", "queue", "mqtt-will-dev-2", ""),
        ("dev-1", "queue", "amq.gen-x", ""),
        ("dev-1", "queue", "orders", ""),
        ("dev-1", "queue", "", ""),
        ("dev-1", "queue", "amq.topic", ""),
        ("dev-1", "exchange", "", ""),
        ("dev-1", "exchange", "amq.direct", ""),
        ("dev-1", "exchange", "mqtt-subscription-dev-1qos0", ""),
        ("dev-1", "topic", "amq.topic", ""),
        ("dev-1", "vhost", "/", ""),
    ] {
        for permission in ["configure", "write", "read", "delete", ""] {
            let fields = [
                ("username", login.username.as_str()),
                ("vhost", "/"),
                ("resource", resource),
                ("name", name),
                ("permission", permission),
                ("tags", ""),
                ("client_id", client_id),
            ];
            let (_, answer) = world.ask_rabbitmq("resource", &fields).await;
            let allowed = permissions.split(' ').any(|one| one == permission);
            let allowed = allowed && !permission.is_empty();
            let expected = if allowed { "allow" } else { "deny" };
            assert_eq!(
                answer, expected,
                "{client_id} {permission} {resource} {name}"
            );
        }
    }
}

#[tokio::test]
async fn logins_of_the_management_interface_and_of_amqp_clients_are_denied() {
    let (world, login) = world(&[("both", "#")]).await;
    let user = [("username", login.username.as_str())];
    let password = [("password", login.password.as_str())];
    let vhost = [("vhost", "/")];
    let exchange = [
        ("resource", "exchange"),
        ("name", "amq.topic"),
        ("permission", "write"),
    ];
    let topic = [
        ("resource", "topic"),
        ("name", "amq.topic"),
        ("permission", "write"),
        ("routing_key", "a.b"),
    ];
    let client = [("client_id", "dev-1")];
    let questions: [(&str, &[Fields<'_>]); 9] = [
        // The management interface.
        ("user", &[&user, &password]),
        // A client certificate, in the words of 3.12 and of 4.0.
        ("user", &[&user]),
        ("user", &[&user, &vhost, &[("password", "none")]]),
        ("user", &[&user, &vhost, &client]),
        // An AMQP client.
        ("user", &[&user, &password, &vhost]),
        ("vhost", &[&user, &vhost, &[("ip", "127.0.0.1")]]),
        ("resource", &[&user, &vhost, &exchange]),
        ("topic", &[&user, &vhost, &topic]),
        ("topic", &[&user, &vhost, &topic, &client]),
    ];
    for (hook, parts) in questions {
        let fields = parts.concat();
        let answer = world.ask_rabbitmq(hook, &fields).await;
        assert_eq!(answer, (200, "deny".into()), "{hook} {fields:?}");
    }
}
