//! Azure Event Grid's MQTT broker: authentication by a webhook of one's own.
//!
//! One question, `auth`, by POST: a JSON object with `clientId`, and `userName` and `password`
//! (base64) where the client sent them. 200 with `decision` is the verdict; a client is told "not
//! authorized" after a deny, and "server unavailable" when the webhook fails, which a 503 makes sure
//! of. Topics are not asked about: they hang on the namespace's client groups and permission
//! bindings, which see the `attributes` of the reply and grant nothing by themselves.
//!
//! Azure also sends a Microsoft Entra token as `Authorization: Bearer`. It is not checked here: the
//! secret in the path is the proof, and the way is HTTPS.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::decision::{Decision, Grant};
use crate::hooks::call::{Answer, Call, Method, Question, RawRequest, Refusal, Reply, Unreadable};
use crate::hooks::expresses::{
    AclReply, AliasedTopic, Expresses, Filters, Hooks, Places, SharedPrefix, Unavailable, WillAsked,
};
use crate::hooks::json::{Password, Text, from_base64, parse};
use crate::mqtt::request::{ConnectRequest, Peer};

/// broker-hooks section 9.2.
pub const EXPRESSES: Expresses = Expresses {
    methods: &[Method::Post],
    hooks: Hooks::InPath(&["auth"]),
    unavailable: Unavailable::Distinct,
    abstains: false,
    expiry: true,
    acl: AclReply::Elsewhere,
    places: Places::One,
    shared: SharedPrefix::NotAsked,
    aliased: AliasedTopic::NotAsked,
    will: WillAsked::Never,
    filters: Filters::NotAsked,
    qos: false,
    retain: false,
    lowers_qos: false,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connect<'a> {
    #[serde(borrow)]
    client_id: Text<'a>,
    #[serde(borrow)]
    user_name: Option<Text<'a>>,
    #[serde(borrow)]
    password: Option<Password<'a>>,
}

/// Reads a question.
///
/// # Errors
/// [`Unreadable`].
pub fn decode<'a>(request: &RawRequest<'a>) -> Result<Question<'a>, Unreadable> {
    if request.path != "auth" {
        return Err(Unreadable::UnknownHook);
    }
    let connect: Connect<'a> = parse(request.body)?;
    let peer = Peer {
        username: connect.user_name.map(|name| name.0),
        client_id: connect.client_id.0,
        compartment: None,
    };
    let password = connect.password.map(from_base64).transpose()?;
    Ok(Question::plain(Call::Connect(ConnectRequest {
        peer,
        password,
        address: None,
    })))
}

/// Writes a reply.
pub fn encode(answer: &Answer) -> Reply {
    match answer {
        Answer::Connect(Decision::Allow(grant)) => Reply::json(200, allow(grant).to_string()),
        _ => Reply::json(200, r#"{"decision":"deny","errorReason":"not_authorized"}"#),
    }
}

/// The reply that Azure reads as no.
pub fn refuse(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Overloaded | Refusal::Unavailable | Refusal::Panicked => {
            Reply::json(503, r#"{"decision":"deny","errorReason":"unavailable"}"#)
        }
        Refusal::Malformed | Refusal::UnknownHook | Refusal::Unauthorized => {
            Reply::json(200, r#"{"decision":"deny","errorReason":"not_authorized"}"#)
        }
    }
}

fn allow(grant: &Grant) -> Value {
    let username = &grant.username;
    let mut reply = json!({
        "decision": "allow",
        "clientAuthenticationName": username.to_string(),
        "attributes": {
            "organization": username.organization.as_str(),
            "username": username.local.as_str(),
        },
    });
    if let Some(end) = grant.expires_at {
        reply["expiration"] = json!(end.as_second());
    }
    reply
}
