//! Auth0: access tokens with RS256, issuer `https://<domain>/`, audience the API's identifier.
//!
//! They have an e-mail address only where an Action puts it in, under a namespaced name such as
//! `https://app.example/email`; the claim map says where.

use uuid::Uuid;

use crate::identity::draft::{Draft, domain_url, key_set};
use crate::org::provider::{BadProvider, Provider, ProviderKind};
use crate::org::public_key::Algorithm;

/// An Auth0 tenant as a provider.
///
/// # Errors
/// [`BadProvider`].
pub fn provider(
    draft: Draft,
    domain: &str,
    audiences: Vec<String>,
) -> Result<Provider, BadProvider> {
    let base = domain_url(domain)?;
    let keys = base.below(".well-known/jwks.json")?;
    draft.provider(
        Uuid::new_v4(),
        ProviderKind::Auth0,
        format!("{base}/"),
        audiences,
        vec![key_set(keys, [Algorithm::RS256])],
    )
}
