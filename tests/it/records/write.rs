//! Writes what `tests/golden/records` keeps of a version: an export with a record of every type, and
//! what was shown once when they were made.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use ticketgate::app::App;
use ticketgate::app::organizations::NewOrganization;
use ticketgate::app::tokens::{ExchangeRequest, MintedToken};
use ticketgate::app::transfer::export::export;
use ticketgate::clock::{Clock, ManualClock};
use ticketgate::credential::api_key::ApiKeyKind;
use ticketgate::credential::holder::{CredentialKind, Holder};
use ticketgate::credential::human_password::HumanPassword;
use ticketgate::credential::minted_password;
use ticketgate::credential::scope::Scope;
use ticketgate::keyring::{KeyList, Keyring};
use ticketgate::metrics::Metrics;
use ticketgate::names::organization_id::{OrganizationId, OrganizationName};
use ticketgate::names::username::Username;
use ticketgate::secret::Secret;
use ticketgate::store::embedded::Embedded;
use ticketgate::store::port;
use ticketgate::store::record::TokenIndex;

use crate::support::world::{PROJECT_URL, set_up, sign};

/// When the records are made: long after anybody runs the tests, so that none is over.
const START: &str = "2100-01-01T00:00:00Z";

/// What the organization's users have as their password.
const HUMAN_PASSWORD: &str = "correct horse battery staple";

/// A deployment in the year 2100.
struct Site {
    app: App,
    store: Arc<Embedded>,
    clock: Arc<ManualClock>,
    keys: Arc<Keyring>,
    organization: OrganizationId,
    seal: Secret,
    pepper: Secret,
    _folder: TempDir,
}

/// Once for a version whose records look different from those before; they never change again.
#[tokio::test]
#[ignore = "prints the path of a new tests/golden/records/v<number>, to be committed by hand"]
async fn write_the_records_of_this_version() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let site = Site::set_up().await;
    let shown = site.fill().await;
    let shown = serde_json::to_string_pretty(&shown).unwrap() + "\n";
    std::fs::write(folder.join("shown.json"), shown).unwrap();
    let mut file = File::create(folder.join("records.ndjson")).unwrap();
    let exported = export(&*site.store, &*site.clock, &mut file, &mut |_| {}).await;
    assert_eq!(exported.unwrap().left_out, 0);
    println!("records.ndjson and shown.json are in {}", folder.display());
}

impl Site {
    async fn set_up() -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::at(START.parse().unwrap()));
        let metrics = Arc::new(Metrics::new());
        let store = Embedded::create(folder.path(), clock.clone(), Arc::clone(&metrics)).unwrap();
        let store = Arc::new(store);
        let (seal, pepper) = (KeyList::fresh_line(), KeyList::fresh_line());
        let list = |line| KeyList::parse(line).unwrap();
        let keys = Arc::new(Keyring::new(list(&seal), list(&pepper)));
        let app = App::new(store.clone(), keys.clone(), clock.clone(), metrics, 1);
        let own = json!({"user": "*", "topic": "users/{username}/#", "permission": "both"});
        let news = json!({"user": "user_*", "topic": "announcements/#", "permission": "subscribe"});
        let (organization, _) = set_up(&app, &json!({ "rules": [own, news] })).await;
        Self {
            app,
            store,
            clock,
            keys,
            organization,
            seal,
            pepper,
            _folder: folder,
        }
    }

    fn name(&self) -> OrganizationName {
        OrganizationName::Id(self.organization.clone())
    }

    /// Makes a record of every kind; returns what nobody can read in them.
    async fn fill(&self) -> Value {
        let live = self.exchange("alice").await;
        let revoked = self.exchange("alice").await;
        self.clock.advance(10);
        let revoked_id = revoked.id.to_string().parse().unwrap();
        self.app.revoke(revoked_id).await.unwrap();
        let hashed = self.exchange("auth0|not a clean name").await;
        self.empty_organization().await;
        let sensor = Secret::new(HUMAN_PASSWORD);
        let sensor = self
            .app
            .create_user(self.name(), "sensor-1".parse().unwrap(), &sensor);
        let sensor = sensor.await.unwrap();
        let (both, minted) = self.holder_of_both_kinds().await;
        let login = |username: &Username, password: &str, live: bool| json!({ "username": username.to_string(), "password": password, "live": live });
        let keys = [
            self.key(ApiKeyKind::Secret, vec![]).await,
            self.key(ApiKeyKind::Publishable, vec![]).await,
            self.key(
                ApiKeyKind::Restricted,
                vec![Scope::TokensRevoke, Scope::Publish],
            )
            .await,
        ];
        json!({
            "seal": self.seal.expose().trim(),
            "pepper": self.pepper.expose().trim(),
            "organization": self.organization,
            "logins": [
                login(&live.username, live.password.expose(), true),
                login(&revoked.username, revoked.password.expose(), false),
                login(&hashed.username, hashed.password.expose(), true),
                login(&sensor, HUMAN_PASSWORD, true),
                login(&both, HUMAN_PASSWORD, true),
                login(&both, minted.expose(), true),
            ],
            "keys": keys,
        })
    }

    async fn exchange(&self, subject: &str) -> MintedToken {
        let token = sign(&json!({
            "iss": format!("{PROJECT_URL}/auth/v1"),
            "aud": "authenticated",
            "sub": subject,
            "email": "alice@example.com",
            "role": "authenticated",
            "session_id": "5e5510n",
            "exp": self.clock.now().as_second() + 3600,
        }));
        let request = ExchangeRequest {
            organization: self.name(),
            provider: None,
            integration_id: None,
            token: &Secret::new(token),
            ttl_seconds: None,
            origin: None,
            rules: None,
        };
        self.app.exchange(&request).await.unwrap()
    }

    async fn key(&self, kind: ApiKeyKind, scopes: Vec<Scope>) -> String {
        let made = self
            .app
            .create_key(self.name(), kind, "a key", scopes)
            .await;
        made.unwrap().1.expose().to_owned()
    }

    async fn empty_organization(&self) {
        let new = NewOrganization {
            name: "empty",
            preset: "blank",
            allowed_origins: Vec::new(),
        };
        self.app.create_organization(new).await.unwrap();
    }

    /// No use case makes such a one yet; the record can hold it.
    async fn holder_of_both_kinds(&self) -> (Username, Secret) {
        let minted = minted_password::mint(&self.keys);
        let now = self.clock.now().as_second();
        let password = HumanPassword::hash(&Secret::new(HUMAN_PASSWORD));
        let token = CredentialKind::Token {
            id: minted.id,
            pepper: minted.pepper,
            digest: minted.digest,
        };
        let mut token = serde_json::to_value(token).unwrap();
        token["claims"] = json!({ "email": "zoë@example.com", "agent_id": "7" });
        token["issued_at"] = json!(now);
        token["expires_at"] = json!(now + 3600);
        let holder = json!({
            "name": "both",
            "organization": self.organization,
            "identity": "static",
            "credentials": [{ "password": password, "issued_at": now }, token],
        });
        let holder: Holder = serde_json::from_value(holder).unwrap();
        let index = TokenIndex {
            name: holder.name.clone(),
            organization: holder.organization.clone(),
            expires_at: holder.credentials[1].expires_at.unwrap(),
        };
        let username = holder.username();
        port::create(&*self.store, &minted.id, index).await.unwrap();
        port::create(&*self.store, &username, holder).await.unwrap();
        (username, minted.password)
    }
}
