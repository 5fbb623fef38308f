//! mosquitto-auth-plug: its HTTP back-end (`be-http.c`), the forerunner of mosquitto-go-auth.
//!
//! The same questions, `user`, `superuser` and `acl`, in a form. The verdict is the status, and only
//! 200 is a yes. Everything else is a 403.

use crate::hooks::call::{Answer, Method, Question, RawRequest, Refusal, Reply, Unreadable};
use crate::hooks::expresses::{Expresses, Unavailable};
use crate::hooks::mosquitto_go_auth;

/// broker-hooks section 5.1, at its end.
pub const EXPRESSES: Expresses = Expresses {
    methods: &[Method::Get, Method::Post],
    unavailable: Unavailable::AsNo,
    ..mosquitto_go_auth::EXPRESSES
};

/// Reads a question.
///
/// # Errors
/// [`Unreadable`].
pub fn decode<'a>(request: &RawRequest<'a>) -> Result<Question<'a>, Unreadable> {
    mosquitto_go_auth::decode(request)
}

/// Writes a reply.
pub fn encode(answer: &Answer) -> Reply {
    if answer.is_yes() {
        Reply::word(200, "ok")
    } else {
        Reply::word(403, "denied")
    }
}

/// The reply that the plugin reads as no.
pub fn refuse(_refusal: Refusal) -> Reply {
    Reply::word(403, "denied")
}
