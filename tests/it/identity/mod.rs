//! Identity providers: tokens and key sets, good and hostile, over the whole path of an exchange.

mod command;
mod key_sets;
mod mutations;
mod nodes;
mod openid;
mod tls;
mod tokens;

use serde_json::{Value, json};
use ticketgate::app::providers::ProviderChange;
use ticketgate::identity::draft::Draft;
use ticketgate::identity::{key_sets as fetching, oidc};
use ticketgate::names::organization_id::OrganizationName;
use ticketgate::org::provider::Provider;

use crate::support::issuer::{Issuer, Signer};
use crate::support::world::{Plan, World};

const AUDIENCE: &str = "mqtt";

/// A server that trusts an issuer's key set at `/keys`.
struct Scene {
    world: World,
    issuer: Issuer,
    signer: Signer,
    provider: Provider,
}

fn plan() -> Plan {
    Plan {
        clock: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        key_sets: fetching::Settings {
            allow_private_addresses: true,
            ..fetching::Settings::default()
        },
        ..Plan::default()
    }
}

async fn add(world: &World, provider: Provider) {
    let name = OrganizationName::Id(world.organization.clone());
    let made = world.app.add_made_providers(name, |_| Ok(vec![provider]));
    made.await.unwrap();
}

async fn change(world: &World, name: &str, change: ProviderChange) {
    let organization = OrganizationName::Id(world.organization.clone());
    let changed = world.app.change_provider(organization, name, change);
    changed.await.unwrap();
}

impl Scene {
    async fn start() -> Self {
        Self::with(plan(), Signer::rsa()).await
    }

    /// A key of this type is published as `one`.
    async fn with(plan: Plan, signer: Signer) -> Self {
        let (world, issuer) = (World::with(plan).await, Issuer::start().await);
        issuer.publish(&[signer.jwk("one")]);
        let keys = format!("{}/keys", issuer.url).parse().unwrap();
        let draft = Draft::new("oidc", "oidc_");
        let audiences = vec![AUDIENCE.to_owned()];
        let url = issuer.url.clone();
        let provider = oidc::provider(draft, &url, Some(keys), audiences, [].into()).unwrap();
        add(&world, provider.clone()).await;
        Self {
            world,
            issuer,
            signer,
            provider,
        }
    }

    fn claims(&self) -> Value {
        let now = self.world.now().as_second();
        json!({
            "iss": self.issuer.url,
            "aud": AUDIENCE,
            "sub": "alice",
            "email": "alice@example.com",
            "iat": now,
            "exp": now + 600,
        })
    }

    fn claims_with(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        claims[name] = value;
        claims
    }

    fn good(&self) -> String {
        self.signer.sign("one", &self.claims())
    }

    /// What the exchange of a token is answered with: the status, and the code of an error.
    async fn exchange(&self, token: &str) -> (u16, String) {
        let body = json!({"organization_id": self.world.organization, "token": token});
        let (status, reply) = self.world.exchange(&body).await;
        let code = reply["error"].as_str().unwrap_or("ok").to_owned();
        (status, code)
    }

    async fn assert(&self, token: &str, status: u16, code: &str, what: &str) {
        let answer = self.exchange(token).await;
        assert_eq!(answer, (status, code.to_owned()), "{what}");
    }

    fn status(&self) -> fetching::KeySetStatus {
        let views = futures_util::FutureExt::now_or_never(self.world.app.providers(
            OrganizationName::Id(self.world.organization.clone()),
            Some("oidc"),
        ));
        let mut views = views.expect("from the cache").unwrap();
        views.remove(0).key_set.unwrap()
    }

    fn later(&self, seconds: i64) {
        self.world.clock.as_ref().unwrap().advance(seconds);
    }
}
