//! What brokers ask and what they are told.

mod callers;
mod decisions;
mod fail_closed;
mod faulty_store;
mod golden;
mod hostile_bodies;
mod hostile_wire;
pub mod questions;
mod rabbitmq_names;
mod recorded_rabbitmq;
mod recorded_vernemq;
pub mod wire;
