//! Words of the MQTT specifications: topics, filters, client ids, and what a broker asks about.

pub mod client_id;
pub mod filter_algebra;
pub mod qos;
pub mod request;
pub mod topic;
