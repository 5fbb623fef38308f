//! Making API keys. None has more than the key that makes it.

use crate::app::App;
use crate::app::api_keys::change::{ChangeKeyError, Maker};
use crate::app::organizations::SetupError;
use crate::credential::api_key::{ApiKey, ApiKeyKind, NewApiKey};
use crate::credential::key_rules::KeyRules;
use crate::credential::scope::Scope;
use crate::engine::api_key::KeyRights;
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::org::audit::Action;
use crate::org::organization::Organization;
use crate::secret::Secret;
use crate::store::list::ListKind;
use crate::store::port;

/// The most keys of one organization, revoked ones among them.
pub const MAX_KEYS: u64 = 10_000;

/// What a new key shall be like.
#[derive(Debug, Clone)]
pub struct KeyDraft {
    /// What kind of caller it is for.
    pub kind: ApiKeyKind,
    /// What to call it.
    pub name: String,
    /// What it may do; `None`: what its kind usually may, as far as its maker may.
    pub scopes: Option<Vec<Scope>>,
    /// How it is narrower than that. What its maker has and this does not name, it inherits.
    pub rules: KeyRules,
}

impl App {
    /// Makes a key as the operator does. The second value is the key itself, to be shown once.
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
        let draft = KeyDraft {
            kind,
            name: name.to_owned(),
            scopes: Some(scopes).filter(|scopes| !scopes.is_empty()),
            rules: KeyRules::default(),
        };
        match self.make_key(&organization, draft, Maker::Operator).await {
            Ok(made) => Ok(made),
            Err(ChangeKeyError::Setup(error)) => Err(error),
            Err(ChangeKeyError::Store(error)) => Err(error.into()),
            Err(error) => Err(SetupError::Key(error.to_string())),
        }
    }

    /// Makes a key for whoever has another of the organization, or is the operator.
    ///
    /// # Errors
    /// [`ChangeKeyError`].
    pub async fn create_key_by(
        &self,
        maker: Maker<'_>,
        organization: &OrganizationId,
        draft: KeyDraft,
    ) -> Result<(ApiKey, Secret), ChangeKeyError> {
        let found = port::read::<Organization>(&*self.store, organization).await?;
        let organization = found.ok_or(SetupError::NoSuchOrganization)?;
        self.make_key(&organization, draft, maker).await
    }

    async fn make_key(
        &self,
        organization: &Organization,
        draft: KeyDraft,
        maker: Maker<'_>,
    ) -> Result<(ApiKey, Secret), ChangeKeyError> {
        SetupError::check_name(&draft.name)?;
        let kind = draft.kind;
        let usual = || kind.default_scopes().into_iter();
        let scopes = match (draft.scopes, maker) {
            (Some(scopes), _) => deduplicated(scopes),
            (None, Maker::Operator) => usual().collect(),
            (None, Maker::Key(maker)) => usual().filter(|scope| maker.has(*scope)).collect(),
        };
        if scopes.is_empty() {
            return Err(SetupError::NoScopes.into());
        }
        let rules = maker.inherited(draft.rules);
        self.check_rules(&rules)?;
        let rights = KeyRights {
            kind,
            scopes: &scopes,
            rules: &rules,
        };
        maker.check(&rights)?;
        self.check_room_for_key(&organization.id).await?;
        let new = NewApiKey {
            organization: organization.id.clone(),
            kind,
            name: draft.name,
            scopes,
            rules,
            created_by: maker.id(),
        };
        let now = self.now();
        let (key, text) = ApiKey::create(&self.keys, new, organization.marks.epoch, now);
        self.keep_new_key(&key).await?;
        Ok((key, text))
    }

    /// Stores a new key.
    pub(super) async fn keep_new_key(&self, key: &ApiKey) -> Result<(), ChangeKeyError> {
        let line = self.key_note(Action::KeyCreate, key).line();
        port::create_audited(&*self.store, &key.id, key.clone(), line).await?;
        if key.may_connect() {
            self.note_service_key(&key.organization, key.id).await?;
        }
        let maker = key.created_by.map(|id| id.to_string());
        tracing::info!(key = %key.id, organization = %key.organization, maker, "made an API key");
        Ok(())
    }

    pub(super) async fn check_room_for_key(
        &self,
        organization: &OrganizationId,
    ) -> Result<(), ChangeKeyError> {
        let count = self.store.count(ListKind::Keys, organization, self.now());
        if count.await? >= MAX_KEYS {
            return Err(ChangeKeyError::TooMany);
        }
        Ok(())
    }
}

fn deduplicated(mut scopes: Vec<Scope>) -> Vec<Scope> {
    scopes.sort();
    scopes.dedup();
    scopes
}
