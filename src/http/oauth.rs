//! The standards beside our own calls: token exchange (RFC 8693), revocation (RFC 7009),
//! introspection (RFC 7662) and metadata (RFC 8414), with the errors of RFC 6749 section 5.2.
//!
//! A client authenticates with an API key as its `client_secret`; `client_id` is the key's id or the
//! organization. A browser or an app has no secret: its `client_id` is the organization.

use std::sync::Arc;

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL, HeaderValue,
};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::app::api_keys::KeyError;
use crate::app::revoke::selector::Selector;
use crate::app::tokens::ExchangeRequest;
use crate::app::tokens::mint::Narrowing;
use crate::credential::api_key::{ApiKey, ApiKeyKind};
use crate::credential::holder::Standing;
use crate::credential::scope::Scope;
use crate::credential::terms::Limits;
use crate::hooks::form::Form;
use crate::http::api::{answer, check_origin, check_same, missing};
use crate::http::error::ApiError;
use crate::http::wire::{IntrospectReply, MetadataReply, OauthTokenReply};
use crate::http::{Edge, cors, keys};
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::secret::Secret;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What a subject token may be called. All are the same to us: a signed token of a provider.
const SUBJECT_TYPES: [&str; 3] = [
    ACCESS_TOKEN,
    "urn:ietf:params:oauth:token-type:id_token",
    "urn:ietf:params:oauth:token-type:jwt",
];

/// Who calls.
struct Client {
    /// Its key, if it has one and it is good.
    key: Option<Arc<ApiKey>>,
    /// The organization that it names.
    named: Option<String>,
}

/// `POST /oauth/token`
pub async fn token(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    let work = async {
        try_token(&request, body, &edge)
            .await
            .map_err(ApiError::in_oauth)
    };
    answer(&request, &edge, "oauth_token", work).await
}

async fn try_token(
    request: &HttpRequest,
    body: web::Payload,
    edge: &Edge,
) -> Result<HttpResponse, ApiError> {
    let body = read_body(body, edge).await?;
    let mut form = Parameters::read(&body)?;
    let client = Client::of(request, &mut form, edge, Scope::TokensExchange).await?;
    match form.take("grant_type")?.as_deref() {
        Some(TOKEN_EXCHANGE) => {}
        Some(_) => {
            let text = format!("the grant type is {TOKEN_EXCHANGE}");
            return Err(ApiError::new(400, "unsupported_grant_type", &text));
        }
        None => return Err(missing("grant_type")),
    }
    let subject = form.take("subject_token")?;
    let subject = Secret::new(subject.ok_or_else(|| missing("subject_token"))?);
    let kind = form.take("subject_token_type")?;
    let kind = kind.ok_or_else(|| missing("subject_token_type"))?;
    if !SUBJECT_TYPES.contains(&kind.as_str()) {
        return Err(ApiError::invalid_request("subject_token_type is not known"));
    }
    let requested = form.take("requested_token_type")?;
    if requested.is_some_and(|requested| requested != ACCESS_TOKEN) {
        let text = format!("requested_token_type is {ACCESS_TOKEN}");
        return Err(ApiError::invalid_request(&text));
    }
    if form.take("actor_token")?.is_some() {
        return Err(ApiError::invalid_request("actor_token is not supported"));
    }
    let organization = client.organization(&mut form, edge).await?;
    let narrowing = Narrowing {
        client_id: None,
        limits: form.take("scope")?.map(|text| limits(&text)).transpose()?,
    };
    let origin = cors::origin_of(request)?;
    let exchange = ExchangeRequest {
        organization,
        provider: None,
        integration_id: None,
        token: &subject,
        ttl_seconds: None,
        origin: origin.as_ref(),
    };
    let minted = edge.app.exchange_narrowed(&exchange, &narrowing).await?;
    Ok(HttpResponse::Ok().json(OauthTokenReply::new(&minted, ACCESS_TOKEN)))
}

/// What a scope leaves; every word narrows what the policy allows anyway.
fn limits(scope: &str) -> Result<Limits, ApiError> {
    let mut limits = Limits {
        publish: false,
        subscribe: false,
        topics: None,
    };
    for word in scope.split(' ').filter(|word| !word.is_empty()) {
        match word {
            "publish" => limits.publish = true,
            "subscribe" => limits.subscribe = true,
            _ => {
                let text = "a scope is made of: publish, subscribe";
                return Err(ApiError::new(400, "invalid_scope", text));
            }
        }
    }
    Ok(limits)
}

/// `POST /oauth/revoke`
pub async fn revoke(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    let work = async {
        try_revoke(&request, body, &edge)
            .await
            .map_err(ApiError::in_oauth)
    };
    answer(&request, &edge, "oauth_revoke", work).await
}

async fn try_revoke(
    request: &HttpRequest,
    body: web::Payload,
    edge: &Edge,
) -> Result<HttpResponse, ApiError> {
    let body = read_body(body, edge).await?;
    let mut form = Parameters::read(&body)?;
    let client = Client::of(request, &mut form, edge, Scope::TokensRevoke).await?;
    client.refuse_publishable()?;
    let token = form.take("token")?.ok_or_else(|| missing("token"))?;
    let known = edge.app.known_token(&Secret::new(token)).await?;
    // What is not the client's to revoke is no token to it, and that is no error (section 2.2).
    let own = known.filter(|known| client.may_see(&known.organization.id));
    if let Some(known) = own {
        let (id, organization) = (known.id, &known.organization.id);
        check_origin(edge, organization, cors::origin_of(request)?.as_ref()).await?;
        edge.app
            .revoke_of(Some(organization), Selector::Token(id))
            .await?;
    }
    Ok(HttpResponse::Ok().json(serde_json::json!({})))
}

/// `POST /oauth/introspect`
pub async fn introspect(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    let work = async {
        try_introspect(&request, body, &edge)
            .await
            .map_err(ApiError::in_oauth)
    };
    answer(&request, &edge, "oauth_introspect", work).await
}

async fn try_introspect(
    request: &HttpRequest,
    body: web::Payload,
    edge: &Edge,
) -> Result<HttpResponse, ApiError> {
    let body = read_body(body, edge).await?;
    let mut form = Parameters::read(&body)?;
    let client = Client::of(request, &mut form, edge, Scope::TokensRevoke).await?;
    client.refuse_publishable()?;
    let key = client.key.as_ref().ok_or_else(invalid_client)?;
    let origin = cors::origin_of(request)?;
    check_origin(edge, &key.organization, origin.as_ref()).await?;
    let token = form.take("token")?.ok_or_else(|| missing("token"))?;
    let known = edge.app.known_token(&Secret::new(token)).await?;
    let now = edge.app.now();
    let known = known.filter(|known| known.organization.id == key.organization);
    let known = known.filter(|known| known.standing(now) == Standing::Live);
    let reply = known.map_or_else(IntrospectReply::default, |known| {
        IntrospectReply::active(&known)
    });
    Ok(HttpResponse::Ok().json(reply))
}

/// `GET /.well-known/oauth-authorization-server`
pub async fn metadata(edge: web::Data<Edge>) -> HttpResponse {
    let issuer = match &edge.settings().public_url {
        Some(url) => url.clone(),
        // Not the `Host` header: whoever asks could choose the issuer.
        None => format!("http://{}", edge.settings().bind),
    };
    let mut response = HttpResponse::Ok().json(MetadataReply::new(&issuer, TOKEN_EXCHANGE));
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    response
}

impl Client {
    /// Reads who calls, from `Authorization` or the body, but not both (RFC 6749 section 2.3).
    async fn of(
        request: &HttpRequest,
        form: &mut Parameters<'_>,
        edge: &Edge,
        scope: Scope,
    ) -> Result<Self, ApiError> {
        let posted = (form.take("client_id")?, form.take("client_secret")?);
        let (id, secret) = match basic(request)? {
            Some(_) if posted.1.is_some() => {
                let text = "the client authenticates in two ways at once";
                return Err(ApiError::invalid_request(text));
            }
            Some((id, secret)) => (Some(id), Some(secret)),
            None => {
                let secret = posted.1.map(Secret::new);
                (posted.0, keys::presented(request, secret)?)
            }
        };
        let Some(secret) = secret else {
            return Ok(Self {
                key: None,
                named: id,
            });
        };
        let key = match edge.app.check_key(&secret, scope).await {
            Err(KeyError::Scope(_)) => {
                let text = format!("the API key lacks the scope `{}`", scope.as_str());
                return Err(ApiError::new(400, "unauthorized_client", &text));
            }
            checked => checked?,
        };
        let id = id.filter(|id| *id != key.id.to_string() && !id.is_empty());
        if let Some(named) = &id {
            check_same(edge, &key.organization, named).await?;
        }
        Ok(Self {
            key: Some(key),
            named: None,
        })
    }

    /// The organization of the client, which `audience` may name as well.
    async fn organization(
        self,
        form: &mut Parameters<'_>,
        edge: &Edge,
    ) -> Result<OrganizationName, ApiError> {
        let audience = form.take("audience")?;
        if let Some(key) = &self.key {
            if let Some(audience) = audience {
                let same = check_same(edge, &key.organization, &audience).await;
                same.map_err(|_| invalid_target())?;
            }
            return Ok(OrganizationName::Id(key.organization.clone()));
        }
        let named = self.named.ok_or_else(invalid_client)?;
        if audience.is_some_and(|audience| audience != named) {
            return Err(invalid_target());
        }
        named.parse().map_err(|_| invalid_client())
    }

    /// Whoever shows the whole token may end it; a key ends those of its organization only.
    fn may_see(&self, organization: &OrganizationId) -> bool {
        self.key
            .as_ref()
            .is_none_or(|key| key.organization == *organization)
    }

    fn refuse_publishable(&self) -> Result<(), ApiError> {
        let key = self.key.as_ref();
        if key.is_some_and(|key| key.kind == ApiKeyKind::Publishable) {
            let text = "a publishable API key is not enough for this";
            return Err(ApiError::new(400, "unauthorized_client", text));
        }
        Ok(())
    }
}

/// The two halves of `Authorization: Basic`; `None`: there is none.
fn basic(request: &HttpRequest) -> Result<Option<(String, Secret)>, ApiError> {
    let Some(header) = request.headers().get(AUTHORIZATION) else {
        return Ok(None);
    };
    let text = header.to_str().map_err(|_| invalid_client())?;
    let Some((scheme, encoded)) = text.split_once(' ') else {
        return Err(invalid_client());
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let bytes = STANDARD
        .decode(encoded.trim())
        .map_err(|_| invalid_client())?;
    let text = String::from_utf8(bytes).map_err(|_| invalid_client())?;
    let (id, secret) = text.split_once(':').ok_or_else(invalid_client)?;
    Ok(Some((
        form_decoded(id)?,
        Secret::new(form_decoded(secret)?),
    )))
}

/// RFC 6749 section 2.3.1 has both halves encoded as in a form.
fn form_decoded(text: &str) -> Result<String, ApiError> {
    let text = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&text).decode_utf8();
    Ok(decoded.map_err(|_| invalid_client())?.into_owned())
}

fn invalid_client() -> ApiError {
    let text = "client authentication failed: an API key is the client_secret, the organization \
                or the key's id the client_id";
    ApiError::new(401, "invalid_client", text)
}

fn invalid_target() -> ApiError {
    ApiError::new(400, "invalid_target", "the audience is the organization")
}

async fn read_body(body: web::Payload, edge: &Edge) -> Result<web::Bytes, ApiError> {
    let limit = edge.settings().api_body_limit;
    match body.to_bytes_limited(limit).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(ApiError::invalid_request("the body could not be received")),
        Err(_) => {
            let text = format!("the body is longer than {limit} bytes");
            Err(ApiError::new(413, "invalid_request", &text))
        }
    }
}

/// The parameters of a call, each once; an empty one counts as left out (RFC 6749 section 3.2).
struct Parameters<'a>(Form<'a>);

impl<'a> Parameters<'a> {
    fn read(body: &'a [u8]) -> Result<Self, ApiError> {
        Form::parse(body).map(Self).map_err(|_| Self::malformed())
    }

    fn take(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let taken = self.0.take_filled(name).map_err(|_| Self::malformed())?;
        Ok(taken.map(|text| text.into_owned()))
    }

    fn malformed() -> ApiError {
        let text = "the body is a form (application/x-www-form-urlencoded), each name once";
        ApiError::invalid_request(text)
    }
}
