//! `/v2/tokens`, its older names, and `/v2/providers`: the life of a token.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::app::revoke::selector::Selector;
use crate::app::tokens::ExchangeRequest;
use crate::app::tokens::create::{CreateRequest, NewSubject};
use crate::app::tokens::list::{MAX_PAGE, TokenFilter};
use crate::app::tokens::mint::Narrowing;
use crate::credential::scope::Scope;
use crate::credential::terms::Limits;
use crate::hooks::form::Form;
use crate::http::api::{
    answer, check_origin, check_same, missing, no_key, no_such_organization, owner, ttl_seconds,
};
use crate::http::error::ApiError;
use crate::http::wire::{
    CreateBody, EnabledProviders, ExchangeBody, ExchangeReply, RefreshBody, RevokeReply,
    RevokeTokensBody, TokensReply, cursor,
};
use crate::http::{Edge, cors, keys};
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::names::token_id::TokenId;
use crate::names::username::{LocalName, PresentedUsername};
use crate::org::organization::native_name;

/// How many tokens a page of the list has, where the caller does not say.
const USUAL_PAGE: usize = 50;

/// Answers an exchange in either published shape.
pub async fn exchange(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    answer(
        &request,
        &edge,
        "exchange",
        try_exchange(&request, body, &edge),
    )
    .await
}

async fn try_exchange(
    request: &HttpRequest,
    body: web::Payload,
    edge: &Edge,
) -> Result<HttpResponse, ApiError> {
    let body = read_json::<ExchangeBody>(body, edge.settings().api_body_limit).await?;
    let origin = cors::origin_of(request)?;
    let key = keys::presented(request, body.secret_key)?;
    let organization = match (key, body.organization_id.as_deref()) {
        (Some(key), named) => {
            let key = edge.app.check_key(&key, Scope::TokensExchange).await?;
            if named.is_none() && body.provider.is_none() {
                return Err(missing("provider"));
            }
            if let Some(named) = named {
                check_same(edge, &key.organization, named).await?;
            }
            OrganizationName::Id(key.organization.clone())
        }
        (None, Some(named)) => named.parse().map_err(|_| no_such_organization())?,
        (None, None) => return Err(no_key()),
    };
    let token = body.token.ok_or_else(|| missing("token"))?;
    let exchange = ExchangeRequest {
        organization,
        provider: body.provider.as_deref(),
        integration_id: body.integration_id,
        token: &token,
        ttl_seconds: ttl_seconds(body.ttl)?,
        origin: origin.as_ref(),
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
pub async fn create(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    let work = try_create(&request, body, &edge, CreateCall::Create);
    answer(&request, &edge, "create", work).await
}

/// `POST /v1/create`
pub async fn older_create(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    let work = try_create(&request, body, &edge, CreateCall::OlderCreate);
    answer(&request, &edge, "create", work).await
}

/// `POST /v2/tokens`
pub async fn older_tokens(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    let work = try_create(&request, body, &edge, CreateCall::OlderTokens);
    answer(&request, &edge, "create", work).await
}

async fn try_create(
    request: &HttpRequest,
    body: web::Payload,
    edge: &Edge,
    call: CreateCall,
) -> Result<HttpResponse, ApiError> {
    let body = read_json::<CreateBody>(body, edge.settings().api_body_limit).await?;
    let named = body.organization_id.as_deref();
    let scope = Scope::TokensCreate;
    let organization = owner(request, edge, body.secret_key, scope, named).await?;
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
        organization,
        subject,
        integration_id: body.integration_id,
        replace_existing: body.replace_existing.unwrap_or(replaces),
        ttl_seconds: ttl_seconds(body.ttl)?,
        narrowing: &narrowing,
        origin: None,
    };
    let minted = edge.app.create_token(&create).await?;
    Ok(HttpResponse::Ok().json(match call {
        CreateCall::Create => ExchangeReply::new(&minted),
        _ => ExchangeReply::with_older_words(&minted),
    }))
}

/// A narrower right; `None`: nothing is said about it.
fn limits(
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
pub async fn refresh(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    let work = async {
        let body = read_json::<RefreshBody>(body, edge.settings().api_body_limit).await?;
        let origin = cors::origin_of(&request)?;
        let id = body.token_id.ok_or_else(|| missing("token_id"))?;
        let password = body.current_token_password;
        let password = password.ok_or_else(|| missing("current_token_password"))?;
        let id = token_id(&id)?;
        let refreshed = edge.app.refresh(id, &password, origin.as_ref()).await?;
        Ok(HttpResponse::Ok().json(ExchangeReply::new(&refreshed)))
    };
    answer(&request, &edge, "refresh", work).await
}

/// `POST /v2/tokens/revoke`
pub async fn revoke(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    answer(&request, &edge, "revoke", try_revoke(&request, body, &edge)).await
}

async fn try_revoke(
    request: &HttpRequest,
    body: web::Payload,
    edge: &Edge,
) -> Result<HttpResponse, ApiError> {
    let mut body = read_json::<RevokeTokensBody>(body, edge.settings().api_body_limit).await?;
    let (organization, selector) = match body.current_token_password.take() {
        Some(password) => {
            let origin = cors::origin_of(request)?;
            let id = body.token_id.ok_or_else(|| missing("token_id"))?;
            let id = token_id(&id)?;
            let known = edge.app.known_token(&password).await?;
            let known = known.filter(|known| known.id == id).ok_or_else(|| {
                let text = "there is no such token, or this is not its password";
                ApiError::new(401, "invalid_token", text)
            })?;
            check_origin(edge, &known.organization.id, origin.as_ref()).await?;
            (known.organization.id.clone(), Selector::Token(id))
        }
        None => {
            let key = body.secret_key.take();
            let named = body.organization_id.as_deref();
            let owner = owner(request, edge, key, Scope::TokensRevoke, named).await?;
            let selector = selector(&owner, body)?;
            (owner, selector)
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
pub async fn list(request: HttpRequest, edge: web::Data<Edge>) -> HttpResponse {
    answer(&request, &edge, "list", try_list(&request, &edge)).await
}

async fn try_list(request: &HttpRequest, edge: &Edge) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(request)?;
    let named = query.take("organization_id")?;
    let scope = Scope::TokensRevoke;
    let owner = owner(request, edge, None, scope, named.as_deref()).await?;
    let username = match query.take("username")? {
        Some(text) => {
            let name = username_in(&owner, &text)?;
            let own = OrganizationName::Id(owner.clone());
            if name.organization != own {
                check_same(edge, &owner, &organization_text(&name.organization)).await?;
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
    let limit = match query.take("limit")? {
        None => USUAL_PAGE,
        Some(text) => {
            let limit = text.parse().ok();
            let limit = limit.filter(|limit| (1..=MAX_PAGE).contains(limit));
            let text = format!("limit is 1 to {MAX_PAGE}");
            limit.ok_or_else(|| ApiError::invalid_request(&text))?
        }
    };
    let wrong = || ApiError::invalid_request("cursor is not one that a list has given");
    let from = query.take("cursor")?;
    let from = from
        .map(|text| cursor(&text).ok_or_else(wrong))
        .transpose()?;
    let page = edge.app.list_tokens(&owner, &filter, from, limit).await?;
    Ok(HttpResponse::Ok().json(TokensReply::new(page)))
}

fn organization_text(name: &OrganizationName) -> String {
    match name {
        OrganizationName::Id(id) => id.to_string(),
        OrganizationName::Alias(alias) => alias.to_string(),
    }
}

/// `GET /v2/providers`
pub async fn providers(request: HttpRequest, edge: web::Data<Edge>) -> HttpResponse {
    let work = async {
        let named = Query::of(&request)?.take("organization_id")?;
        let named = named.ok_or_else(|| missing("organization_id"))?;
        let named = named.parse().map_err(|_| no_such_organization())?;
        let origin = cors::origin_of(&request)?;
        let organization = edge.app.find_organization(named).await?;
        let organization = organization.ok_or_else(no_such_organization)?;
        check_origin(&edge, &organization.id, origin.as_ref()).await?;
        Ok(HttpResponse::Ok().json(EnabledProviders::new(&organization)))
    };
    answer(&request, &edge, "providers", work).await
}

fn token_id(text: &str) -> Result<TokenId, ApiError> {
    let wrong = |error| ApiError::invalid_request(&format!("token_id: {error}"));
    text.parse().map_err(wrong)
}

/// The query of a call, each name once.
struct Query<'a>(Form<'a>);

impl<'a> Query<'a> {
    fn of(request: &'a HttpRequest) -> Result<Self, ApiError> {
        let form = Form::parse(request.query_string().as_bytes());
        form.map(Self).map_err(|_| malformed())
    }

    fn take(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let taken = self.0.take_filled(name).map_err(|_| malformed())?;
        Ok(taken.map(|text| text.into_owned()))
    }
}

fn malformed() -> ApiError {
    ApiError::invalid_request("the query cannot be read, or has a name twice")
}

/// Reads a JSON body whatever its content type says.
///
/// # Errors
/// 413 for a body over the limit, 400 for one that cannot be read. The texts never repeat it.
pub async fn read_json<T: serde::de::DeserializeOwned>(
    body: web::Payload,
    limit: usize,
) -> Result<T, ApiError> {
    let body = match body.to_bytes_limited(limit).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(ApiError::invalid_request("the body could not be received")),
        Err(_) => {
            let text = format!("the body is longer than {limit} bytes");
            return Err(ApiError::new(413, "request_too_large", &text));
        }
    };
    serde_json::from_slice(&body).map_err(|error| {
        let text = match error.classify() {
            serde_json::error::Category::Data => {
                "a field of the body is unknown, doubled or of the wrong type"
            }
            _ => "the body is not JSON",
        };
        let place = format!("{text} (line {}, column {})", error.line(), error.column());
        ApiError::invalid_request(&place)
    })
}
