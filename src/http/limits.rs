//! Limits as callers of the API see them: 429 and 503 with `Retry-After`, and the `X-RateLimit-*`
//! headers.
//!
//! A call that is good is never refused because others from its address have failed: only what fails
//! is answered 429 in place of what it would have been. Calls are counted behind their bodies, so an
//! answer never leaves one unread, and who sends one slowly holds no place.

use std::sync::Arc;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};

use crate::app::App;
use crate::app::limits::{AdmitError, Admitted};
use crate::credential::api_key::ApiKey;
use crate::http::error::ApiError;
use crate::http::{Edge, gate};
use crate::limits::bucket::Quota;
use crate::metrics::LimitLabel;
use crate::names::organization_id::OrganizationName;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// A place among the calls that are answered at a time; given back when dropped.
struct Place(Arc<App>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.metrics().leave_api();
    }
}

/// Takes a place among the calls that are answered at a time, once for each call. To be called when
/// the body is there and before anything is looked up.
///
/// # Errors
/// 503: there is none.
pub fn enter(request: &HttpRequest, edge: &Edge) -> Result<(), ApiError> {
    if request.extensions().contains::<Place>() {
        return Ok(());
    }
    let metrics = edge.app.metrics();
    if !metrics.enter_api(edge.settings().api_in_flight) {
        metrics.limited(LimitLabel::InFlight);
        return Err(ApiError::overloaded());
    }
    let place = Place(Arc::clone(&edge.app));
    request.extensions_mut().insert(place);
    Ok(())
}

/// Counts a call with a good key.
///
/// # Errors
/// 429.
pub async fn admit(request: &HttpRequest, edge: &Edge, key: &ApiKey) -> Result<(), ApiError> {
    let admitted = edge.app.take_call(key).await;
    note(request, admitted)
}

/// The same for a call that names an organization and shows no key.
///
/// # Errors
/// 429.
pub async fn admit_without_key(
    request: &HttpRequest,
    edge: &Edge,
    organization: &OrganizationName,
) -> Result<(), ApiError> {
    let admitted = edge.app.take_call_without_key(organization).await;
    note(request, admitted)
}

fn note(request: &HttpRequest, admitted: Result<Admitted, AdmitError>) -> Result<(), ApiError> {
    request.extensions_mut().insert(admitted?);
    Ok(())
}

/// Ends a call: counts what is counted when it has been done, and says how the limit stands; or
/// counts a failure of the caller's address.
///
/// # Errors
/// The error that the call has ended in, or 429 in its place.
pub fn settle(
    request: &HttpRequest,
    edge: &Edge,
    answered: Result<HttpResponse, ApiError>,
) -> Result<HttpResponse, ApiError> {
    let admitted = request.extensions_mut().remove::<Admitted>();
    drop(request.extensions_mut().remove::<Place>());
    match answered {
        Ok(mut response) => {
            if let Some(quota) = admitted.and_then(|admitted| edge.app.charge(admitted)) {
                say(&mut response, &quota);
            }
            Ok(response)
        }
        Err(error) if error.is_failure() => {
            edge.app.call_failed(gate::address(request, edge))?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// How a limit stands, as headers. `Reset` is in seconds from now, until as many calls as `Limit` may
/// come at once.
pub fn say(response: &mut HttpResponse, quota: &Quota) {
    let headers = response.headers_mut();
    headers.insert(LIMIT, HeaderValue::from(quota.limit));
    headers.insert(REMAINING, HeaderValue::from(quota.remaining));
    headers.insert(RESET, HeaderValue::from(quota.reset_seconds));
}
