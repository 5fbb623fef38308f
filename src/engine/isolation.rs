//! How organizations are kept apart on one broker (`docs/architecture.md`, "Tenants").

use crate::engine::decision::DenyReason;
use crate::mqtt::filter_algebra::Dollar;
use crate::mqtt::request::TopicNames;
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

    /// The topic or filter (without `$share/<group>/`) that the organization's rules speak of;
    /// `None`: it is outside the organization's part of the topic tree.
    pub fn inner<'a>(&self, organization: &OrganizationId, topic: &'a str) -> Option<&'a str> {
        if !matches!(self, Isolation::Prefix) {
            return Some(topic);
        }
        topic.strip_prefix(organization.as_str())?.strip_prefix('/')
    }

    /// Whether the broker keeps `$` topics apart, as the organization's rules see them: behind a
    /// prefix `$` stands in the second level, and AMQP bindings know no such rule.
    pub fn dollar(&self, names: TopicNames) -> Dollar {
        if names == TopicNames::Amqp || matches!(self, Isolation::Prefix) {
            Dollar::Ordinary
        } else {
            Dollar::Special
        }
    }

    /// Whether a client of `organization` may use this client id. Where organizations share a
    /// compartment, whoever connects with another's client id gets that session, its subscriptions
    /// and its stored messages, and the broker asks about none of it again.
    ///
    /// # Errors
    /// The reason to refuse.
    pub fn admits_client_id(
        &self,
        organization: &OrganizationId,
        client_id: &str,
    ) -> Result<(), DenyReason> {
        let own =
            !matches!(self, Isolation::Prefix) || client_id.starts_with(organization.as_str());
        if own {
            Ok(())
        } else {
            Err(DenyReason::ForeignClientId)
        }
    }
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
    fn a_prefix_is_whole_levels() {
        let organization: OrganizationId = "org_k7xm4pqr2n5t".parse().unwrap();
        let inner = |topic| Isolation::Prefix.inner(&organization, topic);
        assert_eq!(inner("org_k7xm4pqr2n5t/a/b"), Some("a/b"));
        for outside in ["a/b", "#", "+/a", "org_k7xm4pqr2n5t", "org_k7xm4pqr2n5tx/a"] {
            assert_eq!(inner(outside), None, "{outside}");
        }
    }

    #[test]
    fn where_organizations_share_a_compartment_client_ids_do_not_cross() {
        let (ours, theirs) = (OrganizationId::random(), OrganizationId::random());
        let id = format!("{ours}-phone");
        assert_eq!(Isolation::Prefix.admits_client_id(&ours, &id), Ok(()));
        let foreign = Err(DenyReason::ForeignClientId);
        assert_eq!(Isolation::Prefix.admits_client_id(&theirs, &id), foreign);
        assert_eq!(Isolation::Prefix.admits_client_id(&ours, "phone"), foreign);
        assert_eq!(
            Isolation::Mountpoint.admits_client_id(&ours, "phone"),
            Ok(())
        );
    }
}
