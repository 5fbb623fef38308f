//! Identity providers of an organization.

use crate::app::App;
use crate::app::organizations::SetupError;
use crate::identity::supabase;
use crate::names::organization_id::OrganizationName;
use crate::org::organization::Organization;
use crate::org::provider::Provider;
use crate::secret::Secret;
use crate::store::port::{self, Change};

/// A Supabase project to trust.
#[derive(Debug)]
pub struct NewSupabase<'a> {
    /// What its owner calls it.
    pub name: &'a str,
    /// `https://<project>.supabase.co`
    pub project_url: &'a str,
    /// The project's JWT secret.
    pub jwt_secret: &'a Secret,
    /// What the usernames of its users begin with.
    pub username_prefix: &'a str,
}

impl App {
    /// Adds a Supabase project to an organization's providers.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn add_supabase(
        &self,
        organization: OrganizationName,
        new: NewSupabase<'_>,
    ) -> Result<Provider, SetupError> {
        let NewSupabase {
            name,
            project_url,
            jwt_secret,
            username_prefix,
        } = new;
        let id = self.organization_id(organization).await?;
        let id = id.ok_or(SetupError::NoSuchOrganization)?;
        let provider =
            supabase::provider(name, project_url, jwt_secret, username_prefix, &self.keys)?;
        port::update::<Organization, SetupError>(&*self.store, &id, |current| {
            let mut organization = current.ok_or(SetupError::NoSuchOrganization)?.clone();
            organization.add_provider(provider.clone())?;
            Ok(Change::Set(organization))
        })
        .await?;
        Ok(provider)
    }
}
