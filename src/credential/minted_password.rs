//! The password of a minted token: `tkn_` + id (22) + secret (22) + key id (4) + tag (11), base62.
//!
//! The tag is the first 64 bits of HMAC-SHA-256 over everything before it, under the deployment's
//! seal key of that key id. So a password that we did not make is refused by arithmetic, before
//! any cache or store is asked.

use crate::keyring::{Digest, Keyring};
use crate::names::base62::{self, LENGTH_OF_64_BITS, LENGTH_OF_128_BITS};
use crate::names::key_id::{RING_KEY_ID_LENGTH, RingKeyId};
use crate::names::token_id::TokenId;
use crate::secret::{self, Secret};

/// What every minted password begins with.
pub const PREFIX: &str = "tkn_";
/// The length of every minted password.
pub const LENGTH: usize = SEALED_LENGTH + LENGTH_OF_64_BITS;

const ID_AT: usize = PREFIX.len();
const SECRET_AT: usize = ID_AT + LENGTH_OF_128_BITS;
const KEY_AT: usize = SECRET_AT + LENGTH_OF_128_BITS;
const SEALED_LENGTH: usize = KEY_AT + RING_KEY_ID_LENGTH;

/// A password whose seal has been verified. It may still be revoked, expired or another user's.
#[derive(Debug, Clone, Copy)]
pub struct MintedPassword<'a> {
    /// The id of the token.
    pub id: TokenId,
    secret: SecretPart<'a>,
}

#[derive(Clone, Copy)]
struct SecretPart<'a>(&'a str);

/// A fresh password and what the store keeps of it.
#[derive(Debug)]
pub struct Minted {
    /// The id of the token.
    pub id: TokenId,
    /// The whole password, shown once.
    pub password: Secret,
    /// The pepper of `digest`.
    pub pepper: RingKeyId,
    /// What the store keeps of the secret.
    pub digest: Digest,
}

/// The text is not a password that this deployment made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a password that this deployment made")]
pub struct Forged;

impl<'a> MintedPassword<'a> {
    /// Checks shape and seal. Costs at most one HMAC, and that only for a text of the right shape.
    ///
    /// # Errors
    /// [`Forged`] for everything that [`mint`] with these keys did not make.
    pub fn verify(text: &'a str, keys: &Keyring) -> Result<Self, Forged> {
        if text.len() != LENGTH || !text.starts_with(PREFIX) || !base62::is_base62(&text[ID_AT..]) {
            return Err(Forged);
        }
        let (sealed, tag) = text.split_at(SEALED_LENGTH);
        let id = base62::decode(&text[ID_AT..SECRET_AT]).ok_or(Forged)?;
        let key: RingKeyId = text[KEY_AT..SEALED_LENGTH].parse().map_err(|_| Forged)?;
        let tag = u64::try_from(base62::decode(tag).ok_or(Forged)?).map_err(|_| Forged)?;
        let expected = keys.seal_tag(key, sealed).ok_or(Forged)?;
        if !secret::constant_time_eq(&expected.to_be_bytes(), &tag.to_be_bytes()) {
            return Err(Forged);
        }
        Ok(Self {
            id: TokenId::from_u128(id),
            secret: SecretPart(&text[SECRET_AT..KEY_AT]),
        })
    }

    /// The digest of the secret part under a pepper; `None` where the pepper is gone.
    pub fn digest(&self, pepper: RingKeyId, keys: &Keyring) -> Option<Digest> {
        keys.digest(pepper, self.secret.0)
    }
}

/// Makes a password: 122 random bits of id, 128 of secret.
pub fn mint(keys: &Keyring) -> Minted {
    mint_again(TokenId::random(), keys)
}

/// Makes another password of a token.
pub fn mint_again(id: TokenId, keys: &Keyring) -> Minted {
    let mut text = String::with_capacity(LENGTH);
    text.push_str(PREFIX);
    base62::encode(id.to_u128(), LENGTH_OF_128_BITS, &mut text);
    base62::encode(
        u128::from_be_bytes(secret::random_bytes()),
        LENGTH_OF_128_BITS,
        &mut text,
    );
    text.push_str(keys.seal_id().as_str());
    let tag = keys
        .seal_tag(keys.seal_id(), &text)
        .expect("the newest seal key is in the ring");
    let pepper = keys.pepper_id();
    let digest = keys
        .digest(pepper, &text[SECRET_AT..KEY_AT])
        .expect("the newest pepper is in the ring");
    base62::encode(u128::from(tag), LENGTH_OF_64_BITS, &mut text);
    Minted {
        id,
        password: Secret::new(text),
        pepper,
        digest,
    }
}

impl std::fmt::Debug for SecretPart<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(secret::REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_password_verifies_and_gives_its_digest() {
        let keys = Keyring::random();
        let minted = mint(&keys);
        let text = minted.password.expose();
        assert_eq!(text.len(), LENGTH);
        let read = MintedPassword::verify(text, &keys).unwrap();
        assert_eq!(read.id, minted.id);
        assert_eq!(read.digest(minted.pepper, &keys), Some(minted.digest));
    }

    #[test]
    fn changing_any_character_is_noticed() {
        let keys = Keyring::random();
        let minted = mint(&keys);
        let text = minted.password.expose();
        for at in 0..text.len() {
            for replacement in ['0', 'z', '-', '\0'] {
                let mut forged: Vec<char> = text.chars().collect();
                if forged[at] == replacement {
                    continue;
                }
                forged[at] = replacement;
                let forged: String = forged.into_iter().collect();
                assert!(MintedPassword::verify(&forged, &keys).is_err(), "{forged}");
            }
        }
    }

    #[test]
    fn other_lengths_other_deployments_and_other_texts_are_forged() {
        let keys = Keyring::random();
        let minted = mint(&keys);
        let text = minted.password.expose();
        assert!(MintedPassword::verify(text, &Keyring::random()).is_err());
        let wide = format!("tkn_{}", "é".repeat((LENGTH - 4) / 2));
        let longer = format!("{text}0");
        for forged in ["", "tkn_", &text[1..], &text[..LENGTH - 1], &longer, &wide] {
            assert!(MintedPassword::verify(forged, &keys).is_err(), "{forged}");
        }
    }
}
