//! Whether a PUBLISH or SUBSCRIBE of a connected client may happen.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::acl::applied::AppliedRule;
use crate::acl::decide::{Publish, Ruling, SubscribeRules, Subscription};
use crate::acl::rule::{Acl, Action, Effect, Rule, UserPattern};
use crate::acl::template::{Subject, Template};
use crate::credential::terms::Limits;
use crate::engine::decision::{Decision, DenyReason, TopicGrant};
use crate::engine::isolation::Isolation;
use crate::engine::member::Member;
use crate::mqtt::qos::QoSSet;
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
    let claims = asker.member.claims(asker.client_id, asker.now);
    let subject = asker.subject(&claims);
    let ruling = asker.acl.publish(&subject, publish);
    let permits = |limits: &Limits| {
        limits.publish
            && rules_of(limits).is_none_or(|acl| is_allowed(acl.publish(&subject, publish)))
    };
    if asker.limits().all(permits) {
        decision(ruling)
    } else {
        decision(stricter(ruling))
    }
}

/// Decides every filter of a SUBSCRIBE of a live member, in order.
pub fn authorize_subscribe(
    asker: Asker<'_>,
    request: &SubscribeRequest<'_>,
) -> Vec<Decision<TopicGrant>> {
    let claims = asker.member.claims(asker.client_id, asker.now);
    let dollar = asker.isolation.dollar(request.names);
    let rules = asker
        .acl
        .for_subscribing(&asker.subject(&claims), request.names, dollar);
    // A right without subscribing has no rule for it.
    let never = Acl::default();
    let narrower: Vec<Cow<'_, Acl>> = asker
        .limits()
        .filter_map(|limits| match limits.subscribe {
            true => rules_of(limits).map(Cow::Owned),
            false => Some(Cow::Borrowed(&never)),
        })
        .collect();
    let narrower: Vec<SubscribeRules<'_>> = narrower
        .iter()
        .map(|acl| acl.for_subscribing(&asker.subject(&claims), request.names, dollar))
        .collect();
    let filters = request.filters.iter();
    filters
        .map(|requested| asker.decide_filter(&rules, &narrower, requested))
        .collect()
}

/// The rules of a live member, for a broker that applies them itself; `None`: a token of its has a
/// narrower right, and two policies at once cannot be said as one list.
pub fn applied_rules(asker: Asker<'_>) -> Option<Vec<AppliedRule>> {
    if asker.limits().next().is_some() {
        return None;
    }
    let claims = asker.member.claims(asker.client_id, asker.now);
    Some(asker.acl.applied_to(&asker.subject(&claims)))
}

impl Asker<'_> {
    fn decide_filter(
        &self,
        rules: &SubscribeRules<'_>,
        narrower: &[SubscribeRules<'_>],
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
        let subscription = Subscription {
            filter: &filter,
            qos: requested.qos,
        };
        let ruling = rules.decide(subscription);
        if narrower
            .iter()
            .any(|rules| !is_allowed(rules.decide(subscription)))
        {
            return decision(stricter(ruling));
        }
        decision(ruling)
    }

    /// The narrower rights of the tokens that the session may have been opened with. Each of them has
    /// to allow what is asked.
    fn limits(&self) -> impl Iterator<Item = &Limits> {
        self.member.holder.limits_for(self.client_id)
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

/// The topics of a narrower right as rules; `None`: it is narrower in its actions only. A topic that
/// is no filter allows nothing.
fn rules_of(limits: &Limits) -> Option<Acl> {
    let topics = limits.topics.as_ref()?.iter();
    let topics = topics.filter_map(|topic| Template::parse(topic).ok());
    let rule = |topic| Rule {
        effect: Effect::Allow,
        priority: 0,
        user: UserPattern::Everybody,
        topic,
        action: Action::Both,
        qos: QoSSet::ALL,
        retain: true,
    };
    Some(Acl::linear(topics.map(rule).collect()))
}

fn is_allowed(ruling: Ruling) -> bool {
    matches!(ruling, Ruling::Allowed { .. })
}

/// What becomes of a ruling where a narrower right does not allow the same.
fn stricter(ruling: Ruling) -> Ruling {
    match ruling {
        Ruling::Allowed { .. } => Ruling::NoRule,
        denied => denied,
    }
}

fn decision(ruling: Ruling) -> Decision<TopicGrant> {
    match ruling {
        Ruling::Allowed { qos } => Decision::Allow(TopicGrant { qos }),
        Ruling::DeniedByRule => Decision::Deny(DenyReason::DeniedByRule),
        Ruling::NoRule => Decision::Deny(DenyReason::NoRule),
    }
}
