//! Calls over the local socket, whose file mode is all the permission they need.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::{HttpResponse, web};

use crate::app::audit::caller::{Caller, on_behalf};
use crate::app::providers::{ProviderError, ProviderView};
use crate::app::revoke::selector::Selector;
use crate::http::Edge;
use crate::http::body::read_json;
use crate::http::error::ApiError;
use crate::http::wire::{
    InspectBody, InspectReply, ProviderReply, ProvidersBody, ProvidersReply, RevokeBody,
    RevokeReply,
};
use crate::names::organization_id::OrganizationName;

/// What a revoke may say, for whoever said something else.
const POSSIBLE: &str = "say what to revoke in one of these ways: `target` (a token id, a username, \
                        `key:<id of an API key>` or an organization `org_...`); `subject`, \
                        `provider` and `organization`; `issued_before` and `organization`";

/// Revokes what the body says.
pub async fn revoke(body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    let work = async {
        let reply = try_revoke(body, &edge).await?;
        Ok(HttpResponse::Ok().json(reply))
    };
    by_operator(&edge, "revoke", work).await
}

/// Answers a call over the local socket. Whoever can make one is an operator.
pub async fn by_operator(
    edge: &Edge,
    call: &'static str,
    work: impl Future<Output = Result<HttpResponse, ApiError>>,
) -> HttpResponse {
    on_behalf(Caller::operator("local socket"), async {
        work.await.unwrap_or_else(|error| {
            edge.app.audit_refusal(call, error.outcome(), error.code());
            error.response()
        })
    })
    .await
}

async fn try_revoke(body: web::Payload, edge: &Edge) -> Result<RevokeReply, ApiError> {
    let body = read_json::<RevokeBody>(body, edge.settings().api_body_limit).await;
    let selector = selector(body.map_err(|error| error.with_hint(POSSIBLE))?)?;
    let noun = selector.noun();
    match edge.app.revoke(selector).await? {
        Some(revoked) => Ok(revoked.into()),
        None => Err(no_such(noun)),
    }
}

/// Shows what the store holds of something, and what this node would decide.
pub async fn inspect(body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    match try_inspect(body, &edge).await {
        Ok(reply) => HttpResponse::Ok().json(reply),
        Err(error) => error.response(),
    }
}

async fn try_inspect(body: web::Payload, edge: &Edge) -> Result<InspectReply, ApiError> {
    let body = read_json::<InspectBody>(body, edge.settings().api_body_limit).await?;
    let selector: Selector = parsed("target", &body.target)?;
    match edge.app.inspect(&selector).await? {
        Some(inspection) => Ok(InspectReply::new(inspection, edge.app.now())),
        None => Err(no_such(selector.noun())),
    }
}

/// Shows providers, or changes one.
pub async fn providers(body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    let work = async {
        let reply = try_providers(body, &edge).await?;
        Ok(HttpResponse::Ok().json(reply))
    };
    by_operator(&edge, "providers", work).await
}

async fn try_providers(body: web::Payload, edge: &Edge) -> Result<ProvidersReply, ApiError> {
    let body = read_json::<ProvidersBody>(body, edge.settings().api_body_limit).await?;
    let organization: OrganizationName = parsed("organization", &body.organization)?;
    let named = body.provider.as_deref();
    if !body.add.is_empty() {
        let added = edge.app.add_providers(organization, body.add).await?;
        let views = added.into_iter().map(ProviderView::from);
        let providers = views.map(ProviderReply::new).collect();
        return Ok(ProvidersReply { providers });
    }
    let views = match body.change {
        None => edge.app.providers(organization, named).await?,
        Some(change) => {
            let name = named.ok_or(ProviderError::NoName)?;
            let changed = edge.app.change_provider(organization, name, change).await?;
            vec![changed.into()]
        }
    };
    let providers = views.into_iter().map(ProviderReply::new).collect();
    Ok(ProvidersReply { providers })
}

fn no_such(noun: &str) -> ApiError {
    ApiError::new(404, "not_found", &format!("there is no such {noun}"))
}

fn selector(body: RevokeBody) -> Result<Selector, ApiError> {
    let RevokeBody {
        target,
        subject,
        provider,
        organization,
        issued_before,
    } = body;
    Ok(
        match (target, subject, provider, organization, issued_before) {
            (Some(target), None, None, None, None) => parsed("target", &target)?,
            (None, Some(subject), Some(provider), Some(organization), None) => Selector::Subject {
                organization: parsed("organization", &organization)?,
                provider,
                subject,
            },
            (None, None, None, Some(organization), Some(time)) => Selector::IssuedBefore {
                organization: parsed("organization", &organization)?,
                time: parsed("issued_before", &time)?,
            },
            _ => return Err(ApiError::invalid_request(POSSIBLE)),
        },
    )
}

fn parsed<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|error| ApiError::invalid_request(&format!("{name}: {error}")))
}
