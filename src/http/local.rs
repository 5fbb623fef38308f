//! Calls over the local socket, whose file mode is all the permission they need.

use actix_web::{HttpResponse, web};

use crate::app::revoke::Selector;
use crate::http::Edge;
use crate::http::error::ApiError;
use crate::http::tokens::read_json;
use crate::http::wire::{RevokeBody, RevokeReply};

/// Revokes a token or every credential of a username.
pub async fn revoke(body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    match try_revoke(body, &edge).await {
        Ok(reply) => HttpResponse::Ok().json(reply),
        Err(error) => error.response(),
    }
}

async fn try_revoke(body: web::Payload, edge: &Edge) -> Result<RevokeReply, ApiError> {
    let body: RevokeBody = read_json(body, edge.settings().api_body_limit).await?;
    let selector: Selector = body
        .target
        .parse()
        .map_err(|error| ApiError::invalid_request(&format!("target: {error}")))?;
    match edge.app.revoke(selector).await? {
        Some(revoked) => Ok(revoked.into()),
        None => Err(ApiError::new(
            404,
            "not_found",
            "there is no such token or username",
        )),
    }
}
