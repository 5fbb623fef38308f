//! `GET /v2/tokens`: filters and pages.

use std::collections::BTreeSet;

use super::{assert_error, create, get, on_both, post, secret_key};

#[tokio::test]
async fn tokens_are_listed_in_pages_and_by_filter() {
    on_both(async |world| {
        let key = secret_key(world).await;
        let mut expected = BTreeSet::new();
        for number in 0..7 {
            let made = create(world, &key, &format!("u{number}@b"), false).await;
            expected.insert(made.text("token_id").to_owned());
        }
        let alice = world.login("alice").await;
        expected.insert(alice.token_id.clone());
        for limit in [1, 3, 200] {
            let mut found = BTreeSet::new();
            let mut path = format!("/v2/tokens?limit={limit}");
            loop {
                let reply = get(world, &path, &key).await;
                assert_eq!(reply.status, 200, "{}", reply.body);
                let tokens = reply.body["tokens"].as_array().unwrap();
                assert!(tokens.len() <= limit);
                for token in tokens {
                    assert!(found.insert(token["token_id"].as_str().unwrap().to_owned()));
                    assert!(!token.to_string().contains("tkn_"), "no password");
                }
                match reply.body["next_cursor"].as_str() {
                    Some(cursor) => path = format!("/v2/tokens?limit={limit}&cursor={cursor}"),
                    None => break,
                }
            }
            assert_eq!(found, expected, "pages of {limit}");
        }
        let ids = async |query: &str| -> Vec<String> {
            let reply = get(world, &format!("/v2/tokens?{query}"), &key).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
            let tokens = reply.body["tokens"].as_array().unwrap().iter();
            tokens
                .map(|one| one["token_id"].as_str().unwrap().into())
                .collect()
        };
        let only_alice = [alice.token_id.clone()];
        assert_eq!(ids("username=user_alice").await, only_alice);
        assert_eq!(
            ids(&format!("username=user_alice%40{}", world.alias)).await,
            only_alice
        );
        assert_eq!(ids("user_id=alice").await, only_alice);
        assert_eq!(ids("user_email=alice%40example.com").await, only_alice);
        assert_eq!(ids("user_id=u3%40b").await.len(), 1);
        assert_eq!(ids("username=nobody").await, Vec::<String>::new());
        let body = serde_json::json!({"secret_key": key, "token_id": alice.token_id});
        assert_eq!(post(world, "/v2/tokens/revoke", &body).await.status, 200);
        assert_eq!(ids("user_id=alice").await, Vec::<String>::new());
        assert_eq!(ids("user_id=alice&status=all").await, only_alice);
        for query in [
            "limit=0",
            "limit=201",
            "cursor=x",
            "status=dead",
            "limit=1&limit=2",
        ] {
            let reply = get(world, &format!("/v2/tokens?{query}"), &key).await;
            assert_error(&reply, 400, "invalid_request");
        }
        world.clock.as_ref().unwrap().advance(3_600);
        assert_eq!(
            ids("status=all").await,
            Vec::<String>::new(),
            "their time is up"
        );
    })
    .await;
}
