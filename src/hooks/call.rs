//! The neutral side of a hook call: what was asked, what was answered.

use std::borrow::Cow;

use crate::engine::decision::{Decision, DenyReason, Grant, TopicGrant};
use crate::hooks::vernemq::SubscribeEcho;
use crate::metrics::{OutcomeLabel, QuestionLabel};
use crate::mqtt::request::{
    ConnectRequest, PublishRequest, SessionEvent, SessionRequest, SubscribeRequest,
};

/// The most filters of one question: each is judged by every rule.
pub const MAX_FILTERS: usize = 256;

/// An HTTP request of a broker, without the HTTP framework.
#[derive(Clone, Copy)]
pub struct RawRequest<'a> {
    /// The method.
    pub method: Method,
    /// The path behind the broker connection's name and secret, without a leading `/`.
    pub path: &'a str,
    /// The query, without the `?`.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a dyn Headers,
    /// The body.
    pub body: &'a [u8],
}

/// The methods that brokers ask with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The question is in the query.
    Get,
    /// The question is in the body, as with all but GET.
    Post,
    /// RMQTT, mosquitto-go-auth and TBMQ may be told to.
    Put,
    /// TBMQ may be told to.
    Patch,
}

/// The headers of a request. A few dialects read one or two.
pub trait Headers {
    /// The value of a header, by its name in lower case; `None` also for one that is not ASCII.
    fn value(&self, name: &str) -> Option<&str>;
}

impl<const N: usize> Headers for [(&str, &str); N] {
    fn value(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }
}

impl<'a> RawRequest<'a> {
    /// Where the question is: the query of a GET, otherwise the body.
    pub fn text(&self) -> &'a [u8] {
        match self.method {
            Method::Get => self.query.as_bytes(),
            Method::Post | Method::Put | Method::Patch => self.body,
        }
    }
}

/// A decoded request.
#[derive(Debug)]
pub struct Question<'a> {
    /// What is asked, in words that every broker shares.
    pub call: Call<'a>,
    /// What the reply has to repeat.
    pub echo: Echo<'a>,
}

impl<'a> Question<'a> {
    /// A question whose reply repeats nothing of it.
    pub fn plain(call: Call<'a>) -> Self {
        let echo = Echo::Nothing;
        Self { call, echo }
    }
}

/// What a broker asks.
#[derive(Debug)]
pub enum Call<'a> {
    /// May this client connect?
    Connect(ConnectRequest<'a>),
    /// Is this client's login still good?
    Session(SessionRequest<'a>),
    /// May this client publish?
    Publish(PublishRequest<'a>),
    /// May this client subscribe?
    Subscribe(SubscribeRequest<'a>),
    /// Nothing: the broker tells that something happened, to a session or to something else.
    Event(Option<SessionEvent<'a>>),
    /// The question answers itself.
    Refused(DenyReason),
}

/// What a reply has to repeat from its request.
#[derive(Debug)]
pub enum Echo<'a> {
    /// Nothing.
    Nothing,
    /// The client id of a CONNECT.
    ClientId(Cow<'a, str>),
    /// VerneMQ's subscriptions.
    Subscribe(SubscribeEcho<'a>),
}

/// What was decided.
#[derive(Debug)]
pub enum Answer {
    /// To [`Call::Connect`].
    Connect(Decision<Grant>),
    /// To [`Call::Session`] and [`Call::Refused`].
    Session(Decision<()>),
    /// To [`Call::Publish`].
    Publish(Decision<TopicGrant>),
    /// To [`Call::Subscribe`]: one for each filter, in order.
    Subscribe(Vec<Decision<TopicGrant>>),
    /// To [`Call::Event`].
    Event,
}

/// Why there is no answer. Every dialect renders each of these as something its broker reads as no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The request could not be read.
    Malformed,
    /// There is no such hook.
    UnknownHook,
    /// The broker did not show the connection's secret.
    Unauthorized,
    /// Too many questions at a time.
    Overloaded,
    /// We could not decide.
    Unavailable,
    /// The handler panicked.
    Panicked,
}

/// A reply, ready for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The value of `content-type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Cow<'static, str>,
}

impl Reply {
    /// A JSON body.
    pub fn json(status: u16, body: impl Into<Cow<'static, str>>) -> Self {
        let content_type = "application/json";
        let body = body.into();
        Self {
            status,
            content_type,
            body,
        }
    }

    /// A word, without a line end behind it.
    pub fn word(status: u16, word: &'static str) -> Self {
        Self {
            status,
            content_type: "text/plain",
            body: Cow::Borrowed(word),
        }
    }
}

/// The request could not be read. What was wrong is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// There is no such hook.
    UnknownHook,
    /// The body or query is not what this hook sends.
    Malformed,
}

impl Call<'_> {
    /// The metric label.
    pub fn label(&self) -> QuestionLabel {
        match self {
            Call::Connect(_) => QuestionLabel::Connect,
            Call::Session(_) | Call::Refused(_) => QuestionLabel::Session,
            Call::Publish(_) => QuestionLabel::Publish,
            Call::Subscribe(_) => QuestionLabel::Subscribe,
            Call::Event(_) => QuestionLabel::Event,
        }
    }
}

impl Answer {
    /// The metric label. A SUBSCRIBE counts as denied when any of its filters is.
    pub fn label(&self) -> OutcomeLabel {
        match self {
            Answer::Connect(decision) => label(decision),
            Answer::Session(decision) => label(decision),
            Answer::Publish(decision) => label(decision),
            Answer::Subscribe(decisions) => {
                let mut labels = decisions.iter().map(label);
                labels
                    .find(|one| *one != OutcomeLabel::Allow)
                    .unwrap_or(OutcomeLabel::Allow)
            }
            Answer::Event => OutcomeLabel::Allow,
        }
    }

    /// Whether it is yes to everything that was asked.
    pub fn is_yes(&self) -> bool {
        match self {
            Answer::Subscribe(decisions) => {
                !decisions.is_empty()
                    && decisions
                        .iter()
                        .all(|one| label(one) == OutcomeLabel::Allow)
            }
            other => other.allows(),
        }
    }

    /// Whether it is "not mine".
    pub fn is_abstention(&self) -> bool {
        self.label() == OutcomeLabel::Abstain
    }

    /// Whether it lets anything happen: a CONNECT, a PUBLISH, any filter of a SUBSCRIBE.
    pub fn allows(&self) -> bool {
        match self {
            Answer::Connect(decision) => label(decision) == OutcomeLabel::Allow,
            Answer::Session(decision) => label(decision) == OutcomeLabel::Allow,
            Answer::Publish(decision) => label(decision) == OutcomeLabel::Allow,
            Answer::Subscribe(decisions) => decisions
                .iter()
                .any(|decision| label(decision) == OutcomeLabel::Allow),
            Answer::Event => false,
        }
    }

    /// The first reason for a refusal in it.
    pub fn deny_reason(&self) -> Option<DenyReason> {
        match self {
            Answer::Connect(Decision::Deny(reason))
            | Answer::Session(Decision::Deny(reason))
            | Answer::Publish(Decision::Deny(reason)) => Some(*reason),
            Answer::Subscribe(decisions) => decisions.iter().find_map(|decision| match decision {
                Decision::Deny(reason) => Some(*reason),
                _ => None,
            }),
            _ => None,
        }
    }
}

impl Refusal {
    /// The metric label.
    pub fn label(self) -> OutcomeLabel {
        match self {
            Refusal::Malformed | Refusal::UnknownHook => OutcomeLabel::Malformed,
            Refusal::Unauthorized => OutcomeLabel::Unauthorized,
            Refusal::Overloaded => OutcomeLabel::Overloaded,
            Refusal::Unavailable => OutcomeLabel::Unavailable,
            Refusal::Panicked => OutcomeLabel::Panicked,
        }
    }
}

impl From<Unreadable> for Refusal {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::UnknownHook => Refusal::UnknownHook,
            Unreadable::Malformed => Refusal::Malformed,
        }
    }
}

fn label<G>(decision: &Decision<G>) -> OutcomeLabel {
    match decision {
        Decision::Allow(_) => OutcomeLabel::Allow,
        Decision::Deny(_) => OutcomeLabel::Deny,
        Decision::Abstain => OutcomeLabel::Abstain,
    }
}
