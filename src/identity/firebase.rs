//! Firebase Authentication: ID tokens with RS256, issuer `https://securetoken.google.com/<project>`,
//! audience the project id, keys at one address of Google's for all projects.

use uuid::Uuid;

use crate::identity::draft::{Draft, key_set};
use crate::org::https_url::HttpsUrl;
use crate::org::provider::{BadProvider, Provider, ProviderKind};
use crate::org::public_key::Algorithm;

/// Where Google publishes the keys of all projects.
pub const KEYS: &str =
    "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com";

/// A Firebase project as a provider. `keys`: another address for the key set.
///
/// # Errors
/// [`BadProvider`].
pub fn provider(
    draft: Draft,
    project: &str,
    keys: Option<HttpsUrl>,
) -> Result<Provider, BadProvider> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = project.starts_with(|c: char| c.is_ascii_lowercase());
    if !(4..=40).contains(&project.len()) || !project.bytes().all(plain) || !begins {
        return Err(BadProvider::ProjectId);
    }
    let keys = match keys {
        Some(keys) => keys,
        None => KEYS.parse()?,
    };
    draft.provider(
        Uuid::new_v4(),
        ProviderKind::Firebase,
        format!("https://securetoken.google.com/{project}"),
        vec![project.to_owned()],
        vec![key_set(keys, [Algorithm::RS256])],
    )
}
