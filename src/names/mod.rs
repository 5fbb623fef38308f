//! The names that records and wires carry: organization ids, usernames, token and key ids, claims.
//!
//! A value of one of these types has been checked; code that holds one need not look again.

pub mod base62;
pub mod claims;
pub mod key_id;
pub mod organization_id;
pub mod origin;
pub mod token_id;
pub mod username;
