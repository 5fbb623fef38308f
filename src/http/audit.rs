//! `/v2/audit` and `/v2/audit/export`, and the same over the local socket.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use uuid::Uuid;

use crate::app::audit::query::{AuditFilter, AuditPage, MAX_PAGE};
use crate::http::Edge;
use crate::http::api::no_such_organization;
use crate::http::body::read_json;
use crate::http::error::ApiError;
use crate::http::gate::Call;
use crate::http::local::by_operator;
use crate::http::query::Query;
use crate::http::wire::audit::{AuditBody, AuditReply, line};
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::org::audit::{Outcome, Trail};
use crate::store::port::StoreError;

/// How many entries a page has, where the caller does not say.
const USUAL_PAGE: usize = 50;

/// What an export is of.
struct Export {
    edge: web::Data<Edge>,
    organization: Option<OrganizationId>,
    filter: AuditFilter,
}

/// `GET /v2/audit`
///
/// # Errors
/// 400 for a filter that means nothing.
pub async fn list(call: Call) -> Result<HttpResponse, ApiError> {
    let (owner, body) = asked(&call).await?;
    page(&call.edge, Some(owner), &body).await
}

/// `GET /v2/audit/export`
///
/// # Errors
/// As listing.
pub async fn export(call: Call) -> Result<HttpResponse, ApiError> {
    let (owner, body) = asked(&call).await?;
    whole(call.edge.clone(), Some(owner.clone()), &body).await
}

/// A page over the local socket, of any organization.
pub async fn list_locally(body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    let work = async {
        let body = read_json::<AuditBody>(body, edge.settings().api_body_limit).await?;
        let organization = named(&edge, body.organization_id.as_deref()).await?;
        page(&edge, organization.as_ref(), &body).await
    };
    by_operator(&edge, "audit", work).await
}

/// An export over the local socket, of any organization.
pub async fn export_locally(body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    let work = async {
        let body = read_json::<AuditBody>(body, edge.settings().api_body_limit).await?;
        let organization = named(&edge, body.organization_id.as_deref()).await?;
        whole(edge.clone(), organization, &body).await
    };
    by_operator(&edge, "audit_export", work).await
}

/// Whose log a caller with a key may read, and what is asked of it.
async fn asked(call: &Call) -> Result<(&OrganizationId, AuditBody), ApiError> {
    let body = AuditBody::of_query(&call.request)?;
    let owner = call.owner_named(body.organization_id.as_deref()).await?;
    Ok((owner, body))
}

async fn named(edge: &Edge, name: Option<&str>) -> Result<Option<OrganizationId>, ApiError> {
    let Some(name) = name else {
        return Ok(None);
    };
    let name: OrganizationName = parsed("organization_id", name)?;
    let known = edge.app.audited_organization(name).await?;
    known.map(Some).ok_or_else(no_such_organization)
}

async fn page(
    edge: &Edge,
    organization: Option<&OrganizationId>,
    body: &AuditBody,
) -> Result<HttpResponse, ApiError> {
    let limit = body.limit.unwrap_or(USUAL_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        let text = format!("limit is 1 to {MAX_PAGE}");
        return Err(ApiError::invalid_request(&text));
    }
    let wrong = |_| ApiError::invalid_request("cursor is not one that a list has given");
    let cursor = body.cursor.as_deref().map(Uuid::from_str).transpose();
    let (filter, cursor) = (body.filter()?, cursor.map_err(wrong)?);
    let page = edge.app.audit_page(organization, &filter, cursor, limit);
    Ok(HttpResponse::Ok().json(AuditReply::new(page.await?)))
}

/// All entries, a line each. The first page is read before the answer begins, so that a store that is
/// down is told as such; a failure after that breaks the answer off.
async fn whole(
    edge: web::Data<Edge>,
    organization: Option<OrganizationId>,
    body: &AuditBody,
) -> Result<HttpResponse, ApiError> {
    let export = Export {
        edge,
        organization,
        filter: body.filter()?,
    };
    let first = export.read(None).await?;
    let pages = stream::try_unfold((export, Some(first)), |(export, page)| async move {
        let Some(page) = page else {
            return Ok::<_, StoreError>(None);
        };
        let lines: String = page.entries.iter().map(line).collect();
        let next = match page.next {
            Some(next) => Some(export.read(Some(next)).await?),
            None => None,
        };
        Ok(Some((web::Bytes::from(lines), (export, next))))
    });
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .streaming(Box::pin(pages)))
}

impl Export {
    async fn read(&self, from: Option<Uuid>) -> Result<AuditPage, StoreError> {
        let app = &self.edge.app;
        let organization = self.organization.as_ref();
        app.audit_page(organization, &self.filter, from, MAX_PAGE)
            .await
    }
}

impl AuditBody {
    /// What stands in a query, each name once.
    fn of_query(request: &HttpRequest) -> Result<Self, ApiError> {
        let mut query = Query::of(request)?;
        let mut take = |name: &str| query.take(name);
        Ok(Self {
            organization_id: take("organization_id")?,
            trail: take("trail")?,
            since: take("since")?,
            until: take("until")?,
            actor: take("actor")?,
            action: take("action")?,
            target: take("target")?,
            outcome: take("outcome")?,
            limit: take("limit")?
                .map(|text| parsed("limit", &text))
                .transpose()?,
            cursor: take("cursor")?,
        })
    }

    fn filter(&self) -> Result<AuditFilter, ApiError> {
        let time = |name, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| parsed(name, text)).transpose()
        };
        let trails = self.trail.iter().flat_map(|text| text.split(','));
        let trails = trails.map(|word| {
            let wrong = || {
                let words: Vec<&str> = Trail::ALL.iter().map(|one| one.as_str()).collect();
                ApiError::invalid_request(&format!("trail is made of: {}", words.join(",")))
            };
            Trail::parse(word).ok_or_else(wrong)
        });
        let outcome = self.outcome.as_deref().map(|word| {
            let wrong = || ApiError::invalid_request("outcome is ok, refused or failed");
            Outcome::parse(word).ok_or_else(wrong)
        });
        Ok(AuditFilter {
            trails: trails.collect::<Result<_, _>>()?,
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
            actor: self.actor.clone(),
            action: self.action.clone(),
            target: self.target.clone(),
            outcome: outcome.transpose()?,
        })
    }
}

fn parsed<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|error| ApiError::invalid_request(&format!("{name}: {error}")))
}
