//! RabbitMQ's HTTP backend (`rabbitmq_auth_backend_http`, 3.10 to 4.x).
//!
//! Four questions, each with a path of its own: `user` (login), `vhost`, `resource` (queue and
//! exchange) and `topic`. The reply is status 200 and the word `allow` or `deny`, bare: a status
//! other than 200 and 201 refuses too, but a body that merely begins with `allow` logs in
//! (`rabbit_auth_backend_http:user_login_authentication/2`). There is no word for "unavailable"
//! or "not mine"; both are `deny`, after which RabbitMQ asks its next backend.
//!
//! Only what the MQTT plugin asks on behalf of an MQTT client is allowed: the questions of AMQP
//! clients and of the management interface come without a client id and are denied.
//!
//! Topics arrive as AMQP routing keys (`rabbit_mqtt_util`): `/` has become `.` and `+` has become
//! `*`. They are turned back, and judged as [`TopicNames::Amqp`] because the way back is lossy.

use std::borrow::Cow;

use crate::engine::decision::DenyReason;
use crate::hooks::call::{Answer, Call, Method, Question, RawRequest, Refusal, Reply, Unreadable};
use crate::hooks::expresses::{
    AclReply, AliasedTopic, Expresses, Filters, Hooks, Places, SharedPrefix, Unavailable, WillAsked,
};
use crate::hooks::form::Form;
use crate::mqtt::request::{
    ConnectRequest, Peer, PublishRequest, RequestedFilter, SessionRequest, SubscribeRequest,
    TopicNames,
};
use crate::secret::SecretStr;

/// broker-hooks section 4. The backend reports every login as never ending
/// (`rabbit_auth_backend_http:expiry_timestamp/1`), so sessions have to be closed from outside.
/// `$share` is no shared subscription to it; its filter is judged by what stands inside.
pub const EXPRESSES: Expresses = Expresses {
    methods: &[Method::Get, Method::Post],
    hooks: Hooks::InPath(&["user", "vhost", "resource", "topic"]),
    unavailable: Unavailable::AsNo,
    abstains: false,
    expiry: false,
    acl: AclReply::None,
    places: Places::Chosen,
    shared: SharedPrefix::Kept,
    aliased: AliasedTopic::Resolved,
    will: WillAsked::WhenSent,
    filters: Filters::OneByOne,
    qos: false,
    retain: false,
    lowers_qos: false,
};

/// What has to agree with the broker's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `mqtt.exchange`: the exchange that MQTT messages go through.
    pub exchange: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            exchange: "amq.topic".into(),
        }
    }
}

/// Reads a question.
///
/// # Errors
/// [`Unreadable`].
pub fn decode<'a>(
    settings: &Settings,
    request: &RawRequest<'a>,
) -> Result<Question<'a>, Unreadable> {
    let read = match request.path {
        "user" => user,
        "vhost" => vhost,
        "resource" => resource,
        "topic" => topic,
        _ => return Err(Unreadable::UnknownHook),
    };
    let call = read(settings, Form::parse(request.text())?)?;
    Ok(Question::plain(call))
}

/// Writes a reply.
pub fn encode(answer: &Answer) -> Reply {
    Reply::word(200, if answer.is_yes() { "allow" } else { "deny" })
}

/// The reply that RabbitMQ reads as no.
pub fn refuse(_refusal: Refusal) -> Reply {
    Reply::word(200, "deny")
}

fn user<'a>(_: &Settings, mut form: Form<'a>) -> Result<Call<'a>, Unreadable> {
    let Some(client_id) = form.take("client_id")? else {
        return Ok(Call::Refused(DenyReason::NotMqtt));
    };
    let peer = Peer {
        username: form.take("username")?,
        client_id,
        compartment: Some(form.need("vhost")?),
    };
    let password = form.take("password")?.map(SecretStr::new);
    Ok(Call::Connect(ConnectRequest {
        peer,
        password,
        address: None,
    }))
}

fn vhost<'a>(_: &Settings, mut form: Form<'a>) -> Result<Call<'a>, Unreadable> {
    let Some(client_id) = form.take("client_id")? else {
        return Ok(Call::Refused(DenyReason::NotMqtt));
    };
    let peer = peer(&mut form, client_id)?;
    Ok(Call::Session(SessionRequest { peer }))
}

fn resource<'a>(settings: &Settings, mut form: Form<'a>) -> Result<Call<'a>, Unreadable> {
    let Some(client_id) = form.take("client_id")? else {
        return Ok(Call::Refused(DenyReason::NotMqtt));
    };
    let kind = form.need("resource")?;
    let name = form.need("name")?;
    let permission = form.need("permission")?;
    let belongs_to_mqtt = match (&*kind, &*permission) {
        ("queue", "configure" | "write" | "read") => is_queue_of(&name, &client_id),
        ("exchange", "write" | "read") => *name == *settings.exchange,
        _ => false,
    };
    if !belongs_to_mqtt {
        return Ok(Call::Refused(DenyReason::NotMqtt));
    }
    let peer = peer(&mut form, client_id)?;
    Ok(Call::Session(SessionRequest { peer }))
}

fn topic<'a>(settings: &Settings, mut form: Form<'a>) -> Result<Call<'a>, Unreadable> {
    let Some(client_id) = form.take("variable_map.client_id")? else {
        return Ok(Call::Refused(DenyReason::NotMqtt));
    };
    if form.need("resource")? != "topic" || form.need("name")? != settings.exchange {
        return Ok(Call::Refused(DenyReason::NotMqtt));
    }
    let permission = form.need("permission")?;
    let key = form.need("routing_key")?;
    let peer = peer(&mut form, client_id)?;
    let names = TopicNames::Amqp;
    match &*permission {
        // A subscriber would get it back as a `+`, which no topic of a message may have.
        "write" if key.contains('*') => Ok(Call::Refused(DenyReason::InvalidTopic)),
        "write" => {
            let topic = Cow::Owned(key.replace('.', "/"));
            Ok(Call::Publish(PublishRequest {
                peer,
                topic,
                qos: None,
                retain: None,
                names,
            }))
        }
        "read" => {
            let filter = Cow::Owned(key.replace('.', "/").replace('*', "+"));
            let filters = vec![RequestedFilter { filter, qos: None }];
            Ok(Call::Subscribe(SubscribeRequest {
                peer,
                filters,
                names,
            }))
        }
        _ => Err(Unreadable::Malformed),
    }
}

fn peer<'a>(form: &mut Form<'a>, client_id: Cow<'a, str>) -> Result<Peer<'a>, Unreadable> {
    let username = Some(form.need("username")?);
    Ok(Peer {
        username,
        client_id,
        compartment: Some(form.need("vhost")?),
    })
}

/// The queues that the MQTT plugin makes for a client: one per quality of service
/// (`rabbit_mqtt_util:subcription_queue_name/1`), and since 4.0 one for a delayed will.
fn is_queue_of(name: &str, client_id: &str) -> bool {
    let subscription = name.strip_prefix("mqtt-subscription-");
    let of_client = |rest: &str, suffix| rest.strip_suffix(suffix) == Some(client_id);
    subscription.is_some_and(|rest| of_client(rest, "qos0") || of_client(rest, "qos1"))
        || name.strip_prefix("mqtt-will-") == Some(client_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(path: &str, body: &str) -> String {
        let request = RawRequest {
            method: Method::Post,
            path,
            query: "",
            headers: &[],
            body: body.as_bytes(),
        };
        match decode(&Settings::default(), &request) {
            Ok(question) => match question.call {
                Call::Publish(request) => format!("publish {}", request.topic),
                Call::Subscribe(request) => format!("subscribe {}", request.filters[0].filter),
                Call::Session(_) => "session".into(),
                Call::Connect(_) => "connect".into(),
                Call::Refused(reason) => format!("{reason:?}"),
                Call::Event(_) => "event".into(),
            },
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn only_queues_of_the_client_itself_belong_to_mqtt() {
        for (name, expected) in [
            ("mqtt-subscription-dev-1qos0", true),
            ("mqtt-subscription-dev-1qos1", true),
            ("mqtt-will-dev-1", true),
            ("mqtt-subscription-dev-1", false),
            ("mqtt-subscription-dev-2qos0", false),
            ("mqtt-subscription-dev-1qos0qos0", false),
            ("mqtt-will-dev-1qos0", false),
            ("orders", false),
        ] {
            assert_eq!(is_queue_of(name, "dev-1"), expected, "{name}");
        }
    }

    #[test]
    fn what_no_mqtt_client_asks_is_refused() {
        let rest = "username=u&vhost=%2F&tags=";
        for (path, body) in [
            ("user", "username=admin&password=x".into()),
            ("vhost", format!("{rest}&ip=127.0.0.1")),
            (
                "resource",
                format!("{rest}&resource=queue&name=q&permission=configure"),
            ),
            (
                "resource",
                format!("{rest}&resource=exchange&name=amq.topic&permission=configure&client_id=c"),
            ),
            (
                "resource",
                format!("{rest}&resource=exchange&name=amq.direct&permission=write&client_id=c"),
            ),
            (
                "topic",
                format!("{rest}&resource=topic&name=amq.topic&permission=write&routing_key=a"),
            ),
            (
                "topic",
                format!(
                    "{rest}&resource=topic&name=other&permission=write&routing_key=a\
                     &variable_map.client_id=c"
                ),
            ),
            (
                "topic",
                format!(
                    "{rest}&resource=queue&name=amq.topic&permission=write&routing_key=a\
                     &variable_map.client_id=c"
                ),
            ),
        ] {
            assert_eq!(decoded(path, &body), "NotMqtt", "{path} {body}");
        }
    }

    #[test]
    fn routing_keys_become_topics_again() {
        let ask = |permission: &str, key: &str| {
            let body = format!(
                "username=u&vhost=%2F&resource=topic&name=amq.topic&permission={permission}\
                 &routing_key={key}&variable_map.client_id=c"
            );
            decoded("topic", &body)
        };
        assert_eq!(
            ask("write", "sp+ace.%C3%BC%26%3D.%2541x"),
            "publish sp ace/ü&=/%41x"
        );
        assert_eq!(ask("write", "a.*.b"), "InvalidTopic");
        assert_eq!(ask("read", "t.*.x"), "subscribe t/+/x");
        assert_eq!(
            ask("read", "%24share.grp.t.shared.%23"),
            "subscribe $share/grp/t/shared/#"
        );
        assert_eq!(ask("configure", "a"), "Malformed");
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in ["", "users", "user/", "topic/x"] {
            assert_eq!(decoded(path, ""), "UnknownHook", "{path}");
        }
    }
}
