//! API keys: telling whose a presented one is. Their life is in the modules below.

pub mod change;
pub mod create;
pub mod last_use;
pub mod legacy;
pub mod list;

use std::sync::Arc;

use crate::app::App;
use crate::app::audit::{Note, caller};
use crate::app::caller::Whence;
use crate::credential::api_key::{ApiKey, PresentedApiKey};
use crate::credential::legacy_key::LegacyHash;
use crate::credential::scope::Scope;
use crate::engine::api_key::{KeyRefusal, KeyUse, authenticate_key, authorize_key};
use crate::names::key_id::ApiKeyId;
use crate::org::audit::{Action, Actor};
use crate::org::organization::Organization;
use crate::secret::Secret;
use crate::store::port::{self, Change, StoreError};

/// Why a presented key is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not ours, unknown, wrong or over: the caller learns no more than that.
    #[error("Invalid or missing API key")]
    Invalid,
    /// A good key that is not for the caller's address.
    #[error("the API key is not for the address that this request comes from")]
    Address,
    /// A good key that is not for the page that calls.
    #[error("the API key or its organization does not allow requests from this web origin")]
    Origin,
    /// A good key of a kind that may never do this.
    #[error("a publishable API key is not enough for this; use a secret one")]
    Kind,
    /// A good key without the right to do this.
    #[error("the API key lacks the scope `{}`", .0.as_str())]
    Scope(Scope),
    /// What takes a root key, in a deployment that has none.
    #[error(
        "this takes the operator's root key, and this deployment has none: put one from \
         `ticketgate keys new-root` into the file that keys.root_files names, or into \
         TICKETGATE__KEYS__ROOT, and restart"
    )]
    NoRootKey,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<KeyRefusal> for KeyError {
    fn from(refusal: KeyRefusal) -> Self {
        match refusal {
            KeyRefusal::WrongSecret
            | KeyRefusal::Revoked
            | KeyRefusal::Expired
            | KeyRefusal::Replaced => KeyError::Invalid,
            KeyRefusal::Address => KeyError::Address,
            KeyRefusal::Origin => KeyError::Origin,
            KeyRefusal::Kind(_) => KeyError::Kind,
            KeyRefusal::Scope(scope) => KeyError::Scope(scope),
        }
    }
}

impl App {
    /// Tells whose key it is, if it is good and may be used for this from there.
    ///
    /// # Errors
    /// [`KeyError`]. A forged key costs no lookup.
    pub async fn check_key(
        &self,
        text: &Secret,
        scope: Scope,
        whence: &Whence,
    ) -> Result<Arc<ApiKey>, KeyError> {
        let legacy = LegacyHash::of(text);
        let presented = match &legacy {
            Some(hash) => {
                let id = self.legacy_key(hash).await?;
                PresentedApiKey::legacy(id.ok_or(KeyError::Invalid)?, hash)
            }
            None => {
                PresentedApiKey::verify(text.expose(), &self.keys).map_err(|_| KeyError::Invalid)?
            }
        };
        let (key, organization) = self.key_and_organization(&presented.id).await?;
        let wanted = KeyUse {
            scope,
            address: whence.address,
            origin: whence.origin.as_ref(),
        };
        let (now, keys) = (self.now(), &self.keys);
        let good = authenticate_key(&presented, &organization, &key, keys, now);
        let good = good.and_then(|()| {
            caller::identified(Actor::ApiKey(key.id), &key.organization);
            authorize_key(&organization, &key, &wanted)
        });
        good.inspect_err(|reason| {
            tracing::debug!(key = %key.id, ?reason, "refused an API key");
        })?;
        self.renew_key_later(&key, &presented);
        self.note_use_later(key.id, now);
        Ok(key)
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

    /// What the audit log says of something that is done with a key.
    pub(in crate::app) fn key_note(&self, action: Action, key: &ApiKey) -> Note {
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        self.note(action, &key.organization)
            .on(&format_args!("key:{}", key.id))
            .with("kind", &key.kind.prefix())
            .with("name", &key.name)
            .with("scopes", &scopes.join(" "))
    }
}
