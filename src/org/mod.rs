//! Organizations (tenants) and the identity providers that each of them trusts.

pub mod audit;
pub mod claim_path;
pub mod https_url;
pub mod organization;
pub mod provider;
pub mod public_key;
