//! EMQX 5 and 6: the HTTP authenticator and the HTTP authorizer (`emqx_authn_http`,
//! `emqx_authz_http`).
//!
//! Two questions, `auth` and `acl`, by GET or POST, in a form or JSON; the operator's template says
//! which field holds what, and these are the names that are read: `clientid`, `username`,
//! `password`; `topic`, `action` (or `access`), `qos`, `retain`, `mountpoint`. An absent value is an
//! empty text. The reply is status 200 and a JSON object with `result`; everything else is "ignore"
//! to EMQX, and at the end of an ignored chain EMQX 5 allows topics by default. So every refusal is
//! a 200 that says `deny`; there is no word for "unavailable".
//!
//! By GET, a topic of more than some 40,000 bytes escapes into a request line that is longer than the
//! server takes; the HTTP framework refuses it with a status, so EMQX ignores it. By POST everything
//! that MQTT can carry fits.
//!
//! Where organizations are kept apart by mountpoints, EMQX has to make one of an attribute of the
//! login, and every question has to show it: one without it is denied, so that a listener which was
//! set up without a mountpoint lets nobody publish or subscribe.
//!
//! A CONNECT's yes carries what EMQX can do by itself: end the session (`expire_at`, 5.8), know the
//! organization (`client_attrs`, 5.7), apply the rules (`acl`, 5.8). Older ones pass over them.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::engine::decision::{Decision, Grant};
use crate::hooks::call::{Answer, Call, Method, Question, RawRequest, Refusal, Reply, Unreadable};
use crate::hooks::expresses::{
    AclReply, AliasedTopic, Expresses, Filters, Hooks, Places, SharedPrefix, Unavailable, WillAsked,
};
use crate::hooks::form::Form;
use crate::hooks::rules_reply::{self, Matcher};
use crate::hooks::templated::{self, Access};
use crate::mqtt::qos::QoS;

/// broker-hooks section 2. `ignore` asks the next authenticator or source; behind the last one
/// stands `authorization.no_match`, which has to be `deny`.
pub const EXPRESSES: Expresses = Expresses {
    methods: &[Method::Get, Method::Post],
    hooks: Hooks::InPath(&["auth", "acl"]),
    unavailable: Unavailable::AsNo,
    abstains: true,
    expiry: true,
    acl: AclReply::Optional,
    places: Places::Named,
    shared: SharedPrefix::Stripped,
    aliased: AliasedTopic::Resolved,
    will: WillAsked::WhenSent,
    filters: Filters::OneByOne,
    qos: true,
    retain: true,
    lowers_qos: false,
};

/// Reads a question.
///
/// # Errors
/// [`Unreadable`].
pub fn decode<'a>(request: &RawRequest<'a>) -> Result<Question<'a>, Unreadable> {
    templated::decode(
        request,
        &[("auth", templated::connect), ("acl", about_topic)],
    )
}

/// Writes a reply.
pub fn encode(answer: &Answer) -> Reply {
    match answer {
        Answer::Connect(Decision::Allow(grant)) => Reply::json(200, allow(grant).to_string()),
        answer => templated::verdict(answer),
    }
}

/// The reply that EMQX reads as no.
pub fn refuse(_refusal: Refusal) -> Reply {
    templated::deny()
}

fn about_topic<'a>(mut form: Form<'a>) -> Result<Call<'a>, Unreadable> {
    let access = access(&mut form)?;
    let mut peer = templated::peer(&mut form)?;
    // One that is left out of the template is no mountpoint: where organizations live in theirs,
    // the answer is no.
    let mountpoint = form.take("mountpoint")?.unwrap_or_default();
    peer.compartment = Some(without_slash(mountpoint));
    let qos = told(form.take("qos")?, qos)?;
    let retain = told(form.take("retain")?, truth)?;
    let topic = form.need("topic")?;
    Ok(templated::about_topic_at(peer, access, topic, qos, retain))
}

fn access(form: &mut Form<'_>) -> Result<Access, Unreadable> {
    match form.take("action")?.as_deref() {
        Some("publish") => Ok(Access::Publish),
        Some("subscribe") => Ok(Access::Subscribe),
        Some(_) => Err(Unreadable::Malformed),
        None => Access::from_number(&form.need("access")?),
    }
}

/// The value of a placeholder that older versions do not know and leave as it stands.
fn told<T>(
    text: Option<Cow<'_, str>>,
    read: fn(&str) -> Option<T>,
) -> Result<Option<T>, Unreadable> {
    match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) if text.starts_with("${") => Ok(None),
        Some(text) => read(text).map(Some).ok_or(Unreadable::Malformed),
    }
}

fn qos(text: &str) -> Option<QoS> {
    QoS::try_from(text.parse::<u8>().ok()?).ok()
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Mountpoints are prefixes, so they end with a `/` that the organization's name has not.
fn without_slash(mountpoint: Cow<'_, str>) -> Cow<'_, str> {
    match mountpoint {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_suffix('/').unwrap_or(text)),
        Cow::Owned(mut text) => {
            if text.ends_with('/') {
                text.pop();
            }
            Cow::Owned(text)
        }
    }
}

fn allow(grant: &Grant) -> Value {
    let mut reply = json!({
        "result": "allow",
        "is_superuser": false,
        "client_attrs": { "organization": grant.username.organization.as_str() },
    });
    if let Some(organization) = &grant.mountpoint {
        // What `mqtt.namespace_as_mountpoint` (5.9) makes a mountpoint of; a listener's `mountpoint`
        // may name either.
        reply["client_attrs"]["tns"] = json!(organization.as_str());
    }
    if let Some(end) = grant.expires_at {
        // Rounded down: a time that has passed refuses, and the login is not to outlive its end.
        reply["expire_at"] = json!(end.as_second());
    }
    let rules = grant.rules.as_ref();
    if let Some(rules) = rules.and_then(|rules| rules_reply::say(rules, Matcher::Emqx)) {
        reply["acl"] = rules;
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mountpoint_loses_one_slash() {
        for (text, expected) in [
            ("org_a/", "org_a"),
            ("org_a", "org_a"),
            ("", ""),
            ("a//", "a/"),
        ] {
            assert_eq!(without_slash(text.into()), expected);
            assert_eq!(without_slash(text.to_owned().into()), expected);
        }
    }

    #[test]
    fn a_placeholder_that_stayed_tells_nothing() {
        assert_eq!(told(Some("${qos}".into()), qos), Ok(None));
        assert_eq!(told(Some("1".into()), qos), Ok(Some(QoS::AtLeastOnce)));
        assert_eq!(told(Some("3".into()), qos), Err(Unreadable::Malformed));
        assert_eq!(told(Some("yes".into()), truth), Err(Unreadable::Malformed));
        assert_eq!(told(None, truth), Ok(None));
    }
}
