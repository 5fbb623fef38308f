//! One tenant never sees another: two organizations in one deployment, with the same provider and
//! even the same subjects.

use reqwest::StatusCode;
use serde_json::{Value, json};
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::engine::isolation::Isolation;
use ticketgate::names::organization_id::{OrganizationId, OrganizationName};

use crate::support::world::{Login, Plan, World, set_up};

/// Two organizations; the first is the world's own.
struct Tenants {
    world: World,
    other: OrganizationId,
    other_alias: String,
}

impl Tenants {
    async fn with(isolation: Option<Isolation>) -> Self {
        let policy = json!({"rules": [
            {"user": "*", "topic": "users/{username}/#", "permission": "both"},
            {"user": "*", "topic": "shared/#", "permission": "both"},
        ]});
        let plan = Plan {
            policy: policy.clone(),
            isolation,
            ..Plan::default()
        };
        let world = World::with(plan).await;
        let (other, other_alias) = set_up(&world.app, &policy).await;
        Self {
            world,
            other,
            other_alias,
        }
    }

    async fn login(&self, organization: &OrganizationId) -> Login {
        let token = self.world.identity_token("alice");
        let body = json!({ "organization_id": organization, "token": token });
        let (status, reply) = self.world.exchange(&body).await;
        assert_eq!(status, 200, "{reply}");
        let text = |name: &str| reply[name].as_str().unwrap().to_owned();
        Login {
            username: text("mqtt_username"),
            password: text("mqtt_password"),
            token_id: text("token_id"),
            reply: reply.clone(),
        }
    }

    async fn key_of(&self, organization: &OrganizationId) -> String {
        let name = OrganizationName::Id(organization.clone());
        let made = self
            .world
            .app
            .create_key(name, ApiKeyKind::Secret, "k", vec![])
            .await;
        made.unwrap().1.expose().to_owned()
    }

    /// Whether the broker would let the client do this; the first field is the hook.
    async fn asks(
        &self,
        hook: &str,
        login: &Login,
        client_id: &str,
        more: &[(&str, &str)],
    ) -> bool {
        let id = if hook == "topic" {
            "variable_map.client_id"
        } else {
            "client_id"
        };
        let who = [("username", login.username.as_str()), (id, client_id)];
        let fields = [&who[..], more].concat();
        let (status, body) = self.world.ask_rabbitmq(hook, &fields).await;
        assert_eq!(status, 200);
        body == "allow"
    }

    async fn connects(&self, login: &Login, client_id: &str, vhost: &str) -> bool {
        let more = [("password", login.password.as_str()), ("vhost", vhost)];
        self.asks("user", login, client_id, &more).await
    }

    async fn topic(&self, login: &Login, client_id: &str, permission: &str, key: &str) -> bool {
        let more = [
            ("vhost", "/"),
            ("resource", "topic"),
            ("name", "amq.topic"),
            ("permission", permission),
            ("routing_key", key),
        ];
        self.asks("topic", login, client_id, &more).await
    }
}

#[tokio::test]
async fn a_login_is_good_in_its_own_organization_only() {
    let tenants = Tenants::with(None).await;
    let ours = tenants.login(&tenants.world.organization).await;
    let theirs = tenants.login(&tenants.other).await;
    assert!(tenants.connects(&ours, "c", "/").await);
    assert!(
        !tenants.connects(&theirs, "c", "/").await,
        "the broker is dedicated to us"
    );
    let crossed = Login {
        password: theirs.password.clone(),
        ..ours.clone()
    };
    assert!(
        !tenants.connects(&crossed, "c", "/").await,
        "the same subject, another's token"
    );
}

#[tokio::test]
async fn behind_prefixes_topics_and_client_ids_do_not_cross() {
    let tenants = Tenants::with(Some(Isolation::Prefix)).await;
    let (us, them) = (
        tenants.world.organization.to_string(),
        tenants.other.to_string(),
    );
    let ours = tenants.login(&tenants.world.organization).await;
    let id = format!("{us}-phone");
    assert!(tenants.connects(&ours, &id, "/").await);
    for foreign in ["phone".to_owned(), format!("{them}-phone"), String::new()] {
        assert!(
            !tenants.connects(&ours, &foreign, "/").await,
            "a session of others: {foreign}"
        );
        let key = format!("{us}.shared.x");
        assert!(
            !tenants.topic(&ours, &foreign, "write", &key).await,
            "{foreign}"
        );
    }
    for (key, expected) in [
        (format!("{us}.shared.x"), true),
        (format!("{us}.users.user_alice.#"), true),
        (format!("$share.g.{us}.shared.#"), true),
        (format!("{them}.shared.x"), false),
        (format!("$share.g.{them}.shared.#"), false),
        (format!("{us}.$share.g.shared.x"), false),
        (format!("{us}.#"), false),
        ("shared.x".to_owned(), false),
        ("*.shared.x".to_owned(), false),
        ("#".to_owned(), false),
    ] {
        assert_eq!(
            tenants.topic(&ours, &id, "read", &key).await,
            expected,
            "{key}"
        );
    }
}

#[tokio::test]
async fn in_vhosts_each_organization_has_its_own() {
    let tenants = Tenants::with(Some(Isolation::Vhost)).await;
    let ours = tenants.login(&tenants.world.organization).await;
    for (vhost, expected) in [
        (tenants.world.organization.as_str(), true),
        (tenants.other.as_str(), false),
        ("/", false),
    ] {
        assert_eq!(
            tenants.connects(&ours, "c", vhost).await,
            expected,
            "{vhost}"
        );
        let vhost = [("vhost", vhost), ("ip", "127.0.0.1"), ("tags", "")];
        assert_eq!(
            tenants.asks("vhost", &ours, "c", &vhost).await,
            expected,
            "{vhost:?}"
        );
    }
}

#[tokio::test]
async fn a_key_does_not_open_another_organization_under_any_of_its_names() {
    let tenants = Tenants::with(None).await;
    let key = tenants.key_of(&tenants.world.organization).await;
    let token = tenants.world.identity_token("alice");
    for (name, expected) in [
        (tenants.world.organization.to_string(), StatusCode::OK),
        (tenants.world.alias.clone(), StatusCode::OK),
        (tenants.other.to_string(), StatusCode::NOT_FOUND),
        (tenants.other_alias.clone(), StatusCode::NOT_FOUND),
        (
            "00000000-0000-4000-8000-000000000000".to_owned(),
            StatusCode::NOT_FOUND,
        ),
    ] {
        let body = json!({ "organization_id": name, "token": token });
        let url = format!("{}/v2/tokens/exchange", tenants.world.url);
        let call = tenants.world.http.post(url).bearer_auth(&key).json(&body);
        let reply = call.send().await.unwrap();
        assert_eq!(reply.status(), expected, "{name}");
        let reply: Value = reply.json().await.unwrap();
        if expected == StatusCode::OK {
            let username = reply["mqtt_username"].as_str().unwrap();
            assert!(
                username.ends_with(tenants.world.organization.as_str()),
                "{username}"
            );
        }
    }
}

#[tokio::test]
async fn revoking_touches_one_organization_only() {
    let tenants = Tenants::with(Some(Isolation::Prefix)).await;
    let ours = tenants.login(&tenants.world.organization).await;
    let theirs = tenants.login(&tenants.other).await;
    let revoked = tenants
        .world
        .app
        .revoke(ours.username.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(revoked.credentials, Some(1));
    let (our_id, their_id) = (
        format!("{}-c", tenants.world.organization),
        format!("{}-c", tenants.other),
    );
    assert!(!tenants.connects(&ours, &our_id, "/").await);
    assert!(tenants.connects(&theirs, &their_id, "/").await);
}
