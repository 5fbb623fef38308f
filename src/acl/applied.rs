//! The rules that apply to one subject, for a broker that applies them itself.

use crate::acl::rule::{Acl, Action, Effect, Rule};
use crate::acl::template::Subject;
use crate::mqtt::filter_algebra::{Dollar, overlaps};
use crate::mqtt::qos::QoSSet;

/// A rule about one action of one subject, with its placeholders filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedRule {
    /// What a match means.
    pub effect: Effect,
    /// [`Action::Publish`] or [`Action::Subscribe`].
    pub action: Action,
    /// To which topics.
    pub filter: String,
    /// An allow rule grants these levels only.
    pub qos: QoSSet,
    /// Whether an allow rule lets messages be retained.
    pub retain: bool,
}

impl Acl {
    /// The rules that apply to a subject, in the order in which they are asked, each about one
    /// action. A deny rule behind which nothing is allowed that it could stop is left out: what no
    /// rule allows is denied anyway.
    pub fn applied_to(&self, subject: &Subject<'_>) -> Vec<AppliedRule> {
        let applies = |rule: &&Rule| rule.is_about(subject);
        let mut applied = Vec::new();
        for rule in self.rules().iter().filter(applies) {
            let Some(filter) = rule.topic.expand(subject) else {
                continue;
            };
            let about = |action| AppliedRule {
                effect: rule.effect,
                action,
                filter: filter.clone().into_owned(),
                qos: rule.qos,
                retain: rule.retain,
            };
            if rule.action.includes_publish() {
                applied.push(about(Action::Publish));
            }
            if rule.action.includes_subscribe() {
                applied.push(about(Action::Subscribe));
            }
        }
        without_idle_denies(applied)
    }
}

/// From the back: a deny rule is idle unless a rule behind it allows a topic of its own.
fn without_idle_denies(rules: Vec<AppliedRule>) -> Vec<AppliedRule> {
    let mut kept: Vec<AppliedRule> = Vec::new();
    for rule in rules.into_iter().rev() {
        let stops = |later: &AppliedRule| {
            later.effect == Effect::Allow
                && later.action == rule.action
                && overlaps(&rule.filter, &later.filter, Dollar::Ordinary)
        };
        if rule.effect == Effect::Allow || kept.iter().any(stops) {
            kept.push(rule);
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::document;
    use crate::names::claims::Claims;

    fn applied(rules: &str) -> Vec<String> {
        let acl = document::parse(rules).unwrap();
        let organization = "org_k7xm4pqr2n5t".parse().unwrap();
        let subject = Subject {
            local_name: "user_1",
            organization: &organization,
            client_id: "c",
            claims: &Claims::default(),
        };
        let rules = acl.applied_to(&subject).into_iter();
        rules
            .map(|rule| format!("{:?} {:?} {}", rule.effect, rule.action, rule.filter))
            .collect()
    }

    #[test]
    fn each_action_has_its_own_rules_with_values_filled_in() {
        let rules = r#"{"rules": [
            {"user": "*", "topic": "users/{username}/#", "permission": "both"},
            {"user": "other", "topic": "x", "permission": "both"},
            {"user": "*", "topic": "m/{missing}", "permission": "publish"}
        ]}"#;
        let expected = [
            "Allow Publish users/user_1/#",
            "Allow Subscribe users/user_1/#",
        ];
        assert_eq!(applied(rules), expected);
    }
}
