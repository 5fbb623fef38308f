//! What brokers ask and what they are told.

mod brokers_http;
mod callers;
mod decisions;
pub mod dialects;
mod fail_closed;
pub mod faulty_store;
mod golden;
mod hostile_bodies;
mod hostile_wire;
mod malformed;
pub mod questions;
mod rabbitmq_names;
mod recorded_rabbitmq;
mod recorded_templated;
mod recorded_vernemq;
mod recordings;
mod rules_reply;
pub mod wire;
