//! Who did what, to whom, from where: of every change.

use serde_json::json;
use ticketgate::app::organizations::OrganizationChange;
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::org::audit::{Outcome, Trail};
use ticketgate::secret::Secret;

use super::{own, printed, text};
use crate::hooks::faulty_store::{Fault, Faults};
use crate::support::world::{Plan, World};
use crate::tokens::{create, of, on_both, post, refresh, secret_key};

#[tokio::test]
async fn what_happens_to_a_token_is_written_with_who_did_it() {
    on_both(async |world| {
        let login = world.login("alice").await;
        let refreshed = refresh(world, &login.token_id, &login.password).await;
        let key = secret_key(world).await;
        let made = create(world, &key, "bob@example.com", true).await;
        let body = json!({"token_id": login.token_id, "secret_key": key});
        let by_key = post(world, "/v2/tokens/revoke", &body).await;
        let (id, password) = (made.text("token_id"), made.text("mqtt_password"));
        let body = json!({"token_id": id, "current_token_password": password});
        let by_itself = post(world, "/v2/tokens/revoke", &body).await;
        let request_id = |reply: &crate::tokens::Reply| {
            let id = reply.headers.get("x-request-id").unwrap();
            id.to_str().unwrap().to_owned()
        };

        let tokens = own(world, &[Trail::Tokens]).await;
        let said: Vec<_> = tokens
            .iter()
            .map(|entry| (text(entry, "action"), text(entry, "token")))
            .collect();
        let expected = [
            ("token.revoke", id),
            ("token.mint", id),
            ("token.refresh", &login.token_id),
            ("token.mint", &login.token_id),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(action, id)| ((*action).to_owned(), (*id).to_owned()))
            .collect();
        assert_eq!(said, expected, "newest first");
        let bob = made.text("mqtt_username");
        let provider = text(&tokens[3], "actor");
        assert!(provider.starts_with("subject:"), "{provider}");
        assert!(provider.ends_with(":alice"), "{provider}");
        assert_eq!(
            text(&tokens[2], "actor"),
            format!("holder:{}", login.username)
        );
        let by = text(&tokens[1], "actor");
        assert!(by.starts_with("key:"), "{by}");
        assert_eq!(text(&tokens[0], "actor"), format!("holder:{bob}"));
        for (entry, reply) in [
            (&tokens[2], &refreshed),
            (&tokens[1], &made),
            (&tokens[0], &by_itself),
        ] {
            assert_eq!(text(entry, "request_id"), request_id(reply));
            assert_eq!(text(entry, "from"), "127.0.0.1");
        }

        let revoked = &own(world, &[Trail::Changes]).await[0];
        assert_eq!(text(revoked, "action"), "token.revoke");
        assert_eq!(text(revoked, "actor"), by, "the same key");
        assert_eq!(text(revoked, "target"), login.username);
        assert_eq!(text(revoked, "credentials"), "1");
        assert_eq!(text(revoked, "request_id"), request_id(&by_key));
    })
    .await;
}

#[tokio::test]
async fn what_an_administrator_changes_is_written() {
    on_both(async |world| {
        let app = &world.app;
        let kind = ApiKeyKind::Restricted;
        let scopes = vec![ticketgate::credential::scope::Scope::AuditRead];
        let made = app.create_key(of(world), kind, "robot", scopes);
        let (key, _) = made.await.unwrap();
        let password = Secret::new("correct horse battery");
        let user = app.create_user(of(world), "sensor-1".parse().unwrap(), &password);
        let user = user.await.unwrap();
        let rules = json!({"rules": []}).to_string();
        app.set_policy(of(world), rules).await.unwrap();
        let change = OrganizationChange {
            max_per_user: Some(7),
            ..OrganizationChange::default()
        };
        app.change_organization(of(world), change).await.unwrap();
        for change in ["disable", "enable", "remove"] {
            let id = world.organization.to_string();
            printed(world, &["provider", change, "--org", &id, "demo"]).await;
        }
        let key_target = format!("key:{}", key.id);
        let (of_user, of_org) = (user.to_string(), world.organization.to_string());
        for target in [&key_target, &of_user, &of_org] {
            let (status, reply) = world.revoke(&json!({"target": target})).await;
            assert_eq!(status, 200, "{reply}");
        }
        let found = own(world, &[Trail::Changes]).await;
        let said: Vec<_> = found
            .iter()
            .rev()
            .map(|entry| {
                (
                    text(entry, "action"),
                    text(entry, "actor"),
                    text(entry, "target"),
                )
            })
            .collect();
        let org = of_org.as_str();
        let expected = [
            ("organization.create", "nobody", org),
            ("policy.put", "nobody", org),
            ("provider.add", "nobody", "demo"),
            ("key.create", "nobody", &key_target),
            ("user.create", "nobody", &of_user),
            ("policy.put", "nobody", org),
            ("organization.update", "nobody", org),
            ("provider.disable", "operator", "demo"),
            ("provider.enable", "operator", "demo"),
            ("provider.remove", "operator", "demo"),
            ("key.revoke", "operator", &key_target),
            ("user.revoke", "operator", &of_user),
            ("organization.revoke", "operator", org),
        ];
        let expected: Vec<_> = expected
            .map(|(action, actor, target)| (action.to_owned(), actor.to_owned(), target.to_owned()))
            .into();
        assert_eq!(said, expected);
        assert!(found.iter().all(|entry| entry.outcome == Outcome::Ok));
        let key_made = &found[found.len() - 4];
        assert_eq!(text(key_made, "scopes"), "audit:read");
        assert_eq!(text(&found[6], "max_per_user"), "7");
        assert_eq!(text(&found[0], "from"), "local socket");
    })
    .await;
}

#[tokio::test]
async fn a_change_that_is_not_made_has_no_entry() {
    let faults = Faults::new();
    let world = World::with(Plan {
        wrap: faults.wrap(),
        ..Plan::default()
    })
    .await;
    let login = world.login("alice").await;
    let before = own(&world, &[Trail::Changes, Trail::Tokens]).await;
    faults.set(Fault::Unavailable);
    let body = json!({"organization_id": world.organization, "token": world.identity_token("bob")});
    assert_eq!(world.exchange(&body).await.0, 503);
    assert_eq!(
        world.revoke(&json!({"target": login.username})).await.0,
        503
    );
    faults.set(Fault::None);
    assert_eq!(own(&world, &[Trail::Changes, Trail::Tokens]).await, before);
    assert!(world.can_connect(&login.username, &login.password).await);
}
