//! Public keys that identity tokens are verified with, and the algorithms they are good for.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The smallest RSA modulus, in bits (RFC 7518 section 3.3).
pub const MIN_RSA_BITS: usize = 2048;
/// The largest: a larger one would only cost time.
pub const MAX_RSA_BITS: usize = 8192;

/// An algorithm that tokens may be signed with by a public key (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSA PKCS#1 1.5 with SHA-256.
    RS256,
    /// RSA PSS with SHA-256.
    PS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

/// A public key, by its numbers. Equal to what a JWK says (RFC 7517), so that one that was pasted
/// and one that was fetched are the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicKey {
    /// RSA: modulus and exponent.
    Rsa {
        /// URL-safe base64, big-endian.
        n: String,
        /// URL-safe base64, big-endian.
        e: String,
    },
    /// A point on P-256.
    P256 {
        /// URL-safe base64 of 32 bytes.
        x: String,
        /// URL-safe base64 of 32 bytes.
        y: String,
    },
    /// A point on P-384.
    P384 {
        /// URL-safe base64 of 48 bytes.
        x: String,
        /// URL-safe base64 of 48 bytes.
        y: String,
    },
    /// An Edwards key.
    Ed25519 {
        /// URL-safe base64 of 32 bytes.
        x: String,
    },
}

/// Why a public key is not good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Under [`MIN_RSA_BITS`].
    #[error("an RSA key under {MIN_RSA_BITS} bits can be broken: make a longer one")]
    Weak,
    /// Over [`MAX_RSA_BITS`], or with an odd exponent of another kind than usual.
    #[error("the RSA key is not a usual one (up to {MAX_RSA_BITS} bits, an odd exponent from 3)")]
    Unusual,
    /// Not the numbers that such a key has.
    #[error("the key's numbers are malformed")]
    Malformed,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 5] = [
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];

    /// The name that a token's header has (`alg`).
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::RS256 => "RS256",
            Algorithm::PS256 => "PS256",
            Algorithm::ES256 => "ES256",
            Algorithm::ES384 => "ES384",
            Algorithm::EdDSA => "EdDSA",
        }
    }
}

impl PublicKey {
    /// Whether such a key can make signatures of the algorithm.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        match self {
            PublicKey::Rsa { .. } => matches!(algorithm, Algorithm::RS256 | Algorithm::PS256),
            PublicKey::P256 { .. } => algorithm == Algorithm::ES256,
            PublicKey::P384 { .. } => algorithm == Algorithm::ES384,
            PublicKey::Ed25519 { .. } => algorithm == Algorithm::EdDSA,
        }
    }

    /// Checks the numbers. Whether a point lies on its curve is seen at the first signature.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn check(&self) -> Result<(), BadKey> {
        match self {
            PublicKey::Rsa { n, e } => check_rsa(&number(n)?, &number(e)?),
            PublicKey::P256 { x, y } => exactly(&[x, y], 32),
            PublicKey::P384 { x, y } => exactly(&[x, y], 48),
            PublicKey::Ed25519 { x } => exactly(&[x], 32),
        }
    }
}

fn number(text: &str) -> Result<Vec<u8>, BadKey> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| BadKey::Malformed)
}

fn exactly(numbers: &[&String], length: usize) -> Result<(), BadKey> {
    for text in numbers {
        if number(text)?.len() != length {
            return Err(BadKey::Malformed);
        }
    }
    Ok(())
}

fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), BadKey> {
    let (Some(first), Some(last)) = (n.first(), e.last()) else {
        return Err(BadKey::Malformed);
    };
    // Some write a zero before the number, which RFC 7518 forbids: read as it is, it is no bit more.
    if *first == 0 || e[0] == 0 {
        return Err(BadKey::Malformed);
    }
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    if bits < MIN_RSA_BITS {
        return Err(BadKey::Weak);
    }
    let odd = last % 2 == 1 && n[n.len() - 1] % 2 == 1;
    if bits > MAX_RSA_BITS || !odd || e == [1] || e.len() > 4 {
        return Err(BadKey::Unusual);
    }
    Ok(())
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not one of [`Algorithm::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an algorithm is one of RS256, PS256, ES256, ES384, EdDSA")]
pub struct NotAnAlgorithm;

impl FromStr for Algorithm {
    type Err = NotAnAlgorithm;

    fn from_str(text: &str) -> Result<Self, NotAnAlgorithm> {
        let named = |algorithm: &Algorithm| algorithm.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or(NotAnAlgorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsa(bits: usize, e: &[u8]) -> PublicKey {
        let mut n = vec![0xff; bits.div_ceil(8)];
        if !bits.is_multiple_of(8) {
            n[0] = (1 << (bits % 8)) - 1;
        }
        PublicKey::Rsa {
            n: URL_SAFE_NO_PAD.encode(n),
            e: URL_SAFE_NO_PAD.encode(e),
        }
    }

    #[test]
    fn rsa_keys_have_a_usual_size_and_exponent() {
        for (bits, e, expected) in [
            (2048, &[1, 0, 1][..], Ok(())),
            (8192, &[3], Ok(())),
            (2047, &[1, 0, 1], Err(BadKey::Weak)),
            (1024, &[1, 0, 1], Err(BadKey::Weak)),
            (8193, &[1, 0, 1], Err(BadKey::Unusual)),
            (2048, &[1], Err(BadKey::Unusual)),
            (2048, &[2], Err(BadKey::Unusual)),
            (2048, &[1, 0, 0, 0, 1], Err(BadKey::Unusual)),
            (2048, &[], Err(BadKey::Malformed)),
            (0, &[3], Err(BadKey::Malformed)),
        ] {
            assert_eq!(rsa(bits, e).check(), expected, "{bits} {e:?}");
        }
    }

    #[test]
    fn points_have_the_size_of_their_curve() {
        let of = |length| URL_SAFE_NO_PAD.encode(vec![1; length]);
        let p256 = |length| {
            PublicKey::P256 {
                x: of(length),
                y: of(32),
            }
            .check()
        };
        assert_eq!(p256(32), Ok(()));
        assert_eq!(p256(31), Err(BadKey::Malformed));
        assert_eq!(
            PublicKey::Ed25519 { x: of(33) }.check(),
            Err(BadKey::Malformed)
        );
        let odd = PublicKey::Ed25519 { x: "a b".into() };
        assert_eq!(odd.check(), Err(BadKey::Malformed));
    }

    #[test]
    fn an_algorithm_fits_one_type_of_key() {
        let key = rsa(2048, &[1, 0, 1]);
        let fitting = Algorithm::ALL.into_iter().filter(|one| key.fits(*one));
        assert_eq!(
            fitting.collect::<Vec<_>>(),
            [Algorithm::RS256, Algorithm::PS256]
        );
        for wrong in ["none", "None", "rs256", "HS256", ""] {
            assert_eq!(wrong.parse::<Algorithm>(), Err(NotAnAlgorithm));
        }
    }
}
