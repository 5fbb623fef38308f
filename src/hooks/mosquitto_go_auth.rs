//! mosquitto-go-auth 3.0: its HTTP backend (`backends/http.go`).
//!
//! Three questions, `user`, `superuser` and `acl`, in JSON or a form (`http_params_mode`): `clientid`,
//! `username`, `password`; `acc`, `topic`. What a yes looks like is a setting of the plugin
//! (`http_response_mode`). A no is a 403 in all of its modes, so that none is taken for a yes when the
//! two settings do not agree; a 5xx would be asked again and cut the client off, and while one
//! question waits the whole broker does.
//!
//! The plugin keeps denials too (`acl_cache_seconds`), and asks about every delivered message of
//! every subscriber (`acc` 1).

use crate::hooks::call::{Answer, Call, Method, Question, RawRequest, Refusal, Reply, Unreadable};
use crate::hooks::expresses::{
    AclReply, AliasedTopic, Expresses, Filters, Hooks, Places, SharedPrefix, Unavailable, WillAsked,
};
use crate::hooks::form::Form;
use crate::hooks::templated::{self, Access};
use crate::mqtt::topic::TopicName;

/// broker-hooks section 5.1. It has no word for "unavailable": a client is told that it may not, or
/// is cut off.
pub const EXPRESSES: Expresses = Expresses {
    methods: &[Method::Get, Method::Post, Method::Put],
    hooks: Hooks::InPath(&["user", "superuser", "acl"]),
    unavailable: Unavailable::AsNo,
    abstains: false,
    expiry: false,
    acl: AclReply::None,
    places: Places::One,
    shared: SharedPrefix::Kept,
    aliased: AliasedTopic::Resolved,
    will: WillAsked::WhenSent,
    filters: Filters::OneByOne,
    qos: false,
    retain: false,
    lowers_qos: false,
};

/// What has to agree with the plugin's own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// `http_response_mode`: what a yes looks like.
    pub response_mode: ResponseMode,
}

/// `http_response_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResponseMode {
    /// `status`: any 2xx.
    #[default]
    Status,
    /// `json`: the object `{"ok":true,"error":""}`.
    Json,
    /// `text`: the word `ok`.
    Text,
}

/// Reads a question.
///
/// # Errors
/// [`Unreadable`].
pub fn decode<'a>(request: &RawRequest<'a>) -> Result<Question<'a>, Unreadable> {
    templated::decode(
        request,
        &[
            ("user", templated::connect),
            ("superuser", templated::superuser),
            ("acl", about_topic),
        ],
    )
}

/// Writes a reply.
pub fn encode(settings: Settings, answer: &Answer) -> Reply {
    if !answer.is_yes() {
        return refused("denied");
    }
    match settings.response_mode {
        ResponseMode::Status | ResponseMode::Text => Reply::word(200, "ok"),
        ResponseMode::Json => Reply::json(200, r#"{"ok":true,"error":""}"#),
    }
}

/// The reply that the plugin reads as no.
pub fn refuse(refusal: Refusal) -> Reply {
    refused(match refusal {
        Refusal::Malformed | Refusal::UnknownHook | Refusal::Unauthorized => "denied",
        Refusal::Overloaded | Refusal::Unavailable | Refusal::Panicked => "unavailable",
    })
}

/// The body is for the plugin's log; it is no yes in any mode.
fn refused(error: &'static str) -> Reply {
    Reply::json(403, format!(r#"{{"ok":false,"error":"{error}"}}"#))
}

fn about_topic<'a>(mut form: Form<'a>) -> Result<Call<'a>, Unreadable> {
    let acc = form.need("acc")?;
    let topic = form.need("topic")?;
    let peer = templated::peer(&mut form)?;
    access(&acc, &topic).map(|access| templated::about_topic(peer, access, topic))
}

/// Reads the bits of Mosquitto (`MOSQ_ACL_*`): 1 for a delivery, 2 for a PUBLISH, 4 for a SUBSCRIBE.
/// A delivery is what a subscription to its very topic would bring.
///
/// # Errors
/// [`Unreadable::Malformed`].
pub fn access(acc: &str, topic: &str) -> Result<Access, Unreadable> {
    match acc {
        // A message has a topic name.
        "1" if TopicName::parse(topic).is_err() => Err(Unreadable::Malformed),
        "1" | "4" => Ok(Access::Subscribe),
        "2" => Ok(Access::Publish),
        _ => Err(Unreadable::Malformed),
    }
}
