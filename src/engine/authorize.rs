//! Whether a PUBLISH or SUBSCRIBE of a connected client may happen.

use jiff::Timestamp;

use crate::acl::applied::AppliedRule;
use crate::acl::decide::{Publish, Ruling, SubscribeRules, Subscription};
use crate::acl::rule::Acl;
use crate::acl::template::Subject;
use crate::engine::decision::{Decision, DenyReason, TopicGrant};
use crate::engine::isolation::Isolation;
use crate::engine::member::Member;
use crate::mqtt::request::{PublishRequest, RequestedFilter, SubscribeRequest};
use crate::mqtt::topic::{TopicFilter, TopicName};
use crate::names::claims::Claims;

/// Whose session asks, under which rules.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Whom the session's username names.
    pub member: Member<'a>,
    /// The client id of the session.
    pub client_id: &'a str,
    /// The organization's rules.
    pub acl: &'a Acl,
    /// How organizations are kept apart on this broker.
    pub isolation: &'a Isolation,
    /// Now.
    pub now: Timestamp,
}

/// Decides a PUBLISH of a live member.
pub fn authorize_publish(asker: Asker<'_>, request: &PublishRequest<'_>) -> Decision<TopicGrant> {
    let organization = &asker.member.holder.organization;
    let Some(topic) = asker.isolation.inner(organization, &request.topic) else {
        return Decision::Deny(DenyReason::NoRule);
    };
    let Ok(topic) = TopicName::parse(topic) else {
        return Decision::Deny(DenyReason::InvalidTopic);
    };
    let (qos, retain, names) = (request.qos, request.retain, request.names);
    let dollar = asker.isolation.dollar(names);
    let publish = Publish {
        topic: &topic,
        qos,
        retain,
        names,
        dollar,
    };
    let claims = asker.member.claims(asker.now);
    decision(asker.acl.publish(&asker.subject(&claims), publish))
}

/// Decides every filter of a SUBSCRIBE of a live member, in order.
pub fn authorize_subscribe(
    asker: Asker<'_>,
    request: &SubscribeRequest<'_>,
) -> Vec<Decision<TopicGrant>> {
    let claims = asker.member.claims(asker.now);
    let dollar = asker.isolation.dollar(request.names);
    let rules = asker
        .acl
        .for_subscribing(&asker.subject(&claims), request.names, dollar);
    let filters = request.filters.iter();
    filters
        .map(|requested| asker.decide_filter(&rules, requested))
        .collect()
}

/// The rules of a live member, for a broker that applies them itself.
pub fn applied_rules(asker: Asker<'_>) -> Vec<AppliedRule> {
    let claims = asker.member.claims(asker.now);
    asker.acl.applied_to(&asker.subject(&claims))
}

impl Asker<'_> {
    fn decide_filter(
        &self,
        rules: &SubscribeRules<'_>,
        requested: &RequestedFilter<'_>,
    ) -> Decision<TopicGrant> {
        let Ok(asked) = TopicFilter::parse_subscription(&requested.filter) else {
            return Decision::Deny(DenyReason::InvalidTopic);
        };
        // The prefix stands inside of `$share/<group>/`, and what stands behind it is no second one.
        let Some(inner) = self
            .isolation
            .inner(&self.member.holder.organization, asked.as_str())
        else {
            return Decision::Deny(DenyReason::NoRule);
        };
        let Ok(filter) = TopicFilter::parse(inner) else {
            return Decision::Deny(DenyReason::InvalidTopic);
        };
        decision(rules.decide(Subscription {
            filter: &filter,
            qos: requested.qos,
        }))
    }

    fn subject<'c>(&'c self, claims: &'c Claims) -> Subject<'c> {
        Subject {
            local_name: self.member.holder.name.as_str(),
            organization: &self.member.holder.organization,
            client_id: self.client_id,
            claims,
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
