//! Where records live. One trait, [`port::Store`]: the embedded store and Redis implement it, and so
//! does the cache in front of either.

pub mod audit;
pub mod cached;
pub mod conformance;
pub mod embedded;
pub mod flights;
pub mod freshness;
pub mod generations;
pub mod inventory;
pub mod list;
pub mod port;
pub mod record;
pub mod redis;
pub mod status;
