//! Brokers whose operator writes down which field holds what: EMQX, NanoMQ, RMQTT and the two
//! Mosquitto plugins. All have the same few words, and all values are texts.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::engine::decision::DenyReason;
use crate::hooks::call::{Answer, Call, MAX_FILTERS, Question, RawRequest, Reply, Unreadable};
use crate::hooks::form::Form;
use crate::mqtt::qos::QoS;
use crate::mqtt::request::{
    ConnectRequest, Peer, PublishRequest, RequestedFilter, SubscribeRequest, TopicNames, address,
};
use crate::secret::SecretStr;

/// Reads the question of one hook.
pub type Read<'a> = fn(Form<'a>) -> Result<Call<'a>, Unreadable>;

/// What a client wants with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To publish to it.
    Publish,
    /// To subscribe to it.
    Subscribe,
}

impl Access {
    /// Reads EMQX's numbers, which NanoMQ and RMQTT have taken over: `1` subscribes, `2` publishes.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`].
    pub fn from_number(text: &str) -> Result<Self, Unreadable> {
        match text {
            "1" => Ok(Access::Subscribe),
            "2" => Ok(Access::Publish),
            _ => Err(Unreadable::Malformed),
        }
    }
}

/// Reads a question, given the hooks by name.
///
/// # Errors
/// [`Unreadable`].
pub fn decode<'a>(
    request: &RawRequest<'a>,
    hooks: &[(&str, Read<'a>)],
) -> Result<Question<'a>, Unreadable> {
    let hook = hooks.iter().find(|(name, _)| *name == request.path);
    let (_, read) = hook.ok_or(Unreadable::UnknownHook)?;
    Ok(Question::plain(read(Form::read(request)?)?))
}

/// The verdict as EMQX 5 and RMQTT read it: status 200 and an object with `result`.
pub fn verdict(answer: &Answer) -> Reply {
    if answer.is_yes() {
        Reply::json(200, r#"{"result":"allow"}"#)
    } else if answer.is_abstention() {
        Reply::json(200, r#"{"result":"ignore"}"#)
    } else {
        deny()
    }
}

/// The no in it.
pub fn deny() -> Reply {
    Reply::json(200, r#"{"result":"deny"}"#)
}

/// Who asks: `clientid` and `username`, which is empty where the client sent none.
///
/// # Errors
/// [`Unreadable::Malformed`] without a client id.
pub fn peer<'a>(form: &mut Form<'a>) -> Result<Peer<'a>, Unreadable> {
    Ok(Peer {
        client_id: form.need("clientid")?,
        username: form.take_filled("username")?,
        compartment: None,
    })
}

/// A CONNECT: [`peer`] and `password`, which is empty where the client sent none.
///
/// # Errors
/// As [`peer`].
pub fn connect<'a>(mut form: Form<'a>) -> Result<Call<'a>, Unreadable> {
    let peer = peer(&mut form)?;
    let password = form.take_filled("password")?.map(SecretStr::new);
    Ok(Call::Connect(ConnectRequest {
        peer,
        password,
        address: client_address(&mut form),
    }))
}

/// Where the client connects from, by the names that EMQX (`peerhost`) and the others (`ipaddr`) use.
/// What is no address, such as a placeholder that a broker does not know, tells nothing.
fn client_address(form: &mut Form<'_>) -> Option<IpAddr> {
    let told = |name| {
        form.take(name)
            .ok()
            .flatten()
            .and_then(|text| address(&text))
    };
    ["peerhost", "ipaddr"].into_iter().find_map(told)
}

/// A PUBLISH or a SUBSCRIBE of one filter.
pub fn about_topic<'a>(peer: Peer<'a>, access: Access, topic: Cow<'a, str>) -> Call<'a> {
    about_topic_at(peer, access, topic, None, None)
}

/// The same where level and retain flag may be told.
pub fn about_topic_at<'a>(
    peer: Peer<'a>,
    access: Access,
    topic: Cow<'a, str>,
    qos: Option<QoS>,
    retain: Option<bool>,
) -> Call<'a> {
    let names = TopicNames::Exact;
    match access {
        Access::Publish => Call::Publish(PublishRequest {
            peer,
            topic,
            qos,
            retain,
            names,
        }),
        Access::Subscribe => Call::Subscribe(SubscribeRequest {
            peer,
            filters: vec![RequestedFilter { filter: topic, qos }],
            names,
        }),
    }
}

/// A SUBSCRIBE whose filters are joined with commas (NanoMQ).
///
/// # Errors
/// [`Unreadable::Malformed`] for too many of them.
pub fn about_joined<'a>(peer: Peer<'a>, joined: Cow<'a, str>) -> Result<Call<'a>, Unreadable> {
    let one = |filter| RequestedFilter { filter, qos: None };
    let filters: Vec<_> = match joined {
        Cow::Borrowed(text) => text.split(',').map(|part| one(part.into())).collect(),
        Cow::Owned(text) => text
            .split(',')
            .map(|part| one(part.to_owned().into()))
            .collect(),
    };
    if filters.len() > MAX_FILTERS {
        return Err(Unreadable::Malformed);
    }
    let names = TopicNames::Exact;
    Ok(Call::Subscribe(SubscribeRequest {
        peer,
        filters,
        names,
    }))
}

/// Whether a login may do whatever it likes: none may.
///
/// # Errors
/// None; it has the shape of a [`Read`].
pub fn superuser<'a>(_: Form<'a>) -> Result<Call<'a>, Unreadable> {
    Ok(Call::Refused(DenyReason::NoSuperuser))
}
