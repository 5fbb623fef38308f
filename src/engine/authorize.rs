//! Whether a PUBLISH or SUBSCRIBE of a connected client may happen.

use jiff::Timestamp;

use crate::acl::decide::{Publish, Ruling, Subscription};
use crate::acl::rule::Acl;
use crate::acl::template::Subject;
use crate::credential::holder::{Holder, Standing};
use crate::engine::decision::{Decision, DenyReason, TopicGrant};
use crate::engine::isolation::Isolation;
use crate::mqtt::request::{PublishRequest, RequestedFilter, TopicNames};
use crate::mqtt::topic::{TopicFilter, TopicName};

/// Whose session asks, under which rules.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Whom the session's username names.
    pub holder: &'a Holder,
    /// The client id of the session.
    pub client_id: &'a str,
    /// The organization's rules.
    pub acl: &'a Acl,
    /// How organizations are kept apart on this broker.
    pub isolation: &'a Isolation,
}

/// Whether the username still has a live credential. Brokers do not say with which one a session
/// was opened, so the session lives as long as any does; the session of a revoked one is kicked.
pub fn is_live(holder: Option<&Holder>, now: Timestamp) -> Result<&Holder, DenyReason> {
    let holder = holder.ok_or(DenyReason::UnknownUsername)?;
    if holder.live(now).next().is_some() {
        return Ok(holder);
    }
    let revoked = |standing| standing == Standing::Revoked;
    let any_revoked = holder
        .credentials
        .iter()
        .any(|one| revoked(one.standing(now)));
    Err(if any_revoked {
        DenyReason::Revoked
    } else {
        DenyReason::Expired
    })
}

/// Decides a PUBLISH of a live holder.
pub fn authorize_publish(asker: Asker<'_>, request: &PublishRequest<'_>) -> Decision<TopicGrant> {
    let organization = &asker.holder.organization;
    let Some(topic) = asker.isolation.inner(organization, &request.topic) else {
        return Decision::Deny(DenyReason::NoRule);
    };
    let Ok(topic) = TopicName::parse(topic) else {
        return Decision::Deny(DenyReason::InvalidTopic);
    };
    let (qos, retain, names) = (request.qos, request.retain, request.names);
    let publish = Publish {
        topic: &topic,
        qos,
        retain,
        names,
    };
    decision(asker.acl.publish(&asker.subject(), publish))
}

/// Decides one filter of a SUBSCRIBE of a live holder.
pub fn authorize_subscribe(
    asker: Asker<'_>,
    requested: &RequestedFilter<'_>,
    names: TopicNames,
) -> Decision<TopicGrant> {
    let organization = &asker.holder.organization;
    let Some(text) = asker.isolation.inner(organization, &requested.filter) else {
        return Decision::Deny(DenyReason::NoRule);
    };
    let Ok(filter) = TopicFilter::parse_subscription(&text) else {
        return Decision::Deny(DenyReason::InvalidTopic);
    };
    let subscription = Subscription {
        filter: &filter,
        qos: requested.qos,
        names,
    };
    decision(asker.acl.subscribe(&asker.subject(), subscription))
}

impl<'a> Asker<'a> {
    fn subject(&self) -> Subject<'a> {
        Subject {
            local_name: self.holder.name.as_str(),
            organization: &self.holder.organization,
            client_id: self.client_id,
            claims: &self.holder.claims,
        }
    }
}

fn decision(ruling: Ruling) -> Decision<TopicGrant> {
    match ruling {
        Ruling::Allowed { qos } => Decision::Allow(TopicGrant { qos }),
        Ruling::DeniedByRule => Decision::Deny(DenyReason::DeniedByRule),
        Ruling::NoRule => Decision::Deny(DenyReason::NoRule),
    }
}
