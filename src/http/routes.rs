//! Every route: method, path, who may call it, what answers. A route that is not in one of these
//! tables does not exist.

use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Route};
use tokio::time::timeout;

use crate::credential::scope::Scope;
use crate::http::error::ApiError;
use crate::http::watch::Stray;
use crate::http::{Edge, cors, doctor, health, hooks, local, oauth, tokens};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Open,
    /// A broker that shows its connection's secret.
    HookSecret,
    /// Whoever shows an identity token, with an API key of the organization or without.
    IdentityToken,
    /// Whoever shows a secret API key with the scope, or a restricted one.
    ApiKey(Scope),
    /// Whoever shows the password of the token that it is about.
    TokenPassword,
    /// Whoever shows the token's password, or such an API key.
    TokenPasswordOr(Scope),
    /// Whoever names an organization: it tells no more than its login page does.
    NamesOrganization,
    /// Whoever may open the local socket: the file's owner.
    LocalSocket,
}

/// Sets up the routes of a server: [`public`], or for a benchmark a no-op beside them.
pub type Routes = fn(&mut ServiceConfig);

/// A row of a table.
pub struct Row {
    /// `GET`, `POST`, or `*` for all.
    pub method: &'static str,
    /// The path as it is, or all below it: `/*` at its end. Patterns are left alone: each would run
    /// a regular expression over every path that comes by.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    handler: fn() -> Route,
}

/// The routes of the public address.
pub const PUBLIC: [Row; 15] = [
    row("GET", "/health/live", Access::Open, || {
        web::get().to(health::live)
    }),
    row("GET", "/health/ready", Access::Open, || {
        web::get().to(health::ready)
    }),
    row("POST", "/v2/tokens/exchange", Access::IdentityToken, || {
        web::post().to(tokens::exchange)
    }),
    row(
        "POST",
        "/v2/tokens/create",
        Access::ApiKey(Scope::TokensCreate),
        || web::post().to(tokens::create),
    ),
    row("POST", "/v2/tokens/refresh", Access::TokenPassword, || {
        web::post().to(tokens::refresh)
    }),
    row(
        "POST",
        "/v2/tokens/revoke",
        Access::TokenPasswordOr(Scope::TokensRevoke),
        || web::post().to(tokens::revoke),
    ),
    row(
        "GET",
        "/v2/tokens",
        Access::ApiKey(Scope::TokensRevoke),
        || web::get().to(tokens::list),
    ),
    row(
        "POST",
        "/v2/tokens",
        Access::ApiKey(Scope::TokensCreate),
        || web::post().to(tokens::older_tokens),
    ),
    row(
        "POST",
        "/v1/create",
        Access::ApiKey(Scope::TokensCreate),
        || web::post().to(tokens::older_create),
    ),
    row("GET", "/v2/providers", Access::NamesOrganization, || {
        web::get().to(tokens::providers)
    }),
    row("POST", "/oauth/token", Access::IdentityToken, || {
        web::post().to(oauth::token)
    }),
    row(
        "POST",
        "/oauth/revoke",
        Access::TokenPasswordOr(Scope::TokensRevoke),
        || web::post().to(oauth::revoke),
    ),
    row(
        "POST",
        "/oauth/introspect",
        Access::ApiKey(Scope::TokensRevoke),
        || web::post().to(oauth::introspect),
    ),
    row(
        "GET",
        "/.well-known/oauth-authorization-server",
        Access::Open,
        || web::get().to(oauth::metadata),
    ),
    row("*", "/hooks/*", Access::HookSecret, || {
        web::route().to(hooks::answer)
    }),
];

/// The routes of the local socket.
pub const LOCAL: [Row; 9] = [
    row("GET", "/health/ready", Access::LocalSocket, || {
        web::get().to(health::ready_in_detail)
    }),
    row("GET", "/metrics", Access::LocalSocket, || {
        web::get().to(health::metrics)
    }),
    row("POST", "/revoke", Access::LocalSocket, || {
        web::post().to(local::revoke)
    }),
    row("POST", "/inspect", Access::LocalSocket, || {
        web::post().to(local::inspect)
    }),
    row("POST", "/doctor/begin", Access::LocalSocket, || {
        web::post().to(doctor::begin)
    }),
    row("POST", "/doctor/seen", Access::LocalSocket, || {
        web::post().to(doctor::seen)
    }),
    row("POST", "/doctor/pause", Access::LocalSocket, || {
        web::post().to(doctor::pause)
    }),
    row("POST", "/doctor/end", Access::LocalSocket, || {
        web::post().to(doctor::end)
    }),
    row("POST", "/providers", Access::LocalSocket, || {
        web::post().to(local::providers)
    }),
];

const fn row(
    method: &'static str,
    path: &'static str,
    access: Access,
    handler: fn() -> Route,
) -> Row {
    Row {
        method,
        path,
        access,
        handler,
    }
}

/// Sets up the public address.
pub fn public(services: &mut ServiceConfig) {
    for (number, row) in PUBLIC.iter().enumerate() {
        let path = row.path;
        if let Some(prefix) = path.strip_suffix("/*") {
            services.service(web::scope(prefix).default_service((row.handler)()));
            continue;
        }
        // All methods of a path are one resource, set up where the path comes first.
        if PUBLIC[..number].iter().any(|before| before.path == path) {
            continue;
        }
        let mut resource = web::resource(path);
        for same in PUBLIC.iter().filter(|same| same.path == path) {
            resource = resource.route((same.handler)());
        }
        if row.access != Access::Open {
            resource =
                resource.route(web::method(actix_web::http::Method::OPTIONS).to(cors::preflight));
        }
        services.service(resource.default_service(web::to(wrong_method)));
    }
    services.default_service(web::to(not_found));
}

/// Sets up the local socket.
pub fn local(services: &mut ServiceConfig) {
    for Row { path, handler, .. } in &LOCAL {
        services.service(web::resource(*path).route(handler()));
    }
    services.default_service(web::to(not_found));
}

async fn not_found(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    edge.watch.stray(Stray::Nothing);
    drain(body).await;
    let text = format!("there is nothing at {}", request.path());
    ApiError::new(404, "not_found", &text).response()
}

async fn wrong_method(request: HttpRequest, body: web::Payload) -> HttpResponse {
    drain(body).await;
    let text = format!("{} is not possible at {}", request.method(), request.path());
    ApiError::new(405, "method_not_allowed", &text).response()
}

/// Reads a small body away: actix-web closes a connection whose request was left unread. One that
/// does not come is not waited for.
async fn drain(body: web::Payload) {
    let _ = timeout(Duration::from_secs(1), body.to_bytes_limited(64 * 1024)).await;
}
