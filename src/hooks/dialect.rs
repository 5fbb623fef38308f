//! The closed set of dialects. Adding one starts here: the compiler asks for the rest
//! (`docs/adding-a-broker.md`).

use std::fmt;
use std::str::FromStr;

use crate::engine::isolation::Isolation;
use crate::hooks::call::{Answer, Question, RawRequest, Refusal, Reply, Unreadable};
use crate::hooks::expresses::{AclReply, Expresses, Narrowed};
use crate::hooks::{
    azure_event_grid, bifromq, emqx, emqx4, mosquitto_auth_plug, mosquitto_go_auth, nanomq,
    rabbitmq, rmqtt, tbmq, vernemq,
};
use crate::metrics::DialectLabel;

/// How a broker asks, with the settings that have to agree with its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialect {
    /// Azure Event Grid's custom webhook.
    AzureEventGrid,
    /// BifroMQ's webhook.
    BifroMq(bifromq::Settings),
    /// EMQX 5 and 6, the HTTP authenticator and authorizer.
    Emqx(RulesInReply),
    /// EMQX 4, `emqx_auth_http`.
    Emqx4,
    /// mosquitto-auth-plug, its HTTP back-end.
    MosquittoAuthPlug,
    /// mosquitto-go-auth, its HTTP backend.
    MosquittoGoAuth(mosquitto_go_auth::Settings),
    /// NanoMQ, `http_auth`.
    NanoMq,
    /// RabbitMQ, `rabbitmq_auth_backend_http`.
    RabbitMq(rabbitmq::Settings),
    /// RMQTT, `rmqtt-auth-http`.
    Rmqtt(RulesInReply),
    /// ThingsBoard's TBMQ.
    Tbmq,
    /// VerneMQ, `vmq_webhooks`.
    VerneMq,
}

/// Whether the topic rules travel with a CONNECT's yes where they can be said. Then the broker asks
/// less, and a change of the rules reaches a session when it connects again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RulesInReply {
    /// They do, and nobody can take them back from an open session.
    Sent,
    /// The broker asks about every topic, so that a revoke counts for its very next message.
    #[default]
    Kept,
}

/// The name of a dialect, as paths and settings have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DialectName {
    /// `azure-event-grid`
    AzureEventGrid,
    /// `bifromq`
    BifroMq,
    /// `emqx`
    Emqx,
    /// `emqx4`
    Emqx4,
    /// `mosquitto-auth-plug`
    MosquittoAuthPlug,
    /// `mosquitto-go-auth`
    MosquittoGoAuth,
    /// `nanomq`
    NanoMq,
    /// `rabbitmq`
    RabbitMq,
    /// `rmqtt`
    Rmqtt,
    /// `tbmq`
    Tbmq,
    /// `vernemq`
    VerneMq,
}

/// The text names no dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a dialect is one of {}", names())]
pub struct NotADialect;

impl DialectName {
    /// Every dialect, by name.
    pub const ALL: [DialectName; 11] = [
        DialectName::AzureEventGrid,
        DialectName::BifroMq,
        DialectName::Emqx,
        DialectName::Emqx4,
        DialectName::MosquittoAuthPlug,
        DialectName::MosquittoGoAuth,
        DialectName::NanoMq,
        DialectName::RabbitMq,
        DialectName::Rmqtt,
        DialectName::Tbmq,
        DialectName::VerneMq,
    ];

    /// The name in paths and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            DialectName::AzureEventGrid => "azure-event-grid",
            DialectName::BifroMq => "bifromq",
            DialectName::Emqx => "emqx",
            DialectName::Emqx4 => "emqx4",
            DialectName::MosquittoAuthPlug => "mosquitto-auth-plug",
            DialectName::MosquittoGoAuth => "mosquitto-go-auth",
            DialectName::NanoMq => "nanomq",
            DialectName::RabbitMq => "rabbitmq",
            DialectName::Rmqtt => "rmqtt",
            DialectName::Tbmq => "tbmq",
            DialectName::VerneMq => "vernemq",
        }
    }

    /// What its broker can be told and what it tells.
    pub fn expresses(self) -> &'static Expresses {
        match self {
            DialectName::AzureEventGrid => &azure_event_grid::EXPRESSES,
            DialectName::BifroMq => &bifromq::EXPRESSES,
            DialectName::Emqx => &emqx::EXPRESSES,
            DialectName::Emqx4 => &emqx4::EXPRESSES,
            DialectName::MosquittoAuthPlug => &mosquitto_auth_plug::EXPRESSES,
            DialectName::MosquittoGoAuth => &mosquitto_go_auth::EXPRESSES,
            DialectName::NanoMq => &nanomq::EXPRESSES,
            DialectName::RabbitMq => &rabbitmq::EXPRESSES,
            DialectName::Rmqtt => &rmqtt::EXPRESSES,
            DialectName::Tbmq => &tbmq::EXPRESSES,
            DialectName::VerneMq => &vernemq::EXPRESSES,
        }
    }

    /// The reply that this dialect's brokers read as no. It is that whatever the connection's
    /// settings are, and also where there is no such connection.
    pub fn refuse(self, refusal: Refusal) -> Reply {
        match self {
            DialectName::AzureEventGrid => azure_event_grid::refuse(refusal),
            DialectName::BifroMq => bifromq::refuse(refusal),
            DialectName::Emqx => emqx::refuse(refusal),
            DialectName::Emqx4 => emqx4::refuse(refusal),
            DialectName::MosquittoAuthPlug => mosquitto_auth_plug::refuse(refusal),
            DialectName::MosquittoGoAuth => mosquitto_go_auth::refuse(refusal),
            DialectName::NanoMq => nanomq::refuse(refusal),
            DialectName::RabbitMq => rabbitmq::refuse(refusal),
            DialectName::Rmqtt => rmqtt::refuse(refusal),
            DialectName::Tbmq => tbmq::refuse(refusal),
            DialectName::VerneMq => vernemq::refuse(refusal),
        }
    }

    /// The metric label.
    pub fn label(self) -> DialectLabel {
        match self {
            DialectName::AzureEventGrid => DialectLabel::AzureEventGrid,
            DialectName::BifroMq => DialectLabel::Bifromq,
            DialectName::Emqx => DialectLabel::Emqx,
            DialectName::Emqx4 => DialectLabel::Emqx4,
            DialectName::MosquittoAuthPlug => DialectLabel::MosquittoAuthPlug,
            DialectName::MosquittoGoAuth => DialectLabel::MosquittoGoAuth,
            DialectName::NanoMq => DialectLabel::Nanomq,
            DialectName::RabbitMq => DialectLabel::Rabbitmq,
            DialectName::Rmqtt => DialectLabel::Rmqtt,
            DialectName::Tbmq => DialectLabel::Tbmq,
            DialectName::VerneMq => DialectLabel::Vernemq,
        }
    }

    /// Whether the broker can keep organizations apart in this way.
    pub fn supports(self, isolation: &Isolation) -> bool {
        self.expresses().supports(isolation)
    }

    /// Where the broker's sessions live unless it is told otherwise.
    pub fn home(self) -> &'static str {
        match self {
            DialectName::RabbitMq => "/",
            DialectName::BifroMq => "main",
            _ => "",
        }
    }

    /// The dialect with the settings that brokers have until they are told otherwise.
    pub fn with_defaults(self) -> Dialect {
        match self {
            DialectName::AzureEventGrid => Dialect::AzureEventGrid,
            DialectName::BifroMq => Dialect::BifroMq(bifromq::Settings {
                tenant: self.home().to_owned(),
            }),
            DialectName::Emqx => Dialect::Emqx(RulesInReply::default()),
            DialectName::Emqx4 => Dialect::Emqx4,
            DialectName::MosquittoAuthPlug => Dialect::MosquittoAuthPlug,
            DialectName::MosquittoGoAuth => {
                Dialect::MosquittoGoAuth(mosquitto_go_auth::Settings::default())
            }
            DialectName::NanoMq => Dialect::NanoMq,
            DialectName::RabbitMq => Dialect::RabbitMq(rabbitmq::Settings::default()),
            DialectName::Rmqtt => Dialect::Rmqtt(RulesInReply::default()),
            DialectName::Tbmq => Dialect::Tbmq,
            DialectName::VerneMq => Dialect::VerneMq,
        }
    }
}

impl Dialect {
    /// Its name.
    pub fn name(&self) -> DialectName {
        match self {
            Dialect::AzureEventGrid => DialectName::AzureEventGrid,
            Dialect::BifroMq(_) => DialectName::BifroMq,
            Dialect::Emqx(_) => DialectName::Emqx,
            Dialect::Emqx4 => DialectName::Emqx4,
            Dialect::MosquittoAuthPlug => DialectName::MosquittoAuthPlug,
            Dialect::MosquittoGoAuth(_) => DialectName::MosquittoGoAuth,
            Dialect::NanoMq => DialectName::NanoMq,
            Dialect::RabbitMq(_) => DialectName::RabbitMq,
            Dialect::Rmqtt(_) => DialectName::Rmqtt,
            Dialect::Tbmq => DialectName::Tbmq,
            Dialect::VerneMq => DialectName::VerneMq,
        }
    }

    /// Whether a CONNECT's yes takes the topic rules along.
    pub fn takes_rules(&self) -> bool {
        match self.name().expresses().acl {
            AclReply::None | AclReply::Elsewhere => false,
            AclReply::Required => true,
            AclReply::Optional => matches!(
                self,
                Dialect::Emqx(RulesInReply::Sent) | Dialect::Rmqtt(RulesInReply::Sent)
            ),
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`Unreadable`], to be answered with [`DialectName::refuse`].
    pub fn decode<'a>(&self, request: &RawRequest<'a>) -> Result<Question<'a>, Unreadable> {
        let expresses = self.name().expresses();
        if !expresses.methods.contains(&request.method) {
            return Err(Unreadable::UnknownHook);
        }
        let mut question = match self {
            Dialect::AzureEventGrid => azure_event_grid::decode(request),
            Dialect::BifroMq(_) => bifromq::decode(request),
            Dialect::Emqx(_) => emqx::decode(request),
            Dialect::Emqx4 => emqx4::decode(request),
            Dialect::MosquittoAuthPlug => mosquitto_auth_plug::decode(request),
            Dialect::MosquittoGoAuth(_) => mosquitto_go_auth::decode(request),
            Dialect::NanoMq => nanomq::decode(request),
            Dialect::RabbitMq(settings) => rabbitmq::decode(settings, request),
            Dialect::Rmqtt(_) => rmqtt::decode(request),
            Dialect::Tbmq => tbmq::decode(request),
            Dialect::VerneMq => vernemq::decode(request),
        }?;
        question.call = expresses.hear(question.call);
        Ok(question)
    }

    /// What of an answer the broker can be told.
    pub fn narrow(&self, question: &Question<'_>, answer: Answer) -> Narrowed {
        self.name().expresses().narrow(&question.call, answer)
    }

    /// Writes the reply to a question.
    pub fn encode(&self, question: &Question<'_>, answer: &Narrowed) -> Reply {
        let answer = answer.answer();
        match self {
            Dialect::AzureEventGrid => azure_event_grid::encode(answer),
            Dialect::BifroMq(settings) => bifromq::encode(settings, question, answer),
            Dialect::Emqx(_) => emqx::encode(answer),
            Dialect::Emqx4 => emqx4::encode(answer),
            Dialect::MosquittoAuthPlug => mosquitto_auth_plug::encode(answer),
            Dialect::MosquittoGoAuth(settings) => mosquitto_go_auth::encode(*settings, answer),
            Dialect::NanoMq => nanomq::encode(answer),
            Dialect::RabbitMq(_) => rabbitmq::encode(answer),
            Dialect::Rmqtt(_) => rmqtt::encode(answer),
            Dialect::Tbmq => tbmq::encode(answer),
            Dialect::VerneMq => vernemq::encode(question, answer),
        }
    }
}

impl fmt::Display for DialectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DialectName {
    type Err = NotADialect;

    fn from_str(text: &str) -> Result<Self, NotADialect> {
        let mut all = Self::ALL.into_iter();
        all.find(|name| name.as_str() == text).ok_or(NotADialect)
    }
}

fn names() -> String {
    DialectName::ALL.map(|name| format!("`{name}`")).join(", ")
}
