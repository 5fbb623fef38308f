//! `/v2/keys`: the life of an API key. Who may call what is in the table of routes.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::http::header::{ETAG, IF_MATCH};

use crate::app::api_keys::change::{ChangeKeyError, KeyChange, Maker};
use crate::app::api_keys::create::KeyDraft;
use crate::app::api_keys::legacy::LegacyDraft;
use crate::app::api_keys::list::{KeyEntry, MAX_PAGE};
use crate::app::revoke::selector::Selector;
use crate::credential::api_key::KeyStanding;
use crate::credential::key_rules::{KeyRate, KeyRules};
use crate::credential::legacy_key::NotAHash;
use crate::credential::terms::Limits;
use crate::http::api::{no_key, no_such_organization};
use crate::http::error::ApiError;
use crate::http::gate::Call;
use crate::http::query::Query;
use crate::http::tokens::limits;
use crate::http::wire::RevokeReply;
use crate::http::wire::keys::{
    ImportKeyBody, KeyChangeBody, KeyReply, KeysReply, NewKeyBody, RotateBody,
};
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::store::port::Revision;

/// `GET /v2/keys`
///
/// # Errors
/// 400 for a filter that means nothing.
pub async fn list(call: Call) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(&call.request)?;
    let named = query.take("organization_id")?;
    let owner = call.owner_named(named.as_deref()).await?;
    let with_all = match query.take("status")?.as_deref() {
        None | Some("active") => false,
        Some("all") => true,
        Some(_) => return Err(ApiError::invalid_request("status is active or all")),
    };
    let (limit, from) = (query.limit(MAX_PAGE)?, query.cursor()?);
    let page = call
        .edge
        .app
        .list_keys(owner, with_all, from, limit)
        .await?;
    Ok(HttpResponse::Ok().json(KeysReply::new(&page)))
}

/// `POST /v2/keys`
///
/// # Errors
/// As making a key.
pub async fn create(call: Call) -> Result<HttpResponse, ApiError> {
    let body: NewKeyBody = call.json()?;
    let owner = call.owner_named(body.organization_id.as_deref()).await?;
    make(&call, owner, body).await
}

/// `POST /v2/organizations/{organization}/keys`: an organization's first key comes from the operator.
///
/// # Errors
/// As making a key.
pub async fn create_first(call: Call) -> Result<HttpResponse, ApiError> {
    let organization = organization(&call).await?;
    make(&call, &organization, call.json()?).await
}

/// `POST /v2/organizations/{organization}/keys/import`
///
/// # Errors
/// As importing.
pub async fn import(call: Call) -> Result<HttpResponse, ApiError> {
    let body: ImportKeyBody = call.json()?;
    let organization = organization(&call).await?;
    let wrong = |error: NotAHash| ApiError::invalid_request(&error.to_string());
    let draft = LegacyDraft {
        hash: body.sha256.parse().map_err(wrong)?,
        name: body.name,
        last_four: body.last_four,
        scopes: body.scopes,
        rules: KeyRules {
            max_ttl_seconds: body.max_ttl,
            expires_at: body.expires_at,
            ..KeyRules::default()
        },
    };
    let key = call.edge.app.import_key(&organization, draft).await?;
    Ok(HttpResponse::Created().json(KeyReply::of(&key, KeyStanding::Live)))
}

async fn make(
    call: &Call,
    organization: &OrganizationId,
    body: NewKeyBody,
) -> Result<HttpResponse, ApiError> {
    let draft = KeyDraft {
        kind: body.kind,
        name: body.name,
        scopes: body.scopes,
        rules: KeyRules {
            allowed_origins: body.allowed_origins,
            allowed_addresses: body.allowed_addresses,
            limits: limits(body.permissions, body.topics)?,
            max_ttl_seconds: body.max_ttl,
            expires_at: body.expires_at,
            rate: body.rate.map(KeyRate::from),
        },
    };
    let maker = maker(call)?;
    let made = call.edge.app.create_key_by(maker, organization, draft);
    let (key, text) = made.await?;
    Ok(HttpResponse::Created().json(KeyReply::new_key(&key, &text)))
}

/// `GET /v2/keys/{id}`
///
/// # Errors
/// 404 for one that there is not, or not for the caller.
pub async fn get(call: Call) -> Result<HttpResponse, ApiError> {
    let entry = entry(&call).await?;
    let tag = etag(entry.revision);
    Ok(HttpResponse::Ok()
        .insert_header((ETAG, tag))
        .json(KeyReply::from(&entry)))
}

/// `PATCH /v2/keys/{id}`: what is named changes.
///
/// # Errors
/// As the change itself.
pub async fn change(call: Call) -> Result<HttpResponse, ApiError> {
    let body: KeyChangeBody = call.json()?;
    let current = match (&body.permissions, &body.topics) {
        (None, None) => None,
        _ => Some(entry(&call).await?),
    };
    let change = changed(body, current.as_ref())?;
    make_change(&call, &change).await
}

/// `PUT /v2/keys/{id}`: what is not named is as if it had never been.
///
/// # Errors
/// As the change itself.
pub async fn put(call: Call) -> Result<HttpResponse, ApiError> {
    let body: NewKeyBody = call.json()?;
    let entry = entry(&call).await?;
    if entry.key.kind != body.kind {
        return Err(ApiError::invalid_request("a key keeps its kind"));
    }
    let change = KeyChange {
        name: Some(body.name),
        scopes: Some(body.scopes.unwrap_or_else(|| body.kind.default_scopes())),
        allowed_origins: Some(body.allowed_origins),
        allowed_addresses: Some(body.allowed_addresses),
        limits: Some(limits(body.permissions, body.topics)?),
        max_ttl_seconds: Some(body.max_ttl),
        expires_at: Some(body.expires_at),
        rate: Some(body.rate.map(KeyRate::from)),
    };
    make_change(&call, &change).await
}

async fn make_change(call: &Call, change: &KeyChange) -> Result<HttpResponse, ApiError> {
    let (owner, id, app) = (call.owner()?, key_id(call)?, &call.edge.app);
    let seen = if_match(call)?;
    let (key, revision) = app
        .change_key(maker(call)?, owner, id, seen, change)
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header((ETAG, etag(revision)))
        .json(KeyReply::of(&key, KeyStanding::Live)))
}

/// `POST /v2/keys/{id}/rotate`
///
/// # Errors
/// As the rotation itself.
pub async fn rotate(call: Call) -> Result<HttpResponse, ApiError> {
    let body = match call.body.is_empty() {
        true => RotateBody::default(),
        false => call.json()?,
    };
    let (owner, id) = (call.owner()?, key_id(&call)?);
    let rotated = call
        .edge
        .app
        .rotate_key(maker(&call)?, owner, id, body.grace);
    let (key, text) = rotated.await?;
    Ok(HttpResponse::Created().json(KeyReply::new_key(&key, &text)))
}

/// `DELETE /v2/keys/{id}`
///
/// # Errors
/// As revoking.
pub async fn revoke(call: Call) -> Result<HttpResponse, ApiError> {
    end(&call, call.owner()?).await
}

/// `DELETE /v2/organizations/{organization}/keys/{id}`
///
/// # Errors
/// As revoking.
pub async fn revoke_any(call: Call) -> Result<HttpResponse, ApiError> {
    end(&call, &organization(&call).await?).await
}

async fn end(call: &Call, owner: &OrganizationId) -> Result<HttpResponse, ApiError> {
    let selector = Selector::ApiKey(key_id(call)?);
    match call.edge.app.revoke_of(Some(owner), selector).await? {
        Some(revoked) => Ok(HttpResponse::Ok().json(RevokeReply::from(revoked))),
        None => Err(ChangeKeyError::NoSuchKey.into()),
    }
}

fn maker(call: &Call) -> Result<Maker<'_>, ApiError> {
    Maker::of(&call.caller).ok_or_else(no_key)
}

async fn entry(call: &Call) -> Result<KeyEntry, ApiError> {
    let (owner, id) = (call.owner()?, key_id(call)?);
    let entry = call.edge.app.find_key(owner, &id).await?;
    Ok(entry.ok_or(ChangeKeyError::NoSuchKey)?)
}

/// The organization that the path names.
async fn organization(call: &Call) -> Result<OrganizationId, ApiError> {
    let named: OrganizationName = of_path(call, "organization", no_such_organization)?;
    let found = call.edge.app.find_organization(named).await?;
    Ok(found.ok_or_else(no_such_organization)?.id.clone())
}

/// A text that no key has as its id names none.
fn key_id(call: &Call) -> Result<ApiKeyId, ApiError> {
    of_path(call, "id", || ChangeKeyError::NoSuchKey.into())
}

fn of_path<T: FromStr<Err: Display>>(
    call: &Call,
    name: &str,
    none: impl Fn() -> ApiError,
) -> Result<T, ApiError> {
    call.part(name).parse().map_err(|_| none())
}

fn etag(revision: Revision) -> String {
    format!("\"{:x}\"", revision.0)
}

/// The state that the caller has seen; `None`: it does not say, or takes any.
fn if_match(call: &Call) -> Result<Option<Revision>, ApiError> {
    let Some(header) = call.request.headers().get(IF_MATCH) else {
        return Ok(None);
    };
    let text = header.to_str().unwrap_or_default();
    if text == "*" {
        return Ok(None);
    }
    let tag = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let seen = tag.and_then(|tag| u64::from_str_radix(tag, 16).ok());
    // A tag that is none of ours is of no state that there is.
    Ok(Some(Revision(seen.ok_or(ChangeKeyError::Changed)?)))
}

fn changed(body: KeyChangeBody, current: Option<&KeyEntry>) -> Result<KeyChange, ApiError> {
    Ok(KeyChange {
        name: body.name,
        scopes: body.scopes,
        allowed_origins: body.allowed_origins.map(Option::unwrap_or_default),
        allowed_addresses: body.allowed_addresses.map(Option::unwrap_or_default),
        limits: match current {
            None => None,
            Some(entry) => {
                let known = entry.key.rules.limits.clone();
                Some(merged(known, body.permissions, body.topics)?)
            }
        },
        max_ttl_seconds: body.max_ttl,
        expires_at: body.expires_at,
        rate: body.rate.map(|rate| rate.map(KeyRate::from)),
    })
}

/// The two halves of a right, each as it was where it is not named.
fn merged(
    known: Option<Limits>,
    permissions: Option<Option<Vec<String>>>,
    topics: Option<Option<Vec<String>>>,
) -> Result<Option<Limits>, ApiError> {
    let open = Limits {
        publish: true,
        subscribe: true,
        topics: None,
    };
    let mut merged = known.unwrap_or_else(|| open.clone());
    if let Some(words) = permissions {
        let said = limits(words, None)?.unwrap_or_else(|| open.clone());
        (merged.publish, merged.subscribe) = (said.publish, said.subscribe);
    }
    if let Some(topics) = topics {
        merged.topics = topics;
    }
    Ok((merged != open).then_some(merged))
}
