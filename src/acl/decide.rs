//! Applying rules to a request: by priority, then order; the first match decides, none denies.
//!
//! A publish matches a rule when the topic matches its filter. A subscribe matches an allow rule
//! only when the rule's filter covers everything that the requested filter can match, and a deny
//! rule as soon as the two share a topic. What the broker does not tell (the quality of service,
//! the retain flag) counts as the worst case: a limited allow rule does not match then.
//!
//! Where a broker does not keep `$` topics apart, a subscription to `#` gets them as well, so a deny
//! rule about them stops it. To name a `$` topic still needs an allow rule that names it too.

use std::borrow::Cow;

use crate::acl::index::Wanted;
use crate::acl::rule::{Acl, Action, Effect, Rule};
use crate::acl::template::Subject;
use crate::mqtt::filter_algebra::{Dollar, covers, matches, overlaps};
use crate::mqtt::qos::{QoS, QoSSet};
use crate::mqtt::request::TopicNames;
use crate::mqtt::topic::{TopicFilter, TopicName};

/// What the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// An allow rule matched first. `qos` is the level granted to a subscription whose level is
    /// known: at most the one asked for.
    Allowed {
        /// The granted level.
        qos: Option<QoS>,
    },
    /// A deny rule matched first.
    DeniedByRule,
    /// No rule matched.
    NoRule,
}

/// A publish to decide.
#[derive(Debug, Clone, Copy)]
pub struct Publish<'a> {
    /// The checked topic.
    pub topic: &'a TopicName<'a>,
    /// The level, where the broker tells it.
    pub qos: Option<QoS>,
    /// The retain flag, where the broker tells it.
    pub retain: Option<bool>,
    /// How far the topic is what the client sent.
    pub names: TopicNames,
    /// Whether the broker keeps `$` topics apart.
    pub dollar: Dollar,
}

/// A subscription to decide.
#[derive(Debug, Clone, Copy)]
pub struct Subscription<'a> {
    /// The checked filter, without `$share/<group>/`.
    pub filter: &'a TopicFilter<'a>,
    /// The level, where the broker tells it.
    pub qos: Option<QoS>,
}

/// The rules as they are for the subscriptions of one subject.
#[derive(Debug, Clone, Copy)]
pub struct SubscribeRules<'a> {
    acl: &'a Acl,
    subject: Subject<'a>,
    names: TopicNames,
    dollar: Dollar,
}

impl Acl {
    /// Decides a publish.
    pub fn publish(&self, subject: &Subject<'_>, request: Publish<'_>) -> Ruling {
        let Publish { qos, retain, .. } = request;
        let topic = request.topic.as_str();
        let (wanted, names) = (Wanted::Matching(topic), request.names);
        let deciding = self.first(Action::Publish, subject, wanted, names, |rule| {
            let Some(filter) = rule.topic.expand(subject) else {
                return false;
            };
            let filter = as_seen(filter, rule.effect, names);
            match rule.effect {
                Effect::Deny => matches(&filter, topic, request.dollar),
                Effect::Allow => {
                    rule.permits(qos, retain) && matches(&filter, topic, Dollar::Special)
                }
            }
        });
        match deciding.map(|rule| rule.effect) {
            Some(Effect::Allow) => Ruling::Allowed { qos },
            Some(Effect::Deny) => Ruling::DeniedByRule,
            None => Ruling::NoRule,
        }
    }

    /// The rules for all the filters of a subject's SUBSCRIBE.
    pub fn for_subscribing<'a>(
        &'a self,
        subject: &Subject<'a>,
        names: TopicNames,
        dollar: Dollar,
    ) -> SubscribeRules<'a> {
        SubscribeRules {
            acl: self,
            subject: *subject,
            names,
            dollar,
        }
    }
}

impl SubscribeRules<'_> {
    /// Decides one filter of a subscribe.
    pub fn decide(&self, request: Subscription<'_>) -> Ruling {
        let requested = request.filter.as_str();
        let (subject, wanted) = (&self.subject, Wanted::About(requested));
        let applies = |rule: &Rule| {
            let Some(filter) = rule.topic.expand(subject) else {
                return false;
            };
            match rule.effect {
                Effect::Deny => {
                    let filter = as_seen(filter, rule.effect, self.names);
                    overlaps(&filter, requested, self.dollar)
                }
                Effect::Allow => {
                    rule.granted_qos(request.qos).is_some() && covers(&filter, requested)
                }
            }
        };
        let deciding = self
            .acl
            .first(Action::Subscribe, subject, wanted, self.names, applies);
        match deciding {
            None => Ruling::NoRule,
            Some(rule) if rule.effect == Effect::Deny => Ruling::DeniedByRule,
            Some(rule) => Ruling::Allowed {
                qos: rule.granted_qos(request.qos).flatten(),
            },
        }
    }
}

impl Rule {
    pub(in crate::acl) fn is_about(&self, subject: &Subject<'_>) -> bool {
        self.user
            .matches(subject.local_name, subject.organization.as_str())
    }

    fn permits(&self, qos: Option<QoS>, retain: Option<bool>) -> bool {
        let level = qos.map_or(self.qos == QoSSet::ALL, |qos| self.qos.contains(qos));
        level && (self.retain || retain == Some(false))
    }

    /// `None`: no level of this rule fits.
    fn granted_qos(&self, asked: Option<QoS>) -> Option<Option<QoS>> {
        match asked {
            Some(asked) => self.qos.highest_up_to(asked).map(Some),
            None => (self.qos == QoSSet::ALL).then_some(None),
        }
    }
}

/// A rule's filter in the names that the broker uses. Under AMQP names `.` and `/` are one, as are
/// `*` and `+`: a deny rule is read the wide way, so that it stops what the broker would deliver;
/// an allow rule stays as it is and simply cannot match, which is the narrow way.
fn as_seen(filter: Cow<'_, str>, effect: Effect, names: TopicNames) -> Cow<'_, str> {
    if names == TopicNames::Exact || effect == Effect::Allow || !filter.contains(['.', '*']) {
        return filter;
    }
    let slashed = filter.replace('.', "/");
    let widened = slashed
        .split('/')
        .map(|level| if level == "*" { "+" } else { level });
    Cow::Owned(widened.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::rule::UserPattern;
    use crate::acl::template::Template;
    use crate::names::claims::Claims;

    fn rule(effect: Effect, priority: i32, action: Action, topic: &str) -> Rule {
        Rule {
            effect,
            priority,
            user: UserPattern::Everybody,
            topic: Template::parse(topic).unwrap(),
            action,
            qos: QoSSet::ALL,
            retain: true,
        }
    }

    fn with_subject<T>(f: impl FnOnce(&Subject<'_>) -> T) -> T {
        let organization = "org_k7xm4pqr2n5t".parse().unwrap();
        f(&Subject {
            local_name: "user_1",
            organization: &organization,
            client_id: "c",
            claims: &Claims::default(),
        })
    }

    fn subscribe(acl: &Acl, filter: &str, names: TopicNames) -> Ruling {
        let filter = TopicFilter::parse(filter).unwrap();
        let asked = Subscription {
            filter: &filter,
            qos: None,
        };
        with_subject(|s| acl.for_subscribing(s, names, Dollar::Special).decide(asked))
    }

    fn publish(acl: &Acl, topic: &str, qos: Option<QoS>, retain: Option<bool>) -> Ruling {
        let topic = TopicName::parse(topic).unwrap();
        let names = TopicNames::Exact;
        with_subject(|s| {
            acl.publish(
                s,
                Publish {
                    topic: &topic,
                    qos,
                    retain,
                    names,
                    dollar: Dollar::Special,
                },
            )
        })
    }

    #[test]
    fn the_first_match_by_priority_then_order_decides() {
        let acl = Acl::new(vec![
            rule(Effect::Allow, 20, Action::Both, "a/#"),
            rule(Effect::Deny, 10, Action::Both, "a/secret"),
            rule(Effect::Deny, 20, Action::Both, "a/late"),
        ]);
        let allowed = Ruling::Allowed { qos: None };
        for (filter, expected) in [
            ("a/x", allowed),
            ("a/secret", Ruling::DeniedByRule),
            ("a/+", Ruling::DeniedByRule),
            ("a/#", Ruling::DeniedByRule),
            ("#", Ruling::DeniedByRule),
            ("+/secret", Ruling::DeniedByRule),
            ("a/late", allowed),
            ("b", Ruling::NoRule),
        ] {
            assert_eq!(
                subscribe(&acl, filter, TopicNames::Exact),
                expected,
                "{filter}"
            );
        }
    }

    #[test]
    fn an_action_is_not_the_other() {
        let acl = Acl::new(vec![rule(Effect::Allow, 0, Action::Publish, "a")]);
        assert_eq!(subscribe(&acl, "a", TopicNames::Exact), Ruling::NoRule);
        assert_eq!(
            publish(&acl, "a", None, None),
            Ruling::Allowed { qos: None }
        );
    }

    #[test]
    fn limits_count_as_exceeded_where_the_broker_does_not_tell() {
        let limited = Rule {
            qos: QoSSet::of(&[QoS::AtMostOnce]),
            retain: false,
            ..rule(Effect::Allow, 0, Action::Both, "a")
        };
        let acl = Acl::new(vec![limited]);
        let zero = Some(QoS::AtMostOnce);
        assert_eq!(
            publish(&acl, "a", zero, Some(false)),
            Ruling::Allowed { qos: zero }
        );
        assert_eq!(publish(&acl, "a", zero, Some(true)), Ruling::NoRule);
        assert_eq!(publish(&acl, "a", zero, None), Ruling::NoRule);
        assert_eq!(publish(&acl, "a", None, Some(false)), Ruling::NoRule);
        assert_eq!(
            publish(&acl, "a", Some(QoS::AtLeastOnce), Some(false)),
            Ruling::NoRule
        );
        assert_eq!(subscribe(&acl, "a", TopicNames::Exact), Ruling::NoRule);
    }

    #[test]
    fn a_dollar_is_what_the_broker_makes_of_it() {
        let acl = Acl::new(vec![
            rule(Effect::Deny, 0, Action::Both, "$internal/#"),
            rule(Effect::Allow, 1, Action::Both, "#"),
        ]);
        let filter = TopicFilter::parse("#").unwrap();
        let asked = Subscription {
            filter: &filter,
            qos: None,
        };
        let decide = |dollar| {
            with_subject(|s| {
                acl.for_subscribing(s, TopicNames::Exact, dollar)
                    .decide(asked)
            })
        };
        assert_eq!(decide(Dollar::Special), Ruling::Allowed { qos: None });
        assert_eq!(
            decide(Dollar::Ordinary),
            Ruling::DeniedByRule,
            "it would be delivered"
        );
        let open = Acl::new(vec![rule(Effect::Allow, 0, Action::Both, "#")]);
        let topic = TopicName::parse("$internal/x").unwrap();
        let (names, dollar) = (TopicNames::Amqp, Dollar::Ordinary);
        let publish = Publish {
            topic: &topic,
            qos: None,
            retain: None,
            names,
            dollar,
        };
        assert_eq!(with_subject(|s| open.publish(s, publish)), Ruling::NoRule);
    }

    #[test]
    fn under_amqp_names_a_deny_rule_is_read_the_wide_way_and_an_allow_rule_the_narrow_way() {
        let acl = Acl::new(vec![
            rule(Effect::Deny, 0, Action::Both, "a/b.c"),
            rule(Effect::Allow, 1, Action::Both, "a/#"),
            rule(Effect::Allow, 1, Action::Both, "x/*"),
        ]);
        assert_eq!(
            subscribe(&acl, "a/b/c", TopicNames::Amqp),
            Ruling::DeniedByRule
        );
        assert_eq!(
            subscribe(&acl, "a/b/c", TopicNames::Exact),
            Ruling::Allowed { qos: None }
        );
        assert_eq!(subscribe(&acl, "x/+", TopicNames::Amqp), Ruling::NoRule);
    }
}
