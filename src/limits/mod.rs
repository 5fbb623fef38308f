//! How often, and how many: token buckets for calls, pauses after failed logins, and the most that an
//! organization may have. Pure but for the clock that it is handed; `store/redis/sharing.rs` carries
//! what nodes tell each other.
//!
//! [`rate`] is what a setting says, [`bucket`] what is left of it, [`limiter`] keeps a bucket for each
//! key, organization and address, [`ledger`] what other nodes must hear of them, [`attempts`] slows
//! those who guess passwords, [`counts`] limits how many of something there may be.

pub mod address;
pub mod attempts;
pub mod bucket;
pub mod counts;
pub mod ledger;
pub mod limiter;
pub mod rate;
pub mod whose;
