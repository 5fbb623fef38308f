//! What the tests share: a server in this process, the program as a process, a private RabbitMQ.

pub mod rabbitmq;
pub mod world;
