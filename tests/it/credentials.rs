//! Logins whose keys are old, and logins of people who chose their own password.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use ticketgate::app::App;
use ticketgate::app::tokens::{ExchangeRequest, MintedToken};
use ticketgate::clock::{Clock, SystemClock};
use ticketgate::credential::holder::{CredentialKind, Holder};
use ticketgate::engine::decision::Decision;
use ticketgate::engine::isolation::Isolation;
use ticketgate::hooks::connection::ForeignNames;
use ticketgate::hooks::dialect::Dialect;
use ticketgate::keyring::{KeyList, Keyring};
use ticketgate::metrics::Metrics;
use ticketgate::mqtt::request::{ConnectRequest, Peer};
use ticketgate::names::key_id::RingKeyId;
use ticketgate::names::organization_id::{OrganizationId, OrganizationName};
use ticketgate::secret::{Secret, SecretStr};
use ticketgate::store::port::{self, Store};

use crate::support::world::{PROJECT_URL, World, broker, open_store, set_up, sign};

/// The use cases on one store, with whichever keys a test gives them.
struct Deployment {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    _folder: TempDir,
}

impl Deployment {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = open_store(folder.path(), &clock, &Arc::new(Metrics::new()));
        Self {
            store,
            clock,
            _folder: folder,
        }
    }

    fn with_keys(&self, seals: &[&Secret], peppers: &[&Secret]) -> App {
        let keys = Arc::new(Keyring::new(list(seals), list(peppers)));
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        App::new(store, keys, clock, Arc::new(Metrics::new()), 1)
    }

    async fn pepper_of(&self, token: &MintedToken) -> RingKeyId {
        let holder = port::read::<Holder>(&*self.store, &token.username)
            .await
            .unwrap()
            .unwrap();
        match &holder.token(token.id).unwrap().kind {
            CredentialKind::Token { pepper, .. } => *pepper,
            CredentialKind::Password(_) => unreachable!("found by its token id"),
        }
    }
}

fn list(lines: &[&Secret]) -> KeyList {
    let text: String = lines.iter().map(|line| line.expose()).collect();
    KeyList::parse(&Secret::new(text)).unwrap()
}

async fn login(app: &App, organization: &OrganizationId) -> MintedToken {
    let claims = json!({
        "iss": format!("{PROJECT_URL}/auth/v1"),
        "aud": "authenticated",
        "sub": "alice",
        "email": "alice@example.com",
        "exp": SystemClock.now().as_second() + 3600,
    });
    let request = ExchangeRequest {
        organization: OrganizationName::Id(organization.clone()),
        provider: None,
        integration_id: None,
        token: &Secret::new(sign(&claims)),
        ttl_seconds: None,
        origin: None,
        rules: None,
    };
    app.exchange(&request).await.unwrap()
}

async fn can_connect(app: &App, token: &MintedToken) -> bool {
    let isolation = Isolation::Dedicated(token.username.organization.clone());
    let broker = broker("v", Dialect::VerneMq, &isolation, ForeignNames::Deny);
    let username = token.username.to_string();
    let peer = Peer {
        username: Some(username.into()),
        client_id: "c".into(),
        compartment: None,
    };
    let password = Some(SecretStr::new(token.password.expose()));
    let request = ConnectRequest {
        peer,
        password,
        address: None,
    };
    let decision = app.connect(&broker, &request).await.unwrap();
    matches!(decision, Decision::Allow(_))
}

#[tokio::test]
async fn old_keys_still_verify_and_a_login_renews_its_digest() {
    let deployment = Deployment::new();
    let (old_seal, new_seal) = (KeyList::fresh_line(), KeyList::fresh_line());
    let (old_pepper, new_pepper) = (KeyList::fresh_line(), KeyList::fresh_line());
    let newest: RingKeyId = new_pepper.expose()[..4].parse().unwrap();

    let before = deployment.with_keys(&[&old_seal], &[&old_pepper]);
    let (organization, _) = set_up(&before, &json!({ "rules": [] })).await;
    let token = login(&before, &organization).await;
    assert_ne!(deployment.pepper_of(&token).await, newest);

    let after = deployment.with_keys(&[&new_seal, &old_seal], &[&new_pepper, &old_pepper]);
    assert!(can_connect(&after, &token).await, "old keys verify");
    let started = Instant::now();
    while deployment.pepper_of(&token).await != newest {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "the digest is never renewed"
        );
        tokio::task::yield_now().await;
    }
    assert!(
        can_connect(&after, &token).await,
        "and so does the renewed digest"
    );
    assert!(can_connect(&after, &login(&after, &organization).await).await);

    let only_the_old_seal = deployment.with_keys(&[&old_seal], &[&new_pepper]);
    assert!(
        can_connect(&only_the_old_seal, &token).await,
        "the old pepper may go now"
    );
    let only_new = deployment.with_keys(&[&new_seal], &[&new_pepper]);
    assert!(
        !can_connect(&only_new, &token).await,
        "without its seal key it is forged"
    );
}

#[tokio::test]
async fn a_user_with_a_password_of_its_own_connects_with_it_alone() {
    let world = World::start().await;
    let username = create_user(&world.app, &world, "sensor-1", "correct horse battery").await;
    for _ in 0..3 {
        assert!(world.can_connect(&username, "correct horse battery").await);
        assert!(!world.can_connect(&username, "correct horse").await);
        assert!(!world.can_connect(&username, "").await);
    }
    let minted = world.login("alice").await;
    assert!(
        !world.can_connect(&username, &minted.password).await,
        "another's token"
    );
    assert!(
        !world
            .can_connect(&minted.username, "correct horse battery")
            .await
    );
    let unknown = username.replace("sensor-1", "sensor-2");
    assert!(!world.can_connect(&unknown, "correct horse battery").await);

    let revoked = world
        .app
        .revoke(username.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(revoked.credentials, Some(1));
    assert!(
        !world.can_connect(&username, "correct horse battery").await,
        "though remembered"
    );
}

async fn create_user(app: &Arc<App>, world: &World, name: &str, password: &str) -> String {
    let organization = OrganizationName::Id(world.organization.clone());
    let name = name.parse().unwrap();
    app.create_user(organization, name, &Secret::new(password))
        .await
        .unwrap()
        .to_string()
}

#[tokio::test]
async fn a_flood_of_made_up_passwords_does_not_stop_minted_logins() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let unknown = format!("nobody@{}", world.organization);
    let flood = (0..200).map(|n| {
        let (unknown, world) = (unknown.clone(), &world);
        async move { world.can_connect(&unknown, &format!("made-up-{n}")).await }
    });
    let minted = async {
        for _ in 0..50 {
            assert!(world.can_connect(&login.username, &login.password).await);
        }
    };
    let (guessed, ()) = tokio::join!(futures_util::future::join_all(flood), minted);
    assert!(guessed.iter().all(|allowed| !allowed));
    assert!(
        world.metrics.render().contains("outcome=\"overloaded\""),
        "the queue is short"
    );
}

#[tokio::test]
async fn a_revoke_is_not_overtaken_by_a_password_hash() {
    for _ in 0..20 {
        let world = World::start().await;
        let username = create_user(&world.app, &world, "sensor-1", "correct horse battery").await;
        let connect = world.can_connect(&username, "correct horse battery");
        let revoke = async {
            let revoked = world
                .app
                .revoke(username.parse().unwrap())
                .await
                .unwrap()
                .unwrap();
            assert_eq!(revoked.credentials, Some(1));
            world.metrics.render().contains("question=\"connect\"")
        };
        let (allowed, answered_before) = tokio::join!(connect, revoke);
        assert!(
            !allowed || answered_before,
            "allowed after the revoke had returned"
        );
    }
}
