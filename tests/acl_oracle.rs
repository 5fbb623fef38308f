//! Rules mean what they say: the compiled matcher against an oracle that enumerates topics.
//!
//! The oracle knows only what a filter matches (MQTT 5 section 4.7), in code of its own, and that
//! an allow rule must contain the request and a deny rule must not touch it. It decides both by
//! looking at every topic over a small alphabet. One level that no rule names stands for all that
//! no rule names, and topics are one level longer than any filter, so the enumeration is exact.
//!
//! `PROPTEST_CASES=1000000 cargo test --release --test acl_oracle` runs more; a failing case prints
//! itself and is kept in `acl_oracle.proptest-regressions`.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest,
};
use proptest::sample::select;
use ticketgate::acl::decide::{Publish, Ruling, Subscription};
use ticketgate::acl::rule::{Acl, Action, Effect, Rule, UserPattern};
use ticketgate::acl::template::{Subject, Template};
use ticketgate::mqtt::filter_algebra::Dollar;
use ticketgate::mqtt::qos::QoSSet;
use ticketgate::mqtt::request::TopicNames;
use ticketgate::mqtt::topic::{TopicFilter, TopicName};
use ticketgate::names::claims::Claims;
use ticketgate::names::organization_id::OrganizationId;

const MAX_FILTER_LEVELS: usize = 4;
/// `z` stands in no rule, `ab` only as a username. The empty level is a level like any other.
const LITERALS: [&str; 6] = ["a", "b", "ab", "$s", "", "z"];

static TOPICS: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| {
    let mut topics: Vec<Vec<&str>> = vec![vec![]];
    let mut all = Vec::new();
    for _ in 0..=MAX_FILTER_LEVELS {
        let longer =
            |topic: &Vec<&'static str>| LITERALS.map(|level| [topic.as_slice(), &[level]].concat());
        topics = topics.iter().flat_map(longer).collect();
        all.extend(topics.iter().cloned());
    }
    // No topic is the empty text.
    all.retain(|topic| topic.as_slice() != [""]);
    all
});

/// A rule as the oracle sees it.
#[derive(Debug, Clone)]
struct Sketch {
    allow: bool,
    priority: i32,
    action: Action,
    user: &'static str,
    levels: Vec<&'static str>,
}

fn literal() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "$s", ""])
}

/// Levels of a valid filter; `{username}` and `{client_id}` stand in rules only.
fn levels(placeholders: bool) -> impl Strategy<Value = Vec<&'static str>> {
    let middle = if placeholders {
        prop_oneof![4 => literal(), 3 => Just("+"), 1 => Just("{username}"), 1 => Just("{client_id}")]
            .boxed()
    } else {
        prop_oneof![4 => literal(), 3 => Just("+")].boxed()
    };
    (vec(middle, 0..MAX_FILTER_LEVELS), any::<bool>()).prop_map(|(mut levels, hash)| {
        if hash || levels.is_empty() {
            levels.push("#");
        }
        if levels == [""] {
            levels = vec!["a"];
        }
        levels
    })
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let actions = vec![Action::Publish, Action::Subscribe, Action::Both];
    (
        any::<bool>(),
        0..3,
        select(actions),
        select(vec!["*", "a*", "a", "b"]),
        levels(true),
    )
        .prop_map(|(allow, priority, action, user, levels)| Sketch {
            allow,
            priority,
            action,
            user,
            levels,
        })
}

fn compiled(sketches: &[Sketch]) -> Acl {
    let rule = |sketch: &Sketch| Rule {
        effect: if sketch.allow {
            Effect::Allow
        } else {
            Effect::Deny
        },
        priority: sketch.priority,
        user: UserPattern::parse(sketch.user).unwrap(),
        topic: Template::parse(&sketch.levels.join("/")).unwrap(),
        action: sketch.action,
        qos: QoSSet::ALL,
        retain: true,
    };
    let rules = sketches.iter().map(rule).collect();
    Acl::linear(rules)
}

/// Whether a filter matches a topic, by recursion over the levels.
fn oracle_matches(filter: &[&str], topic: &[&str]) -> bool {
    fn rest(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) => true,
            ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => rest(filter, topic),
            ([one, filter @ ..], [other, topic @ ..]) if one == other => rest(filter, topic),
            _ => false,
        }
    }
    let wildcard_first = matches!(filter.first(), Some(&"+" | &"#"));
    !(wildcard_first && topic[0].starts_with('$')) && rest(filter, topic)
}

fn oracle_user(pattern: &str, name: &str) -> bool {
    match pattern {
        "*" => true,
        "a*" => name.starts_with('a'),
        exact => exact == name,
    }
}

/// The filter of a rule for one subject; `None`: the rule does not apply.
fn oracle_filter<'a>(levels: &[&'a str], name: &'a str, client: &'a str) -> Option<Vec<&'a str>> {
    let mut filter = Vec::new();
    for (at, level) in levels.iter().enumerate() {
        let value = match *level {
            "{username}" => name,
            "{client_id}" => client,
            fixed => {
                filter.push(fixed);
                continue;
            }
        };
        let hostile = value.is_empty() || value.contains(['/', '+', '#', '\n']);
        if hostile || (at == 0 && value.starts_with('$')) {
            return None;
        }
        filter.push(value);
    }
    Some(filter)
}

/// The first rule by priority that applies decides.
fn oracle(
    sketches: &[Sketch],
    name: &str,
    client: &str,
    publishing: bool,
    asked: impl Fn(&[&str]) -> bool,
) -> Ruling {
    let mut sorted: Vec<&Sketch> = sketches.iter().collect();
    sorted.sort_by_key(|sketch| sketch.priority);
    for sketch in sorted {
        let about = match sketch.action {
            Action::Publish => publishing,
            Action::Subscribe => !publishing,
            Action::Both => true,
        };
        if !about || !oracle_user(sketch.user, name) {
            continue;
        }
        let Some(filter) = oracle_filter(&sketch.levels, name, client) else {
            continue;
        };
        let mut asked_topics = TOPICS.iter().filter(|topic| asked(topic));
        let applies = if sketch.allow {
            asked_topics.all(|topic| oracle_matches(&filter, topic))
        } else {
            asked_topics.any(|topic| oracle_matches(&filter, topic))
        };
        if applies {
            let allowed = Ruling::Allowed { qos: None };
            return if sketch.allow {
                allowed
            } else {
                Ruling::DeniedByRule
            };
        }
    }
    Ruling::NoRule
}

fn hostile_or_plain() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "$s", "a/b", "+", "#", "a\nb", ""])
}

/// 10,000 cases, or as many as `PROPTEST_CASES` says.
fn everyday() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
        default.cases
    } else {
        10_000
    };
    ProptestConfig { cases, ..default }
}

proptest! {
    #![proptest_config(everyday())]

    #[test]
    fn publishes_are_decided_as_the_oracle_says(
        sketches in vec(sketch(), 0..5),
        topic in 0..TOPICS.len(),
        name in select(vec!["a", "b", "ab"]),
        client in hostile_or_plain(),
    ) {
        let topic = &TOPICS[topic];
        let expected = oracle(&sketches, name, client, true, |other| other == topic.as_slice());
        let text = topic.join("/");
        let parsed = TopicName::parse(text.as_str()).unwrap();
        let organization = OrganizationId::random();
        let claims = Claims::default();
        let subject =
            Subject { local_name: name, organization: &organization, client_id: client, claims: &claims };
        let request =
            Publish { topic: &parsed, qos: None, retain: None, names: TopicNames::Exact, dollar: Dollar::Special };
        let acl = compiled(&sketches);
        prop_assert_eq!(acl.publish(&subject, request), expected);
        prop_assert_eq!(acl.indexed().publish(&subject, request), expected);
    }

    #[test]
    fn subscriptions_are_decided_as_the_oracle_says(
        sketches in vec(sketch(), 0..5),
        requested in levels(false),
        shared in any::<bool>(),
        name in select(vec!["a", "b", "ab"]),
        client in hostile_or_plain(),
    ) {
        let expected =
            oracle(&sketches, name, client, false, |topic| oracle_matches(&requested, topic));
        let filter = requested.join("/");
        let text = if shared { format!("$share/group/{filter}") } else { filter };
        let parsed = TopicFilter::parse_subscription(&text).unwrap();
        let organization = OrganizationId::random();
        let claims = Claims::default();
        let subject =
            Subject { local_name: name, organization: &organization, client_id: client, claims: &claims };
        let linear = compiled(&sketches);
        for acl in [&linear, &linear.clone().indexed()] {
            let rules = acl.for_subscribing(&subject, TopicNames::Exact, Dollar::Special);
            prop_assert_eq!(rules.decide(Subscription { filter: &parsed, qos: None }), expected);
        }
    }
}
