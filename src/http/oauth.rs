//! The standards beside our own calls: token exchange (RFC 8693), revocation (RFC 7009),
//! introspection (RFC 7662) and metadata (RFC 8414), with the errors of RFC 6749 section 5.2.
//!
//! A client authenticates with an API key as its `client_secret`; `client_id` is the key's id or the
//! organization. A browser or an app has no secret: its `client_id` is the organization.

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL, HeaderValue,
};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::app::revoke::selector::Selector;
use crate::app::tokens::ExchangeRequest;
use crate::app::tokens::known::KnownToken;
use crate::app::tokens::mint::Narrowing;
use crate::credential::holder::Standing;
use crate::credential::terms::Limits;
use crate::hooks::form::Form;
use crate::http::api::{check_origin, check_same, missing};
use crate::http::error::ApiError;
use crate::http::gate::Call;
use crate::http::limits as rates;
use crate::http::wire::{IntrospectReply, MetadataReply, OauthTokenReply};
use crate::http::{Edge, keys};
use crate::names::organization_id::OrganizationName;
use crate::secret::Secret;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What a subject token may be called. All are the same to us: a signed token of a provider.
const SUBJECT_TYPES: [&str; 3] = [
    ACCESS_TOKEN,
    "urn:ietf:params:oauth:token-type:id_token",
    "urn:ietf:params:oauth:token-type:jwt",
];

/// `POST /oauth/token`
///
/// # Errors
/// As RFC 6749 and RFC 8693 say.
pub async fn token(call: Call) -> Result<HttpResponse, ApiError> {
    let mut form = Parameters::read(&call.body)?;
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
    let organization = organization(&call, &mut form).await?;
    if call.caller.key().is_none() {
        rates::admit_without_key(&call.request, &call.edge, &organization).await?;
    }
    let narrowing = Narrowing {
        client_id: None,
        limits: form.take("scope")?.map(|text| limits(&text)).transpose()?,
    };
    let exchange = ExchangeRequest {
        organization,
        provider: None,
        integration_id: None,
        token: &subject,
        ttl_seconds: None,
        origin: call.caller.whence().origin.as_ref(),
        rules: call.rules(),
    };
    let minted = call
        .edge
        .app
        .exchange_narrowed(&exchange, &narrowing)
        .await?;
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
///
/// # Errors
/// As RFC 7009 says.
pub async fn revoke(call: Call) -> Result<HttpResponse, ApiError> {
    let mut form = Parameters::read(&call.body)?;
    let edge = &call.edge;
    check_client(&call).await?;
    let token = form.take("token")?.ok_or_else(|| missing("token"))?;
    let known = edge.app.known_token(&Secret::new(token)).await?;
    // Whoever shows the whole token may end it; a key ends those of its organization only. What is
    // not the client's to revoke is no token to it, and that is no error (section 2.2).
    let owner = call.caller.organization();
    let may_see = |known: &KnownToken| owner.is_none_or(|owner| known.organization.id == *owner);
    if let Some(known) = known.filter(may_see) {
        let (id, organization) = (known.id, &known.organization.id);
        check_origin(edge, organization, call.caller.whence().origin.as_ref()).await?;
        edge.app
            .revoke_of(Some(organization), Selector::Token(id))
            .await?;
    }
    Ok(HttpResponse::Ok().json(serde_json::json!({})))
}

/// `POST /oauth/introspect`
///
/// # Errors
/// As RFC 7662 says.
pub async fn introspect(call: Call) -> Result<HttpResponse, ApiError> {
    let mut form = Parameters::read(&call.body)?;
    let edge = &call.edge;
    check_client(&call).await?;
    let owner = call.owner()?;
    let token = form.take("token")?.ok_or_else(|| missing("token"))?;
    let known = edge.app.known_token(&Secret::new(token)).await?;
    let now = edge.app.now();
    let known = known.filter(|known| known.organization.id == *owner);
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

/// Who the client says it is and the key that it shows, in `Authorization` or the body, but not both
/// (RFC 6749 section 2.3).
///
/// # Errors
/// 400 for a body that is no form or a client that shows two keys, 401 for what is none.
pub fn shown(
    request: &HttpRequest,
    body: &[u8],
) -> Result<(Option<String>, Option<Secret>), ApiError> {
    let mut form = Parameters::read(body)?;
    let posted = (form.take("client_id")?, form.take("client_secret")?);
    match basic(request)? {
        Some(_) if posted.1.is_some() => {
            let text = "the client authenticates in two ways at once";
            Err(ApiError::invalid_request(text))
        }
        Some((id, secret)) => Ok((Some(id), Some(secret))),
        None => {
            let secret = posted.1.map(Secret::new);
            Ok((posted.0, keys::presented(request, secret)?))
        }
    }
}

/// Whether the client is who it says: its `client_id` is its key's id or its organization.
async fn check_client(call: &Call) -> Result<(), ApiError> {
    if let (Some(key), Some(id)) = (call.caller.key(), &call.client_id)
        && *id != key.id.to_string()
        && !id.is_empty()
    {
        check_same(&call.edge, &key.organization, id).await?;
    }
    Ok(())
}

/// The organization of the client, which `audience` may name as well.
async fn organization(
    call: &Call,
    form: &mut Parameters<'_>,
) -> Result<OrganizationName, ApiError> {
    check_client(call).await?;
    let audience = form.take("audience")?;
    if let Some(owner) = call.caller.organization() {
        if let Some(audience) = audience {
            let same = check_same(&call.edge, owner, &audience).await;
            same.map_err(|_| invalid_target())?;
        }
        return Ok(OrganizationName::Id(owner.clone()));
    }
    let named = call.client_id.as_ref().ok_or_else(invalid_client)?;
    if audience.is_some_and(|audience| audience != *named) {
        return Err(invalid_target());
    }
    named.parse().map_err(|_| invalid_client())
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
