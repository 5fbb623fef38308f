//! What the tests share: a server in this process, the program as a process, a private RabbitMQ and
//! RMQTT, a broker of a few lines, private Redis servers, identity providers good and bad, a network
//! that fails, several servers on one store, client programs in other languages.

pub mod client;
pub mod deployment;
pub mod issuer;
pub mod little_broker;
pub mod mqtt;
pub mod nodes;
pub mod openid;
pub mod program;
pub mod proxy;
pub mod rabbitmq;
pub mod redis;
pub mod rmqtt;
pub mod world;
