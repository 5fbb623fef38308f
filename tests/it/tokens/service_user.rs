//! `server@<organization>` with a secret key as its password, as the notification demo logs in.

use serde_json::json;
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::scope::Scope;

use super::{connects, key, key_in, may_publish, on_both, secret_key};
use crate::support::world::set_up;

#[tokio::test]
async fn the_service_user_connects_with_a_live_secret_key_of_its_organization() {
    on_both(async |world| {
        let org = world.organization.as_str();
        let server = format!("server@{org}");
        let good = secret_key(world).await;
        assert!(connects(world, &server, &good).await);
        assert!(connects(world, &format!("server@{}", world.alias), &good).await);
        assert!(may_publish(world, &server, "c", "users/server/x").await);
        assert!(
            !may_publish(world, &server, "c", "anything").await,
            "the policy holds"
        );

        let public = key(world, ApiKeyKind::Publishable, vec![]).await;
        let narrow = key(world, ApiKeyKind::Restricted, vec![Scope::Publish]).await;
        let silent = key(world, ApiKeyKind::Secret, vec![Scope::TokensCreate]).await;
        let (other, _) = set_up(&world.app, &json!({"rules": []})).await;
        let foreign = key_in(world, &other, ApiKeyKind::Secret, vec![]).await;
        for bad in [&public, &narrow, &silent, &foreign, "sk_nonsense", ""] {
            assert!(!connects(world, &server, bad).await, "{bad:.6}");
        }
        assert!(!connects(world, &format!("other@{org}"), &good).await);
        assert!(!connects(world, &server, &good.to_lowercase()).await);
    })
    .await;
}

#[tokio::test]
async fn sessions_of_the_service_user_end_with_its_last_key() {
    on_both(async |world| {
        let server = format!("server@{}", world.organization);
        let allowed = async || may_publish(world, &server, "c", "users/server/x").await;
        assert!(!allowed().await, "there is no key yet");
        let mut keys = Vec::new();
        for _ in 0..2 {
            let made = world
                .app
                .create_key(super::of(world), ApiKeyKind::Secret, "k", vec![]);
            let (key, text) = made.await.unwrap();
            assert!(connects(world, &server, text.expose()).await);
            keys.push((key.id.to_string(), text));
        }
        for (number, (id, text)) in keys.iter().enumerate() {
            assert!(allowed().await);
            let target = format!("key:{id}");
            assert_eq!(world.revoke(&json!({"target": target})).await.0, 200);
            assert!(!connects(world, &server, text.expose()).await);
            assert_eq!(allowed().await, number == 0);
        }
    })
    .await;
}
