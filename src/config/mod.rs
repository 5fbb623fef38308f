//! Settings: defaults, then a TOML file, then the environment, then flags. Every mistake is reported
//! at once, each with its field, its variable and an example of what would be right.
//!
//! [`source`] gathers the values, [`reader`] reads one, [`fields`] knows them all, [`brokers`] those of
//! the broker connections, [`limits`] those of how often what may be done, [`store`] those of the store.

pub mod audit;
pub mod brokers;
pub mod fields;
pub mod limits;
pub mod reader;
pub mod source;
pub mod store;

use std::path::PathBuf;

use crate::app::audit::Settings as AuditSettings;
use crate::credential::root_key::RootKeys;
use crate::hooks::connection::BrokerConnection;
use crate::http;
use crate::identity::key_sets;
use crate::keyring::Keyring;
use crate::limits::limiter;
use crate::store::cached;
use crate::store::redis::Settings as RedisSettings;

/// Everything that `ticketgate serve` needs to know.
pub struct Config {
    /// The HTTP edge.
    pub http: http::Settings,
    /// Where records live.
    pub store: StoreLocation,
    /// The cache in front of it.
    pub cache: cached::Settings,
    /// The deployment's keys.
    pub keys: Keyring,
    /// The operator's root keys.
    pub root_keys: RootKeys,
    /// How the keys of identity providers are fetched.
    pub key_sets: key_sets::Settings,
    /// What the audit log keeps.
    pub audit: AuditSettings,
    /// How many slow password hashes may run at a time.
    pub hashing: usize,
    /// How often what may be done.
    pub limits: limiter::Settings,
    /// The socket for local calls.
    pub local_socket: PathBuf,
    /// Who may ask.
    pub brokers: Vec<BrokerConnection>,
    /// What is written to standard error.
    pub log: LogSettings,
}

/// Where records live.
#[derive(Debug, Clone)]
pub enum StoreLocation {
    /// `embedded:<folder>`
    Embedded(PathBuf),
    /// `redis://` and its relatives
    Redis(Box<RedisSettings>),
}

/// What is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// JSON lines rather than text for people.
    pub json: bool,
    /// A filter such as `info` or `ticketgate=debug`.
    pub filter: String,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the settings have {} mistake(s):\n{}", .0.len(), .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);
