//! ticketgate decides who may connect to an MQTT broker and what they may publish and subscribe,
//! and mints the credentials they do it with.
//!
//! A broker asks over its HTTP auth hook; the answer comes from memory. An app user exchanges a
//! token of an identity provider for a short-lived username and password. An operator revokes, and
//! it is over when the call returns.
//!
//! Modules stand in reading order. Each imports strictly lower ranks, never its own or a higher
//! one; `tests/layering.rs` holds that.
//!
//! | rank | modules | what |
//! |---|---|---|
//! | 0 | `secret` `clock` `metrics` | words that lean on nothing |
//! | 1 | `names` `mqtt` | words of records and of MQTT |
//! | 2 | `keyring` `limits` | the deployment's keys; how often and how many |
//! | 3 | `org` `credential` `acl` | rules and records, pure |
//! | 4 | `engine` | the decision, pure and synchronous |
//! | 5 | `hooks` `store` `identity` | dialects and ports; none knows another |
//! | 6 | `app` | use cases |
//! | 7 | `http` | the edge |
//! | 8 | `config` | settings of everything below |
//! | 9 | `wiring` | assembly |
//! | 10 | `cli` | entry points |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod clock;
pub mod metrics;
pub mod secret;

pub mod mqtt;
pub mod names;

pub mod keyring;
pub mod limits;

pub mod acl;
pub mod credential;
pub mod org;

pub mod engine;

pub mod hooks;
pub mod identity;
pub mod store;

pub mod app;

pub mod http;

pub mod config;

pub mod wiring;

pub mod cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
