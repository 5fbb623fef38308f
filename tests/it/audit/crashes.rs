//! Nothing is lost, and no change is without its entry: restarts, kills, several nodes.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::Value;

use super::lines;
use crate::support::nodes::Deployment;
use crate::support::program::Site;
use crate::support::redis::options::RedisOptions;

fn minted(export: &str) -> BTreeSet<String> {
    let entries = lines(export);
    let mints = entries.iter().filter(|one| one["action"] == "token.mint");
    mints
        .map(|one| one["details"]["token"].as_str().unwrap().to_owned())
        .collect()
}

/// Every token that there is, live or not.
async fn listed(site: &Site) -> BTreeSet<String> {
    let (mut found, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let url = format!("{}/v2/tokens?status=all&limit=100{cursor}", site.url());
        let call = reqwest::Client::new().get(url).bearer_auth(&site.key);
        let page: Value = call.send().await.unwrap().json().await.unwrap();
        let tokens = page["tokens"].as_array().unwrap().iter();
        found.extend(tokens.map(|one| one["token_id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn a_restart_loses_no_entry() {
    let site = Site::set_up();
    let mut server = site.serve().await;
    let (_, _, id) = site.login("alice").await;
    let url = format!("{}/v2/tokens", site.url());
    let refused = reqwest::Client::new().get(url).bearer_auth("sk_wrong");
    assert_eq!(refused.send().await.unwrap().status(), 401);
    site.run(&["revoke", &id]);
    // What nobody waits for is written before the end.
    assert!(server.terminate());
    let _server = site.serve().await;
    let of = ["--org", &site.organization];
    let export = site.run(&[&["audit", "export"], &of[..]].concat());
    let actions: Vec<String> = lines(&export)
        .iter()
        .map(|one| one["action"].as_str().unwrap().to_owned())
        .collect();
    let expected = [
        "token.revoke",
        "token.mint",
        "key.create",
        "provider.add",
        "organization.create",
    ];
    assert_eq!(actions, expected);
    assert!(
        export.contains("command line"),
        "set up by commands: {export}"
    );
    let nobodys = site.run(&["audit", "export", "--without-organization"]);
    assert!(nobodys.contains("call.refused"), "{nobodys}");
}

#[tokio::test]
async fn a_kill_leaves_no_change_without_its_entry_and_no_entry_without_its_change() {
    let site = Site::set_up();
    let mut all = BTreeSet::new();
    for round in 0..3 {
        let mut server = site.serve().await;
        let mut answered = Vec::new();
        for step in 0..4 {
            let names: Vec<String> = (0..4).map(|n| format!("u-{round}-{step}-{n}")).collect();
            let logins = names.iter().map(|name| site.login(name));
            answered.extend(join_all(logins).await.into_iter().map(|(_, _, id)| id));
        }
        // Some more are on their way when it is killed; nobody hears what became of them.
        let url = format!("{}/v2/tokens/create", site.url());
        let pending = (0..24).map(|n| {
            let body = serde_json::json!({"user_id": format!("p-{round}-{n}"),
                "user_email": format!("p-{round}-{n}@example.com"), "secret_key": site.key});
            let call = reqwest::Client::new().post(url.clone()).json(&body);
            tokio::spawn(async move { call.send().await.map(|reply| reply.status()) })
        });
        let pending: Vec<_> = pending.collect();
        tokio::task::yield_now().await;
        server.kill();
        join_all(pending).await;

        let _server = site.serve().await;
        let export = site.run(&["audit", "export", "--org", &site.organization]);
        let (minted, listed) = (minted(&export), listed(&site).await);
        assert_eq!(minted, listed, "round {round}");
        all.extend(answered);
        assert!(minted.is_superset(&all), "round {round}");
    }
}

#[tokio::test]
async fn two_nodes_write_one_log_and_either_shows_all_of_it() {
    let redis = RedisOptions::default().durable().start().await;
    let deployment = Deployment::set_up(&redis.url());
    let nodes = [
        deployment.node(&redis.url()).await,
        deployment.node(&redis.url()).await,
    ];
    let mints = (0..20).map(|n| {
        let node = &nodes[n % 2];
        async move { node.mint(&format!("user-{n}")).await.unwrap().token }
    });
    let tokens: BTreeSet<String> = join_all(mints).await.into_iter().collect();
    nodes[0].kill();
    nodes[0].start().await;
    let of = ["audit", "export", "--org", &deployment.organization];
    let shown = [nodes[0].run(&of).await, nodes[1].run(&of).await];
    assert_eq!(minted(&shown[0]), tokens);
    assert_eq!(shown[0], shown[1]);
    let ids: Vec<String> = lines(&shown[0])
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first");
}
