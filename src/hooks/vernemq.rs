//! VerneMQ's webhooks (`vmq_webhooks`, 1.13 to 2.2).
//!
//! One endpoint for every hook; the header `vernemq-hook` says which one it is, the body is JSON.
//! The reply is status 200 and `{"result": ...}`; any other status refuses. Some shapes that look
//! harmless grant everything or crash the session (an empty `topics`, empty `modifiers`, a list in
//! the other protocol version's place), so the few shapes sent are built here and nowhere else.
//!
//! A `cache-control` header is never sent: with one, VerneMQ would keep the verdict without any
//! way to take it back.
//!
//! VerneMQ has no word for "unavailable": every refused CONNECT is "not authorized" to the client.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::engine::decision::{Decision, TopicGrant};
use crate::hooks::call::{
    Answer, Call, Echo, MAX_FILTERS, Method, Question, RawRequest, Refusal, Reply, Unreadable,
};
use crate::hooks::expresses::{
    AclReply, AliasedTopic, Expresses, Filters, Hooks, Places, SharedPrefix, Unavailable, WillAsked,
};
use crate::hooks::json::{Object, Password, Text, parse};
use crate::mqtt::qos::QoS;
use crate::mqtt::request::{
    ConnectRequest, Peer, PublishRequest, RequestedFilter, SessionChange, SessionEvent,
    SubscribeRequest, TopicNames, address,
};
use crate::secret::SecretStr;

/// broker-hooks section 1. A CONNECT's refusal is always "not authorized" to the client, and there is
/// no expiry: the session has to be closed from outside.
pub const EXPRESSES: Expresses = Expresses {
    methods: &[Method::Post],
    hooks: Hooks::InHeader(HOOK_HEADER),
    unavailable: Unavailable::AsNo,
    abstains: true,
    expiry: false,
    acl: AclReply::None,
    places: Places::Named,
    shared: SharedPrefix::Kept,
    aliased: AliasedTopic::Resolved,
    will: WillAsked::AtConnect,
    filters: Filters::Listed,
    qos: true,
    retain: true,
    lowers_qos: true,
};

const HOOK_HEADER: &str = "vernemq-hook";

const OK: &str = r#"{"result":"ok"}"#;
const NEXT: &str = r#"{"result":"next"}"#;
const NOT_AUTHORIZED: &str = r#"{"result":{"error":"not_authorized"}}"#;

/// What a refused filter is answered with: 0x80 in MQTT 3, "not authorized" in MQTT 5.
const REFUSED_V3: u8 = 128;
const REFUSED_V5: u8 = 135;

#[derive(Deserialize)]
struct Register<'a> {
    #[serde(borrow)]
    client_id: Text<'a>,
    #[serde(borrow)]
    username: Option<Text<'a>>,
    #[serde(borrow)]
    password: Option<Password<'a>>,
    #[serde(borrow)]
    mountpoint: Text<'a>,
    #[serde(borrow)]
    peer_addr: Option<Text<'a>>,
}

/// The lifecycle hooks; only `on_register` has a username.
#[derive(Deserialize)]
struct Lifecycle<'a> {
    #[serde(borrow)]
    client_id: Text<'a>,
    #[serde(borrow)]
    username: Option<Text<'a>>,
    #[serde(borrow)]
    mountpoint: Text<'a>,
}

#[derive(Deserialize)]
struct Publish<'a> {
    #[serde(borrow)]
    client_id: Text<'a>,
    #[serde(borrow)]
    username: Option<Text<'a>>,
    #[serde(borrow)]
    mountpoint: Text<'a>,
    #[serde(borrow)]
    topic: Text<'a>,
    qos: QoS,
    retain: bool,
}

#[derive(Deserialize)]
struct Subscribe<'a> {
    #[serde(borrow)]
    client_id: Text<'a>,
    #[serde(borrow)]
    username: Option<Text<'a>>,
    #[serde(borrow)]
    mountpoint: Text<'a>,
    #[serde(borrow)]
    topics: Vec<Object<Subscription<'a>>>,
}

/// A filter with its options, as asked and as echoed.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Subscription<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    qos: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    no_local: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rap: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retain_handling: Option<RetainHandling>,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum RetainHandling {
    SendRetain,
    SendIfNewSub,
    DontSend,
}

/// The filters of a SUBSCRIBE, to be repeated in their order.
#[derive(Debug)]
pub struct SubscribeEcho<'a> {
    topics: Vec<Subscription<'a>>,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V3,
    V5,
}

/// Reads a question.
///
/// # Errors
/// [`Unreadable`].
pub fn decode<'a>(request: &RawRequest<'a>) -> Result<Question<'a>, Unreadable> {
    if !request.path.is_empty() {
        return Err(Unreadable::UnknownHook);
    }
    let body = request.body;
    let hook = request.headers.value(HOOK_HEADER);
    match hook.ok_or(Unreadable::UnknownHook)? {
        "auth_on_register" | "auth_on_register_m5" => register(body),
        "auth_on_publish" | "auth_on_publish_m5" => publish(body),
        "auth_on_subscribe" => subscribe(body, Version::V3),
        "auth_on_subscribe_m5" => subscribe(body, Version::V5),
        "on_register" | "on_register_m5" => session_event(body, SessionChange::Opened),
        "on_client_offline" => session_event(body, SessionChange::Offline),
        "on_client_gone" => session_event(body, SessionChange::Gone),
        "on_session_expired" => session_event(body, SessionChange::Expired),
        // `on_auth_m5` is missing on purpose: its reply cannot succeed over webhooks.
        "on_publish" | "on_publish_m5" | "on_subscribe" | "on_subscribe_m5" | "on_unsubscribe"
        | "on_unsubscribe_m5" | "on_deliver" | "on_deliver_m5" | "on_offline_message"
        | "on_client_wakeup" => Ok(Question::plain(Call::Event(None))),
        _ => Err(Unreadable::UnknownHook),
    }
}

/// Writes a reply.
pub fn encode(question: &Question<'_>, answer: &Answer) -> Reply {
    match (answer, &question.echo) {
        (Answer::Connect(Decision::Allow(grant)), Echo::ClientId(client_id)) => {
            match &grant.mountpoint {
                None => reply(OK),
                Some(mountpoint) => json(&serde_json::json!({
                    "result": "ok",
                    "modifiers": { "client_id": client_id, "mountpoint": mountpoint }
                })),
            }
        }
        (Answer::Connect(decision), _) => refusal_or_next(decision),
        (Answer::Session(decision), _) => refusal_or_next(decision),
        (Answer::Publish(Decision::Allow(_)), _) => reply(OK),
        (Answer::Publish(decision), _) => refusal_or_next(decision),
        (Answer::Subscribe(decisions), Echo::Subscribe(echo)) => echo.encode(decisions),
        (Answer::Subscribe(_), _) => reply(NOT_AUTHORIZED),
        (Answer::Event, _) => reply("{}"),
    }
}

/// The reply that VerneMQ reads as no. The text goes to the broker's log only.
pub fn refuse(refusal: Refusal) -> Reply {
    reply(match refusal {
        Refusal::Malformed => r#"{"result":{"error":"malformed_request"}}"#,
        Refusal::UnknownHook => r#"{"result":{"error":"unknown_hook"}}"#,
        Refusal::Unauthorized => r#"{"result":{"error":"wrong_hook_secret"}}"#,
        Refusal::Overloaded => r#"{"result":{"error":"overloaded"}}"#,
        Refusal::Unavailable | Refusal::Panicked => r#"{"result":{"error":"unavailable"}}"#,
    })
}

fn refusal_or_next<G>(decision: &Decision<G>) -> Reply {
    reply(if matches!(decision, Decision::Abstain) {
        NEXT
    } else {
        NOT_AUTHORIZED
    })
}

fn reply(body: impl Into<Cow<'static, str>>) -> Reply {
    Reply::json(200, body)
}

fn json(body: &serde_json::Value) -> Reply {
    reply(body.to_string())
}

fn register(body: &[u8]) -> Result<Question<'_>, Unreadable> {
    let Register {
        client_id,
        username,
        password,
        mountpoint,
        peer_addr,
    } = parse(body)?;
    let echo = Echo::ClientId(client_id.0.clone());
    let peer = peer(client_id, username, mountpoint);
    let password = password.map(|password| SecretStr::new(password.0));
    Ok(Question {
        call: Call::Connect(ConnectRequest {
            peer,
            password,
            address: peer_addr.and_then(|text| address(&text.0)),
        }),
        echo,
    })
}

fn publish(body: &[u8]) -> Result<Question<'_>, Unreadable> {
    let Publish {
        client_id,
        username,
        mountpoint,
        topic,
        qos,
        retain,
    } = parse(body)?;
    let call = Call::Publish(PublishRequest {
        peer: peer(client_id, username, mountpoint),
        topic: topic.0,
        qos: Some(qos),
        retain: Some(retain),
        names: TopicNames::Exact,
    });
    Ok(Question::plain(call))
}

fn subscribe(body: &[u8], version: Version) -> Result<Question<'_>, Unreadable> {
    let Subscribe {
        client_id,
        username,
        mountpoint,
        topics,
    } = parse(body)?;
    let topics: Vec<_> = topics.into_iter().map(|topic| topic.0).collect();
    if topics.is_empty() || topics.len() > MAX_FILTERS {
        return Err(Unreadable::Malformed);
    }
    let filters = topics
        .iter()
        .map(|one| {
            let qos = QoS::try_from(one.qos).map_err(|_| Unreadable::Malformed)?;
            Ok(RequestedFilter {
                filter: one.topic.clone(),
                qos: Some(qos),
            })
        })
        .collect::<Result<_, _>>()?;
    let peer = peer(client_id, username, mountpoint);
    let call = Call::Subscribe(SubscribeRequest {
        peer,
        filters,
        names: TopicNames::Exact,
    });
    Ok(Question {
        call,
        echo: Echo::Subscribe(SubscribeEcho { topics, version }),
    })
}

fn session_event(body: &[u8], change: SessionChange) -> Result<Question<'_>, Unreadable> {
    let Lifecycle {
        client_id,
        username,
        mountpoint,
    } = parse(body)?;
    let peer = peer(client_id, username, mountpoint);
    Ok(Question::plain(Call::Event(Some(SessionEvent {
        peer,
        change,
    }))))
}

fn peer<'a>(client_id: Text<'a>, username: Option<Text<'a>>, mountpoint: Text<'a>) -> Peer<'a> {
    Peer {
        username: username.map(|text| text.0),
        client_id: client_id.0,
        compartment: Some(mountpoint.0),
    }
}

impl SubscribeEcho<'_> {
    fn encode(&self, decisions: &[Decision<TopicGrant>]) -> Reply {
        if decisions.len() != self.topics.len() {
            return reply(NOT_AUTHORIZED);
        }
        // The name decides whose client it is, so it is not ours for every filter or for none.
        if decisions.iter().all(|one| matches!(one, Decision::Abstain)) {
            return reply(NEXT);
        }
        let granted: Vec<Option<u8>> = self
            .topics
            .iter()
            .zip(decisions)
            .map(|(topic, one)| granted(topic, one))
            .collect();
        if granted.iter().all(Option::is_none) {
            return reply(NOT_AUTHORIZED);
        }
        if self
            .topics
            .iter()
            .zip(&granted)
            .all(|(topic, qos)| *qos == Some(topic.qos))
        {
            return reply(OK);
        }
        let refused = if self.version == Version::V3 {
            REFUSED_V3
        } else {
            REFUSED_V5
        };
        let topics: Vec<Subscription<'_>> = self
            .topics
            .iter()
            .zip(&granted)
            .map(|(topic, qos)| Subscription {
                qos: qos.unwrap_or(refused),
                ..topic.clone()
            })
            .collect();
        json(&match self.version {
            Version::V3 => serde_json::json!({ "result": "ok", "topics": topics }),
            Version::V5 => {
                serde_json::json!({ "result": "ok", "modifiers": { "topics": topics } })
            }
        })
    }
}

/// The level to answer for one filter; `None`: refused.
fn granted(topic: &Subscription<'_>, decision: &Decision<TopicGrant>) -> Option<u8> {
    match decision {
        Decision::Allow(grant) => Some(grant.qos.map_or(topic.qos, u8::from).min(topic.qos)),
        Decision::Deny(_) | Decision::Abstain => None,
    }
}
