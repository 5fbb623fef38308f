//! Several nodes on one Redis: what one of them does over HTTP holds on the others.

use serde_json::{Value, json};

use crate::support::nodes::Deployment;
use crate::support::nodes::client::Verdict;
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
