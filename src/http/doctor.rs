//! What `ticketgate doctor` asks over the local socket.

use std::time::Duration;

use actix_web::{HttpResponse, web};

use crate::http::Edge;
use crate::http::body::read_json;
use crate::http::error::ApiError;
use crate::http::local::by_operator;
use crate::http::watch::{MAX_PAUSE, NotWatched};
use crate::http::wire::{BeginBody, BeginReply, PauseBody, WatchedBody};

/// Mints a probe login for a broker connection and watches the questions about it.
pub async fn begin(body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    let work = async {
        let reply = try_begin(body, &edge).await?;
        Ok(HttpResponse::Ok().json(reply))
    };
    by_operator(&edge, "doctor", work).await
}

async fn try_begin(body: web::Payload, edge: &Edge) -> Result<BeginReply, ApiError> {
    let body = read_json::<BeginBody>(body, edge.settings().api_body_limit).await?;
    let broker = edge.brokers.get(&body.connection).ok_or_else(|| {
        let text = "the running server has no such broker connection; was it restarted since its \
                    settings were changed?";
        ApiError::new(404, "not_found", text)
    })?;
    let organization = body.organization.map(|name| name.parse()).transpose();
    let organization = organization
        .map_err(|error| ApiError::invalid_request(&format!("organization: {error}")))?;
    let probe = edge.app.mint_probe(broker, organization).await?;
    edge.watch.begin(&probe.username.to_string());
    let nodes = edge.app.store_status().shared.map_or(1, |one| one.nodes);
    Ok(BeginReply::new(
        probe,
        broker.dialect.name().as_str(),
        nodes,
    ))
}

/// What was asked about a probe login since the last time.
pub async fn seen(body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    let seen = match read_json::<WatchedBody>(body, edge.settings().api_body_limit).await {
        Ok(body) => edge.watch.take(&body.username).map_err(ApiError::from),
        Err(error) => Err(error),
    };
    match seen {
        Ok(reply) => HttpResponse::Ok().json(reply),
        Err(error) => error.response(),
    }
}

/// Answers questions about a probe login by a failure for some seconds.
pub async fn pause(body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    match try_pause(body, &edge).await {
        Ok(()) => HttpResponse::Ok().json(serde_json::json!({})),
        Err(error) => error.response(),
    }
}

async fn try_pause(body: web::Payload, edge: &Edge) -> Result<(), ApiError> {
    let body = read_json::<PauseBody>(body, edge.settings().api_body_limit).await?;
    let time = Duration::from_secs(body.seconds.into());
    if time > MAX_PAUSE {
        let text = format!("seconds is at most {}", MAX_PAUSE.as_secs());
        return Err(ApiError::invalid_request(&text));
    }
    edge.watch.pause(&body.username, time)?;
    let (username, seconds) = (&body.username, body.seconds);
    tracing::warn!(
        username,
        seconds,
        "questions about this login are answered by a bare 503, as ticketgate doctor asks"
    );
    Ok(())
}

/// Watches a probe login no longer.
pub async fn end(body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    match read_json::<WatchedBody>(body, edge.settings().api_body_limit).await {
        Ok(body) => {
            edge.watch.end(&body.username);
            HttpResponse::Ok().json(serde_json::json!({}))
        }
        Err(error) => error.response(),
    }
}

impl From<NotWatched> for ApiError {
    fn from(_: NotWatched) -> Self {
        Self::new(404, "not_found", "no such probe login is being watched")
    }
}
