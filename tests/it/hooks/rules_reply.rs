//! Rules that travel with a login, against the brokers' own matchers: whatever EMQX or RMQTT would
//! allow by them, we would allow as well.
//!
//! The matchers are written from the brokers' sources (`emqx_topic:match/2` on the filter of a
//! SUBSCRIBE as if it were a topic; the `matches!` macro of RMQTT 0.24's `topic.rs`).

use proptest::prelude::{Just, Strategy, any};
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use ticketgate::acl::decide::{Publish, Ruling, Subscription};
use ticketgate::acl::rule::{Acl, Action, Effect, Rule, UserPattern};
use ticketgate::acl::template::{Subject, Template};
use ticketgate::hooks::rules_reply::{Matcher, say};
use ticketgate::mqtt::filter_algebra::Dollar;
use ticketgate::mqtt::qos::{QoS, QoSSet};
use ticketgate::mqtt::request::TopicNames;
use ticketgate::mqtt::topic::{TopicFilter, TopicName};
use ticketgate::names::claims::Claims;

const CASES: u32 = 30_000;

/// What a client asks.
#[derive(Debug, Clone)]
struct Asked {
    publishes: bool,
    topic: String,
    qos: QoS,
    retain: bool,
}

#[test]
fn no_broker_reads_more_into_the_rules_than_they_mean() {
    for (matcher, matches) in [
        (Matcher::Emqx, emqx_matches as fn(&str, &str) -> bool),
        (Matcher::Rmqtt, rmqtt_matches),
    ] {
        let (mut said, mut allowed, mut denied) = (0, 0, 0);
        let mut runner = TestRunner::new(Config {
            max_local_rejects: CASES,
            ..Config::with_cases(CASES)
        });
        let cases = (proptest::collection::vec(rule(), 1..4), asked());
        let cell = std::cell::RefCell::new((&mut said, &mut allowed, &mut denied));
        runner
            .run(&cases, |(rules, asked)| {
                let acl = Acl::new(rules);
                let Some(reply) = with_subject(|s| say(&acl.applied_to(s), matcher)) else {
                    return Ok(());
                };
                let (said, allowed, denied) = &mut *cell.borrow_mut();
                **said += 1;
                let ours = decide(&acl, &asked);
                match broker_decides(&reply, &asked, matches) {
                    Some(true) => {
                        assert!(ours, "{matcher:?} allows {asked:?} by {reply}");
                        **allowed += 1;
                    }
                    Some(false) => **denied += 1,
                    // The broker asks.
                    None => {}
                }
                Ok(())
            })
            .unwrap();
        assert!(
            said > 2_000 && allowed > 100 && denied > 500,
            "{said} {allowed} {denied}"
        );
    }
}

fn level() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "$c", ""])
}

fn filter() -> impl Strategy<Value = String> {
    let level = select(vec!["a", "b", "$c", "+", ""]);
    let levels = proptest::collection::vec(level, 1..4);
    (levels, any::<bool>())
        .prop_map(|(levels, rest)| {
            let joined = levels.join("/");
            if rest { format!("{joined}/#") } else { joined }
        })
        .prop_filter("a filter", |text| TopicFilter::parse(text.as_str()).is_ok())
        .boxed()
        .prop_union(Just("#".to_owned()).boxed())
}

fn rule() -> impl Strategy<Value = Rule> {
    let effect = select(vec![Effect::Allow, Effect::Allow, Effect::Deny]);
    let action = select(vec![Action::Publish, Action::Subscribe, Action::Both]);
    let qos = select(vec![
        QoSSet::ALL,
        QoSSet::ALL,
        QoSSet::of(&[QoS::AtMostOnce]),
    ]);
    (effect, action, filter(), qos, any::<bool>()).prop_map(
        |(effect, action, topic, qos, retain)| Rule {
            effect,
            priority: 0,
            user: UserPattern::Everybody,
            topic: Template::parse(&topic).unwrap(),
            action,
            qos,
            retain,
        },
    )
}

fn asked() -> impl Strategy<Value = Asked> {
    let name = proptest::collection::vec(level(), 1..4)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a name", |text| TopicName::parse(text.as_str()).is_ok());
    let topic = (any::<bool>(), name, filter());
    (topic, select(QoS::ALL.to_vec()), any::<bool>()).prop_map(
        |((publishes, name, filter), qos, retain)| Asked {
            publishes,
            topic: if publishes { name } else { filter },
            qos,
            retain,
        },
    )
}

fn with_subject<T>(f: impl FnOnce(&Subject<'_>) -> T) -> T {
    f(&Subject {
        local_name: "user_1",
        organization: &"org_k7xm4pqr2n5t".parse().unwrap(),
        client_id: "c",
        claims: &Claims::default(),
    })
}

/// What we answer; a level that would be lowered is a no to these brokers.
fn decide(acl: &Acl, asked: &Asked) -> bool {
    let (names, dollar, qos) = (TopicNames::Exact, Dollar::Special, Some(asked.qos));
    let ruling = with_subject(|subject| {
        if asked.publishes {
            let topic = TopicName::parse(asked.topic.as_str()).unwrap();
            let retain = Some(asked.retain);
            let publish = Publish {
                topic: &topic,
                qos,
                retain,
                names,
                dollar,
            };
            acl.publish(subject, publish)
        } else {
            let filter = &TopicFilter::parse(asked.topic.as_str()).unwrap();
            let rules = acl.for_subscribing(subject, names, dollar);
            rules.decide(Subscription { filter, qos })
        }
    });
    ruling == Ruling::Allowed { qos }
}

/// The first item that fits decides; `None`: none does, and the broker asks.
fn broker_decides(items: &Value, asked: &Asked, matches: fn(&str, &str) -> bool) -> Option<bool> {
    let action = if asked.publishes {
        "publish"
    } else {
        "subscribe"
    };
    let fits = |item: &&Value| {
        let level = |qos: &Value| qos.as_u64() == Some(u8::from(asked.qos).into());
        let qos = item["qos"].as_array();
        (item["action"] == "all" || item["action"] == action)
            && qos.is_none_or(|levels| levels.iter().any(level))
            && (!asked.publishes || item["retain"].is_null() || item["retain"] == asked.retain)
            && matches(item["topic"].as_str().unwrap(), &asked.topic)
    };
    let item = items.as_array().unwrap().iter().find(fits)?;
    Some(item["permission"] == "allow")
}

fn emqx_matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

fn rmqtt_matches(filter: &str, topic: &str) -> bool {
    let mut levels = filter.split('/');
    for name in topic.split('/') {
        let special = name.starts_with('$');
        match levels.next() {
            Some("+") if special => break,
            Some("+") => {}
            Some("#") => return !special,
            Some(level) if level == name => {}
            _ => return false,
        }
    }
    matches!(levels.next(), None | Some("#"))
}
