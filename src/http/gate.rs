//! In front of every handler that somebody has to be for: reads what the caller shows, checks it as
//! the row of the table says, and hands the handler a [`Call`]. There is no other way to one.

use std::net::IpAddr;

use actix_web::http::header::ORIGIN;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, Route};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use uuid::Uuid;

use crate::app::caller::{Caller, Whence};
use crate::credential::key_rules::KeyRules;
use crate::http::address::caller_address;
use crate::http::api::{answer, check_same, no_key};
use crate::http::error::ApiError;
use crate::http::routes::{Access, Row, not_found_at};
use crate::http::wire::secret;
use crate::http::{Edge, body, cors, keys, limits, oauth};
use crate::names::organization_id::OrganizationId;
use crate::names::origin::Origin;
use crate::secret::Secret;

/// A call whose caller was checked, with its whole body.
pub struct Call {
    /// Who calls, and from where.
    pub caller: Caller,
    /// The body; empty where there is none.
    pub body: Bytes,
    /// The request's line and headers.
    pub request: HttpRequest,
    /// What handlers share.
    pub edge: web::Data<Edge>,
    /// The OAuth client that it says it is.
    pub client_id: Option<String>,
}

/// Where a caller may show a key besides the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// `secret_key` of a JSON body.
    Json,
    /// `Authorization: Basic` or `client_secret` of a form (RFC 6749 section 2.3).
    Oauth,
}

/// What a call shows to say who it is.
struct Shown {
    key: Option<Secret>,
    client_id: Option<String>,
}

/// A route behind the check of its row, with JSON bodies.
pub fn json<H, F>(row: &'static Row, handler: H) -> Route
where
    H: Fn(Call) -> F + Clone + 'static,
    F: Future<Output = Result<HttpResponse, ApiError>> + 'static,
{
    behind(row, Carrier::Json, handler)
}

/// The same as OAuth has it: other carriers, forms, other codes.
pub fn oauth<H, F>(row: &'static Row, handler: H) -> Route
where
    H: Fn(Call) -> F + Clone + 'static,
    F: Future<Output = Result<HttpResponse, ApiError>> + 'static,
{
    behind(row, Carrier::Oauth, handler)
}

fn behind<H, F>(row: &'static Row, carrier: Carrier, handler: H) -> Route
where
    H: Fn(Call) -> F + Clone + 'static,
    F: Future<Output = Result<HttpResponse, ApiError>> + 'static,
{
    web::route().to(
        move |request: HttpRequest, body: web::Payload, edge: web::Data<Edge>| {
            let handler = handler.clone();
            async move {
                let id = Uuid::now_v7();
                let work = async {
                    let call = admit(row, carrier, request.clone(), body, edge.clone(), id).await?;
                    handler(call).await
                };
                let work = async {
                    let done = work.await;
                    match carrier {
                        Carrier::Json => done,
                        Carrier::Oauth => done.map_err(ApiError::in_oauth),
                    }
                };
                answer(&request, &edge, row.path, id, work).await
            }
        },
    )
}

async fn admit(
    row: &Row,
    carrier: Carrier,
    request: HttpRequest,
    payload: web::Payload,
    edge: web::Data<Edge>,
    request_id: Uuid,
) -> Result<Call, ApiError> {
    if is_escaped(&request) {
        return Err(not_found_at(&request));
    }
    let body = body::read(payload, edge.settings().api_body_limit).await?;
    let whence = Whence {
        address: address(&request, &edge),
        origin: origin(&request)?,
        request_id,
    };
    let shown = match carrier {
        Carrier::Json => Shown::in_json(row, &request, &body)?,
        Carrier::Oauth => Shown::in_oauth(&request, &body)?,
    };
    limits::enter(&request, &edge)?;
    let caller = match (row.access, shown.key) {
        (Access::ApiKey(_) | Access::Root, None) => Err(no_key()),
        (Access::ApiKey(scope) | Access::KeyOr(_, scope), Some(key)) => {
            let admitted = edge.app.admit_key(&key, scope, whence).await;
            admitted.map_err(|error| match carrier {
                Carrier::Json => error.into(),
                Carrier::Oauth => ApiError::from(error).of_client(),
            })
        }
        (Access::Root, Some(key)) => Ok(edge.app.admit_root(&key, whence)?),
        (Access::KeyOr(..) | Access::TokenPassword | Access::NamesOrganization, _) => {
            Ok(edge.app.admit_anybody(whence))
        }
        // They have no gate; a row that has one by mistake lets nobody through.
        (Access::Open | Access::HookSecret | Access::LocalSocket, _) => Err(no_key()),
    }?;
    if let Some(key) = caller.key() {
        limits::admit(&request, &edge, key).await?;
    }
    Ok(Call {
        caller,
        body,
        request,
        edge,
        client_id: shown.client_id,
    })
}

impl Shown {
    fn in_json(row: &Row, request: &HttpRequest, body: &Bytes) -> Result<Self, ApiError> {
        #[derive(Default, Deserialize)]
        struct Carried {
            #[serde(default, deserialize_with = "secret")]
            secret_key: Option<Secret>,
            current_token_password: Option<IgnoredAny>,
        }
        let nothing = Shown {
            key: None,
            client_id: None,
        };
        if matches!(
            row.access,
            Access::TokenPassword | Access::NamesOrganization
        ) {
            return Ok(nothing);
        }
        let carried = match body.is_empty() {
            true => Ok(Carried::default()),
            false => body::json::<Carried>(body),
        };
        // Whoever shows a key elsewhere hears from the handler what is wrong with the body.
        let carried = match (carried, keys::presented(request, None)?) {
            (Err(error), None) => return Err(error),
            (carried, _) => carried.unwrap_or_default(),
        };
        let by_password = carried.current_token_password.is_some();
        if by_password && matches!(row.access, Access::KeyOr(..)) {
            return Ok(nothing);
        }
        let key = keys::presented(request, carried.secret_key)?;
        Ok(Shown { key, ..nothing })
    }

    fn in_oauth(request: &HttpRequest, body: &Bytes) -> Result<Self, ApiError> {
        let (client_id, key) = oauth::shown(request, body)?;
        Ok(Self { key, client_id })
    }
}

impl Call {
    /// The organization whose API key the call carries.
    ///
    /// # Errors
    /// 401 where it carries none.
    pub fn owner(&self) -> Result<&OrganizationId, ApiError> {
        self.caller.organization().ok_or_else(no_key)
    }

    /// The same, if it is the one that the call names.
    ///
    /// # Errors
    /// 404: to the caller there is no other.
    pub async fn owner_named(&self, named: Option<&str>) -> Result<&OrganizationId, ApiError> {
        let owner = self.owner()?;
        if let Some(named) = named {
            check_same(&self.edge, owner, named).await?;
        }
        Ok(owner)
    }

    /// The rules of its key, which narrow what is minted with it.
    pub fn rules(&self) -> Option<&KeyRules> {
        self.caller.key().map(|key| &key.rules)
    }

    /// Reads the body whatever its content type says.
    ///
    /// # Errors
    /// 400 for one that cannot be read. The text never repeats it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        body::json(&self.body)
    }

    /// A part of the path, which the row names in braces; empty where it names none.
    pub fn part(&self, name: &str) -> &str {
        self.request.match_info().get(name).unwrap_or_default()
    }
}

/// Whether the path has escapes. The framework undoes them before it looks for a row; none of our
/// paths needs any, so there is one spelling of each only.
pub fn is_escaped(request: &HttpRequest) -> bool {
    request.uri().path().contains('%')
}

/// The request's address, behind proxies that are trusted.
pub fn address(request: &HttpRequest, edge: &Edge) -> Option<IpAddr> {
    let values = |name| {
        let values = request.headers().get_all(name);
        values.map(|value| value.to_str().ok())
    };
    caller_address(
        request.peer_addr().map(|peer| peer.ip()),
        &edge.settings().trusted_proxies,
        values("x-forwarded-for"),
        values("forwarded"),
    )
}

/// The request's origin; with two of them it is nobody's page.
fn origin(request: &HttpRequest) -> Result<Option<Origin>, ApiError> {
    if request.headers().get_all(ORIGIN).count() > 1 {
        return Err(cors::foreign_origin());
    }
    cors::origin_of(request)
}
