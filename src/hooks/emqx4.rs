//! EMQX 4 (`emqx_auth_http`, 4.4).
//!
//! Three questions, `auth`, `superuser` and `acl`, by GET or POST, in a form or JSON, with the
//! default names: `clientid`, `username`, `password`; `access`, `topic`, `mountpoint`. The verdict
//! is the status: 200 is a yes whatever the body says, except for the body `ignore`. A connection
//! that closes without an answer is "next" to `acl`, and at the end stands `acl_nomatch`, which
//! allows by default: also an overloaded server has to answer, with a status that is not 200.
//!
//! At `auth`, 503 is "server unavailable" to the client. An absent username arrives as the text
//! `undefined`.

use crate::hooks::call::{Answer, Call, Method, Question, RawRequest, Refusal, Reply, Unreadable};
use crate::hooks::expresses::{
    AclReply, AliasedTopic, Expresses, Filters, Hooks, Places, SharedPrefix, Unavailable, WillAsked,
};
use crate::hooks::form::Form;
use crate::hooks::templated::{self, Access};

/// broker-hooks section 3.1.
pub const EXPRESSES: Expresses = Expresses {
    methods: &[Method::Get, Method::Post],
    hooks: Hooks::InPath(&["auth", "superuser", "acl"]),
    unavailable: Unavailable::Distinct,
    abstains: true,
    expiry: false,
    acl: AclReply::None,
    places: Places::One,
    shared: SharedPrefix::Stripped,
    aliased: AliasedTopic::Resolved,
    will: WillAsked::WhenSent,
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
    templated::decode(
        request,
        &[
            ("auth", connect),
            ("superuser", templated::superuser),
            ("acl", about_topic),
        ],
    )
}

/// Writes a reply.
pub fn encode(answer: &Answer) -> Reply {
    if answer.is_yes() {
        Reply::word(200, "allow")
    } else if answer.is_abstention() {
        Reply::word(200, "ignore")
    } else {
        Reply::word(403, "deny")
    }
}

/// The reply that EMQX reads as no; at `auth` it tells apart that the server is the reason.
pub fn refuse(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Overloaded | Refusal::Unavailable | Refusal::Panicked => {
            Reply::word(503, "unavailable")
        }
        Refusal::Malformed | Refusal::UnknownHook | Refusal::Unauthorized => {
            Reply::word(403, "deny")
        }
    }
}

fn connect<'a>(form: Form<'a>) -> Result<Call<'a>, Unreadable> {
    Ok(match templated::connect(form)? {
        Call::Connect(mut request) => {
            request.peer.username = request.peer.username.filter(|name| name != "undefined");
            Call::Connect(request)
        }
        call => call,
    })
}

fn about_topic<'a>(mut form: Form<'a>) -> Result<Call<'a>, Unreadable> {
    let access = Access::from_number(&form.need("access")?)?;
    let topic = form.need("topic")?;
    let mut peer = templated::peer(&mut form)?;
    peer.username = peer.username.filter(|name| name != "undefined");
    peer.compartment = Some(form.take("mountpoint")?.unwrap_or_default());
    Ok(templated::about_topic(peer, access, topic))
}
