//! Whose tokens we believe: verification of identity tokens, the key sets that they are verified
//! with, and one short file of data for each provider product.

pub mod address;
pub mod auth0;
pub mod claims;
pub mod clerk;
pub mod custom;
pub mod draft;
pub mod fetch;
pub mod firebase;
pub mod jwk;
pub mod jwt;
pub mod key_sets;
pub mod oidc;
pub mod pem;
pub mod strict_json;
pub mod supabase;
