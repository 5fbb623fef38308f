//! The neutral side of a hook call: what was asked, what was answered.

use std::borrow::Cow;

use crate::engine::decision::{Decision, DenyReason, Grant, TopicGrant};
use crate::hooks::vernemq::SubscribeEcho;
use crate::metrics::{OutcomeLabel, QuestionLabel};
use crate::mqtt::request::{ConnectRequest, PublishRequest, SessionRequest, SubscribeRequest};

/// An HTTP request of a broker, without the HTTP framework.
#[derive(Clone, Copy)]
pub struct RawRequest<'a> {
    /// Whether it is a POST; otherwise a GET.
    pub is_post: bool,
    /// The path behind the broker connection's name and secret, without a leading `/`.
    pub path: &'a str,
    /// The query, without the `?`.
    pub query: &'a str,
    /// VerneMQ's `vernemq-hook` header.
    pub hook_header: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// A decoded request.
#[derive(Debug)]
pub struct Question<'a> {
    /// What is asked, in words that every broker shares.
    pub call: Call<'a>,
    /// What the reply has to repeat.
    pub echo: Echo<'a>,
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
    /// Nothing: the broker tells that something happened.
    Event,
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
            Call::Event => QuestionLabel::Event,
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
