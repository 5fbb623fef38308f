//! NanoMQ (`http_auth`, 0.25), and EMQX Edge, which shares its code.
//!
//! The questions of EMQX 4 with other meanings: the status 200 is a yes and everything else is a
//! no (201 and 204 too), bodies are not read, and there is no "ignore". A client that may not
//! connect is cut off without a word, whatever the reason.
//!
//! The filters of one SUBSCRIBE come as one text with commas and get one verdict, so all of them
//! have to be allowed. A comma inside a filter looks the same; so that nothing can be won by that,
//! a topic name with a comma is denied to every publisher.
//!
//! A PUBLISH with an alias alone comes with an empty topic. A denied one is only dropped by some
//! versions, and the `$SYS/brokers/client_status/...` messages that the broker itself publishes in
//! its clients' names are denied without harm (`NanoNNG: nmq_mqtt.c`, `auth_http.c`).

use crate::engine::decision::DenyReason;
use crate::hooks::call::{Answer, Call, Method, Question, RawRequest, Refusal, Reply, Unreadable};
use crate::hooks::expresses::{
    AclReply, AliasedTopic, Expresses, Filters, Hooks, Places, SharedPrefix, Unavailable, WillAsked,
};
use crate::hooks::form::Form;
use crate::hooks::templated::{self, Access};

/// broker-hooks section 3.2.
pub const EXPRESSES: Expresses = Expresses {
    methods: &[Method::Get, Method::Post],
    hooks: Hooks::InPath(&["auth", "superuser", "acl"]),
    unavailable: Unavailable::AsNo,
    abstains: false,
    expiry: false,
    acl: AclReply::None,
    places: Places::One,
    shared: SharedPrefix::Kept,
    aliased: AliasedTopic::Empty,
    will: WillAsked::WhenSent,
    filters: Filters::Joined,
    qos: false,
    retain: false,
    lowers_qos: false,
};

/// Reads a question.
///
/// # Errors
/// [`Unreadable`].
pub fn decode<'a>(request: &RawRequest<'a>) -> Result<Question<'a>, Unreadable> {
    templated::decode(
        request,
        &[
            ("auth", templated::connect),
            ("superuser", templated::superuser),
            ("acl", about_topic),
        ],
    )
}

/// Writes a reply.
pub fn encode(answer: &Answer) -> Reply {
    if answer.is_yes() {
        Reply::word(200, "allow")
    } else {
        Reply::word(403, "deny")
    }
}

/// The reply that NanoMQ reads as no.
pub fn refuse(_refusal: Refusal) -> Reply {
    Reply::word(403, "deny")
}

fn about_topic<'a>(mut form: Form<'a>) -> Result<Call<'a>, Unreadable> {
    let access = Access::from_number(&form.need("access")?)?;
    let topic = form.need("topic")?;
    let peer = templated::peer(&mut form)?;
    match access {
        Access::Subscribe => templated::about_joined(peer, topic),
        Access::Publish if topic.contains(',') => Ok(Call::Refused(DenyReason::InvalidTopic)),
        Access::Publish => Ok(templated::about_topic(peer, access, topic)),
    }
}
