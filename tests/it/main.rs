//! Tests of the whole system on real parts, in one binary.

mod exchange;
mod hooks;
mod program;
mod rabbitmq;
mod support;
