//! Topics for trying a policy out: made from its own rules, each judged by the engine.

use std::borrow::Cow;
use std::collections::HashSet;

use jiff::Timestamp;

use crate::acl::rule::{Acl, Effect};
use crate::acl::template::Subject;
use crate::app::doctor::{ProbeTopics, Wider};
use crate::engine::authorize::{Asker, authorize_publish, authorize_subscribe};
use crate::engine::decision::Decision;
use crate::engine::isolation::Isolation;
use crate::engine::member::Member;
use crate::hooks::connection::BrokerConnection;
use crate::hooks::dialect::DialectName;
use crate::mqtt::filter_algebra::covers;
use crate::mqtt::qos::QoS;
use crate::mqtt::request::{Peer, PublishRequest, RequestedFilter, SubscribeRequest, TopicNames};
use crate::names::base62;

/// The most rules that are looked at: the first ones decide what most users do.
const MAX_RULES: usize = 200;
/// The most escalations that are tried.
const MAX_WIDER: usize = 3;

/// A login and the rules that it stands under.
pub struct Bench<'a> {
    member: Member<'a>,
    acl: &'a Acl,
    broker: &'a BrokerConnection,
    now: Timestamp,
}

/// How much a broker tells of a request, beside its topic.
#[derive(Clone, Copy)]
enum Told {
    /// Nothing: a limited rule does not match.
    Nothing,
    /// The most harmless: quality of service 0, not retained.
    Harmless,
}

impl<'a> Bench<'a> {
    pub fn new(
        member: Member<'a>,
        acl: &'a Acl,
        broker: &'a BrokerConnection,
        now: Timestamp,
    ) -> Self {
        Self {
            member,
            acl,
            broker,
            now,
        }
    }

    /// The client ids to use, and what is allowed and refused with them.
    pub fn find(&self) -> ((String, Option<String>), ProbeTopics) {
        let organization = &self.member.holder.organization;
        // Where organizations share a compartment, client ids begin with theirs.
        let stem = format!("{organization}-doctor-{}", base62::random(8));
        let (acting, listening) = (format!("{stem}-a"), format!("{stem}-b"));
        let topics = self.topics(&[&acting, &listening]);
        if topics.publish.is_some() || topics.subscribe.is_some() {
            return ((acting, Some(listening)), topics);
        }
        // All rules may speak of the client id: then there is one client only.
        let topics = self.topics(&[&acting]);
        ((acting, None), topics)
    }

    fn topics(&self, client_ids: &[&str]) -> ProbeTopics {
        let judge = Judge {
            bench: self,
            client_ids,
        };
        let published = self.filters(client_ids[0], true);
        let subscribed = self.filters(client_ids[0], false);
        let filled = |filters: &[String]| -> Vec<String> {
            filters.iter().map(|filter| filled(filter)).collect()
        };
        let (to_publish, to_hear) = (filled(&published), filled(&subscribed));
        let publish = first(&to_publish, |topic| judge.may_publish(topic));
        let round_trip = first(to_publish.iter().chain(&to_hear), |topic| {
            judge.may_publish(topic) && judge.may_subscribe(topic)
        });
        let listen = first(&to_hear, |topic| {
            judge.may_subscribe(topic) && judge.may_not_publish(topic)
        });
        let granted: Vec<String> = subscribed
            .into_iter()
            .filter(|filter| judge.may_subscribe(filter))
            .collect();
        let forbidden = listen.clone().or_else(|| {
            let strange = self.strange(publish.as_deref());
            first(&strange, |topic| judge.may_not_publish(topic))
        });
        let mut wider = Vec::new();
        for filter in &granted {
            let asked = escalations(filter);
            let asked = asked.into_iter().find(|one| judge.may_not_subscribe(one));
            wider.extend(asked.map(|asked| Wider {
                granted: filter.clone(),
                asked,
            }));
        }
        // The kind that a broker's own matcher gets wrong comes first.
        wider.sort_by_key(|one| !one.granted.contains('+'));
        wider.dedup_by(|one, other| one.asked == other.asked);
        wider.truncate(MAX_WIDER);
        ProbeTopics {
            publish,
            round_trip,
            subscribe: granted.into_iter().next(),
            listen,
            forbidden,
            wider,
        }
    }

    /// The filters of the rules that may allow something, as the broker's clients write them.
    fn filters(&self, client_id: &str, publish: bool) -> Vec<String> {
        let claims = self.member.claims(client_id, self.now);
        let holder = self.member.holder;
        let subject = Subject {
            local_name: holder.name.as_str(),
            organization: &holder.organization,
            client_id,
            claims: &claims,
        };
        let rules = self.acl.rules().iter().filter(|rule| {
            let action = if publish {
                rule.action.includes_publish()
            } else {
                rule.action.includes_subscribe()
            };
            let organization = subject.organization.as_str();
            action
                && rule.effect == Effect::Allow
                && rule.user.matches(subject.local_name, organization)
        });
        rules
            .take(MAX_RULES)
            .filter_map(|rule| rule.topic.expand(&subject))
            .map(|filter| self.outer(&filter))
            .collect()
    }

    /// A topic of the rules as clients write it.
    fn outer(&self, topic: &str) -> String {
        match self.broker.isolation {
            Isolation::Prefix => format!("{}/{topic}", self.member.holder.organization),
            _ => topic.to_owned(),
        }
    }

    /// Topics that most policies do not allow.
    fn strange(&self, allowed: Option<&str>) -> Vec<String> {
        let mut topics = vec![self.outer(&format!("{}/forbidden", random_level()))];
        if let Some(allowed) = allowed {
            let levels: Vec<&str> = allowed.split('/').collect();
            for at in (0..levels.len()).rev() {
                let random = random_level();
                let mut other = levels.clone();
                other[at] = &random;
                topics.push(other.join("/"));
            }
        }
        topics
    }

    fn asker<'b>(&'b self, client_id: &'b str) -> Asker<'b> {
        Asker {
            member: self.member,
            client_id,
            acl: self.acl,
            isolation: &self.broker.isolation,
            now: self.now,
        }
    }

    fn peer<'b>(&self, client_id: &'b str) -> Peer<'b> {
        Peer {
            username: None,
            client_id: Cow::Borrowed(client_id),
            compartment: None,
        }
    }

    fn names(&self) -> TopicNames {
        match self.broker.dialect.name() {
            DialectName::RabbitMq => TopicNames::Amqp,
            _ => TopicNames::Exact,
        }
    }

    /// A topic as this broker will ask about it; `None`: it is another one by then.
    fn as_asked<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let kept = self.names() == TopicNames::Exact || !topic.contains(['.', '*']);
        kept.then_some(topic)
    }
}

/// Judges for several client ids at once.
struct Judge<'a> {
    bench: &'a Bench<'a>,
    client_ids: &'a [&'a str],
}

impl Judge<'_> {
    fn may_publish(&self, topic: &str) -> bool {
        self.bench.as_asked(topic).is_some()
            && self.all(|client_id| self.publish(client_id, topic, Told::Nothing))
    }

    fn may_not_publish(&self, topic: &str) -> bool {
        self.bench.as_asked(topic).is_some()
            && self.all(|client_id| !self.publish(client_id, topic, Told::Harmless))
    }

    fn may_subscribe(&self, filter: &str) -> bool {
        self.bench.as_asked(filter).is_some()
            && self.all(|client_id| self.subscribe(client_id, filter, Told::Nothing))
    }

    fn may_not_subscribe(&self, filter: &str) -> bool {
        self.bench.as_asked(filter).is_some()
            && self.all(|client_id| !self.subscribe(client_id, filter, Told::Harmless))
    }

    fn all(&self, good: impl Fn(&str) -> bool) -> bool {
        self.client_ids.iter().all(|client_id| good(client_id))
    }

    fn publish(&self, client_id: &str, topic: &str, told: Told) -> bool {
        let bench = self.bench;
        let request = PublishRequest {
            peer: bench.peer(client_id),
            topic: Cow::Borrowed(topic),
            qos: told.qos(),
            retain: told.retain(),
            names: bench.names(),
        };
        let decision = authorize_publish(bench.asker(client_id), &request);
        matches!(decision, Decision::Allow(_))
    }

    fn subscribe(&self, client_id: &str, filter: &str, told: Told) -> bool {
        let bench = self.bench;
        let requested = RequestedFilter {
            filter: Cow::Borrowed(filter),
            qos: told.qos(),
        };
        let request = SubscribeRequest {
            peer: bench.peer(client_id),
            filters: vec![requested],
            names: bench.names(),
        };
        let decisions = authorize_subscribe(bench.asker(client_id), &request);
        matches!(decisions.as_slice(), [Decision::Allow(_)])
    }
}

impl Told {
    fn qos(self) -> Option<QoS> {
        matches!(self, Told::Harmless).then_some(QoS::AtMostOnce)
    }

    fn retain(self) -> Option<bool> {
        matches!(self, Told::Harmless).then_some(false)
    }
}

fn first<'a>(
    topics: impl IntoIterator<Item = &'a String>,
    good: impl Fn(&str) -> bool,
) -> Option<String> {
    topics.into_iter().find(|topic| good(topic)).cloned()
}

/// A topic that the filter matches and that nobody uses where it has a wildcard.
fn filled(filter: &str) -> String {
    let levels = filter.split('/').map(|level| match level {
        "+" | "#" => Cow::Owned(random_level()),
        fixed => Cow::Borrowed(fixed),
    });
    levels.collect::<Vec<_>>().join("/")
}

/// Filters that cover more than this one, the nearest first: `a/#` for `a/+`, then with a `+` in
/// place of a fixed level, then with whole ends cut off.
fn escalations(filter: &str) -> Vec<String> {
    let levels: Vec<&str> = filter.split('/').collect();
    let mut found = Vec::new();
    if levels.last() == Some(&"+") {
        found.push([&levels[..levels.len() - 1], &["#"]].concat().join("/"));
    }
    for at in (0..levels.len()).rev() {
        if !matches!(levels[at], "+" | "#") {
            let mut other = levels.clone();
            other[at] = "+";
            found.push(other.join("/"));
        }
    }
    for kept in (0..levels.len()).rev() {
        found.push([&levels[..kept], &["#"]].concat().join("/"));
    }
    // The nearest may be the shortest cut too.
    let mut known = HashSet::new();
    found.retain(|wider| known.insert(wider.clone()));
    found.retain(|wider| wider != filter && covers(wider, filter) && !covers(filter, wider));
    found
}

fn random_level() -> String {
    format!("doctor-{}", base62::random(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escalations_cover_more() {
        assert_eq!(escalations("a/+"), ["a/#", "+/+", "#"]);
        assert_eq!(escalations("a/b/#"), ["a/+/#", "+/b/#", "a/#", "#"]);
        assert_eq!(escalations("#"), [] as [&str; 0]);
    }

    #[test]
    fn a_filled_filter_is_a_topic_that_it_matches() {
        let topic = filled("a/+/b/#");
        assert!(!topic.contains(['+', '#']) && topic.starts_with("a/doctor-"));
    }
}
