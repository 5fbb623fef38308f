//! What the tests share: a server in this process, the program as a process, a private RabbitMQ.

pub mod mqtt;
pub mod program;
pub mod rabbitmq;
pub mod world;
