//! The decision: pure and synchronous. Everything that it needs has been loaded, nothing waits.

pub mod api_key;
pub mod authenticate;
pub mod authorize;
pub mod decision;
pub mod isolation;
pub mod member;
