//! Policies: which topics an organization's users may use.

use crate::app::App;
use crate::app::organizations::SetupError;
use crate::limits::counts::Counted;
use crate::names::organization_id::OrganizationName;
use crate::org::audit::Action;
use crate::store::port::{self, Change};
use crate::store::record::Policy;

impl App {
    /// Replaces an organization's policy. It holds for the next question of any broker. Returns
    /// the number of its rules.
    ///
    /// # Errors
    /// [`SetupError::Policy`] with every mistake, or [`SetupError::Limit`]; the old policy stays then.
    pub async fn set_policy(
        &self,
        organization: OrganizationName,
        document: String,
    ) -> Result<usize, SetupError> {
        let organization = self.organization(organization).await?;
        let organization = organization.ok_or(SetupError::NoSuchOrganization)?;
        let policy = Policy::parse(document).map_err(SetupError::Policy)?;
        let rules = policy.acl().rules().len();
        let counts = &organization.limits.counts;
        counts.check(Counted::Rules, rules as u64)?;
        port::update::<Policy, SetupError>(&*self.store, &organization.id, |_| {
            let note = self.note(Action::PolicyPut, &organization.id);
            let line = note.on(&organization.id).with("rules", &rules).line();
            Ok(Change::Audited(policy.clone(), line))
        })
        .await?;
        Ok(rules)
    }
}
