//! `POST /v2/tokens/exchange`.

use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::time::timeout;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::app::tokens::ExchangeRequest;
use crate::credential::scope::Scope;
use crate::http::error::ApiError;
use crate::http::wire::{ExchangeBody, ExchangeReply};
use crate::http::{Edge, cors, keys};
use crate::names::organization_id::OrganizationName;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers an exchange in either published shape.
pub async fn exchange(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    let request_id = Uuid::now_v7();
    let span = tracing::info_span!("exchange", %request_id);
    let answering = async {
        let exchanging = try_exchange(&request, body, &edge);
        let answered = timeout(edge.settings().api_deadline, exchanging).await;
        answered
            .unwrap_or_else(|_| Err(ApiError::too_slow()))
            .unwrap_or_else(|error| {
                tracing::info!(code = error.code(), "refused");
                error.response()
            })
    };
    let mut response = answering.instrument(span).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    cors::with_headers(response, cors::known_origin(&request, &edge).await.as_ref())
}

async fn try_exchange(
    request: &HttpRequest,
    body: web::Payload,
    edge: &Edge,
) -> Result<HttpResponse, ApiError> {
    let body = read_json::<ExchangeBody>(body, edge.settings().api_body_limit).await?;
    let origin = cors::origin_of(request)?;
    let key = keys::presented(request, body.secret_key)?;
    let named = body
        .organization_id
        .as_deref()
        .map(str::parse::<OrganizationName>)
        .transpose();
    let named = named.map_err(|_| no_such_organization())?;
    let organization = match (key, named) {
        (Some(key), named) => {
            let key = edge.app.check_key(&key, Scope::TokensExchange).await?;
            if named.is_none() && body.provider.is_none() {
                return Err(missing("provider"));
            }
            let own = OrganizationName::Id(key.organization.clone());
            if let Some(named) = named
                && !edge.app.is_same_organization(&own, named).await?
            {
                return Err(no_such_organization());
            }
            own
        }
        (None, Some(named)) => named,
        (None, None) => {
            return Err(ApiError::new(
                401,
                "unauthorized",
                "Invalid or missing API key",
            ));
        }
    };
    let token = body.token.ok_or_else(|| missing("token"))?;
    let ttl_seconds = match body.ttl {
        Some(0) => return Err(ApiError::invalid_request("ttl is at least 1 second")),
        ttl => ttl.map(|ttl| u32::try_from(ttl).unwrap_or(u32::MAX)),
    };
    let exchange = ExchangeRequest {
        organization,
        provider: body.provider.as_deref(),
        integration_id: body.integration_id,
        token: &token,
        ttl_seconds,
        origin: origin.as_ref(),
    };
    let minted = edge.app.exchange(&exchange).await?;
    Ok(HttpResponse::Ok().json(ExchangeReply::new(&minted)))
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

fn missing(name: &str) -> ApiError {
    ApiError::invalid_request(&format!("Missing required parameter: {name}"))
}

fn no_such_organization() -> ApiError {
    ApiError::new(
        404,
        "organization_not_found",
        "there is no such organization",
    )
}
