//! Where an API key travels: `Authorization: Bearer`, `X-Secret-Key`, `X-API-Key` or the body's
//! `secret_key`. Never in a URL.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;

use crate::http::error::ApiError;
use crate::secret::{Secret, constant_time_eq};

const OTHER_HEADERS: [&str; 2] = ["x-secret-key", "x-api-key"];

/// The API key of a request, wherever it is.
///
/// # Errors
/// 400 when two places hold different keys, 401 for an `Authorization` header of another scheme.
pub fn presented(
    request: &HttpRequest,
    in_body: Option<Secret>,
) -> Result<Option<Secret>, ApiError> {
    let mut found = in_body;
    if let Some(header) = request.headers().get(AUTHORIZATION) {
        let bearer = header.to_str().ok().and_then(|text| {
            let (scheme, key) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
        });
        let invalid = || ApiError::new(401, "unauthorized", "Invalid or missing API key");
        found = merge(found, Secret::new(bearer.ok_or_else(invalid)?))?;
    }
    for name in OTHER_HEADERS {
        if let Some(text) = request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
        {
            found = merge(found, Secret::new(text.trim()))?;
        }
    }
    Ok(found)
}

fn merge(known: Option<Secret>, found: Secret) -> Result<Option<Secret>, ApiError> {
    match known {
        Some(known) if !constant_time_eq(known.expose().as_bytes(), found.expose().as_bytes()) => {
            Err(ApiError::invalid_request(
                "the request carries two different API keys",
            ))
        }
        _ => Ok(Some(found)),
    }
}
