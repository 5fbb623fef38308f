//! ThingsBoard's TBMQ 2 (`HttpMqttClientAuthProvider`).
//!
//! One question, `auth`, by POST, PUT, PATCH or GET, with the names of the operator's template:
//! `clientId`, `username`, `password`. The template is filled in as plain text, so a quote in a
//! username breaks the JSON; a name that stands twice is refused like any other that is malformed.
//!
//! Every error is "skipped" (the next provider is asked), and a 2xx without a known `result` is a
//! yes with all rights. So every reply is a 200 that says `success` or `failure`; there is no word
//! for "unavailable".
//!
//! TBMQ never asks about topics. A yes carries regular expressions (Java's, `matches()`, so of the
//! whole text) for what may be published and subscribed. What they cannot say is left out, towards
//! no: rules with a limit on QoS or retaining, and rules that an earlier deny rule has a part in.

use serde_json::{Value, json};

use crate::acl::applied::AppliedRule;
use crate::acl::rule::{Action, Effect};
use crate::engine::decision::{Decision, Grant};
use crate::hooks::call::{Answer, Call, Method, Question, RawRequest, Refusal, Reply, Unreadable};
use crate::hooks::expresses::{
    AclReply, AliasedTopic, Expresses, Filters, Hooks, Places, SharedPrefix, Unavailable, WillAsked,
};
use crate::hooks::form::Form;
use crate::mqtt::filter_algebra::{Dollar, overlaps};
use crate::mqtt::qos::QoSSet;
use crate::mqtt::request::{ConnectRequest, Peer};
use crate::secret::SecretStr;

/// broker-hooks section 8.5.
pub const EXPRESSES: Expresses = Expresses {
    methods: &[Method::Get, Method::Post, Method::Put, Method::Patch],
    hooks: Hooks::InPath(&["auth"]),
    unavailable: Unavailable::AsNo,
    abstains: true,
    expiry: false,
    acl: AclReply::Required,
    places: Places::One,
    shared: SharedPrefix::NotAsked,
    aliased: AliasedTopic::NotAsked,
    will: WillAsked::Never,
    filters: Filters::NotAsked,
    qos: false,
    retain: false,
    lowers_qos: false,
};

/// Matches no text. A list without anything in it denies today (`AuthorizationRuleServiceImpl`), but
/// no list at all allows everything.
const NOTHING: &str = "(?!)";

/// Reads a question.
///
/// # Errors
/// [`Unreadable`].
pub fn decode<'a>(request: &RawRequest<'a>) -> Result<Question<'a>, Unreadable> {
    if request.path != "auth" {
        return Err(Unreadable::UnknownHook);
    }
    let mut form = Form::read(request)?;
    let peer = Peer {
        client_id: form.need("clientId")?,
        username: form.take_filled("username")?,
        compartment: None,
    };
    let password = form.take_filled("password")?.map(SecretStr::new);
    Ok(Question::plain(Call::Connect(ConnectRequest {
        peer,
        password,
        address: None,
    })))
}

/// Writes a reply.
pub fn encode(answer: &Answer) -> Reply {
    match answer {
        Answer::Connect(Decision::Allow(Grant {
            rules: Some(rules), ..
        })) => Reply::json(200, allow(rules).to_string()),
        answer if answer.is_abstention() => Reply::json(200, r#"{"result":"skipped"}"#),
        _ => failure(),
    }
}

/// The reply that TBMQ reads as no.
pub fn refuse(_refusal: Refusal) -> Reply {
    failure()
}

fn failure() -> Reply {
    Reply::json(200, r#"{"result":"failure"}"#)
}

fn allow(rules: &[AppliedRule]) -> Value {
    json!({
        "result": "success",
        "authRules": {
            "pubAuthRulePatterns": patterns(rules, Action::Publish),
            "subAuthRulePatterns": patterns(rules, Action::Subscribe),
        },
    })
}

fn patterns(rules: &[AppliedRule], action: Action) -> Vec<String> {
    let rules: Vec<_> = rules.iter().filter(|rule| rule.action == action).collect();
    let mut patterns = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        let stopped = |earlier: &&&AppliedRule| {
            earlier.effect == Effect::Deny
                && overlaps(&earlier.filter, &rule.filter, Dollar::Ordinary)
        };
        let unlimited = rule.qos == QoSSet::ALL && (rule.retain || action == Action::Subscribe);
        let whole = unlimited && !rules[..at].iter().any(|earlier| stopped(&earlier));
        if rule.effect == Effect::Allow && whole {
            patterns.push(pattern(&rule.filter));
        }
    }
    if patterns.is_empty() {
        patterns.push(NOTHING.to_owned());
    }
    patterns
}

/// The regular expression for what a rule's filter covers: topic names, and filters as they are
/// written. A requested `#` is a level that no `+` covers.
fn pattern(filter: &str) -> String {
    let mut pattern = String::new();
    // A first-level wildcard never covers `$...`.
    if filter.starts_with(['+', '#']) {
        pattern.push_str(r"(?!\$)");
    }
    for (at, level) in filter.split('/').enumerate() {
        let separator = if at == 0 { "" } else { "/" };
        match level {
            "#" if at == 0 => pattern.push_str(r"[\s\S]+"),
            "#" => pattern.push_str(r"(/[\s\S]*)?"),
            "+" => {
                pattern.push_str(separator);
                pattern.push_str("[^/#]*");
            }
            name => {
                pattern.push_str(separator);
                name.chars().for_each(|c| push_literal(&mut pattern, c));
            }
        }
    }
    pattern
}

fn push_literal(pattern: &mut String, c: char) {
    // Java takes a `\` before any ASCII character that is no letter for the character itself.
    if c.is_ascii() && !c.is_ascii_alphanumeric() {
        pattern.push('\\');
    }
    pattern.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(effect: Effect, action: Action, filter: &str) -> AppliedRule {
        AppliedRule {
            effect,
            action,
            filter: filter.into(),
            qos: QoSSet::ALL,
            retain: true,
        }
    }

    #[test]
    fn filters_become_expressions() {
        for (filter, expected) in [
            ("a/b", "a/b"),
            ("a.b/c-d", r"a\.b/c\-d"),
            ("a/+/b", "a/[^/#]*/b"),
            ("a/#", r"a(/[\s\S]*)?"),
            ("#", r"(?!\$)[\s\S]+"),
            ("+/x", r"(?!\$)[^/#]*/x"),
            ("$SYS/#", r"\$SYS(/[\s\S]*)?"),
            ("ü", "ü"),
        ] {
            assert_eq!(pattern(filter), expected, "{filter}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_not_allowed() {
        use Action::{Publish, Subscribe};
        let limited = AppliedRule {
            retain: false,
            ..rule(Effect::Allow, Publish, "limited")
        };
        let rules = [
            rule(Effect::Allow, Publish, "before/x"),
            rule(Effect::Deny, Publish, "before/#"),
            rule(Effect::Allow, Publish, "before/+"),
            limited,
        ];
        assert_eq!(patterns(&rules, Publish), ["before/x"]);
        assert_eq!(patterns(&rules, Subscribe), [NOTHING]);
        assert_eq!(patterns(&[], Publish), [NOTHING]);
    }
}
