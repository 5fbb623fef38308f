//! API keys: making them, and telling whose a presented one is.

use std::sync::Arc;

use crate::app::App;
use crate::app::organizations::SetupError;
use crate::credential::api_key::{ApiKey, ApiKeyKind, PresentedApiKey};
use crate::credential::scope::Scope;
use crate::engine::authenticate::authenticate_key;
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::OrganizationName;
use crate::org::organization::Organization;
use crate::secret::Secret;
use crate::store::port::{self, Change, StoreError};

/// Why a presented key is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not ours, unknown, wrong or revoked: the caller learns no more than that.
    #[error("Invalid or missing API key")]
    Invalid,
    /// A good key without the right to do this.
    #[error("the API key lacks the scope `{}`", .0.as_str())]
    Scope(Scope),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl App {
    /// Tells whose key it is, if it is good and has the scope.
    ///
    /// # Errors
    /// [`KeyError`]. A forged key costs no lookup.
    pub async fn check_key(&self, text: &Secret, scope: Scope) -> Result<Arc<ApiKey>, KeyError> {
        let presented =
            PresentedApiKey::verify(text.expose(), &self.keys).map_err(|_| KeyError::Invalid)?;
        let (key, organization) = self.key_and_organization(&presented.id).await?;
        let good = authenticate_key(&presented, &organization, &key, &self.keys);
        good.map_err(|reason| {
            tracing::debug!(key = %key.id, ?reason, "refused an API key");
            KeyError::Invalid
        })?;
        self.renew_key_later(&key, &presented);
        if key.has(scope) {
            Ok(key)
        } else {
            Err(KeyError::Scope(scope))
        }
    }

    /// Replaces a key's digest that an old pepper guards, in the background.
    pub(in crate::app) fn renew_key_later(&self, key: &ApiKey, presented: &PresentedApiKey<'_>) {
        if let Some((pepper, digest)) = key.renewed_digest(presented, &self.keys) {
            let id = key.id;
            self.renew_later(move |store| async move {
                port::update::<ApiKey, StoreError>(&*store, &id, |current| {
                    let old = current.filter(|current| current.pepper != pepper).cloned();
                    Ok(old.map_or(Change::Keep, |old| {
                        Change::Set(ApiKey {
                            pepper,
                            digest,
                            ..old
                        })
                    }))
                })
                .await
            });
        }
    }

    /// The key, and the organization whose marks count, as they stand at one moment.
    pub(in crate::app) async fn key_and_organization(
        &self,
        id: &ApiKeyId,
    ) -> Result<(Arc<ApiKey>, Arc<Organization>), KeyError> {
        let store = &*self.store;
        let mut key = port::read::<ApiKey>(store, id).await?;
        if key.is_none() {
            // Its seal proves that this deployment made it: another node just now, perhaps.
            key = port::reread::<ApiKey>(store, id).await?;
        }
        let organization = key.ok_or(KeyError::Invalid)?.organization.clone();
        let both = port::read_both::<ApiKey, Organization>(store, id, &organization).await?;
        both.0.zip(both.1).ok_or(KeyError::Invalid)
    }

    /// Makes a key. The second value is the key itself, to be shown once.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn create_key(
        &self,
        organization: OrganizationName,
        kind: ApiKeyKind,
        name: &str,
        scopes: Vec<Scope>,
    ) -> Result<(ApiKey, Secret), SetupError> {
        let organization = self.organization(organization).await?;
        let organization = organization.ok_or(SetupError::NoSuchOrganization)?;
        SetupError::check_name(name)?;
        let scopes = if scopes.is_empty() {
            kind.default_scopes()
        } else {
            scopes
        };
        if scopes.is_empty() {
            return Err(SetupError::NoScopes);
        }
        let id = organization.id.clone();
        let (epoch, now) = (organization.marks.epoch, self.now());
        let (key, text) = ApiKey::create(&self.keys, id, kind, name.into(), scopes, epoch, now);
        port::create(&*self.store, &key.id, key.clone()).await?;
        if key.may_connect() {
            self.note_service_key(&key.organization, key.id).await?;
        }
        Ok((key, text))
    }
}
