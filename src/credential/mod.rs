//! Stored rights to CONNECT, the passwords that go with them, and API keys.

pub mod api_key;
pub mod holder;
pub mod human_password;
pub mod key_rules;
pub mod legacy_key;
pub mod minted_password;
pub mod presented;
pub mod root_key;
pub mod scope;
pub mod terms;
