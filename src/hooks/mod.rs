//! How brokers ask and how they are answered: one file per broker, bytes in, bytes out.
//!
//! A dialect decodes a request into a [`call::Question`], and encodes an [`call::Answer`] or a
//! [`call::Refusal`] into the bytes that its broker reads as just that. There is no way to build a
//! reply outside a dialect, so no failure can be answered with something that means yes.

pub mod call;
pub mod connection;
pub mod dialect;
pub mod form;
pub mod rabbitmq;
pub mod vernemq;
