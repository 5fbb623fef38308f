//! Users with a login each. One of them exchanges an identity token for it; the others get
//! records like those that the exchange has made, straight into the store.

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde_json::json;
use ticketgate::app::App;
use ticketgate::app::organizations::NewOrganization;
use ticketgate::app::providers::NewSupabase;
use ticketgate::app::tokens::{ExchangeRequest, MintedToken};
use ticketgate::credential::holder::{CredentialKind, Holder, HolderIdentity};
use ticketgate::credential::minted_password;
use ticketgate::identity::jwt;
use ticketgate::keyring::Keyring;
use ticketgate::names::organization_id::{OrganizationId, OrganizationName};
use ticketgate::names::token_id::TokenId;
use ticketgate::names::username::Username;
use ticketgate::secret::Secret;
use ticketgate::store::port::{self, Store, Write};
use ticketgate::store::record::{Kept, TokenIndex};
use uuid::Uuid;

use crate::place::Setup;
use crate::progress::Progress;

const PROJECT_URL: &str = "https://demo.supabase.co";
const JWT_SECRET: &str = "a shared secret of more than 32 bytes";
/// Longer than any run.
const LIFE: u32 = 86_400;
/// Writes at a time.
const CONCURRENT: usize = 256;

/// What a client shows, and the id in it.
pub struct Login {
    /// `user_<uuid>@org_...`
    pub username: Username,
    /// `tkn_...`
    pub password: String,
    /// The token's id.
    pub token: TokenId,
}

/// What an exchange leaves in the store.
pub struct Pattern {
    holder: Arc<Holder>,
    index: Arc<TokenIndex>,
    subject: String,
    keys: Keyring,
}

/// Makes an organization that trusts one provider.
pub async fn set_up(app: &App) -> anyhow::Result<OrganizationId> {
    let organization = app
        .create_organization(NewOrganization {
            name: "benchmark",
            preset: "blank",
            allowed_origins: Vec::new(),
        })
        .await?;
    let supabase = NewSupabase {
        name: "benchmark",
        project_url: PROJECT_URL,
        jwt_secret: &Secret::new(JWT_SECRET),
        username_prefix: "user_",
    };
    app.add_supabase(OrganizationName::Id(organization.id.clone()), supabase)
        .await?;
    Ok(organization.id)
}

/// Makes all of the writes.
pub async fn put_all(
    store: &dyn Store,
    what: &str,
    writes: impl Iterator<Item = Write>,
    count: u64,
) -> anyhow::Result<()> {
    let mut progress = Progress::begin(what, count);
    stream::iter(writes)
        .map(|write| store.put(write))
        .buffer_unordered(CONCURRENT)
        .try_for_each(|_| {
            progress.add(1);
            std::future::ready(Ok(()))
        })
        .await?;
    Ok(())
}

impl Pattern {
    /// Has the product make one.
    pub async fn made_by(app: &App, store: &dyn Store, setup: &Setup) -> anyhow::Result<Self> {
        let subject = Uuid::new_v4().to_string();
        let minted = exchange(app, &setup.organization, &subject).await?;
        let holder = port::read::<Holder>(store, &minted.username).await?;
        let index = port::read::<TokenIndex>(store, &minted.id).await?;
        Ok(Self {
            holder: holder.context("the exchange has left no holder")?,
            index: index.context("the exchange has left no index")?,
            subject,
            keys: setup.keyring()?,
        })
    }

    /// Another user's login, and the record of its holder.
    pub fn another(&self) -> (Login, Write) {
        let subject = Uuid::new_v4().to_string();
        let minted = minted_password::mint(&self.keys);
        let mut holder = Holder::clone(&self.holder);
        let name = holder.name.as_str().replace(&self.subject, &subject);
        holder.name = name.parse().expect("a UUID in place of another");
        for credential in &mut holder.credentials {
            credential.claims.insert("user_id", &subject);
            credential.claims.insert("email", &email(&subject));
            credential.kind = CredentialKind::Token {
                id: minted.id,
                pepper: minted.pepper,
                digest: minted.digest,
            };
        }
        if let HolderIdentity::Subject { subject: own, .. } = &mut holder.identity {
            *own = subject;
        }
        let login = Login {
            username: holder.username(),
            password: minted.password.expose().to_owned(),
            token: minted.id,
        };
        let write = new(&login.username, holder);
        (login, write)
    }

    /// The record that leads from the token's id to the holder.
    pub fn index(&self, login: &Login) -> Write {
        let index = TokenIndex {
            name: login.username.local.clone(),
            ..TokenIndex::clone(&self.index)
        };
        new(&login.token, index)
    }
}

fn new<T: Kept>(key: &T::Key, record: T) -> Write {
    Write {
        key: T::key(key),
        expected: None,
        record: Some(record.into_record()),
        audit: None,
    }
}

/// As long as most are.
fn email(subject: &str) -> String {
    format!("{}@example.com", &subject[..12])
}

async fn exchange(
    app: &App,
    organization: &OrganizationId,
    subject: &str,
) -> anyhow::Result<MintedToken> {
    let now = Timestamp::now().as_second();
    let claims = json!({
        "iss": format!("{PROJECT_URL}/auth/v1"),
        "aud": "authenticated",
        "sub": subject,
        "email": email(subject),
        "iat": now,
        "exp": now + i64::from(LIFE),
    });
    let request = ExchangeRequest {
        organization: OrganizationName::Id(organization.clone()),
        provider: None,
        integration_id: None,
        token: &jwt::sign_hs256(&claims, &Secret::new(JWT_SECRET)),
        ttl_seconds: Some(LIFE),
        origin: None,
        rules: None,
    };
    Ok(app.exchange(&request).await?)
}
