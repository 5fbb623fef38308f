//! A public key as somebody pastes it: PEM (RFC 7468) with a SubjectPublicKeyInfo, or a JWK.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::identity::jwk::{self, Skipped};
use crate::org::public_key::PublicKey;

/// The longest text, in bytes.
const MAX_LENGTH: usize = 16 * 1024;
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Why a text is not a public key. It never repeats the text, which may be a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// A private key was pasted.
    #[error(
        "that is a private key, which nobody but the issuer may have: paste the public one \
         (`openssl pkey -in key.pem -pubout`)"
    )]
    Private,
    /// A certificate was pasted.
    #[error("that is a certificate: `openssl x509 -in cert.pem -noout -pubkey` prints its key")]
    Certificate,
    /// A secret was pasted.
    #[error("that is a shared secret (kty oct), not a public key")]
    Symmetric,
    /// Something else.
    #[error(
        "not a public key of type RSA, P-256, P-384 or Ed25519, as PEM (-----BEGIN PUBLIC \
         KEY-----) or JWK ({{\"kty\": ...}})"
    )]
    Unknown,
}

/// Reads either form.
///
/// # Errors
/// [`NotAKey`].
pub fn public_key(text: &str) -> Result<PublicKey, NotAKey> {
    let text = text.trim();
    if text.len() > MAX_LENGTH {
        return Err(NotAKey::Unknown);
    }
    if text.starts_with('{') {
        return jwk::read_pasted(text.as_bytes()).map_err(|error| match error {
            Skipped::Private => NotAKey::Private,
            Skipped::Symmetric => NotAKey::Symmetric,
            _ => NotAKey::Unknown,
        });
    }
    if text.contains("PRIVATE KEY-----") {
        return Err(NotAKey::Private);
    }
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(NotAKey::Certificate);
    }
    let (der, is_bare_rsa) = match body(text, "PUBLIC KEY") {
        Some(der) => (der, false),
        None => (body(text, "RSA PUBLIC KEY").ok_or(NotAKey::Unknown)?, true),
    };
    let key = if is_bare_rsa {
        rsa(&der)
    } else {
        subject_public_key(&der)
    };
    key.ok_or(NotAKey::Unknown)
}

fn body(text: &str, label: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix(&format!("-----BEGIN {label}-----"))?;
    let inner = inner.strip_suffix(&format!("-----END {label}-----"))?;
    let packed: String = inner.split_ascii_whitespace().collect();
    STANDARD.decode(packed).ok()
}

/// `SEQUENCE { SEQUENCE { OID, parameters }, BIT STRING }` (RFC 5280 section 4.1).
fn subject_public_key(der: &[u8]) -> Option<PublicKey> {
    let (outer, rest) = element(der, 0x30)?;
    let (algorithm, outer) = element(outer, 0x30)?;
    let (bits, end) = element(outer, 0x03)?;
    let (oid, parameters) = element(algorithm, 0x06)?;
    let bits = bits.strip_prefix(&[0])?;
    if !rest.is_empty() || !end.is_empty() {
        return None;
    }
    if oid == RSA {
        return rsa(bits);
    }
    if oid == ED25519 {
        let x = URL_SAFE_NO_PAD.encode(bits);
        return Some(PublicKey::Ed25519 { x });
    }
    let (curve, _) = element(parameters, 0x06).filter(|_| oid == EC)?;
    let point = bits.strip_prefix(&[4])?;
    let (x, y) = point.split_at_checked(point.len() / 2)?;
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    if curve == P256 {
        Some(PublicKey::P256 { x, y })
    } else {
        (curve == P384).then_some(PublicKey::P384 { x, y })
    }
}

/// `SEQUENCE { INTEGER, INTEGER }` (RFC 8017 appendix A.1.1).
fn rsa(der: &[u8]) -> Option<PublicKey> {
    let (numbers, rest) = element(der, 0x30)?;
    let (n, numbers) = element(numbers, 0x02)?;
    let (e, end) = element(numbers, 0x02)?;
    let plain = |number: &[u8]| {
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        URL_SAFE_NO_PAD.encode(number)
    };
    (rest.is_empty() && end.is_empty()).then(|| PublicKey::Rsa {
        n: plain(n),
        e: plain(e),
    })
}

/// One DER element with this tag: its content, and what comes behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (head, rest) = der.split_at_checked(2)?;
    if head[0] != tag {
        return None;
    }
    let (length, rest) = match head[1] {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (length, rest) = rest.split_at_checked(2)?;
            (usize::from(length[0]) << 8 | usize::from(length[1]), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn the_key_of_rfc_8410_reads() {
        let x = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE";
        let expected = PublicKey::Ed25519 { x: x.into() };
        assert_eq!(public_key(ED).as_ref(), Ok(&expected));
        let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
        assert_eq!(public_key(&jwk), Ok(expected));
    }

    #[test]
    fn other_things_are_refused_with_what_to_do() {
        for (text, expected) in [
            ("", NotAKey::Unknown),
            ("{", NotAKey::Unknown),
            (r#"{"kty":"oct","k":"AAAA"}"#, NotAKey::Symmetric),
            (
                r#"{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}"#,
                NotAKey::Private,
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----",
                NotAKey::Private,
            ),
            ("-----BEGIN EC PRIVATE KEY-----\n", NotAKey::Private),
            ("-----BEGIN CERTIFICATE-----\n", NotAKey::Certificate),
            (&ED[..70], NotAKey::Unknown),
            (&ED.replace("MCow", "MCox"), NotAKey::Unknown),
        ] {
            assert_eq!(public_key(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn cut_der_never_panics() {
        let der = body(ED.trim(), "PUBLIC KEY").unwrap();
        for end in 0..der.len() {
            assert_eq!(subject_public_key(&der[..end]), None);
        }
        for at in 0..der.len() {
            for value in [0, 0x7f, 0x80, 0x81, 0x82, 0xff] {
                let mut changed = der.clone();
                changed[at] = value;
                let _ = (subject_public_key(&changed), rsa(&changed));
            }
        }
    }
}
