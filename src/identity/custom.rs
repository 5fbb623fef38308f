//! A signer of one's own: one pasted key, one algorithm.

use uuid::Uuid;

use crate::identity::draft::Draft;
use crate::keyring::Keyring;
use crate::org::provider::{BadProvider, Provider, ProviderKey, ProviderKind};
use crate::org::public_key::{Algorithm, PublicKey};
use crate::secret::Secret;

/// What it signs with.
#[derive(Debug)]
pub enum CustomKey {
    /// HS256.
    SharedSecret(Secret),
    /// A key pair, of which this is the public half.
    Public(Algorithm, PublicKey),
}

/// A signer of one's own as a provider.
///
/// # Errors
/// [`BadProvider`].
pub fn provider(
    draft: Draft,
    issuer: &str,
    audiences: Vec<String>,
    key: CustomKey,
    keys: &Keyring,
) -> Result<Provider, BadProvider> {
    let id = Uuid::new_v4();
    let key = match key {
        CustomKey::SharedSecret(secret) => Provider::seal_shared_secret(id, &secret, keys)?,
        CustomKey::Public(algorithm, key) => ProviderKey::Public { algorithm, key },
    };
    draft.provider(
        id,
        ProviderKind::Custom,
        issuer.to_owned(),
        audiences,
        vec![key],
    )
}
