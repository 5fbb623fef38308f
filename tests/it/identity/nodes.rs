//! A provider that is switched off is off on every node.

use crate::support::nodes::Deployment;
use crate::support::redis::options::RedisOptions;

#[tokio::test]
async fn when_disable_returns_no_node_makes_new_logins() {
    let redis = RedisOptions::default().durable().start().await;
    let (deployment, url) = (Deployment::set_up(&redis.url()), redis.url());
    let nodes = [deployment.node(&url).await, deployment.node(&url).await];
    let org = deployment.organization.clone();
    let provider = nodes[0]
        .run(&["--json", "provider", "list", "--org", &org])
        .await;
    let list: serde_json::Value = serde_json::from_str(&provider).unwrap();
    let name = list["providers"][0]["name"].as_str().unwrap();
    for round in 0..10 {
        for (number, node) in nodes.iter().enumerate() {
            let minted = node.mint(&format!("subject-{round}-{number}")).await;
            assert!(minted.is_ok(), "round {round}: {:?}", minted.err());
        }
        let change = ["provider", "disable", name, "--org", &org];
        nodes[round % 2].run(&change).await;
        for node in &nodes {
            let refused = node.mint("alice").await.err().expect("refused");
            assert!(
                refused.contains("provider_not_found"),
                "round {round}: {refused}"
            );
        }
        let change = ["provider", "enable", name, "--org", &org];
        nodes[round % 2].run(&change).await;
    }
}
