//! Topic rules in the form that EMQX (`emqx_authz_rule_raw`) and RMQTT (`rmqtt/src/acl.rs`) take
//! along with a CONNECT's yes.
//!
//! Both match the filter of a SUBSCRIBE against a rule as if it were a topic, so a rule `a/+` lets a
//! client subscribe to `a/#`, and a denied `a/b` does not stop `a/+`. Where any rule would mean more
//! to the broker than it does here, none is sent: the broker asks about every topic then.

use serde_json::{Value, json};

use crate::acl::applied::AppliedRule;
use crate::acl::rule::{Action, Effect};
use crate::mqtt::qos::{QoS, QoSSet};

/// The most rules that are sent along: the broker goes through all of them for every message.
const MAX_RULES: usize = 64;

/// Whose matcher will read the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matcher {
    /// EMQX: exact for topic names.
    Emqx,
    /// RMQTT 0.24 (`topic.rs`): a `+` that meets a level with `$` at its front ends the comparison
    /// with yes, and a `#` that does with no.
    Rmqtt,
}

/// The rules as the broker takes them, with a denial of everything else behind them; `None`: one of
/// them cannot be said.
pub fn say(rules: &[AppliedRule], matcher: Matcher) -> Option<Value> {
    let sayable = |rule: &AppliedRule| is_plain(&rule.filter) && matcher.means_the_same(rule);
    if rules.len() > MAX_RULES || !rules.iter().all(sayable) {
        return None;
    }
    let mut items: Vec<Value> = rules.iter().map(item).collect();
    // A wildcard in front does not match `$` topics in either broker.
    for everything in ["#", "$SYS/#"] {
        items.push(json!({"permission": "deny", "action": "all", "topic": everything}));
    }
    Some(Value::Array(items))
}

impl Matcher {
    fn means_the_same(self, rule: &AppliedRule) -> bool {
        let filter = rule.filter.as_str();
        let wild = |level: char| filter.split('/').any(|one| one.starts_with(level));
        let fits = match (rule.effect, rule.action) {
            // The requested level can be lowered here and is refused there.
            (Effect::Allow, Action::Subscribe) => {
                rule.qos == QoSSet::ALL && !filter.ends_with('+') && !filter.ends_with("+/#")
            }
            (Effect::Allow, _) => true,
            (Effect::Deny, Action::Publish) => self == Matcher::Emqx || !wild('+') && !wild('#'),
            (Effect::Deny, _) => false,
        };
        fits && (self == Matcher::Emqx || !wild('+') && !filter.contains("/$"))
    }
}

/// Whether the broker takes the filter for what it is: both fill in placeholders and know `eq `.
fn is_plain(filter: &str) -> bool {
    !filter.contains("${") && !filter.contains('%') && !filter.starts_with("eq ")
}

fn item(rule: &AppliedRule) -> Value {
    let allows = rule.effect == Effect::Allow;
    let publishes = rule.action == Action::Publish;
    let mut item = json!({
        "permission": if allows { "allow" } else { "deny" },
        "action": if publishes { "publish" } else { "subscribe" },
        "topic": rule.filter,
    });
    if allows && rule.qos != QoSSet::ALL {
        let levels = QoS::ALL.into_iter().filter(|one| rule.qos.contains(*one));
        item["qos"] = json!(levels.map(u8::from).collect::<Vec<_>>());
    }
    if allows && publishes && !rule.retain {
        item["retain"] = json!(false);
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(effect: Effect, action: Action, filter: &str, matcher: Matcher) -> bool {
        let rule = AppliedRule {
            effect,
            action,
            filter: filter.into(),
            qos: QoSSet::ALL,
            retain: true,
        };
        say(&[rule], matcher).is_some()
    }

    #[test]
    fn what_the_looser_matcher_would_widen_is_not_said() {
        use Action::{Publish, Subscribe};
        use Effect::{Allow, Deny};
        // effect, action, filter, whether EMQX takes it for the same, whether RMQTT does
        for (effect, action, filter, emqx, rmqtt) in [
            (Allow, Subscribe, "a/b", true, true),
            (Allow, Subscribe, "a/#", true, true),
            (Allow, Subscribe, "#", true, true),
            (Allow, Subscribe, "a/+/b", true, false),
            (Allow, Subscribe, "a/+", false, false),
            (Allow, Subscribe, "a/+/#", false, false),
            (Allow, Subscribe, "+", false, false),
            (Allow, Publish, "a/+", true, false),
            (Allow, Publish, "a/#", true, true),
            (Allow, Publish, "a/$b", true, false),
            (Deny, Publish, "a/b", true, true),
            (Deny, Publish, "a/#", true, false),
            (Deny, Subscribe, "a/b", false, false),
            (Allow, Publish, "a/${clientid}", false, false),
            (Allow, Publish, "%c/a", false, false),
            (Allow, Publish, "eq a", false, false),
        ] {
            for (matcher, expected) in [(Matcher::Emqx, emqx), (Matcher::Rmqtt, rmqtt)] {
                let said = said(effect, action, filter, matcher);
                assert_eq!(said, expected, "{matcher:?} {effect:?} {action:?} {filter}");
            }
        }
    }

    #[test]
    fn limits_are_said_for_publishing_only() {
        let limited = |action| AppliedRule {
            effect: Effect::Allow,
            action,
            filter: "a".into(),
            qos: QoSSet::of(&[QoS::AtMostOnce, QoS::AtLeastOnce]),
            retain: false,
        };
        assert_eq!(say(&[limited(Action::Subscribe)], Matcher::Emqx), None);
        let items = say(&[limited(Action::Publish)], Matcher::Emqx).unwrap();
        let expected = json!({"permission": "allow", "action": "publish", "topic": "a",
                              "qos": [0, 1], "retain": false});
        assert_eq!(items[0], expected);
        assert_eq!(items.as_array().unwrap().len(), 3, "and the end is no");
    }

    #[test]
    fn a_long_list_is_not_sent() {
        let rule = AppliedRule {
            effect: Effect::Allow,
            action: Action::Publish,
            filter: "a".into(),
            qos: QoSSet::ALL,
            retain: true,
        };
        assert!(say(&vec![rule.clone(); MAX_RULES], Matcher::Emqx).is_some());
        assert!(say(&vec![rule; MAX_RULES + 1], Matcher::Emqx).is_none());
    }
}
