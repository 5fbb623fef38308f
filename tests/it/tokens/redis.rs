//! Several nodes on one Redis: what one of them does over HTTP holds on the others.

use serde_json::{Value, json};

use crate::support::nodes::Deployment;
use crate::support::nodes::client::{Login, Verdict};
use crate::support::redis::options::RedisOptions;

#[tokio::test]
async fn what_one_node_ends_or_refreshes_holds_on_all_and_survives_a_kill() {
    let redis = RedisOptions::default().durable().start().await;
    let deployment = Deployment::set_up(&redis.url());
    let (one, two) = (
        deployment.node(&redis.url()).await,
        deployment.node(&redis.url()).await,
    );
    let (login, kept) = (
        one.mint("alice").await.unwrap(),
        one.mint("bob").await.unwrap(),
    );
    let mut there = two.client();
    for login in [&login, &kept] {
        assert_eq!(there.connect(login).await.verdict, Verdict::Allow);
    }
    let body = json!({"token_id": login.token, "current_token_password": login.password});
    let revoked: Value = one.call("/v2/tokens/revoke", &body).await.unwrap();
    assert_eq!(revoked["nodes"], json!({"total": 2, "confirmed": 2}));
    assert_eq!(there.connect(&login).await.verdict, Verdict::Deny);

    let body = json!({"token_id": kept.token, "current_token_password": kept.password});
    let refreshed = one.call("/v2/tokens/refresh", &body).await.unwrap();
    one.kill();
    two.kill();
    two.start().await;
    let mut there = two.client();
    assert_eq!(there.connect(&login).await.verdict, Verdict::Deny);
    assert_eq!(there.connect(&kept).await.verdict, Verdict::Allow);
    let again = two.call("/v2/tokens/refresh", &body).await.unwrap();
    assert!(again["expires_at"].as_str() >= refreshed["expires_at"].as_str());
}

#[tokio::test]
async fn a_new_password_is_good_on_every_node_at_once_and_an_old_one_in_its_grace() {
    let redis = RedisOptions::default().start().await;
    let deployment = Deployment::set_up(&redis.url());
    deployment.set(&redis.url(), &["--refresh", "rotate"]);
    let (one, two) = (
        deployment.node(&redis.url()).await,
        deployment.node(&redis.url()).await,
    );
    let (mut here, mut there) = (one.client(), two.client());
    let first = one.mint("alice").await.unwrap();
    let mut current = first.password.clone();
    for _ in 0..4 {
        assert_eq!(there.connect(&first).await.verdict, Verdict::Allow);
        let body = json!({"token_id": first.token, "current_token_password": current});
        let reply = one.call("/v2/tokens/refresh", &body).await.unwrap();
        let refreshed = Login::new(&reply);
        assert_ne!(refreshed.password, current);
        // The other node has the holder in its cache, without this password.
        assert_eq!(there.connect(&refreshed).await.verdict, Verdict::Allow);
        assert_eq!(here.connect(&refreshed).await.verdict, Verdict::Allow);
        current = refreshed.password.clone();
    }
    let target = json!({"token_id": first.token, "current_token_password": current});
    two.call("/v2/tokens/revoke", &target).await.unwrap();
    for node in [&mut here, &mut there] {
        assert_eq!(node.connect(&first).await.verdict, Verdict::Deny);
    }
}
