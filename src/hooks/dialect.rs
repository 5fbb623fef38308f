//! The closed set of dialects. Adding one starts here: the compiler asks for the rest.

use std::str::FromStr;

use crate::engine::isolation::Isolation;
use crate::hooks::call::{Answer, Question, RawRequest, Refusal, Reply, Unreadable};
use crate::hooks::{rabbitmq, vernemq};
use crate::metrics::DialectLabel;

/// How a broker asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialect {
    /// RabbitMQ, `rabbitmq_auth_backend_http`.
    RabbitMq(rabbitmq::Settings),
    /// VerneMQ, `vmq_webhooks`.
    VerneMq,
}

/// The name of a dialect, as paths and settings have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialectName {
    /// `rabbitmq`
    RabbitMq,
    /// `vernemq`
    VerneMq,
}

/// The text names no dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a dialect is `rabbitmq` or `vernemq`")]
pub struct NotADialect;

impl DialectName {
    /// The metric label.
    pub fn label(self) -> DialectLabel {
        match self {
            DialectName::RabbitMq => DialectLabel::Rabbitmq,
            DialectName::VerneMq => DialectLabel::Vernemq,
        }
    }

    /// The reply that this dialect's brokers read as no.
    pub fn refuse(self, refusal: Refusal) -> Reply {
        match self {
            DialectName::RabbitMq => rabbitmq::refuse(refusal),
            DialectName::VerneMq => vernemq::refuse(refusal),
        }
    }

    /// Whether the broker can keep organizations apart in this way.
    pub fn supports(self, isolation: &Isolation) -> bool {
        match isolation {
            Isolation::Dedicated(_) | Isolation::Prefix => true,
            Isolation::Vhost => self == DialectName::RabbitMq,
            Isolation::Mountpoint => self == DialectName::VerneMq,
        }
    }

    /// Where the broker's sessions live unless it is told otherwise.
    pub fn home(self) -> &'static str {
        match self {
            DialectName::RabbitMq => "/",
            DialectName::VerneMq => "",
        }
    }
}

impl Dialect {
    /// Its name.
    pub fn name(&self) -> DialectName {
        match self {
            Dialect::RabbitMq(_) => DialectName::RabbitMq,
            Dialect::VerneMq => DialectName::VerneMq,
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`Unreadable`], to be answered with [`DialectName::refuse`].
    pub fn decode<'a>(&self, request: &RawRequest<'a>) -> Result<Question<'a>, Unreadable> {
        match self {
            Dialect::RabbitMq(settings) => rabbitmq::decode(settings, request),
            Dialect::VerneMq => vernemq::decode(request),
        }
    }

    /// Writes the reply to a question.
    pub fn encode(&self, question: &Question<'_>, answer: &Answer) -> Reply {
        match self {
            Dialect::RabbitMq(_) => rabbitmq::encode(answer),
            Dialect::VerneMq => vernemq::encode(question, answer),
        }
    }
}

impl FromStr for DialectName {
    type Err = NotADialect;

    fn from_str(text: &str) -> Result<Self, NotADialect> {
        match text {
            "rabbitmq" => Ok(Self::RabbitMq),
            "vernemq" => Ok(Self::VerneMq),
            _ => Err(NotADialect),
        }
    }
}
