//! Any OpenID provider: keys by the issuer's discovery document, or at an address.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::identity::draft::Draft;
use crate::org::https_url::HttpsUrl;
use crate::org::provider::{BadProvider, KeySource, Provider, ProviderKey, ProviderKind};
use crate::org::public_key::Algorithm;

/// The algorithms of a provider that names none. An RSA key is for one of RS256 and PS256, so the
/// second has to be asked for.
pub const USUAL: [Algorithm; 4] = [
    Algorithm::RS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// An OpenID provider. Without an address of its keys they are discovered.
///
/// # Errors
/// [`BadProvider`].
pub fn provider(
    draft: Draft,
    issuer: &str,
    keys: Option<HttpsUrl>,
    audiences: Vec<String>,
    algorithms: BTreeSet<Algorithm>,
) -> Result<Provider, BadProvider> {
    let source = match keys {
        Some(keys) => KeySource::Url(keys),
        None => KeySource::Discovery(issuer.parse()?),
    };
    let algorithms = if algorithms.is_empty() {
        USUAL.into()
    } else {
        algorithms
    };
    draft.provider(
        Uuid::new_v4(),
        ProviderKind::Oidc,
        issuer.to_owned(),
        audiences,
        vec![ProviderKey::KeySet { source, algorithms }],
    )
}
