//! The service user: `server@<organization>`, whose passwords are the organization's secret keys.
//!
//! It has no record of its own. The organization notes the keys that it may have connected with, and
//! its sessions are good while one of them is.

use std::sync::Arc;

use crate::app::App;
use crate::app::api_keys::KeyError;
use crate::credential::api_key::{ApiKey, PresentedApiKey};
use crate::credential::holder::{Holder, HolderIdentity};
use crate::engine::api_key::{KeyRefusal, authenticate_key};
use crate::engine::decision::{Decision, DenyReason, Grant};
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::OrganizationId;
use crate::names::username::{SERVICE_NAME, Username};
use crate::org::organization::{MAX_SERVICE_KEYS, Organization};
use crate::store::port::{self, Change, StoreError};

impl App {
    /// Decides a CONNECT of the service user.
    pub(super) async fn connect_service(
        &self,
        presented: &PresentedApiKey<'_>,
        username: &Username,
        mountpoint: Option<OrganizationId>,
    ) -> Result<Decision<Grant>, StoreError> {
        let (key, organization) = match self.key_and_organization(&presented.id).await {
            Ok(found) => found,
            Err(KeyError::Store(error)) => return Err(error),
            Err(_) => {
                return Ok(Decision::Deny(DenyReason::UnknownCredential));
            }
        };
        if key.organization != username.organization {
            return Ok(Decision::Deny(DenyReason::UnknownCredential));
        }
        let now = self.now();
        if let Err(refusal) = authenticate_key(presented, &organization, &key, &self.keys, now) {
            return Ok(Decision::Deny(reason(refusal)));
        }
        if !key.may_connect() {
            return Ok(Decision::Deny(DenyReason::UnknownCredential));
        }
        self.renew_key_later(&key, presented);
        if !organization.service_keys.contains(&key.id) {
            self.note_service_key(&organization.id, key.id).await?;
        }
        Ok(Decision::Allow(Grant {
            username: username.clone(),
            token: None,
            expires_at: key.ends_at(),
            mountpoint,
            rules: None,
            old_pepper: false,
        }))
    }

    /// Notes that the service user may connect with a key. Where there are too many, the one that
    /// was noted first is forgotten: it is noted again when it connects.
    pub(super) async fn note_service_key(
        &self,
        organization: &OrganizationId,
        key: ApiKeyId,
    ) -> Result<(), StoreError> {
        port::update::<Organization, StoreError>(&*self.store, organization, |current| {
            let Some(mut organization) = current.cloned() else {
                return Ok(Change::Keep);
            };
            if organization.service_keys.contains(&key) {
                return Ok(Change::Keep);
            }
            if organization.service_keys.len() >= MAX_SERVICE_KEYS {
                organization.service_keys.remove(0);
            }
            organization.service_keys.push(key);
            Ok(Change::Set(organization))
        })
        .await?;
        Ok(())
    }

    /// The service user as somebody to whom rules apply; or why its sessions are over.
    pub(super) async fn service_member(
        &self,
        organization: &OrganizationId,
    ) -> Result<Result<(Arc<Organization>, Holder), DenyReason>, StoreError> {
        let mut reason = self.live_service(organization).await?;
        if reason.is_err() {
            // Another node may have noted the key just now.
            port::reread::<Organization>(&*self.store, organization).await?;
            reason = self.live_service(organization).await?;
        }
        Ok(reason)
    }

    async fn live_service(
        &self,
        id: &OrganizationId,
    ) -> Result<Result<(Arc<Organization>, Holder), DenyReason>, StoreError> {
        let named = |organization: &Organization| organization.service_keys.clone();
        let found = port::read_with::<Organization, ApiKey>(&*self.store, id, named).await?;
        let Some((organization, keys)) = found else {
            return Ok(Err(DenyReason::UnknownUsername));
        };
        let now = self.now();
        let good = |key: &Arc<ApiKey>| key.may_connect() && key.is_live(&organization.marks, now);
        if keys.iter().any(good) {
            let holder = Holder {
                name: SERVICE_NAME.parse().expect("it is a local name"),
                organization: id.clone(),
                identity: HolderIdentity::Static,
                credentials: Vec::new(),
            };
            return Ok(Ok((organization, holder)));
        }
        Ok(Err(if keys.is_empty() {
            DenyReason::UnknownUsername
        } else {
            DenyReason::Revoked
        }))
    }
}

fn reason(refusal: KeyRefusal) -> DenyReason {
    match refusal {
        KeyRefusal::Revoked | KeyRefusal::Replaced => DenyReason::Revoked,
        KeyRefusal::Expired => DenyReason::Expired,
        KeyRefusal::WrongSecret => DenyReason::WrongPassword,
        KeyRefusal::Address | KeyRefusal::Origin | KeyRefusal::Kind(_) | KeyRefusal::Scope(_) => {
            DenyReason::UnknownCredential
        }
    }
}
