//! RMQTT 0.24 (`rmqtt-auth-http`).
//!
//! Two questions, `auth` and `acl`, by GET, POST or PUT, in a form or JSON: `clientid`, `username`,
//! `password`; `access`, `topic`. A reply of any content type but JSON is a yes unless it is a word
//! that RMQTT knows, an empty one too, and every 4xx and 5xx is "ignore". So every refusal is a 200
//! with the JSON object that says `deny`; there is no word for "unavailable".
//!
//! RMQTT fills its placeholders one after the other into the same text, so a client's `%P` or `%t`
//! is replaced as well. No username of ours has a `%`. A client id may have one, and what arrives is
//! then not what the client sent, so it is denied.
//!
//! A will is published without a question. Only the broker's own settings can forbid wills.

use serde_json::{Value, json};

use crate::engine::decision::{Decision, DenyReason, Grant};
use crate::hooks::call::{Answer, Call, Method, Question, RawRequest, Refusal, Reply, Unreadable};
use crate::hooks::expresses::{
    AclReply, AliasedTopic, Expresses, Filters, Hooks, Places, SharedPrefix, Unavailable, WillAsked,
};
use crate::hooks::form::Form;
use crate::hooks::rules_reply::{self, Matcher};
use crate::hooks::templated::{self, Access};

/// broker-hooks section 7. The end of a login is looked at with every PINGREQ where
/// `disconnect_if_expiry` is set.
pub const EXPRESSES: Expresses = Expresses {
    methods: &[Method::Get, Method::Post, Method::Put],
    hooks: Hooks::InPath(&["auth", "acl"]),
    unavailable: Unavailable::AsNo,
    abstains: true,
    expiry: true,
    acl: AclReply::Optional,
    places: Places::One,
    shared: SharedPrefix::Stripped,
    aliased: AliasedTopic::Resolved,
    will: WillAsked::Never,
    filters: Filters::OneByOne,
    qos: false,
    retain: false,
    lowers_qos: false,
};

/// Reads a question.
///
/// # Errors
/// [`Unreadable`].
pub fn decode<'a>(request: &RawRequest<'a>) -> Result<Question<'a>, Unreadable> {
    templated::decode(request, &[("auth", connect), ("acl", about_topic)])
}

/// Writes a reply.
pub fn encode(answer: &Answer) -> Reply {
    match answer {
        Answer::Connect(Decision::Allow(grant)) => Reply::json(200, allow(grant).to_string()),
        answer => templated::verdict(answer),
    }
}

/// The reply that RMQTT reads as no.
pub fn refuse(_refusal: Refusal) -> Reply {
    templated::deny()
}

fn connect<'a>(form: Form<'a>) -> Result<Call<'a>, Unreadable> {
    Ok(match templated::connect(form)? {
        Call::Connect(request) if request.peer.client_id.contains('%') => {
            Call::Refused(DenyReason::ForeignClientId)
        }
        call => call,
    })
}

fn about_topic<'a>(mut form: Form<'a>) -> Result<Call<'a>, Unreadable> {
    let access = Access::from_number(&form.need("access")?)?;
    let topic = form.need("topic")?;
    let peer = templated::peer(&mut form)?;
    if peer.client_id.contains('%') {
        return Ok(Call::Refused(DenyReason::ForeignClientId));
    }
    Ok(templated::about_topic(peer, access, topic))
}

/// RMQTT forgets `expire_at` when there is no list of rules beside it. An empty list decides
/// nothing, so that every topic is asked about.
fn allow(grant: &Grant) -> Value {
    let mut reply = json!({"result": "allow", "superuser": false});
    if let Some(end) = grant.expires_at {
        reply["expire_at"] = json!(end.as_second());
        reply["acl"] = json!([]);
    }
    let rules = grant.rules.as_ref();
    if let Some(rules) = rules.and_then(|rules| rules_reply::say(rules, Matcher::Rmqtt)) {
        reply["acl"] = rules;
    }
    reply
}
