//! Ten thousand rules are decided as one after another would be: the index against the same rules
//! without it, over what the oracle does not enumerate: brokers that know no `$` or take `.` for
//! `/`, levels that are partly placeholders, user patterns with an `@`, limits, and many rules.
//!
//! `PROPTEST_CASES=1000000 cargo test --release --test acl_index` runs more.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest,
};
use proptest::sample::select;
use ticketgate::acl::decide::{Publish, Subscription};
use ticketgate::acl::rule::{Acl, Action, Effect, Rule, UserPattern};
use ticketgate::acl::template::{Subject, Template};
use ticketgate::mqtt::filter_algebra::Dollar;
use ticketgate::mqtt::qos::{QoS, QoSSet};
use ticketgate::mqtt::request::TopicNames;
use ticketgate::mqtt::topic::{TopicFilter, TopicName};
use ticketgate::names::claims::Claims;
use ticketgate::names::organization_id::OrganizationId;

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

fn rule_level() -> impl Strategy<Value = &'static str> {
    let filled = vec![
        "{username}",
        "{client_id}",
        "{email}",
        "x-{client_id}",
        "{client_id}-{email}",
        "{missing}",
    ];
    prop_oneof![
        4 => select(vec!["a", "b", "a.b", "*", "$s", "", "x-a"]),
        3 => Just("+"),
        2 => select(filled),
    ]
}

fn asked_level() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "a.b", "*", "$s", "", "x-a", "b-a", "c.d"])
}

/// A topic, or with wildcards a filter.
fn text(
    level: impl Strategy<Value = &'static str>,
    may_end_in_hash: bool,
) -> impl Strategy<Value = String> {
    (vec(level, 1..5), any::<bool>()).prop_filter_map("no topic", move |(mut levels, hash)| {
        if hash && may_end_in_hash {
            // `#` alone as well.
            levels.pop();
            levels.push("#");
        }
        let text = levels.join("/");
        (!text.is_empty()).then_some(text)
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let users = vec!["*", "a*", "a", "b", "ab*", "a@org*", "b@org_other", "a@*"];
    (
        any::<bool>(),
        0..4,
        select(users),
        text(rule_level(), true),
        select(vec![Action::Publish, Action::Subscribe, Action::Both]),
        select(vec![
            QoSSet::ALL,
            QoSSet::of(&QOS[..1]),
            QoSSet::of(&QOS[1..2]),
        ]),
        any::<bool>(),
    )
        .prop_map(|(allow, priority, user, topic, action, qos, retain)| Rule {
            effect: if allow { Effect::Allow } else { Effect::Deny },
            priority,
            user: UserPattern::parse(user).unwrap(),
            topic: Template::parse(&topic).unwrap(),
            action,
            qos,
            retain,
        })
}

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default.cases,
        None => 3_000,
    };
    ProptestConfig { cases, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_index_changes_no_decision(
        rules in vec(rule(), 0..60),
        topics in vec(text(asked_level(), false), 1..8),
        filters in vec(text(prop_oneof![4 => asked_level(), 2 => Just("+")], true), 1..8),
        name in select(vec!["a", "b", "ab", "abc"]),
        client in select(vec!["a", "b", "$s", "a/b", "+", "", "c.d", "*"]),
        email in select(vec!["a", "c.d", "a@b.c", "", "#"]),
        qos in option::of(select(QOS.to_vec())),
        retain in option::of(any::<bool>()),
    ) {
        let linear = Acl::linear(rules);
        let indexed = linear.clone().indexed();
        let organization = OrganizationId::random();
        let mut claims = Claims::default();
        claims.insert("email", email);
        let subject =
            Subject { local_name: name, organization: &organization, client_id: client, claims: &claims };
        for names in [TopicNames::Exact, TopicNames::Amqp] {
            for dollar in [Dollar::Special, Dollar::Ordinary] {
                for topic in &topics {
                    let topic = TopicName::parse(topic.as_str()).unwrap();
                    let request = Publish { topic: &topic, qos, retain, names, dollar };
                    let expected = linear.publish(&subject, request);
                    prop_assert_eq!(indexed.publish(&subject, request), expected, "{:?}", request);
                }
                for filter in &filters {
                    let filter = TopicFilter::parse(filter.as_str()).unwrap();
                    let request = Subscription { filter: &filter, qos };
                    let decide = |acl: &Acl| acl.for_subscribing(&subject, names, dollar).decide(request);
                    prop_assert_eq!(decide(&indexed), decide(&linear), "{:?}", request);
                }
            }
        }
    }
}
