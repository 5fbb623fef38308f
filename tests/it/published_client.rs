//! The published JavaScript SDK against a real server and a real broker, by a stand-in that speaks
//! exactly as the contract says (`tests/js/published-client.mjs`), with the SDK's own MQTT library.
//!
//! RabbitMQ 3.10 speaks MQTT 3.1.1 only, so the SDK's MQTT 5 with `clean: false` is tried with RMQTT;
//! `scripts/test-brokers` builds that. The browser build uses WebSockets where this uses TCP.

use serde_json::{Value, json};

use crate::support::client::ClientProgram;
use crate::support::deployment::{Deployment, identity_claims, identity_token};
use crate::support::program::Site;
use crate::support::proxy::Mode;
use crate::support::world::{HOOK_SECRET, sign};

/// Seconds that the first token of a session lives. The stand-in refreshes it a second after it has
/// got it; the rest is for a machine that has other things to do.
const FIRST_LIFE: i64 = 12;
/// A request from `tests/js`'s stand-in, and what the SDK makes of the answer.
type Mapped = (&'static str, Value, (u64, &'static str));

#[tokio::test]
async fn it_lives_through_refreshes_and_reconnects_until_it_is_revoked() {
    lives_until_revoked(Deployment::rabbitmq().await).await;
}

#[tokio::test]
#[ignore = "scripts/test-brokers builds RMQTT and runs this"]
async fn rmqtt_with_mqtt_5_it_lives_through_refreshes_and_reconnects_until_it_is_revoked() {
    lives_until_revoked(Deployment::rmqtt().await).await;
}

/// Its connection is always opened with the first password, hence also long after that password's
/// first end.
async fn lives_until_revoked(deployment: Deployment) {
    let options = json!({ "longestTimer": 1_000, "refreshRetryDelay": 100 });
    let mut client = start(&deployment, &options);
    let first = connect(&mut client, &deployment, "alice", FIRST_LIFE).await;
    messages_flow(&mut client, "alice", "before").await;
    for times in 1..=2 {
        assert_eq!(client.next("refreshed").await["times"], times);
    }
    wait_until_past(&first["expires_at"]).await;
    messages_flow(&mut client, "alice", "past the first end").await;

    deployment.lose_connections();
    client.next("closed").await;
    client.next("connected").await;
    messages_flow(&mut client, "alice", "reconnected").await;

    deployment
        .site
        .run(&["revoke", first["token_id"].as_str().unwrap()]);
    let failed = client.next("refresh_failed").await;
    assert_eq!(failed["type"], "AUTH_FAILED", "{failed}");
    let given_up = client.next("token_error").await;
    assert_eq!(given_up["type"], "REFRESH_FAILED");
    deployment.lose_connections();
    let refused = client.next("auth_error").await;
    assert!([4, 5, 134, 135].contains(&refused["code"].as_i64().unwrap()));
    // With nothing more to do, Node ends by itself: no timer is left that would try again.
    client.order("let_go", &json!([]));
    client.next("ended").await;
    let said = client.said();
    let after = said.split_once("auth_error").unwrap().1;
    assert!(!after.contains("reconnecting"), "{said}");
}

#[tokio::test]
async fn it_refreshes_again_once_ticketgate_is_back() {
    back_after_an_outage(Deployment::rabbitmq().await).await;
}

#[tokio::test]
#[ignore = "scripts/test-brokers builds RMQTT and runs this"]
async fn rmqtt_with_mqtt_5_it_refreshes_again_once_ticketgate_is_back() {
    back_after_an_outage(Deployment::rmqtt().await).await;
}

async fn back_after_an_outage(mut deployment: Deployment) {
    let options = json!({
        "longestTimer": 1_000,
        "refreshRetryDelay": 500,
        // The original waits longer instead; what counts is how long it tries.
        "maxRefreshRetries": 120,
    });
    let mut client = start(&deployment, &options);
    connect(&mut client, &deployment, "alice", 3_600).await;
    client.next("refreshed").await;
    deployment.server.kill();
    for _ in 0..2 {
        let failed = client.next("refresh_failed").await;
        assert_eq!(failed["type"], "NETWORK_ERROR", "{failed}");
    }
    deployment.serve_again().await;
    // What was answered before the kill is still there.
    client.next("refreshed").await;
    messages_flow(&mut client, "alice", "as before").await;
    assert!(!client.said().contains("closed"), "{}", client.said());

    // The machine that runs both is gone for a while.
    deployment.server.kill();
    deployment.network.set(Mode::Cut);
    for _ in 0..3 {
        client.next("reconnecting").await;
    }
    deployment.serve_again().await;
    deployment.network.set(Mode::Pass);
    client.next("connected").await;
    client.next("refreshed").await;
    messages_flow(&mut client, "alice", "back again").await;
}

#[tokio::test]
async fn it_comes_in_with_a_secret_key_and_replaces_its_own_token() {
    let deployment = Deployment::rabbitmq().await;
    let options = json!({});
    let mut client = start(&deployment, &options);
    let with = json!([{
        "host": deployment.broker_url(),
        "organizationId": deployment.site.organization,
        "secretKey": deployment.site.key,
        // The SDK's own example; no address that mail could go to.
        "userEmail": "publisher@internal",
    }]);
    client.order("connectWithToken", &with);
    let token = client.next("token").await;
    assert_eq!(token["user_email"], "publisher@internal");
    assert_eq!(token["provider"], "cloudsignal");
    client.next("done").await;
    // A second start of the same program takes the first one's place.
    let mut second = start(&deployment, &options);
    second.done("connectWithToken", &with).await;
    deployment.lose_connections();
    client.next("auth_error").await;
    second.next("closed").await;
    second.next("connected").await;
}

#[tokio::test]
async fn it_is_told_what_is_wrong_in_words_that_it_reads() {
    let deployment = Deployment::rabbitmq().await;
    let mut client = start(&deployment, &json!({}));
    let organization = &deployment.site.organization;
    let good = identity_token("alice", 3_600);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = identity_claims("alice", 3_600);
        change(&mut claims);
        sign(&claims)
    };
    let old = with(&|claims| claims["exp"] = json!(1_700_000_000));
    let stranger = with(&|claims| claims["iss"] = json!("https://elsewhere.example"));
    let nameless = with(&|claims| _ = claims.as_object_mut().unwrap().remove("email"));
    let token_id = "3f0c2a8e-6a54-4a57-9a0e-0d4f6b1c2d3e";
    let cases: [Mapped; 7] = [
        (
            "exchange",
            json!([organization, old]),
            (401, "TOKEN_EXPIRED"),
        ),
        (
            "exchange",
            json!([organization, "x.y.z"]),
            (401, "AUTH_FAILED"),
        ),
        (
            "exchange",
            json!([organization, stranger]),
            (404, "PROVIDER_NOT_FOUND"),
        ),
        (
            "exchange",
            json!(["org_aaaaaaaaaaaa", good]),
            (404, "ORG_NOT_FOUND"),
        ),
        (
            "exchange",
            json!([organization, nameless]),
            (422, "INVALID_RESPONSE"),
        ),
        (
            "exchange",
            json!([organization, good, token_id]),
            (404, "PROVIDER_NOT_FOUND"),
        ),
        (
            "create",
            json!([organization, "sk_wrong", "a@b"]),
            (401, "AUTH_FAILED"),
        ),
    ];
    for (method, arguments, (status, kind)) in cases {
        client.order(method, &arguments);
        let failed = client.next_of(&["failed", "done"]).await;
        assert_eq!(
            (&failed["status"], &failed["type"]),
            (&json!(status), &json!(kind))
        );
        let text = failed["message"].as_str().unwrap();
        assert!(text.contains(' ') && !text.contains("[object"), "{text}");
    }
    let providers = client.done("providers", &json!([organization])).await;
    assert_eq!(providers.as_array().map(Vec::len), Some(1), "{providers}");
}

#[tokio::test]
async fn a_connection_lost_while_only_ticketgate_is_down_is_not_opened_again() {
    lost_during_an_outage(Deployment::rabbitmq().await).await;
}

#[tokio::test]
#[ignore = "scripts/test-brokers builds RMQTT and runs this"]
async fn rmqtt_with_mqtt_5_a_connection_lost_while_only_ticketgate_is_down_is_not_opened_again() {
    lost_during_an_outage(Deployment::rmqtt().await).await;
}

/// The SDK gives up for good when it hears "not authorized", and neither broker has another word.
/// `docs/clients.md` says so. Should a broker learn one, this fails, and the document has to change.
async fn lost_during_an_outage(mut deployment: Deployment) {
    let mut client = start(&deployment, &json!({}));
    connect(&mut client, &deployment, "alice", 3_600).await;
    deployment.server.kill();
    deployment.lose_connections();
    client.next("auth_error").await;
}

/// With a broker that can say "unavailable". EMQX 4 is no package, so this is its double.
#[tokio::test]
async fn it_keeps_connecting_while_ticketgate_is_down_and_stops_once_it_is_revoked() {
    let site = Site::set_up_for("emqx4");
    let mut server = site.serve().await;
    let where_to_ask = json!({
        "auth": format!("{}/hooks/emqx4/main/auth", site.url()),
        "secret": HOOK_SECRET,
    });
    let double = [("emqx4-double.mjs", include_str!("../js/emqx4-double.mjs"))];
    let mut broker = ClientProgram::node(&double, &where_to_ask);
    let port = broker.next("listening").await["port"].clone();
    for protocol_version in [4, 5] {
        let options = json!({ "protocolVersion": protocol_version });
        let mut client = start_at(&site, &options);
        let with = json!([{
            "host": format!("mqtt://127.0.0.1:{port}"),
            "organizationId": site.organization,
            "externalToken": identity_token("alice", 3_600),
        }]);
        client.order("connectWithToken", &with);
        let token = client.next("token").await;
        client.next("done").await;
        server.kill();
        broker.order("close", &json!([]));
        for _ in 0..3 {
            while broker.next("asked").await["verdict"] != "unavailable" {}
        }
        server = site.serve().await;
        client.next("connected").await;

        site.run(&["revoke", token["token_id"].as_str().unwrap()]);
        broker.order("close", &json!([]));
        client.next("auth_error").await;
        assert_eq!(client.said().matches("auth_error").count(), 1);
    }
}

fn start(deployment: &Deployment, more: &Value) -> ClientProgram {
    let mut options = json!({ "protocolVersion": deployment.protocol_version });
    merge(&mut options, more);
    start_at(&deployment.site, &options)
}

fn start_at(site: &Site, more: &Value) -> ClientProgram {
    let mut options = json!({ "tokenServiceUrl": site.url(), "reconnectPeriod": 200 });
    merge(&mut options, more);
    let files = [
        (
            "drive-published-client.mjs",
            include_str!("../js/drive-published-client.mjs"),
        ),
        (
            "published-client.mjs",
            include_str!("../js/published-client.mjs"),
        ),
    ];
    ClientProgram::node(&files, &options)
}

fn merge(options: &mut Value, more: &Value) {
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
}

/// Exchanges and connects; returns what the first token says of itself.
async fn connect(
    client: &mut ClientProgram,
    deployment: &Deployment,
    subject: &str,
    life: i64,
) -> Value {
    let with = json!([{
        "host": deployment.broker_url(),
        "organizationId": deployment.site.organization,
        "externalToken": identity_token(subject, life),
    }]);
    client.order("connectWithToken", &with);
    let token = client.next("token").await;
    client.next("connected").await;
    client.next("done").await;
    token
}

async fn messages_flow(client: &mut ClientProgram, subject: &str, text: &str) {
    let topic = format!("users/user_{subject}/mood");
    client.done("subscribe", &json!([topic])).await;
    client.order("publish", &json!([topic, text]));
    // Either may come first, the message or the acknowledgement.
    let message = client.next("message").await;
    assert_eq!(message["payload"], text);
}

async fn wait_until_past(time: &Value) {
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    while jiff::Timestamp::now() <= time {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
