//! Organizations (tenants) and the identity providers that each of them trusts.

pub mod organization;
pub mod provider;
