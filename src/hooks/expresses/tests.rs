//! What is taken away from an answer, for every dialect there is.

use super::*;
use crate::hooks::call::{RawRequest, Refusal, Unreadable};
use crate::hooks::dialect::DialectName;
use crate::mqtt::qos::QoS;
use crate::mqtt::request::{
    ConnectRequest, Peer, PublishRequest, RequestedFilter, SubscribeRequest, TopicNames,
};
use crate::names::organization_id::OrganizationId;

fn peer() -> Peer<'static> {
    Peer {
        username: Some("u".into()),
        client_id: "c".into(),
        compartment: None,
    }
}

fn subscribe(filters: &[&'static str]) -> Call<'static> {
    let one = |filter: &&'static str| RequestedFilter {
        filter: (*filter).into(),
        qos: Some(QoS::AtLeastOnce),
    };
    Call::Subscribe(SubscribeRequest {
        peer: peer(),
        filters: filters.iter().map(one).collect(),
        names: TopicNames::Exact,
    })
}

fn connect() -> Call<'static> {
    Call::Connect(ConnectRequest {
        peer: peer(),
        password: None,
        address: None,
    })
}

fn grant(mountpoint: Option<OrganizationId>) -> Grant {
    Grant {
        username: "u@org_k7xm4pqr2n5t".parse().unwrap(),
        token: None,
        expires_at: Some(jiff::Timestamp::UNIX_EPOCH),
        mountpoint,
        rules: Some(Vec::new()),
        old_pepper: false,
    }
}

fn allow(qos: QoS) -> Decision<TopicGrant> {
    Decision::Allow(TopicGrant { qos: Some(qos) })
}

/// Each with its name, for messages.
fn all() -> impl Iterator<Item = (DialectName, &'static Expresses)> {
    DialectName::ALL
        .map(|name| (name, name.expresses()))
        .into_iter()
}

#[test]
fn no_answer_is_ever_widened() {
    let no = || Decision::Deny(DenyReason::NoRule);
    for (name, expresses) in all() {
        for refused in [no(), Decision::Abstain] {
            let (a, b) = (allow(QoS::AtLeastOnce), refused.clone());
            let call = subscribe(&["a", "b"]);
            let narrowed = expresses.narrow(&call, Answer::Subscribe(vec![a, b]));
            let Answer::Subscribe(decisions) = narrowed.answer() else {
                panic!("{name}: another kind of answer")
            };
            assert!(!matches!(decisions[1], Decision::Allow(_)), "{name}");
            assert!(!narrowed.answer().is_yes(), "{name}");
            let joined = expresses.filters == Filters::Joined;
            assert_eq!(
                matches!(decisions[0], Decision::Allow(_)),
                !joined,
                "{name}"
            );
        }
        for answer in [
            Answer::Connect(Decision::Deny(DenyReason::Revoked)),
            Answer::Publish(no()),
            Answer::Session(Decision::Deny(DenyReason::NotMqtt)),
        ] {
            assert!(
                !expresses.narrow(&connect(), answer).answer().allows(),
                "{name}"
            );
        }
    }
}

#[test]
fn a_broker_without_a_word_for_not_mine_hears_no() {
    for (name, expresses) in all() {
        let answer = Answer::Connect(Decision::Abstain);
        let narrowed = expresses.narrow(&connect(), answer);
        assert_eq!(
            narrowed.answer().is_abstention(),
            expresses.abstains,
            "{name}"
        );
        assert!(!narrowed.answer().allows(), "{name}");
    }
}

#[test]
fn a_level_that_cannot_be_lowered_is_denied() {
    for (name, expresses) in all() {
        let lowered = || Answer::Subscribe(vec![allow(QoS::AtMostOnce)]);
        let narrowed = expresses.narrow(&subscribe(&["a"]), lowered());
        assert_eq!(narrowed.answer().allows(), expresses.lowers_qos, "{name}");
    }
}

#[test]
fn a_session_that_cannot_be_placed_is_denied_and_the_rest_is_left_out() {
    for (name, expresses) in all() {
        let placed = Decision::Allow(grant(Some(OrganizationId::random())));
        let narrowed = expresses.narrow(&connect(), Answer::Connect(placed));
        let places = expresses.places == Places::Named;
        assert_eq!(narrowed.answer().allows(), places, "{name}");

        let plain = Answer::Connect(Decision::Allow(grant(None)));
        let narrowed = expresses.narrow(&connect(), plain);
        let Answer::Connect(Decision::Allow(grant)) = narrowed.answer() else {
            panic!("{name}: a yes was lost")
        };
        let takes_rules = matches!(expresses.acl, AclReply::Optional | AclReply::Required);
        assert_eq!(grant.expires_at.is_some(), expresses.expiry, "{name}");
        assert_eq!(grant.rules.is_some(), takes_rules, "{name}");
    }
}

#[test]
fn a_broker_that_never_asks_about_topics_lets_nobody_in_without_rules() {
    for (name, expresses) in all() {
        let without = Grant {
            rules: None,
            ..grant(None)
        };
        let answer = Answer::Connect(Decision::Allow(without));
        let allowed = expresses.narrow(&connect(), answer).answer().allows();
        assert_eq!(allowed, expresses.acl != AclReply::Required, "{name}");
    }
}

#[test]
fn what_a_broker_does_not_tell_is_not_known() {
    for (name, expresses) in all() {
        let publish = Call::Publish(PublishRequest {
            peer: peer(),
            topic: "a".into(),
            qos: Some(QoS::AtMostOnce),
            retain: Some(false),
            names: TopicNames::Exact,
        });
        let Call::Publish(heard) = expresses.hear(publish) else {
            panic!("{name}: another question")
        };
        assert_eq!(heard.qos.is_some(), expresses.qos, "{name}");
        assert_eq!(heard.retain.is_some(), expresses.retain, "{name}");
        let stripped = expresses.shared == SharedPrefix::Stripped;
        let heard = expresses.hear(subscribe(&["a", "$share/g/b"]));
        assert_eq!(matches!(heard, Call::Refused(_)), stripped, "{name}");
    }
}

#[test]
fn unavailable_has_its_own_reply_where_clients_can_tell() {
    for (name, expresses) in all() {
        let [denied, unavailable, overloaded, panicked] = [
            Refusal::Unauthorized,
            Refusal::Unavailable,
            Refusal::Overloaded,
            Refusal::Panicked,
        ]
        .map(|refusal| name.refuse(refusal));
        if expresses.unavailable == Unavailable::Distinct {
            assert_ne!(denied, unavailable, "{name}");
            assert_eq!(unavailable, overloaded, "{name}");
            assert_eq!(unavailable, panicked, "{name}");
        }
        assert_eq!(name.as_str().parse(), Ok(name));
    }
}

#[test]
fn organizations_are_kept_apart_in_ways_that_the_broker_has() {
    let dedicated = Isolation::Dedicated(OrganizationId::random());
    let supporting = |isolation: &Isolation| -> Vec<_> {
        let all = DialectName::ALL.into_iter();
        all.filter(|name| name.supports(isolation)).collect()
    };
    assert_eq!(supporting(&dedicated), DialectName::ALL);
    assert_eq!(supporting(&Isolation::Vhost), [DialectName::RabbitMq]);
    let named = [
        DialectName::BifroMq,
        DialectName::Emqx,
        DialectName::VerneMq,
    ];
    assert_eq!(supporting(&Isolation::Mountpoint), named);
    let without = [DialectName::AzureEventGrid, DialectName::Tbmq];
    let prefix = supporting(&Isolation::Prefix);
    assert!(!prefix.iter().any(|name| without.contains(name)));
    assert_eq!(prefix.len() + without.len(), DialectName::ALL.len());
}

#[test]
fn the_hooks_in_the_path_are_those_that_can_be_decoded() {
    let every_name = [
        "auth",
        "user",
        "superuser",
        "acl",
        "vhost",
        "resource",
        "topic",
        "check",
        "",
    ];
    for (name, expresses) in all() {
        let Hooks::InPath(hooks) = expresses.hooks else {
            continue;
        };
        assert!(hooks.iter().all(|hook| every_name.contains(hook)), "{name}");
        for hook in every_name {
            let request = RawRequest {
                method: Method::Post,
                path: hook,
                query: "",
                headers: &[],
                body: b"",
            };
            let decoded = name.with_defaults().decode(&request);
            let known = !matches!(decoded, Err(Unreadable::UnknownHook));
            assert_eq!(known, hooks.contains(&hook), "{name} {hook}");
        }
    }
}
