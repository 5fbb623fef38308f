//! Clerk: session tokens with RS256, issuer `https://<frontend API domain>`, no audience unless a JWT
//! template gives one, `azp` the origin of the page.
//!
//! The development and the production instance are two providers: their users are different people,
//! and the first can be switched off when the second is live. A token is matched by its `iss`.

use uuid::Uuid;

use crate::identity::draft::{Draft, domain_url, key_set};
use crate::org::provider::{BadProvider, Provider, ProviderKind};
use crate::org::public_key::Algorithm;

/// A Clerk instance as a provider.
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
        ProviderKind::Clerk,
        base.to_string(),
        audiences,
        vec![key_set(keys, [Algorithm::RS256])],
    )
}
