//! Several nodes on one store. Each has a cache of its own and hears of changes late.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;
use ticketgate::app::App;
use ticketgate::app::api_keys::KeyError;
use ticketgate::app::caller::Whence;
use ticketgate::app::revoke::Revoked;
use ticketgate::app::tokens::{ExchangeRequest, MintedToken};
use ticketgate::clock::{Clock, ManualClock};
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::scope::Scope;
use ticketgate::engine::decision::Decision;
use ticketgate::engine::isolation::Isolation;
use ticketgate::hooks::connection::ForeignNames;
use ticketgate::hooks::dialect::Dialect;
use ticketgate::keyring::Keyring;
use ticketgate::metrics::{Metrics, RecordLabel};
use ticketgate::mqtt::request::{ConnectRequest, Peer};
use ticketgate::names::organization_id::{OrganizationId, OrganizationName};
use ticketgate::secret::{Secret, SecretStr};
use ticketgate::store::cached::{Cached, Settings};
use ticketgate::store::freshness::Freshness;
use ticketgate::store::port::Store;

use super::orders::Orders;
use crate::hooks::questions::forged;
use crate::hooks::wire::PATIENCE;
use crate::support::world::{PROJECT_URL, broker, open_store, set_up, sign};

/// What all nodes share.
struct Deployment {
    store: Arc<dyn Store>,
    keys: Arc<Keyring>,
    organization: OrganizationId,
    _folder: TempDir,
}

/// One node; its cache serves what it has for a minute and hears of nothing meanwhile.
struct Node {
    app: App,
    clock: Arc<ManualClock>,
    /// To the store as the use cases have it.
    front: Orders,
    /// To the store below the cache.
    below: Orders,
    organization: OrganizationId,
}

impl Deployment {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(noon()));
        let metrics = Arc::new(Metrics::new());
        let store = open_store(folder.path(), &clock, &metrics);
        let keys = Arc::new(Keyring::random());
        let app = App::new(Arc::clone(&store), Arc::clone(&keys), clock, metrics, 1);
        let (organization, _) = set_up(&app, &json!({ "rules": [] })).await;
        Self {
            store,
            keys,
            organization,
            _folder: folder,
        }
    }

    /// A node whose clock is ahead by so many seconds.
    fn node(&self, ahead: i64) -> Node {
        let clock = Arc::new(ManualClock::at(noon() + SignedDuration::from_secs(ahead)));
        let (front, below) = (Orders::new(), Orders::new());
        let metrics = Arc::new(Metrics::new());
        let cached = Cached::new(
            below.over(Arc::clone(&self.store)),
            &Settings::default(),
            Arc::new(Freshness::leased(Duration::from_secs(60))),
            clock.clone(),
            Arc::clone(&metrics),
        );
        let store = front.over(Arc::new(cached));
        let keys = Arc::clone(&self.keys);
        Node {
            app: App::new(store, keys, clock.clone(), metrics, 1),
            clock,
            front,
            below,
            organization: self.organization.clone(),
        }
    }
}

fn noon() -> Timestamp {
    "2026-08-01T12:00:00Z".parse().unwrap()
}

impl Node {
    async fn login(&self) -> MintedToken {
        let claims = json!({
            "iss": format!("{PROJECT_URL}/auth/v1"),
            "aud": "authenticated",
            "sub": "alice",
            "email": "alice@example.com",
            "exp": self.clock.now().as_second() + 3600,
        });
        let request = ExchangeRequest {
            organization: OrganizationName::Id(self.organization.clone()),
            provider: None,
            integration_id: None,
            token: &Secret::new(sign(&claims)),
            ttl_seconds: None,
            origin: None,
            rules: None,
        };
        self.app.exchange(&request).await.unwrap()
    }

    async fn connects_with(&self, token: &MintedToken, password: &str) -> bool {
        let isolation = Isolation::Dedicated(self.organization.clone());
        let broker = broker("v", Dialect::VerneMq, &isolation, ForeignNames::Deny);
        let peer = Peer {
            username: Some(token.username.to_string().into()),
            client_id: "c".into(),
            compartment: None,
        };
        let password = Some(SecretStr::new(password));
        let request = ConnectRequest {
            peer,
            password,
            address: None,
        };
        let decision = self.app.connect(&broker, &request).await.unwrap();
        matches!(decision, Decision::Allow(_))
    }

    async fn connects(&self, token: &MintedToken) -> bool {
        self.connects_with(token, token.password.expose()).await
    }

    async fn revoke(&self, target: &str) -> Revoked {
        let revoked = self.app.revoke(target.parse().unwrap()).await;
        revoked.unwrap().unwrap()
    }
}

/// Waits until `holds` is true, which may take as long as a cache keeps to what it has just read.
async fn soon(what: &str, holds: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_login_of_one_node_is_good_on_another_that_has_not_heard_of_it() {
    let deployment = Deployment::new().await;
    let (here, there) = (deployment.node(0), deployment.node(0));
    let first = here.login().await;
    assert!(there.connects(&first).await, "there had nothing");
    let second = here.login().await;
    let connects = async || there.connects(&second).await;
    soon("there had an older state of the user", connects).await;

    let third = deployment.node(0);
    assert!(third.connects(&first).await);
    here.revoke(&first.username.to_string()).await;
    assert!(third.connects(&first).await, "it has not heard of anything");
}

#[tokio::test]
async fn a_login_of_a_user_that_was_not_there_a_moment_ago_is_good() {
    let deployment = Deployment::new().await;
    let (here, there) = (deployment.node(0), deployment.node(0));
    let login = here.login().await;
    there.below.blind(Some(RecordLabel::Holder));
    assert!(!there.connects(&login).await);
    there.below.blind(None);
    let connects = async || there.connects(&login).await;
    soon("there had it that nobody has the name", connects).await;
}

#[tokio::test]
async fn who_has_no_sealed_password_makes_nobody_read_again() {
    let deployment = Deployment::new().await;
    let node = deployment.node(0);
    let login = node.login().await;
    assert!(node.connects(&login).await);
    let before = node.front.rereads();
    let password = login.password.expose();
    for wrong in [&*forged(password), "", "tkn_", "a password of my own"] {
        assert!(!node.connects_with(&login, wrong).await, "{wrong}");
    }
    assert!(node.connects(&login).await, "a known one needs none either");
    assert_eq!(node.front.rereads(), before);
}

#[tokio::test]
async fn an_api_key_of_one_node_is_good_on_another() {
    let deployment = Deployment::new().await;
    let (here, there) = (deployment.node(0), deployment.node(0));
    let organization = OrganizationName::Id(deployment.organization.clone());
    let made = here
        .app
        .create_key(organization, ApiKeyKind::Secret, "k", vec![]);
    let (key, text) = made.await.unwrap();
    let (scope, whence) = (Scope::TokensExchange, Whence::default());
    let is_good = async || match there.app.check_key(&text, scope, &whence).await {
        Ok(found) => found.id == key.id,
        Err(KeyError::Invalid) => false,
        Err(error) => panic!("{error}"),
    };
    there.below.blind(Some(RecordLabel::ApiKey));
    assert!(!is_good().await);
    there.below.blind(None);
    soon("there had it that there is no such key", is_good).await;

    let before = there.front.rereads();
    let forged = Secret::new(text.expose().replace("sk_", "pk_"));
    let refused = there.app.check_key(&forged, scope, &whence).await;
    assert!(matches!(refused, Err(KeyError::Invalid)));
    assert_eq!(there.front.rereads(), before);
}

/// The node that revokes has an older state of the user, in which nothing is left to revoke.
#[tokio::test]
async fn a_node_revokes_what_another_has_just_minted() {
    let deployment = Deployment::new().await;
    let (here, there) = (deployment.node(0), deployment.node(0));
    let old = here.login().await;
    let username = old.username.to_string();
    here.revoke(&username).await;
    for round in 0..20 {
        assert!(!there.connects(&old).await);
        let new = here.login().await;
        let revoked = there.revoke(&username).await;
        assert_eq!(revoked.credentials, Some(1), "{round}");
        assert!(!deployment.node(0).connects(&new).await, "{round}");
    }
}

#[tokio::test]
async fn clocks_that_differ_do_not_save_anything_from_a_revoke_of_everything() {
    // As far apart as the life of a login lets them be.
    for (mints, revokes, asks) in [
        (1_700, 0, 0),
        (-1_700, 0, 1_700),
        (0, 1_700, -1_700),
        (0, -1_700, 1_700),
    ] {
        let deployment = Deployment::new().await;
        let login = deployment.node(mints).login().await;
        assert!(deployment.node(asks).connects(&login).await);
        let organization = deployment.organization.to_string();
        deployment.node(revokes).revoke(&organization).await;
        for clock in [mints, revokes, asks] {
            assert!(!deployment.node(clock).connects(&login).await, "{clock}");
        }
        let anew = deployment.node(mints).login().await;
        assert!(deployment.node(asks).connects(&anew).await, "{mints}");
    }
}

/// By the clock of the node that revokes, the login had expired long ago.
#[tokio::test]
async fn a_fast_clock_does_not_save_a_login_from_its_revoke() {
    let deployment = Deployment::new().await;
    let login = deployment.node(0).login().await;
    let fast = deployment.node(7_200);
    let revoked = fast.revoke(&login.id.to_string()).await;
    assert_eq!(revoked.credentials, Some(0), "not live by this clock");
    assert!(!deployment.node(0).connects(&login).await);
}
