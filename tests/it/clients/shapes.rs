//! The login shapes of other published clients.

use serde_json::{Value, json};

use crate::support::client::ClientProgram;
use crate::support::deployment::Deployment;
use crate::support::mqtt::{MqttClient, Outcome};
use crate::support::program::Site;

/// Its topics, and the user whom it notifies.
const POLICY: &str = r#"{"rules": [
    {"user": "server", "topic": "$notifications/#", "permission": "publish"},
    {"user": "*", "topic": "$notifications/{username}/inbox/#", "permission": "subscribe"}
]}"#;

#[tokio::test]
async fn the_notification_demo_publishes_as_the_service_user() {
    let site = Site::set_up();
    site.write("policy.json", POLICY);
    let policy = site.path("policy.json");
    site.run(&["policy", "set", "--org", &site.organization, &policy]);
    let deployment = Deployment::rabbitmq_on(site).await;
    let site = &deployment.site;
    let (username, password, _) = site.login("alice").await;
    let port = deployment.network.port();
    let reader = MqttClient::connect(port, "alice", &username, &password).await;
    let mut reader = reader.unwrap();
    let filter = "$notifications/user_alice/inbox/#";
    assert_eq!(reader.subscribe(filter).await, Outcome::Done);

    let topic = "$notifications/user_alice/inbox/1";
    let mut demo = notify(&deployment, &site.key, topic);
    demo.next("done").await;
    assert_eq!(reader.receive().await, "you have mail");

    for key in ["sk_wrong", &password, ""] {
        let mut stranger = notify(&deployment, key, topic);
        let refused = stranger.next("failed").await;
        let code = refused["code"].as_i64();
        assert!(matches!(code, Some(4 | 5)), "{refused}");
    }
    let id = &site.key[3..13];
    site.run(&["revoke", &format!("key:{id}")]);
    let mut late = notify(&deployment, &site.key, topic);
    late.next("failed").await;
}

/// It publishes over HTTP with its key as a Bearer token. The server takes such a key, and does not
/// take messages yet, which the publisher reads as a failure.
#[tokio::test]
async fn the_python_publishers_bearer_key_is_read() {
    let deployment = Deployment::rabbitmq().await;
    let site = &deployment.site;
    let http = reqwest::Client::new();
    let call = |method: reqwest::Method, path: &str| {
        let call = http.request(method, format!("{}{path}", site.url()));
        call.bearer_auth(&site.key)
    };
    let listed = call(reqwest::Method::GET, "/v2/tokens").send().await;
    assert_eq!(listed.unwrap().status(), 200, "the key is a good one");
    let body = json!({"topic": "a", "payload": {"n": 1}, "qos": 1, "retain": false});
    let published = call(reqwest::Method::POST, "/v1/publish").json(&body);
    let answer = published.send().await.unwrap();
    assert_eq!(answer.status(), 404, "it is there now: test that it works");
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["error"], "not_found");
}

fn notify(deployment: &Deployment, key: &str, topic: &str) -> ClientProgram {
    let plan = json!({
        "broker": deployment.broker_url(),
        "organization": deployment.site.organization,
        "key": key,
        "topic": topic,
        "payload": "you have mail",
    });
    ClientProgram::node(
        &[("notify.mjs", include_str!("../../js/notify.mjs"))],
        &plan,
    )
}
