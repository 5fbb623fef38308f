//! The one form of a topic rule, whatever document it came from.

use crate::acl::index::{Index, Rank, Wanted};
use crate::acl::template::{Subject, Template};
use crate::limits::counts::Counted;
use crate::mqtt::qos::QoSSet;
use crate::mqtt::request::TopicNames;

/// The most rules of one policy.
pub const MAX_RULES: usize = Counted::Rules.most() as usize;

/// A policy: rules in the order in which they are asked.
#[derive(Debug, Clone, Default)]
pub struct Acl {
    rules: Vec<Rule>,
    /// Where there are many.
    index: Option<Box<Index>>,
}

/// The most rules that are asked one after another: an index does not pay for fewer.
const FEW: usize = 4;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What a match means.
    pub effect: Effect,
    /// Lower is asked first; equal ones in the order of the document.
    pub priority: i32,
    /// To whom it applies.
    pub user: UserPattern,
    /// To which topics.
    pub topic: Template,
    /// To which actions.
    pub action: Action,
    /// An allow rule grants these levels only.
    pub qos: QoSSet,
    /// Whether an allow rule lets messages be retained.
    pub retain: bool,
}

/// What a match means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The request may go on.
    Allow,
    /// It may not.
    Deny,
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// PUBLISH only.
    Publish,
    /// SUBSCRIBE only.
    Subscribe,
    /// Both.
    Both,
}

/// To which usernames a rule applies. Compared with the part before the `@`, or with the whole
/// username where the pattern has an `@` itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserPattern {
    /// `*`
    Everybody,
    /// `sensor-*`
    BeginsWith(String),
    /// `orchestrator`
    Exactly(String),
}

impl Acl {
    /// Puts rules in the order in which they are asked: by priority, then as given.
    pub fn new(rules: Vec<Rule>) -> Self {
        let is_large = rules.len() > FEW;
        let acl = Self::linear(rules);
        if is_large { acl.indexed() } else { acl }
    }

    /// The same without an index, however many rules there are: what the index is measured and
    /// checked against.
    pub fn linear(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| rule.priority);
        Self { rules, index: None }
    }

    /// The same with an index, however few rules there are.
    pub fn indexed(self) -> Self {
        let index = Some(Box::new(Index::of(&self.rules)));
        Self { index, ..self }
    }

    /// The first rule about the action that the caller accepts. It is asked about all that can
    /// decide a request, and about some that cannot.
    pub(in crate::acl) fn first(
        &self,
        action: Action,
        subject: &Subject<'_>,
        wanted: Wanted<'_>,
        names: TopicNames,
        accept: impl Fn(&Rule) -> bool,
    ) -> Option<&Rule> {
        let accept =
            |rule: &Rule| rule.action.includes(action) && rule.is_about(subject) && accept(rule);
        let Some(index) = &self.index else {
            return self.rules.iter().find(|rule| accept(rule));
        };
        let accept = |rank: Rank| accept(&self.rules[rank as usize]);
        let rank = index.first(action, subject, wanted, names == TopicNames::Amqp, accept);
        rank.map(|rank| &self.rules[rank as usize])
    }

    /// The rules in the order in which they are asked.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl PartialEq for Acl {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Eq for Acl {}

impl Action {
    /// Whether a rule about `self` speaks of the action, one of the two.
    pub fn includes(self, action: Action) -> bool {
        self == Action::Both || self == action
    }

    /// Whether a rule about `self` speaks of publishing.
    pub fn includes_publish(self) -> bool {
        matches!(self, Action::Publish | Action::Both)
    }

    /// Whether a rule about `self` speaks of subscribing.
    pub fn includes_subscribe(self) -> bool {
        matches!(self, Action::Subscribe | Action::Both)
    }
}

impl UserPattern {
    /// Reads `*`, `prefix*` or an exact name; `None` for a `*` elsewhere or an empty text.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('*') {
            Some("") => Some(Self::Everybody),
            Some(prefix) if !prefix.contains('*') => Some(Self::BeginsWith(prefix.to_owned())),
            None if !text.is_empty() && !text.contains('*') => Some(Self::Exactly(text.to_owned())),
            _ => None,
        }
    }

    /// Whether the rule applies to a username, given in its two parts.
    pub fn matches(&self, local_name: &str, organization: &str) -> bool {
        match self {
            UserPattern::Everybody => true,
            UserPattern::BeginsWith(prefix) => match prefix.split_once('@') {
                Some((local, rest)) => local == local_name && organization.starts_with(rest),
                None => local_name.starts_with(prefix.as_str()),
            },
            UserPattern::Exactly(name) => match name.split_once('@') {
                Some((local, rest)) => local == local_name && rest == organization,
                None => name == local_name,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_patterns() {
        for (pattern, name, expected) in [
            ("*", "anybody", true),
            ("sensor-*", "sensor-1", true),
            ("sensor-*", "sensor-", true),
            ("sensor-*", "sensors", false),
            ("orchestrator", "orchestrator", true),
            ("orchestrator", "orchestrator2", false),
            ("server@org_a", "server", true),
            ("server@org_b", "server", false),
            ("server@*", "server", true),
        ] {
            let pattern = UserPattern::parse(pattern).unwrap();
            assert_eq!(
                pattern.matches(name, "org_a"),
                expected,
                "{pattern:?} {name}"
            );
        }
        for bad in ["", "**", "a*b", "*a"] {
            assert_eq!(UserPattern::parse(bad), None, "{bad}");
        }
    }
}
