//! Every route: method, path, who may call it, what answers. A route that is not in one of these
//! tables does not exist.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Route};
use tokio::time::timeout;

use crate::credential::scope::Scope;
use crate::http::error::ApiError;
use crate::http::watch::Stray;
use crate::http::{Edge, api_keys, audit, cors, doctor, gate, health, hooks, local, oauth, tokens};

/// Who may call a route. Which kinds of keys may have a scope is the scope's own matter
/// ([`Scope::fits`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Open,
    /// A broker that shows its connection's secret.
    HookSecret,
    /// Whoever shows an API key with the scope.
    ApiKey(Scope),
    /// Whoever shows something else that the handler checks, or such an API key. A key that is shown
    /// has to be good.
    KeyOr(Proof, Scope),
    /// Whoever shows the password of the token that it is about.
    TokenPassword,
    /// Whoever names an organization: it tells no more than its login page does.
    NamesOrganization,
    /// The operator, by a root key.
    Root,
    /// Whoever may open the local socket: the file's owner.
    LocalSocket,
}

/// What does in place of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A token of an identity provider. It is needed with a key as well.
    IdentityToken,
    /// The password of the token that it is about.
    TokenPassword,
}

/// Sets up the routes of a server: [`public`], or for a benchmark a no-op beside them.
pub type Routes = fn(&mut ServiceConfig);

/// A row of a table.
pub struct Row {
    /// Such as `GET`, or `*` for all.
    pub method: &'static str,
    /// The path as it is, or all below it: `/*` at its end, or with parts in braces. Each of the last
    /// kind runs a regular expression over every path that comes so far in the table, so they stand
    /// at its end.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    handler: fn(&'static Row) -> Route,
}

/// The routes of the public address. Brokers ask most, so theirs is the first.
pub static PUBLIC: [Row; 27] = [
    row("*", "/hooks/*", Access::HookSecret, |_| {
        web::route().to(hooks::answer)
    }),
    row("GET", "/health/live", Access::Open, |_| {
        web::route().to(health::live)
    }),
    row("GET", "/health/ready", Access::Open, |_| {
        web::route().to(health::ready)
    }),
    row(
        "POST",
        "/v2/tokens/exchange",
        Access::KeyOr(Proof::IdentityToken, Scope::TokensExchange),
        |row| gate::json(row, tokens::exchange),
    ),
    row(
        "POST",
        "/v2/tokens/create",
        Access::ApiKey(Scope::TokensCreate),
        |row| gate::json(row, tokens::create),
    ),
    row("POST", "/v2/tokens/refresh", Access::TokenPassword, |row| {
        gate::json(row, tokens::refresh)
    }),
    row(
        "POST",
        "/v2/tokens/revoke",
        Access::KeyOr(Proof::TokenPassword, Scope::TokensRevoke),
        |row| gate::json(row, tokens::revoke),
    ),
    row(
        "GET",
        "/v2/tokens",
        Access::ApiKey(Scope::TokensRevoke),
        |row| gate::json(row, tokens::list),
    ),
    row(
        "POST",
        "/v2/tokens",
        Access::ApiKey(Scope::TokensCreate),
        |row| gate::json(row, tokens::older_tokens),
    ),
    row(
        "POST",
        "/v1/create",
        Access::ApiKey(Scope::TokensCreate),
        |row| gate::json(row, tokens::older_create),
    ),
    row("GET", "/v2/providers", Access::NamesOrganization, |row| {
        gate::json(row, tokens::providers)
    }),
    row("GET", "/v2/keys", Access::ApiKey(Scope::KeysRead), |row| {
        gate::json(row, api_keys::list)
    }),
    row(
        "POST",
        "/v2/keys",
        Access::ApiKey(Scope::KeysWrite),
        |row| gate::json(row, api_keys::create),
    ),
    row(
        "POST",
        "/oauth/token",
        Access::KeyOr(Proof::IdentityToken, Scope::TokensExchange),
        |row| gate::oauth(row, oauth::token),
    ),
    row(
        "POST",
        "/oauth/revoke",
        Access::KeyOr(Proof::TokenPassword, Scope::TokensRevoke),
        |row| gate::oauth(row, oauth::revoke),
    ),
    row(
        "POST",
        "/oauth/introspect",
        Access::ApiKey(Scope::TokensRevoke),
        |row| gate::oauth(row, oauth::introspect),
    ),
    row(
        "GET",
        "/.well-known/oauth-authorization-server",
        Access::Open,
        |_| web::route().to(oauth::metadata),
    ),
    row(
        "GET",
        "/v2/audit",
        Access::ApiKey(Scope::AuditRead),
        |row| gate::json(row, audit::list),
    ),
    row(
        "GET",
        "/v2/audit/export",
        Access::ApiKey(Scope::AuditRead),
        |row| gate::json(row, audit::export),
    ),
    row(
        "GET",
        "/v2/keys/{id}",
        Access::ApiKey(Scope::KeysRead),
        |row| gate::json(row, api_keys::get),
    ),
    row(
        "PATCH",
        "/v2/keys/{id}",
        Access::ApiKey(Scope::KeysWrite),
        |row| gate::json(row, api_keys::change),
    ),
    row(
        "PUT",
        "/v2/keys/{id}",
        Access::ApiKey(Scope::KeysWrite),
        |row| gate::json(row, api_keys::put),
    ),
    row(
        "DELETE",
        "/v2/keys/{id}",
        Access::ApiKey(Scope::KeysWrite),
        |row| gate::json(row, api_keys::revoke),
    ),
    row(
        "POST",
        "/v2/keys/{id}/rotate",
        Access::ApiKey(Scope::KeysWrite),
        |row| gate::json(row, api_keys::rotate),
    ),
    row(
        "POST",
        "/v2/organizations/{organization}/keys",
        Access::Root,
        |row| gate::json(row, api_keys::create_first),
    ),
    row(
        "POST",
        "/v2/organizations/{organization}/keys/import",
        Access::Root,
        |row| gate::json(row, api_keys::import),
    ),
    row(
        "DELETE",
        "/v2/organizations/{organization}/keys/{id}",
        Access::Root,
        |row| gate::json(row, api_keys::revoke_any),
    ),
];

/// The routes of the local socket.
pub static LOCAL: [Row; 11] = [
    row("GET", "/health/ready", Access::LocalSocket, |_| {
        web::route().to(health::ready_in_detail)
    }),
    row("GET", "/metrics", Access::LocalSocket, |_| {
        web::route().to(health::metrics)
    }),
    row("POST", "/revoke", Access::LocalSocket, |_| {
        web::route().to(local::revoke)
    }),
    row("POST", "/inspect", Access::LocalSocket, |_| {
        web::route().to(local::inspect)
    }),
    row("POST", "/doctor/begin", Access::LocalSocket, |_| {
        web::route().to(doctor::begin)
    }),
    row("POST", "/doctor/seen", Access::LocalSocket, |_| {
        web::route().to(doctor::seen)
    }),
    row("POST", "/doctor/pause", Access::LocalSocket, |_| {
        web::route().to(doctor::pause)
    }),
    row("POST", "/doctor/end", Access::LocalSocket, |_| {
        web::route().to(doctor::end)
    }),
    row("POST", "/providers", Access::LocalSocket, |_| {
        web::route().to(local::providers)
    }),
    row("POST", "/audit", Access::LocalSocket, |_| {
        web::route().to(audit::list_locally)
    }),
    row("POST", "/audit/export", Access::LocalSocket, |_| {
        web::route().to(audit::export_locally)
    }),
];

const fn row(
    method: &'static str,
    path: &'static str,
    access: Access,
    handler: fn(&'static Row) -> Route,
) -> Row {
    Row {
        method,
        path,
        access,
        handler,
    }
}

impl Row {
    /// The handler, for the row's own method.
    fn route(&'static self) -> Route {
        let method = Method::from_bytes(self.method.as_bytes());
        (self.handler)(self).method(method.expect("a row names a method"))
    }
}

/// Sets up the public address.
pub fn public(services: &mut ServiceConfig) {
    for (number, row) in PUBLIC.iter().enumerate() {
        let path = row.path;
        if let Some(prefix) = path.strip_suffix("/*") {
            services.service(web::scope(prefix).default_service((row.handler)(row)));
            continue;
        }
        // All methods of a path are one resource, set up where the path comes first.
        if PUBLIC[..number].iter().any(|before| before.path == path) {
            continue;
        }
        let mut resource = web::resource(path);
        for same in PUBLIC.iter().filter(|same| same.path == path) {
            resource = resource.route(same.route());
        }
        if row.access != Access::Open {
            resource = resource.route(web::method(Method::OPTIONS).to(cors::preflight));
        }
        services.service(resource.default_service(web::to(wrong_method)));
    }
    services.default_service(web::to(not_found));
}

/// Sets up the local socket.
pub fn local(services: &mut ServiceConfig) {
    for row in &LOCAL {
        services.service(web::resource(row.path).route(row.route()));
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
    not_found_at(&request).response()
}

/// That there is nothing at the path of a request.
pub fn not_found_at(request: &HttpRequest) -> ApiError {
    let text = format!("there is nothing at {}", request.path());
    ApiError::new(404, "not_found", &text)
}

async fn wrong_method(request: HttpRequest, body: web::Payload) -> HttpResponse {
    drain(body).await;
    if gate::is_escaped(&request) {
        return not_found_at(&request).response();
    }
    let text = format!("{} is not possible at {}", request.method(), request.path());
    ApiError::new(405, "method_not_allowed", &text).response()
}

/// Reads a small body away: actix-web closes a connection whose request was left unread. One that
/// does not come is not waited for.
async fn drain(body: web::Payload) {
    let _ = timeout(Duration::from_secs(1), body.to_bytes_limited(64 * 1024)).await;
}
