//! How organizations are kept apart on one broker (`docs/architecture.md`, "Tenants").

use std::borrow::Cow;

use crate::engine::decision::DenyReason;
use crate::names::organization_id::OrganizationId;

/// A setting of each broker connection. There is no default that mixes organizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// The broker serves one organization; every other is refused.
    Dedicated(OrganizationId),
    /// Each organization has the mountpoint of its id; the CONNECT answer names it.
    Mountpoint,
    /// Each organization has the vhost of its id; clients must already be in it.
    Vhost,
    /// Every topic begins with the organization's id and a `/`.
    Prefix,
}

impl Isolation {
    /// Whether a client of `organization` may CONNECT from `compartment`, given the compartment
    /// that this connection's sessions are in by default.
    ///
    /// # Errors
    /// The reason to refuse.
    pub fn admits_connect(
        &self,
        organization: &OrganizationId,
        compartment: Option<&str>,
        home: &str,
    ) -> Result<(), DenyReason> {
        match self {
            // The session is moved into its mountpoint by the answer; until then it is at home.
            Isolation::Mountpoint if compartment.is_none_or(|at| at == home) => Ok(()),
            Isolation::Mountpoint => Err(DenyReason::WrongCompartment),
            _ => self.admits(organization, compartment, home),
        }
    }

    /// Whether a session of `organization` may live in `compartment`.
    ///
    /// # Errors
    /// The reason to refuse.
    pub fn admits(
        &self,
        organization: &OrganizationId,
        compartment: Option<&str>,
        home: &str,
    ) -> Result<(), DenyReason> {
        if let Isolation::Dedicated(served) = self
            && served != organization
        {
            return Err(DenyReason::ForeignOrganization);
        }
        let expected = match self {
            Isolation::Mountpoint | Isolation::Vhost => organization.as_str(),
            Isolation::Dedicated(_) | Isolation::Prefix => home,
        };
        match compartment {
            Some(compartment) if compartment != expected => Err(DenyReason::WrongCompartment),
            _ => Ok(()),
        }
    }

    /// Where a new session of `organization` has to be put, when the broker asks that at CONNECT.
    pub fn mountpoint(&self, organization: &OrganizationId) -> Option<OrganizationId> {
        matches!(self, Isolation::Mountpoint).then(|| organization.clone())
    }

    /// The topic or filter that the organization's rules speak of; `None`: it is outside the
    /// organization's part of the topic tree.
    pub fn inner<'a>(&self, organization: &OrganizationId, topic: &'a str) -> Option<Cow<'a, str>> {
        if !matches!(self, Isolation::Prefix) {
            return Some(Cow::Borrowed(topic));
        }
        // A shared subscription carries the prefix inside: `$share/<group>/<organization>/...`.
        if let Some(shared) = topic.strip_prefix("$share/") {
            let (group, filter) = shared.split_once('/')?;
            let inner = without_prefix(organization, filter)?;
            return Some(Cow::Owned(format!("$share/{group}/{inner}")));
        }
        without_prefix(organization, topic).map(Cow::Borrowed)
    }
}

fn without_prefix<'a>(organization: &OrganizationId, topic: &'a str) -> Option<&'a str> {
    topic.strip_prefix(organization.as_str())?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dedicated_broker_serves_one_organization_in_its_home() {
        let (ours, theirs) = (OrganizationId::random(), OrganizationId::random());
        let dedicated = Isolation::Dedicated(ours.clone());
        assert_eq!(dedicated.admits(&ours, Some("/"), "/"), Ok(()));
        assert_eq!(dedicated.admits(&ours, None, "/"), Ok(()));
        let foreign = Err(DenyReason::ForeignOrganization);
        assert_eq!(dedicated.admits(&theirs, Some("/"), "/"), foreign);
        let elsewhere = Err(DenyReason::WrongCompartment);
        assert_eq!(dedicated.admits(&ours, Some("other"), "/"), elsewhere);
    }

    #[test]
    fn mountpoints_and_vhosts_bear_the_organizations_name() {
        let (ours, theirs) = (OrganizationId::random(), OrganizationId::random());
        for isolation in [Isolation::Mountpoint, Isolation::Vhost] {
            assert_eq!(isolation.admits(&ours, Some(ours.as_str()), "/"), Ok(()));
            for elsewhere in ["/", "", theirs.as_str()] {
                let refused = isolation.admits(&ours, Some(elsewhere), "/");
                assert_eq!(refused, Err(DenyReason::WrongCompartment));
            }
        }
    }

    #[test]
    fn a_mountpoint_is_entered_from_home_only() {
        let ours = OrganizationId::random();
        let connect = |from| Isolation::Mountpoint.admits_connect(&ours, Some(from), "");
        assert_eq!(connect(""), Ok(()));
        assert_eq!(connect(ours.as_str()), Err(DenyReason::WrongCompartment));
        let vhost = Isolation::Vhost.admits_connect(&ours, Some("/"), "/");
        assert_eq!(vhost, Err(DenyReason::WrongCompartment));
    }

    #[test]
    fn a_prefix_is_whole_levels_and_is_looked_for_inside_shared_subscriptions() {
        let organization: OrganizationId = "org_k7xm4pqr2n5t".parse().unwrap();
        let inner = |topic| Isolation::Prefix.inner(&organization, topic);
        assert_eq!(inner("org_k7xm4pqr2n5t/a/b").as_deref(), Some("a/b"));
        assert_eq!(
            inner("$share/g/org_k7xm4pqr2n5t/a").as_deref(),
            Some("$share/g/a")
        );
        for outside in [
            "a/b",
            "#",
            "+/a",
            "org_k7xm4pqr2n5t",
            "org_k7xm4pqr2n5tx/a",
            "$share/g",
        ] {
            assert_eq!(inner(outside), None, "{outside}");
        }
    }
}
