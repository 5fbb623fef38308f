//! Revoked means revoked: every selector, every question, whatever else is on its way.

mod command;
mod local_socket;
mod marks;
mod nodes;
mod old_records;
mod orders;
mod selectors;

use serde_json::{Value, json};
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::names::organization_id::{OrganizationId, OrganizationName};
use ticketgate::secret::Secret;

use crate::hooks::questions::allowed;
use crate::hooks::wire::Connection;
use crate::support::world::{Login, World};

/// Fails unless every question of both brokers about the login is answered with yes.
fn assert_good(world: &World, login: &Login) {
    let mut connection = Connection::open(world);
    for question in allowed(login) {
        let reply = connection.ask(&question.request());
        assert_eq!(reply.text(), question.broker.yes(), "{}", question.hook);
    }
}

/// Fails unless every one of them is answered with no: CONNECT, session, PUBLISH, SUBSCRIBE.
fn assert_over(world: &World, login: &Login) {
    assert_refused(world, login, "not_authorized");
}

fn assert_refused(world: &World, login: &Login, reason: &str) {
    let mut connection = Connection::open(world);
    for question in allowed(login) {
        let reply = connection.ask(&question.request());
        let no = question.broker.no(reason);
        assert_eq!(reply.text(), no, "{}", question.hook);
    }
}

/// Revokes through the local socket, which must work, and returns the reply.
async fn revoke(world: &World, body: Value) -> Value {
    let (status, reply) = world.revoke(&body).await;
    assert_eq!(status, 200, "{body}: {reply}");
    assert_eq!(reply["nodes"], json!({"total": 1, "confirmed": 1}));
    assert_eq!(reply["replicas"], Value::Null);
    reply
}

/// A secret key of an organization: its id and itself.
async fn key_of(world: &World, organization: &OrganizationId) -> (String, String) {
    let name = OrganizationName::Id(organization.clone());
    let made = world.app.create_key(name, ApiKeyKind::Secret, "k", vec![]);
    let (key, text) = made.await.unwrap();
    (key.id.to_string(), text.expose().to_owned())
}

/// The status of an exchange with the key.
async fn status_with(world: &World, key: &str) -> u16 {
    let token = world.identity_token("caller");
    let body = json!({"provider": "supabase", "token": token, "secret_key": key});
    world.exchange(&body).await.0
}

/// A user of an organization with a password of its own; returns the username.
async fn user_of(world: &World, organization: &OrganizationId, name: &str) -> String {
    let of = OrganizationName::Id(organization.clone());
    let (name, password) = (name.parse().unwrap(), Secret::new(PASSWORD));
    let made = world.app.create_user(of, name, &password).await;
    made.unwrap().to_string()
}

const PASSWORD: &str = "correct horse battery";
