//! What all calls of the API have in common: a deadline, a request id, CORS, and refusals.

use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, PRAGMA};
use actix_web::{HttpRequest, HttpResponse};
use tokio::time::timeout;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::app::audit::caller::{Caller, on_behalf};
use crate::http::error::ApiError;
use crate::http::{Edge, cors, gate, limits};
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::names::origin::Origin;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers a call: the work within the deadline, and what every answer carries.
pub async fn answer(
    request: &HttpRequest,
    edge: &Edge,
    call: &'static str,
    request_id: Uuid,
    work: impl Future<Output = Result<HttpResponse, ApiError>>,
) -> HttpResponse {
    let span = tracing::info_span!("api", call, %request_id);
    let from = gate::address(request, edge).map(|address| address.to_string());
    let caller = Caller::unknown(from.as_deref(), request_id);
    let answering = on_behalf(caller, async {
        let answered = timeout(edge.settings().api_deadline, work).await;
        let answered = answered.unwrap_or_else(|_| Err(ApiError::too_slow()));
        limits::settle(request, edge, answered).unwrap_or_else(|error| {
            tracing::info!(code = error.code(), "refused");
            edge.app.audit_refusal(call, error.outcome(), error.code());
            error.response()
        })
    });
    let mut response = answering.instrument(span).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    cors::with_headers(response, cors::known_origin(request, edge).await.as_ref())
}

/// Whether a name is that of the organization.
///
/// # Errors
/// 404: to the caller there is no other.
pub async fn check_same(edge: &Edge, own: &OrganizationId, named: &str) -> Result<(), ApiError> {
    let named: OrganizationName = named.parse().map_err(|_| no_such_organization())?;
    let own = OrganizationName::Id(own.clone());
    if edge.app.is_same_organization(&own, named).await? {
        Ok(())
    } else {
        Err(no_such_organization())
    }
}

/// Whether the organization allows the origin.
///
/// # Errors
/// 403.
pub async fn check_origin(
    edge: &Edge,
    organization: &OrganizationId,
    origin: Option<&Origin>,
) -> Result<(), ApiError> {
    if edge.app.allows_origin(organization, origin).await? {
        return Ok(());
    }
    let text = "the organization does not allow requests from this web origin";
    Err(ApiError::new(403, "origin_not_allowed", text))
}

/// No API key, or none that is good.
pub fn no_key() -> ApiError {
    ApiError::new(401, "unauthorized", "Invalid or missing API key")
}

/// A parameter that has to be there.
pub fn missing(name: &str) -> ApiError {
    ApiError::invalid_request(&format!("Missing required parameter: {name}"))
}

/// An organization that does not exist, or not for the caller.
pub fn no_such_organization() -> ApiError {
    ApiError::new(
        404,
        "organization_not_found",
        "there is no such organization",
    )
}

/// A life asked for, in whole seconds.
///
/// # Errors
/// 400 for none at all.
pub fn ttl_seconds(ttl: Option<u64>) -> Result<Option<u32>, ApiError> {
    match ttl {
        Some(0) => Err(ApiError::invalid_request("ttl is at least 1 second")),
        ttl => Ok(ttl.map(|ttl| u32::try_from(ttl).unwrap_or(u32::MAX))),
    }
}
