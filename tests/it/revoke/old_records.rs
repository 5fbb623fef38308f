//! Records as versions wrote them that knew neither epochs nor revoked API keys.

use serde_json::json;
use ticketgate::engine::isolation::Isolation;
use ticketgate::store::port::Write;
use ticketgate::store::record::{Record, RecordKey};

use super::{PASSWORD, assert_good, assert_over, key_of, revoke, status_with};
use crate::support::world::{Login, Plan, World};

const ORGANIZATION: &str = "org_67hxwzvx57aq";

/// Name and text of each. The user's password is [`PASSWORD`].
const RECORDS: [(&str, &str); 4] = [
    (
        "org:org_67hxwzvx57aq",
        r#"{"v":1,"record":{"id":"org_67hxwzvx57aq","alias":"1bbf6156-adda-4636-9620-6ca4fb444d61","name":"demo","token_life":{"default_seconds":3600,"max_seconds":86400},"allowed_origins":["http://localhost:3000"],"created_at":1750000000}}"#,
    ),
    (
        "policy:org_67hxwzvx57aq",
        r#"{"v":1,"record":{"document":"{\"rules\":[{\"permission\":\"both\",\"topic\":\"users/{username}/#\",\"user\":\"*\"}]}"}}"#,
    ),
    (
        "holder:sensor-1@org_67hxwzvx57aq",
        r#"{"v":1,"record":{"name":"sensor-1","organization":"org_67hxwzvx57aq","identity":"static","credentials":[{"password":"$argon2id$v=19$m=19456,t=2,p=1$RIGSriBiX2mYu5HjjshvkQ$DXya8eteU0DhbnTR8UIC6SNZTo3CJQpigABx+XOkmRE","issued_at":1750000000}]}}"#,
    ),
    (
        "holder:user_alice@org_67hxwzvx57aq",
        r#"{"v":1,"record":{"name":"user_alice","organization":"org_67hxwzvx57aq","identity":{"subject":{"provider":"5a6594c1-7f4a-41e0-91ec-1a4bceb0ebaa","subject":"alice"}},"credentials":[{"token":{"id":"c009c642-3550-4cb5-9727-85fab09bc6cc","pepper":"QBNP","digest":"GTcSeO0A5B7fk7dth95tjivnD3ckM9gv-ddClU4WCxY"},"claims":{"email":"alice@example.com","user_id":"alice"},"issued_at":1750000000,"expires_at":1750003600}]}}"#,
    ),
];

async fn world_of_old() -> World {
    let organization = ORGANIZATION.parse().unwrap();
    let world = World::with(Plan {
        isolation: Some(Isolation::Dedicated(organization)),
        ..Plan::default()
    })
    .await;
    for (name, text) in RECORDS {
        let key: RecordKey = name.parse().unwrap();
        let record = Record::decode(&key, text).unwrap();
        let write = Write {
            key,
            expected: None,
            record: Some(record),
            audit: None,
        };
        world.store.put(write).await.unwrap();
    }
    world
}

#[tokio::test]
async fn old_records_are_good_until_their_organization_is_marked() {
    for body in [
        json!({ "target": ORGANIZATION }),
        json!({"issued_before": "2025-06-15T15:06:41Z", "organization": ORGANIZATION}),
    ] {
        let world = world_of_old().await;
        let user = Login {
            username: format!("sensor-1@{ORGANIZATION}"),
            password: PASSWORD.into(),
            token_id: String::new(),
            reply: json!(null),
        };
        assert_good(&world, &user);
        let unmarked =
            json!({"issued_before": "2025-06-15T15:06:40Z", "organization": ORGANIZATION});
        revoke(&world, unmarked).await;
        assert_good(&world, &user);
        revoke(&world, body).await;
        assert_over(&world, &user);
    }
}

#[tokio::test]
async fn an_old_api_key_is_good_until_it_is_revoked() {
    let world = World::start().await;
    let (id, key) = key_of(&world, &world.organization).await;
    let name: RecordKey = format!("key:{id}").parse().unwrap();
    let stored = world.store.get(&name).await.unwrap().unwrap();
    let text = stored.record.encode();
    assert!(
        !text.contains("epoch") && !text.contains("revoked"),
        "{text}"
    );
    assert_eq!(status_with(&world, &key).await, 200);
    revoke(&world, json!({"target": format!("key:{id}")})).await;
    assert_eq!(status_with(&world, &key).await, 401);
}
