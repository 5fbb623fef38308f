//! `/v2/tokens`, its older names, and `/v2/providers`: the life of a token.

use actix_web::HttpResponse;

use crate::app::revoke::selector::Selector;
use crate::app::tokens::ExchangeRequest;
use crate::app::tokens::create::{CreateRequest, NewSubject};
use crate::app::tokens::list::{MAX_PAGE, TokenFilter};
use crate::app::tokens::mint::Narrowing;
use crate::credential::terms::Limits;
use crate::http::api::{
    check_origin, check_same, missing, no_key, no_such_organization, ttl_seconds,
};
use crate::http::error::ApiError;
use crate::http::gate::Call;
use crate::http::limits as rates;
use crate::http::query::Query;
use crate::http::wire::{
    CreateBody, EnabledProviders, ExchangeBody, ExchangeReply, RefreshBody, RevokeReply,
    RevokeTokensBody, TokensReply,
};
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::names::token_id::TokenId;
use crate::names::username::{LocalName, PresentedUsername};
use crate::org::organization::native_name;

/// Answers an exchange in either published shape.
///
/// # Errors
/// As the exchange itself.
pub async fn exchange(call: Call) -> Result<HttpResponse, ApiError> {
    let edge = &call.edge;
    let body: ExchangeBody = call.json()?;
    let organization = match (call.caller.key(), body.organization_id.as_deref()) {
        (Some(key), named) => {
            if named.is_none() && body.provider.is_none() {
                return Err(missing("provider"));
            }
            call.owner_named(named).await?;
            OrganizationName::Id(key.organization.clone())
        }
        (None, Some(named)) => {
            let named = named.parse().map_err(|_| no_such_organization())?;
            rates::admit_without_key(&call.request, edge, &named).await?;
            named
        }
        (None, None) => return Err(no_key()),
    };
    let token = body.token.ok_or_else(|| missing("token"))?;
    let exchange = ExchangeRequest {
        organization,
        provider: body.provider.as_deref(),
        integration_id: body.integration_id,
        token: &token,
        ttl_seconds: ttl_seconds(body.ttl)?,
        origin: call.caller.whence().origin.as_ref(),
        rules: call.rules(),
    };
    let narrowing = Narrowing {
        client_id: body.client_id,
        limits: None,
    };
    let minted = edge.app.exchange_narrowed(&exchange, &narrowing).await?;
    Ok(HttpResponse::Ok().json(ExchangeReply::new(&minted)))
}

/// Which of the calls that mint for somebody was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CreateCall {
    Create,
    OlderCreate,
    OlderTokens,
}

/// `POST /v2/tokens/create`
///
/// # Errors
/// As minting.
pub async fn create(call: Call) -> Result<HttpResponse, ApiError> {
    try_create(call, CreateCall::Create).await
}

/// `POST /v1/create`
///
/// # Errors
/// As minting.
pub async fn older_create(call: Call) -> Result<HttpResponse, ApiError> {
    try_create(call, CreateCall::OlderCreate).await
}

/// `POST /v2/tokens`
///
/// # Errors
/// As minting.
pub async fn older_tokens(call: Call) -> Result<HttpResponse, ApiError> {
    try_create(call, CreateCall::OlderTokens).await
}

async fn try_create(asked: Call, call: CreateCall) -> Result<HttpResponse, ApiError> {
    let body: CreateBody = asked.json()?;
    let organization = asked.owner_named(body.organization_id.as_deref()).await?;
    let subject = match (&body.user_email, &body.user_id, call) {
        (_, Some(id), CreateCall::OlderTokens) => NewSubject::UserId(id),
        (Some(email), _, _) => NewSubject::Email(email),
        (None, Some(id), _) => NewSubject::UserId(id),
        (None, None, CreateCall::OlderTokens) => return Err(missing("user_id")),
        (None, None, _) => return Err(missing("user_email")),
    };
    let narrowing = Narrowing {
        client_id: body.client_id,
        limits: limits(body.permissions, body.topics)?,
    };
    let replaces = call != CreateCall::OlderTokens;
    let create = CreateRequest {
        organization: organization.clone(),
        subject,
        integration_id: body.integration_id,
        replace_existing: body.replace_existing.unwrap_or(replaces),
        ttl_seconds: ttl_seconds(body.ttl)?,
        narrowing: &narrowing,
        origin: None,
        rules: asked.rules(),
    };
    let minted = asked.edge.app.create_token(&create).await?;
    Ok(HttpResponse::Ok().json(match call {
        CreateCall::Create => ExchangeReply::new(&minted),
        _ => ExchangeReply::with_older_words(&minted),
    }))
}

/// A narrower right; `None`: nothing is said about it.
///
/// # Errors
/// 400 for a word that means nothing.
pub fn limits(
    permissions: Option<Vec<String>>,
    topics: Option<Vec<String>>,
) -> Result<Option<Limits>, ApiError> {
    if permissions.is_none() && topics.is_none() {
        return Ok(None);
    }
    let is_open = permissions.is_none();
    let mut limits = Limits {
        publish: is_open,
        subscribe: is_open,
        topics,
    };
    for word in permissions.unwrap_or_default() {
        match word.as_str() {
            "publish" => limits.publish = true,
            "subscribe" => limits.subscribe = true,
            "pubsub" => (limits.publish, limits.subscribe) = (true, true),
            // Published words without a meaning at the broker.
            "presence" | "history" => {}
            _ => {
                let text = "permissions are publish, subscribe, presence and history";
                return Err(ApiError::invalid_request(text));
            }
        }
    }
    Ok(Some(limits))
}

/// `POST /v2/tokens/refresh`
///
/// # Errors
/// As the refresh itself.
pub async fn refresh(call: Call) -> Result<HttpResponse, ApiError> {
    let body: RefreshBody = call.json()?;
    let id = body.token_id.ok_or_else(|| missing("token_id"))?;
    let password = body.current_token_password;
    let password = password.ok_or_else(|| missing("current_token_password"))?;
    let id = token_id(&id)?;
    let origin = call.caller.whence().origin.as_ref();
    let refreshed = call.edge.app.refresh(id, &password, origin).await?;
    Ok(HttpResponse::Ok().json(ExchangeReply::new(&refreshed)))
}

/// `POST /v2/tokens/revoke`
///
/// # Errors
/// As revoking.
pub async fn revoke(call: Call) -> Result<HttpResponse, ApiError> {
    let edge = &call.edge;
    let mut body: RevokeTokensBody = call.json()?;
    let (organization, selector) = match body.current_token_password.take() {
        Some(password) => {
            let id = body.token_id.ok_or_else(|| missing("token_id"))?;
            let id = token_id(&id)?;
            let known = edge.app.known_token(&password).await?;
            let known = known.filter(|known| known.id == id).ok_or_else(|| {
                let text = "there is no such token, or this is not its password";
                ApiError::new(401, "invalid_token", text)
            })?;
            let origin = call.caller.whence().origin.as_ref();
            check_origin(edge, &known.organization.id, origin).await?;
            (known.organization.id.clone(), Selector::Token(id))
        }
        None => {
            let owner = call.owner_named(body.organization_id.as_deref()).await?;
            (owner.clone(), selector(owner, body)?)
        }
    };
    let noun = selector.noun();
    match edge.app.revoke_of(Some(&organization), selector).await? {
        Some(revoked) => Ok(HttpResponse::Ok().json(RevokeReply::from(revoked))),
        None => Err(ApiError::new(
            404,
            "not_found",
            &format!("there is no such {noun}"),
        )),
    }
}

fn selector(owner: &OrganizationId, body: RevokeTokensBody) -> Result<Selector, ApiError> {
    let RevokeTokensBody {
        token_id: id,
        username,
        user_email,
        user_id,
        provider,
        ..
    } = body;
    let native = |subject: &str| {
        Selector::Username(PresentedUsername {
            local: native_name(owner, subject),
            organization: OrganizationName::Id(owner.clone()),
        })
    };
    Ok(match (id, username, user_email, user_id, provider) {
        (Some(id), None, None, None, None) => Selector::Token(token_id(&id)?),
        (None, Some(name), None, None, None) => Selector::Username(username_in(owner, &name)?),
        (None, None, Some(email), None, None) => native(&email),
        (None, None, None, Some(id), None) => native(&id),
        (None, None, None, Some(subject), Some(provider)) => Selector::Subject {
            organization: OrganizationName::Id(owner.clone()),
            provider,
            subject,
        },
        _ => {
            let text = "say what to revoke in one of these ways: `token_id`; `username`; \
                        `user_email`; `user_id`, with `provider` where it is the provider's";
            return Err(ApiError::invalid_request(text));
        }
    })
}

/// A username with its organization or without.
fn username_in(owner: &OrganizationId, text: &str) -> Result<PresentedUsername, ApiError> {
    let whole = if text.contains('@') {
        text.parse()
    } else {
        text.parse::<LocalName>().map(|local| PresentedUsername {
            local,
            organization: OrganizationName::Id(owner.clone()),
        })
    };
    whole.map_err(|error| ApiError::invalid_request(&format!("username: {error}")))
}

/// `GET /v2/tokens`
///
/// # Errors
/// 400 for a filter that means nothing.
pub async fn list(call: Call) -> Result<HttpResponse, ApiError> {
    let edge = &call.edge;
    let mut query = Query::of(&call.request)?;
    let named = query.take("organization_id")?;
    let owner = call.owner_named(named.as_deref()).await?;
    let username = match query.take("username")? {
        Some(text) => {
            let name = username_in(owner, &text)?;
            let own = OrganizationName::Id(owner.clone());
            if name.organization != own {
                check_same(edge, owner, &organization_text(&name.organization)).await?;
            }
            Some(name.local)
        }
        None => None,
    };
    let status = query.take("status")?;
    let filter = TokenFilter {
        username,
        user_id: query.take("user_id")?,
        email: query.take("user_email")?,
        with_revoked: match status.as_deref() {
            None | Some("active") => false,
            Some("all") => true,
            Some(_) => return Err(ApiError::invalid_request("status is active or all")),
        },
    };
    let (limit, from) = (query.limit(MAX_PAGE)?, query.cursor()?);
    let page = edge.app.list_tokens(owner, &filter, from, limit).await?;
    Ok(HttpResponse::Ok().json(TokensReply::new(page)))
}

fn organization_text(name: &OrganizationName) -> String {
    match name {
        OrganizationName::Id(id) => id.to_string(),
        OrganizationName::Alias(alias) => alias.to_string(),
    }
}

/// `GET /v2/providers`
///
/// # Errors
/// 404 for an organization that there is not.
pub async fn providers(call: Call) -> Result<HttpResponse, ApiError> {
    let named = Query::of(&call.request)?.take("organization_id")?;
    let named = named.ok_or_else(|| missing("organization_id"))?;
    let named = named.parse().map_err(|_| no_such_organization())?;
    let organization = call.edge.app.find_organization(named).await?;
    let organization = organization.ok_or_else(no_such_organization)?;
    let origin = call.caller.whence().origin.as_ref();
    check_origin(&call.edge, &organization.id, origin).await?;
    Ok(HttpResponse::Ok().json(EnabledProviders::new(&organization)))
}

fn token_id(text: &str) -> Result<TokenId, ApiError> {
    let wrong = |error| ApiError::invalid_request(&format!("token_id: {error}"));
    text.parse().map_err(wrong)
}
