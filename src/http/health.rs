//! Whether the server lives, whether it can do its work, and what it has counted.
//!
//! None of these counts against the limits of hooks or calls, so they answer under overload.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use tokio::time::timeout;

use crate::http::Edge;
use crate::http::wire::{ReadyReply, StoreReply};

const STORE_DEADLINE: Duration = Duration::from_millis(500);

/// The process answers.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("live\n")
}

/// The server can do its work: 200, or 503 with the reasons.
pub async fn ready(edge: web::Data<Edge>) -> HttpResponse {
    ready_with(&edge, None).await
}

/// The same with all that is known of the store: positions in the change logs, leases, nodes.
pub async fn ready_in_detail(edge: web::Data<Edge>) -> HttpResponse {
    let store = StoreReply::from(edge.app.store_status());
    ready_with(&edge, Some(store)).await
}

async fn ready_with(edge: &Edge, store: Option<StoreReply>) -> HttpResponse {
    let mut problems = Vec::new();
    if edge.is_stopping() {
        problems.push("the server is stopping".to_owned());
    }
    match timeout(STORE_DEADLINE, edge.app.ready()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => problems.push(error.to_string()),
        Err(_) => problems.push("the store does not answer".to_owned()),
    }
    let ready = problems.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    HttpResponse::build(status).json(ReadyReply {
        ready,
        problems,
        store,
    })
}

/// All counters, for Prometheus.
pub async fn metrics(edge: web::Data<Edge>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(edge.app.render_metrics())
}
