//! Static users: devices and services with a password of their own.

use crate::app::App;
use crate::app::organizations::SetupError;
use crate::credential::holder::{Credential, CredentialKind, Holder, HolderIdentity};
use crate::credential::human_password::HumanPassword;
use crate::credential::presented::Presented;
use crate::names::claims::Claims;
use crate::names::organization_id::OrganizationName;
use crate::names::username::{LocalName, Username};
use crate::org::audit::Action;
use crate::secret::Secret;
use crate::store::port::{self, StoreError};

impl App {
    /// Makes a user with a password. Hashing it takes about 20 ms of the calling thread.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn create_user(
        &self,
        organization: OrganizationName,
        name: LocalName,
        password: &Secret,
    ) -> Result<Username, SetupError> {
        let organization = self.organization(organization).await?;
        let organization = organization.ok_or(SetupError::NoSuchOrganization)?;
        if Presented::has_our_prefix(password.expose()) {
            return Err(SetupError::PasswordPrefix);
        }
        if organization.reserves(name.as_str()) {
            return Err(SetupError::ReservedName(name.into()));
        }
        let username = Username {
            local: name.clone(),
            organization: organization.id.clone(),
        };
        let holder = Holder {
            name,
            organization: organization.id.clone(),
            identity: HolderIdentity::Static,
            credentials: vec![Credential {
                kind: CredentialKind::Password(Box::new(HumanPassword::hash(password))),
                claims: Claims::default(),
                issued_at: self.now(),
                epoch: organization.marks.epoch,
                expires_at: None,
                revoked_at: None,
                terms: None,
            }],
        };
        let note = self.note(Action::UserCreate, &username.organization);
        let line = note.on(&username).line();
        match port::create_audited(&*self.store, &username, holder, line).await {
            Ok(_) => Ok(username),
            Err(StoreError::Conflict) => Err(SetupError::Exists),
            Err(error) => Err(error.into()),
        }
    }
}
