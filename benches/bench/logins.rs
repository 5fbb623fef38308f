//! Users who have each exchanged an identity token for a login.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde_json::json;
use ticketgate::app::App;
use ticketgate::app::organizations::NewOrganization;
use ticketgate::app::providers::NewSupabase;
use ticketgate::app::tokens::ExchangeRequest;
use ticketgate::identity::jwt;
use ticketgate::names::organization_id::{OrganizationId, OrganizationName};
use ticketgate::secret::Secret;
use uuid::Uuid;

const PROJECT_URL: &str = "https://demo.supabase.co";
const JWT_SECRET: &str = "a shared secret of more than 32 bytes";
/// Exchanges at a time: the store commits them in groups.
const CONCURRENT: usize = 256;

/// What a client shows.
pub struct Login {
    /// `user_<uuid>@org_...`
    pub username: String,
    /// `tkn_...`
    pub password: String,
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

/// Exchanges identity tokens of `count` users.
pub async fn mint(
    app: &App,
    organization: &OrganizationId,
    count: u32,
) -> anyhow::Result<Vec<Login>> {
    stream::iter(0..count)
        .map(|_| mint_one(app, organization))
        .buffer_unordered(CONCURRENT)
        .try_collect()
        .await
}

async fn mint_one(app: &App, organization: &OrganizationId) -> anyhow::Result<Login> {
    let subject = Uuid::new_v4();
    let now = Timestamp::now().as_second();
    let claims = json!({
        "iss": format!("{PROJECT_URL}/auth/v1"),
        "aud": "authenticated",
        "sub": subject,
        "email": format!("{subject}@example.com"),
        "iat": now,
        "exp": now + 86_400,
    });
    let minted = app
        .exchange(&ExchangeRequest {
            organization: OrganizationName::Id(organization.clone()),
            provider: None,
            integration_id: None,
            token: &jwt::sign_hs256(&claims, &Secret::new(JWT_SECRET)),
            ttl_seconds: Some(86_400),
            origin: None,
        })
        .await?;
    Ok(Login {
        username: minted.username.to_string(),
        password: minted.password.expose().to_owned(),
    })
}
