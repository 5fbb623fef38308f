//! Tests of the whole system on real parts, in one binary.

mod access;
mod audit;
mod broker_files;
mod clients;
mod credentials;
mod doctor;
mod exchange;
mod hooks;
mod identity;
mod limits;
mod program;
mod published_client;
mod rabbitmq;
mod race;
mod records;
mod redis_servers;
mod revoke;
mod rmqtt;
mod stores;
mod support;
mod tenants;
mod tokens;
mod upkeep;
