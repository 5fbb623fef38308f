//! How brokers ask and how they are answered: one file per broker, bytes in, bytes out.
//!
//! A dialect decodes a request into a [`call::Question`], and encodes an [`call::Answer`] or a
//! [`call::Refusal`] into the bytes that its broker reads as just that. There is no way to build a
//! reply outside a dialect, so no failure can be answered with something that means yes. What a
//! broker can express is a constant of its dialect ([`expresses::Expresses`]), and an answer is
//! narrowed by it before it is encoded.

pub mod azure_event_grid;
pub mod bifromq;
pub mod call;
pub mod connection;
pub mod dialect;
pub mod emqx;
pub mod emqx4;
pub mod expresses;
pub mod form;
pub mod json;
pub mod mosquitto_auth_plug;
pub mod mosquitto_go_auth;
pub mod nanomq;
pub mod rabbitmq;
pub mod rmqtt;
pub mod rules_reply;
pub mod tbmq;
pub mod templated;
pub mod vernemq;
