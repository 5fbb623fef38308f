//! Reading bodies: whole, up to a limit, whatever their content type says.

use actix_web::web::{Bytes, Payload};
use serde::de::DeserializeOwned;

use crate::http::error::ApiError;

/// Reads a whole body.
///
/// # Errors
/// 413 for one over the limit, 400 for one that does not come.
pub async fn read(body: Payload, limit: usize) -> Result<Bytes, ApiError> {
    match body.to_bytes_limited(limit).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(ApiError::invalid_request("the body could not be received")),
        Err(_) => {
            let text = format!("the body is longer than {limit} bytes");
            Err(ApiError::new(413, "request_too_large", &text))
        }
    }
}

/// Reads a JSON body.
///
/// # Errors
/// As [`read`] and [`json`].
pub async fn read_json<T: DeserializeOwned>(body: Payload, limit: usize) -> Result<T, ApiError> {
    json(&read(body, limit).await?)
}

/// Reads JSON.
///
/// # Errors
/// 400 for what cannot be read. The text never repeats it.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
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
