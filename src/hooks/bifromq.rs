//! BifroMQ's webhook (`WebHookBasedAuthProvider` of its plugin demo).
//!
//! `auth` is a CONNECT: a JSON object with `clientId`, and `username` and `password` (base64) where
//! the client sent them. Its yes names the tenant of the session, a topic tree of its own, and a
//! user id. `check` is everything later: the headers `tenant_id` and `user_id` say who asks, the body
//! has one of `pub`, `sub`, `unsub` and `conn`, and the reply is the word `true` or `false`.
//!
//! A `check` has no client id. The user id is ours to choose, so it carries one:
//! `<username>/<client id>`, the client id with everything but letters and digits escaped, as it
//! travels in a header.
//!
//! A refused CONNECT has a code: `NotAuthorized`, and `Error` for a failure of the server.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use crate::engine::decision::{Decision, Grant};
use crate::hooks::call::{
    Answer, Call, Echo, Method, Question, RawRequest, Refusal, Reply, Unreadable,
};
use crate::hooks::expresses::{
    AclReply, AliasedTopic, Expresses, Filters, Hooks, Places, SharedPrefix, Unavailable, WillAsked,
};
use crate::hooks::json::{Object, Password, Text, from_base64, parse};
use crate::hooks::templated::{self, Access};
use crate::mqtt::qos::QoS;
use crate::mqtt::request::{ConnectRequest, Peer, SessionRequest, address};

/// broker-hooks section 8.2. Whether `$share/<group>/` is still in front of a filter is not known:
/// it is taken off where it stands, and no other filter begins with it.
pub const EXPRESSES: Expresses = Expresses {
    methods: &[Method::Post],
    hooks: Hooks::InPath(&["auth", "check"]),
    unavailable: Unavailable::Distinct,
    abstains: false,
    expiry: false,
    acl: AclReply::None,
    places: Places::Named,
    shared: SharedPrefix::Kept,
    aliased: AliasedTopic::Resolved,
    will: WillAsked::WhenSent,
    filters: Filters::OneByOne,
    qos: true,
    retain: true,
    lowers_qos: false,
};

/// How sessions are placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The tenant of every session, unless organizations are kept apart by tenants. It is the home of
    /// the broker connection.
    pub tenant: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Auth<'a> {
    #[serde(borrow)]
    client_id: Text<'a>,
    #[serde(borrow)]
    username: Option<Text<'a>>,
    #[serde(borrow)]
    password: Option<Password<'a>>,
    #[serde(borrow)]
    remote_addr: Option<Text<'a>>,
}

/// The JSON form of a protobuf message: of its alternatives, one is there; what has its default
/// value may be left out.
#[derive(Deserialize)]
struct Check<'a> {
    #[serde(borrow, rename = "pub")]
    publish: Option<Object<Publish<'a>>>,
    #[serde(borrow, rename = "sub")]
    subscribe: Option<Object<Subscribe<'a>>>,
    #[serde(rename = "unsub")]
    unsubscribe: Option<Object<Nothing>>,
    #[serde(rename = "conn")]
    connected: Option<Object<Nothing>>,
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Publish<'a> {
    #[serde(borrow)]
    topic: Text<'a>,
    #[serde(borrow)]
    qos: Option<Text<'a>>,
    #[serde(default)]
    is_retained: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscribe<'a> {
    #[serde(borrow)]
    topic_filter: Text<'a>,
    #[serde(borrow)]
    qos: Option<Text<'a>>,
}

/// Reads a question.
///
/// # Errors
/// [`Unreadable`].
pub fn decode<'a>(request: &RawRequest<'a>) -> Result<Question<'a>, Unreadable> {
    match request.path {
        "auth" => connect(request.body),
        "check" => check(request).map(Question::plain),
        _ => Err(Unreadable::UnknownHook),
    }
}

/// Writes a reply.
pub fn encode(settings: &Settings, question: &Question<'_>, answer: &Answer) -> Reply {
    match (answer, &question.echo) {
        (Answer::Connect(Decision::Allow(grant)), Echo::ClientId(client_id)) => {
            accept(settings, grant, client_id)
        }
        (Answer::Connect(_), _) | (_, Echo::ClientId(_)) => reject("NotAuthorized"),
        (answer, _) => Reply::word(200, if answer.is_yes() { "true" } else { "false" }),
    }
}

/// The reply that BifroMQ reads as no to either question: at `check`, all but the word `true` is.
pub fn refuse(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Overloaded | Refusal::Unavailable | Refusal::Panicked => reject("Error"),
        Refusal::Malformed | Refusal::UnknownHook | Refusal::Unauthorized => {
            reject("NotAuthorized")
        }
    }
}

fn reject(code: &str) -> Reply {
    let reason = if code == "Error" {
        "unavailable"
    } else {
        "not_authorized"
    };
    let body = json!({"reject": {"code": code, "tenantId": "", "userId": "", "reason": reason}});
    Reply::json(200, body.to_string())
}

fn accept(settings: &Settings, grant: &Grant, client_id: &str) -> Reply {
    let tenant = match &grant.mountpoint {
        Some(organization) => organization.as_str(),
        None => settings.tenant.as_str(),
    };
    let client_id = utf8_percent_encode(client_id, NON_ALPHANUMERIC);
    let user = format!("{}/{client_id}", grant.username);
    let body = json!({"ok": {"tenantId": tenant, "userId": user, "attrs": {}}});
    Reply::json(200, body.to_string())
}

fn connect(body: &[u8]) -> Result<Question<'_>, Unreadable> {
    let auth: Auth<'_> = parse(body)?;
    let echo = Echo::ClientId(auth.client_id.0.clone());
    let peer = Peer {
        username: present(auth.username.map(|name| name.0)),
        client_id: auth.client_id.0,
        // The tenant is chosen by the answer.
        compartment: None,
    };
    let password = auth.password.map(from_base64).transpose()?;
    Ok(Question {
        call: Call::Connect(ConnectRequest {
            peer,
            password,
            address: auth.remote_addr.and_then(|text| address(&text.0)),
        }),
        echo,
    })
}

/// A text of protobuf is empty where there is none.
fn present(text: Option<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    text.filter(|text| !text.is_empty())
}

fn check<'a>(request: &RawRequest<'a>) -> Result<Call<'a>, Unreadable> {
    let peer = peer(request)?;
    let check: Check<'a> = parse(request.body)?;
    match (
        check.publish,
        check.subscribe,
        check.unsubscribe,
        check.connected,
    ) {
        (Some(Object(publish)), None, None, None) => Ok(templated::about_topic_at(
            peer,
            Access::Publish,
            publish.topic.0,
            level(publish.qos)?,
            Some(publish.is_retained),
        )),
        (None, Some(Object(subscribe)), None, None) => Ok(templated::about_topic_at(
            peer,
            Access::Subscribe,
            subscribe.topic_filter.0,
            level(subscribe.qos)?,
            None,
        )),
        // To leave and to stay need a login that is still good.
        (None, None, Some(_), None) | (None, None, None, Some(_)) => {
            Ok(Call::Session(SessionRequest { peer }))
        }
        _ => Err(Unreadable::Malformed),
    }
}

fn peer<'a>(request: &RawRequest<'a>) -> Result<Peer<'a>, Unreadable> {
    let header = |name| request.headers.value(name).ok_or(Unreadable::Malformed);
    let (user, tenant) = (header("user_id")?, header("tenant_id")?);
    let (username, client_id) = user.split_once('/').ok_or(Unreadable::Malformed)?;
    let client_id = percent_decode_str(client_id).decode_utf8();
    Ok(Peer {
        username: Some(Cow::Owned(username.to_owned())),
        client_id: Cow::Owned(client_id.map_err(|_| Unreadable::Malformed)?.into_owned()),
        compartment: Some(Cow::Owned(tenant.to_owned())),
    })
}

/// A level as the JSON form of protobuf writes an enum; the first may be left out.
fn level(name: Option<Text<'_>>) -> Result<Option<QoS>, Unreadable> {
    match name.as_ref().map(|name| &*name.0) {
        None | Some("AT_MOST_ONCE") => Ok(Some(QoS::AtMostOnce)),
        Some("AT_LEAST_ONCE") => Ok(Some(QoS::AtLeastOnce)),
        Some("EXACTLY_ONCE") => Ok(Some(QoS::ExactlyOnce)),
        Some(_) => Err(Unreadable::Malformed),
    }
}
