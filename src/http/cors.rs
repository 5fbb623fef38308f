//! Cross-origin calls (Fetch Standard, "CORS protocol").
//!
//! A preflight does not say which organization it is about, so it passes when any organization
//! allows the origin; the request itself is judged by its own organization. Answers, errors
//! included, carry the headers for a known origin, so that the page can read them.

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderValue, ORIGIN, VARY,
};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::Edge;
use crate::http::error::ApiError;
use crate::names::origin::Origin;

/// Answers `OPTIONS`.
pub async fn preflight(request: HttpRequest, edge: web::Data<Edge>) -> HttpResponse {
    match known_origin(&request, &edge).await {
        Some(origin) => {
            let mut response = HttpResponse::NoContent().finish();
            let headers = response.headers_mut();
            let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS");
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            let names = "Content-Type, Authorization, X-Secret-Key, X-API-Key, If-Match";
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static(names),
            );
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            with_headers(response, Some(&origin))
        }
        None => not_allowed(),
    }
}

/// The request's `Origin` header: absent outside browsers.
///
/// # Errors
/// The refusal, for an origin that no organization could have allowed.
pub fn origin_of(request: &HttpRequest) -> Result<Option<Origin>, ApiError> {
    let Some(header) = request.headers().get(ORIGIN) else {
        return Ok(None);
    };
    let origin = header.to_str().ok().and_then(|text| text.parse().ok());
    match origin {
        Some(origin) => Ok(Some(origin)),
        None => Err(foreign_origin()),
    }
}

/// An origin that no organization could have allowed.
pub fn foreign_origin() -> ApiError {
    ApiError::new(403, "origin_not_allowed", NOT_ALLOWED)
}

/// The request's origin, if any organization allows it.
pub async fn known_origin(request: &HttpRequest, edge: &Edge) -> Option<Origin> {
    let origin = origin_of(request).ok().flatten()?;
    match edge.app.knows_origin(&origin).await {
        Ok(true) => Some(origin),
        Ok(false) | Err(_) => None,
    }
}

/// Adds the headers that let a page of the origin read the response.
pub fn with_headers(mut response: HttpResponse, origin: Option<&Origin>) -> HttpResponse {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(value) = origin.and_then(|one| HeaderValue::from_str(one.as_str()).ok()) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value);
        let names = HeaderValue::from_static(READABLE);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names);
    }
    response
}

/// Headers that a page may read beside those that it always may.
const READABLE: &str = "ETag, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, \
                        X-Request-Id";

const NOT_ALLOWED: &str = "no organization allows requests from this web origin; add it to the \
                           allowed origins of yours";

fn not_allowed() -> HttpResponse {
    with_headers(foreign_origin().response(), None)
}
