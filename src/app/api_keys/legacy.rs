//! API keys of another system, imported by their hashes.

use crate::app::App;
use crate::app::api_keys::change::ChangeKeyError;
use crate::app::organizations::SetupError;
use crate::credential::api_key::{ApiKey, ApiKeyKind, NewApiKey};
use crate::credential::key_rules::KeyRules;
use crate::credential::legacy_key::{LegacyHash, LegacyKeys};
use crate::credential::scope::Scope;
use crate::engine::api_key::KeyRights;
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::OrganizationId;
use crate::org::organization::Organization;
use crate::store::port::{self, Change, StoreError};

/// A key to import.
pub struct LegacyDraft {
    /// SHA-256 of the whole key.
    pub hash: LegacyHash,
    /// What to call it.
    pub name: String,
    /// The last characters of the key, to tell it in a list; at most four.
    pub last_four: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// How it is narrower than that.
    pub rules: KeyRules,
}

impl App {
    /// The imported key of a hash. One list says them all, so a hash that nobody has imported costs no
    /// look at any key.
    pub(super) async fn legacy_key(
        &self,
        hash: &LegacyHash,
    ) -> Result<Option<ApiKeyId>, StoreError> {
        let keys = port::read::<LegacyKeys>(&*self.store, &()).await?;
        Ok(keys.and_then(|keys| keys.find(hash)))
    }

    /// Imports a key of another system as a secret key of an organization.
    ///
    /// # Errors
    /// [`ChangeKeyError`].
    pub async fn import_key(
        &self,
        organization: &OrganizationId,
        draft: LegacyDraft,
    ) -> Result<ApiKey, ChangeKeyError> {
        let found = port::read::<Organization>(&*self.store, organization).await?;
        let found = found.ok_or(SetupError::NoSuchOrganization)?;
        SetupError::check_name(&draft.name)?;
        if draft.scopes.is_empty() {
            return Err(SetupError::NoScopes.into());
        }
        if draft.last_four.len() > 4 || !draft.last_four.is_ascii() {
            return Err(ChangeKeyError::Wrong(
                "last_four is at most 4 letters".into(),
            ));
        }
        self.check_rules(&draft.rules)?;
        let kind = ApiKeyKind::Secret;
        let rights = KeyRights {
            kind,
            scopes: &draft.scopes,
            rules: &draft.rules,
        };
        rights.check_kind().map_err(ChangeKeyError::NoSuchRights)?;
        self.check_room_for_key(organization).await?;
        let new = NewApiKey {
            organization: organization.clone(),
            kind,
            name: draft.name,
            scopes: draft.scopes,
            rules: draft.rules,
            created_by: None,
        };
        let (hash, epoch, now) = (&draft.hash, found.marks.epoch, self.now());
        let key = ApiKey::import(&self.keys, new, hash, draft.last_four, epoch, now);
        // Before the key, so that one hash is never of two. Without the key it leads nowhere.
        port::update::<LegacyKeys, ChangeKeyError>(&*self.store, &(), |current| {
            let mut keys = current.cloned().unwrap_or_default();
            keys.insert(hash, key.id).map_err(ChangeKeyError::Import)?;
            Ok(Change::Set(keys))
        })
        .await?;
        port::create(&*self.store, &key.id, key.clone()).await?;
        tracing::info!(key = %key.id, organization = %key.organization, "imported an API key");
        Ok(key)
    }
}
