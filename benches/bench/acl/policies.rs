//! Policies of any size, with questions that an index likes and that it does not.

use ticketgate::acl::rule::{Action, Effect, Rule, UserPattern};
use ticketgate::acl::template::Template;
use ticketgate::mqtt::qos::QoSSet;

/// Who asks, always.
pub const LOCAL_NAME: &str = "user_4711";
/// From this client.
pub const CLIENT: &str = "device-4711";
/// Questions in a turn.
const QUESTIONS: usize = 64;
/// Levels of a long topic; a topic has at most 128.
const MANY_LEVELS: usize = 120;

/// A question.
pub enum Asked {
    /// To publish to a topic.
    Publish(String),
    /// To subscribe to a filter.
    Subscribe(String),
}

/// A kind of policy, and what is asked about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Rules for everybody, each about topics of its own; publishes that one of them allows.
    Publish,
    /// The same, with filters.
    Subscribe,
    /// The same, with topics that no rule knows.
    Unknown,
    /// Topics with the asker's values in them.
    Placeholders,
    /// Each rule for a user of its own, about the same topics.
    Users,
    /// Each rule for names with a beginning of its own.
    Beginnings,
    /// Many ways through the tree: every level is a `+` in half of the rules.
    Plusses,
    /// Deny rules before one that allows everything; publishes that none of them stops.
    Denies,
    /// The same, with filters so wide that many of them could share a topic with it.
    WideFilters,
    /// Topics of 120 levels.
    LongTopics,
}

impl Case {
    /// All of them.
    pub const ALL: [Case; 10] = [
        Case::Publish,
        Case::Subscribe,
        Case::Unknown,
        Case::Placeholders,
        Case::Users,
        Case::Beginnings,
        Case::Plusses,
        Case::Denies,
        Case::WideFilters,
        Case::LongTopics,
    ];

    /// In tables.
    pub fn name(self) -> &'static str {
        match self {
            Case::Publish => "publish",
            Case::Subscribe => "subscribe",
            Case::Unknown => "publish, no rule",
            Case::Placeholders => "placeholders",
            Case::Users => "a rule for each user",
            Case::Beginnings => "a rule for each beginning of names",
            Case::Plusses => "many `+`",
            Case::Denies => "denies before an allow",
            Case::WideFilters => "denies, wide filters",
            Case::LongTopics => "120 levels",
        }
    }

    /// So many rules.
    pub fn rules(self, count: usize) -> Vec<Rule> {
        let numbers = 0..count;
        match self {
            Case::Publish | Case::Subscribe | Case::Unknown => numbers
                .map(|n| allow("*", &format!("site/{n}/data/+")))
                .collect(),
            Case::Placeholders => {
                let kinds = ["{username}", "{client_id}", "{email}", "x-{username}"];
                let topic = |n: usize| format!("{}/{n}/{{username}}/#", kinds[n % kinds.len()]);
                numbers.map(|n| allow("*", &topic(n))).collect()
            }
            // One of them is the asker's.
            Case::Users => numbers
                .map(|n| match n == count / 2 {
                    true => allow(LOCAL_NAME, "data/+/#"),
                    false => allow(&format!("other_{n}"), "data/+/#"),
                })
                .collect(),
            Case::Beginnings => numbers
                .map(|n| match n == count / 2 {
                    true => allow("user_4*", "data/+/#"),
                    false => allow(&format!("o{n:0width$}*", width = n % 40), "data/+/#"),
                })
                .collect(),
            Case::Plusses => numbers
                .map(|n| {
                    let level = |bit: usize| match n >> bit & 1 {
                        0 => "+".to_owned(),
                        _ => format!("l{bit}"),
                    };
                    let levels: Vec<String> = (0..14).map(level).collect();
                    allow("*", &format!("{}/{n}", levels.join("/")))
                })
                .collect(),
            Case::Denies | Case::WideFilters => {
                let denies = (1..count).map(|n| Rule {
                    effect: Effect::Deny,
                    ..allow("*", &format!("site/{n}/secret/#"))
                });
                denies.chain([allow("*", "#")]).collect()
            }
            Case::LongTopics => numbers.map(|n| allow("*", &long(n, "+"))).collect(),
        }
    }

    /// Questions about so many rules.
    pub fn asked(self, count: usize) -> Vec<Asked> {
        let spread = (0..QUESTIONS).map(|nth| nth * count / QUESTIONS);
        let publish = |topic: String| Asked::Publish(topic);
        match self {
            Case::Publish => spread
                .map(|n| publish(format!("site/{n}/data/x")))
                .collect(),
            Case::Subscribe => spread
                .map(|n| Asked::Subscribe(format!("site/{n}/data/+")))
                .collect(),
            Case::Unknown => spread
                .map(|n| publish(format!("site/{n}/other/x")))
                .collect(),
            Case::Placeholders => {
                let kinds = [LOCAL_NAME, CLIENT, "user@example.com", "x-user_4711"];
                let topic = |n: usize| format!("{}/{n}/{LOCAL_NAME}/state", kinds[n % kinds.len()]);
                spread.map(|n| publish(topic(n))).collect()
            }
            Case::Users | Case::Beginnings => {
                spread.map(|n| publish(format!("data/{n}/x"))).collect()
            }
            Case::Plusses => spread
                .map(|n| {
                    let levels: Vec<String> = (0..14).map(|bit| format!("l{bit}")).collect();
                    publish(format!("{}/{n}", levels.join("/")))
                })
                .collect(),
            Case::Denies => spread
                .map(|n| publish(format!("site/{n}/data/x")))
                .collect(),
            Case::WideFilters => spread
                .map(|n| match n % 4 {
                    0 => Asked::Subscribe("site/+/data/#".into()),
                    1 => Asked::Subscribe("+/+/data".into()),
                    2 => Asked::Subscribe("#".into()),
                    _ => Asked::Subscribe(format!("site/{n}/#")),
                })
                .collect(),
            Case::LongTopics => spread.map(|n| publish(long(n, "x"))).collect(),
        }
    }
}

fn long(number: usize, last: &str) -> String {
    let middle = vec!["level"; MANY_LEVELS - 3].join("/");
    format!("long/{middle}/{number}/{last}")
}

fn allow(user: &str, topic: &str) -> Rule {
    Rule {
        effect: Effect::Allow,
        priority: 0,
        user: UserPattern::parse(user).expect("a pattern of ours"),
        topic: Template::parse(topic).expect("a topic of ours"),
        action: Action::Both,
        qos: QoSSet::ALL,
        retain: true,
    }
}
