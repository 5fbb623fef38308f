//! The policy document that operators write, in the dashboard form of policy version 2:
//! `{"rules":[{"user":"sensor-*","topic":"data/{username}/#","permission":"publish"}]}`.
//!
//! A rule may also carry `"qos": [0, 1]` and `"retain": false`. Every mistake is reported, each with
//! its path, and a document with one is not used at all.

use serde::Deserialize;
use serde_json::Value;

use crate::acl::rule::{Acl, Action, Effect, MAX_RULES, Rule, UserPattern};
use crate::acl::template::Template;
use crate::mqtt::qos::{QoS, QoSSet};

/// The longest document, in bytes.
pub const MAX_LENGTH: usize = 4 * 1024 * 1024;
/// The most mistakes that are reported at once.
const MAX_MISTAKES: usize = 100;

/// A mistake in a policy document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} - {text}")]
pub struct Mistake {
    /// Where, such as `rules[3].topic`.
    pub path: String,
    /// What is wrong and what would be right.
    pub text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    rules: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFields {
    user: Option<String>,
    topic: Option<String>,
    permission: Option<String>,
    qos: Option<Vec<QoS>>,
    retain: Option<bool>,
}

/// Reads a document.
///
/// # Errors
/// All mistakes, at most a hundred.
pub fn parse(text: &str) -> Result<Acl, Vec<Mistake>> {
    let mistake = |path: &str, text: String| Mistake {
        path: path.into(),
        text,
    };
    if text.len() > MAX_LENGTH {
        return Err(vec![mistake(
            "policy",
            format!("is longer than {MAX_LENGTH} bytes"),
        )]);
    }
    let document: Document =
        serde_json::from_str(text).map_err(|error| vec![mistake("policy", error.to_string())])?;
    if document.rules.len() > MAX_RULES {
        return Err(vec![mistake(
            "rules",
            format!("there are more than {MAX_RULES} rules"),
        )]);
    }
    let mut rules = Vec::with_capacity(document.rules.len());
    let mut mistakes = Vec::new();
    for (number, value) in document.rules.into_iter().enumerate() {
        match read_rule(number, value) {
            Ok(rule) => rules.push(rule),
            Err(found) => mistakes.extend(found),
        }
    }
    mistakes.truncate(MAX_MISTAKES);
    if mistakes.is_empty() {
        Ok(Acl::new(rules))
    } else {
        Err(mistakes)
    }
}

fn read_rule(number: usize, value: Value) -> Result<Rule, Vec<Mistake>> {
    let path = |field: &str| format!("rules[{number}]{field}");
    let fields: RuleFields = serde_json::from_value(value).map_err(|error| {
        vec![Mistake {
            path: path(""),
            text: error.to_string(),
        }]
    })?;
    let mut mistakes = Vec::new();
    let mut wrong = |field: &str, text: String| {
        mistakes.push(Mistake {
            path: path(field),
            text,
        })
    };

    let user = fields.user.as_deref().and_then(UserPattern::parse);
    if user.is_none() {
        let text = "must be `*`, a name, or the beginning of names and `*`, such as `sensor-*`";
        wrong(".user", text.into());
    }
    let topic = match fields.topic.as_deref().map(Template::parse) {
        Some(Ok(topic)) => Some(topic),
        Some(Err(error)) => {
            wrong(".topic", error.to_string());
            None
        }
        None => {
            wrong(".topic", "is missing".into());
            None
        }
    };
    let action = match fields.permission.as_deref() {
        Some("publish") => Some(Action::Publish),
        Some("subscribe") => Some(Action::Subscribe),
        Some("both") => Some(Action::Both),
        other => {
            let text = format!(
                "invalid permission \"{}\" (must be publish, subscribe, or both)",
                other.unwrap_or_default()
            );
            wrong(".permission", text);
            None
        }
    };
    if fields.qos.as_ref().is_some_and(Vec::is_empty) {
        wrong(
            ".qos",
            "must name at least one of 0, 1, 2, or be left out".into(),
        );
    }
    match (user, topic, action) {
        (Some(user), Some(topic), Some(action)) if mistakes.is_empty() => Ok(Rule {
            effect: Effect::Allow,
            priority: 0,
            user,
            topic,
            action,
            qos: fields.qos.as_deref().map_or(QoSSet::ALL, QoSSet::of),
            retain: fields.retain.unwrap_or(true),
        }),
        _ => Err(mistakes),
    }
}

/// The documents that `ticketgate org create --preset` offers, by name.
pub const PRESETS: [(&str, &str); 3] = [
    ("blank", r#"{"rules":[]}"#),
    (
        "own-namespace",
        r#"{"rules":[{"user":"*","topic":"users/{username}/#","permission":"both"}]}"#,
    ),
    (
        "permit-all",
        r##"{"rules":[{"user":"*","topic":"#","permission":"both"}]}"##,
    ),
];

/// The document of a preset.
pub fn preset(name: &str) -> Option<&'static str> {
    PRESETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, document)| *document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_rules() {
        let acl = parse(
            r#"{"rules":[
                {"user":"backend-*","topic":"notifications/#","permission":"publish"},
                {"user":"*","topic":"notifications/{username}","permission":"subscribe",
                 "qos":[0,1],"retain":false}]}"#,
        )
        .unwrap();
        assert_eq!(acl.rules().len(), 2);
        assert_eq!(
            acl.rules()[0].user,
            UserPattern::BeginsWith("backend-".into())
        );
        assert!(!acl.rules()[1].qos.contains(QoS::ExactlyOnce));
    }

    #[test]
    fn every_mistake_is_reported_with_its_path() {
        let mistakes = parse(
            r#"{"rules":[
                {"user":"a*b","topic":"a/#/b","permission":"read"},
                {"user":"*","topic":"ok","permission":"both"},
                {"topic":"ok","permission":"both","effect":"deny"},
                {"user":"*","permission":"both","qos":[]},
                {"user":"*","topic":"ok","permission":"both","qos":[3]},
                7]}"#,
        )
        .unwrap_err();
        let paths: Vec<_> = mistakes
            .iter()
            .map(|mistake| mistake.path.as_str())
            .collect();
        let expected = [
            "rules[0].user",
            "rules[0].topic",
            "rules[0].permission",
            "rules[2]",
            "rules[3].topic",
            "rules[3].qos",
            "rules[4]",
            "rules[5]",
        ];
        assert_eq!(paths, expected);
        let permission = mistakes[2].to_string();
        let text = "rules[0].permission - invalid permission \"read\" \
                    (must be publish, subscribe, or both)";
        assert_eq!(permission, text);
    }

    #[test]
    fn a_document_of_another_shape_is_refused_whole() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"rules":{}}"#,
            r#"{"rules":[],"default":"allow"}"#,
        ] {
            assert_eq!(parse(bad).unwrap_err()[0].path, "policy", "{bad}");
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(parse(&format!(r#"{{"rules":{deep}}}"#)).is_err());
    }

    #[test]
    fn the_number_of_rules_is_bounded() {
        let rule = r#"{"user":"*","topic":"a","permission":"both"}"#;
        let many = vec![rule; MAX_RULES + 1].join(",");
        let mistakes = parse(&format!(r#"{{"rules":[{many}]}}"#)).unwrap_err();
        assert_eq!(mistakes[0].path, "rules");
    }

    #[test]
    fn presets_are_valid() {
        for (name, document) in PRESETS {
            assert!(parse(document).is_ok(), "{name}");
            assert_eq!(preset(name), Some(document));
        }
    }
}
