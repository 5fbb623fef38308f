//! Sets of public keys (JWK Set, RFC 7517), read strictly: what is odd about one key costs that
//! key, what is odd about the document costs the document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::identity::jwt::{MAX_KID_LENGTH, VerificationKey};
use crate::identity::strict_json;
use crate::org::public_key::{Algorithm, BadKey, PublicKey};

/// The longest document, in bytes.
pub const MAX_LENGTH: usize = 256 * 1024;
/// The most keys of one set.
pub const MAX_KEYS: usize = 64;

/// The keys of a set that can be used, by name. Every key is good for one algorithm.
#[derive(Default)]
pub struct KeySet {
    keys: BTreeMap<Option<String>, (Algorithm, Arc<VerificationKey>)>,
    /// How many keys could not be used, by why.
    pub skipped: BTreeMap<Skipped, usize>,
}

/// Why a document is no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKeySet {
    /// Over [`MAX_LENGTH`].
    #[error("the key set is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// Not an object with a list `keys` of objects, or with a doubled name.
    #[error("the key set is not JSON of the form {{\"keys\": [...]}}, or has a doubled name")]
    Malformed,
    /// Over [`MAX_KEYS`].
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooMany,
    /// Which one is meant?
    #[error("two keys of the set have one name (kid)")]
    Twice,
    /// None that this provider's tokens could be signed with.
    #[error("none of the {0} keys of the set can be used for the provider's algorithms")]
    Useless(usize),
}

/// Why one key of a set is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skipped {
    /// A shared secret, which has no place in public.
    Symmetric,
    /// The private part of a key, which has none either: everybody can sign with it.
    Private,
    /// Not for signatures (`use`, `key_ops`).
    OtherUse,
    /// For an algorithm that the provider's tokens do not have, or of an unknown type.
    OtherAlgorithm,
    /// RSA under 2048 bits.
    Weak,
    /// Numbers that make no key.
    Malformed,
}

impl Skipped {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Skipped::Symmetric => "symmetric",
            Skipped::Private => "private",
            Skipped::OtherUse => "not for signatures",
            Skipped::OtherAlgorithm => "another algorithm",
            Skipped::Weak => "weak",
            Skipped::Malformed => "malformed",
        }
    }
}

impl KeySet {
    /// Reads a document for a provider whose tokens have these algorithms.
    ///
    /// # Errors
    /// [`BadKeySet`].
    pub fn read(document: &[u8], algorithms: &BTreeSet<Algorithm>) -> Result<Self, BadKeySet> {
        if document.len() > MAX_LENGTH {
            return Err(BadKeySet::TooLong);
        }
        let document = strict_json::object(document).ok_or(BadKeySet::Malformed)?;
        let Some(Value::Array(found)) = document.get("keys") else {
            return Err(BadKeySet::Malformed);
        };
        if found.len() > MAX_KEYS {
            return Err(BadKeySet::TooMany);
        }
        let mut set = Self::default();
        for key in found {
            let key = key.as_object().ok_or(BadKeySet::Malformed)?;
            match read_key(key, algorithms) {
                Ok((kid, algorithm, key)) => {
                    if set.keys.insert(kid, (algorithm, Arc::new(key))).is_some() {
                        return Err(BadKeySet::Twice);
                    }
                }
                Err(reason) => *set.skipped.entry(reason).or_default() += 1,
            }
        }
        if set.keys.is_empty() {
            return Err(BadKeySet::Useless(found.len()));
        }
        Ok(set)
    }

    /// The key of this name, for this algorithm. A token that names none means the only one.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Arc<VerificationKey>> {
        let (known, key) = match kid {
            Some(kid) => self.keys.get(&Some(kid.to_owned()))?,
            None => match self.keys.len() {
                1 => self.keys.values().next()?,
                _ => return None,
            },
        };
        (*known == algorithm).then_some(key)
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none, which a set that was read never is.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The names of the keys, with their algorithms.
    pub fn names(&self) -> impl Iterator<Item = (Option<&str>, Algorithm)> {
        let keys = self.keys.iter();
        keys.map(|(kid, (algorithm, _))| (kid.as_deref(), *algorithm))
    }
}

/// Reads the public key of one JWK that was pasted.
///
/// # Errors
/// [`Skipped`].
pub fn read_pasted(text: &[u8]) -> Result<PublicKey, Skipped> {
    let key = strict_json::object(text).ok_or(Skipped::Malformed)?;
    check_purpose(&key)?;
    public_key(&key)
}

type Read = (Option<String>, Algorithm, VerificationKey);

fn read_key(key: &Map<String, Value>, algorithms: &BTreeSet<Algorithm>) -> Result<Read, Skipped> {
    check_purpose(key)?;
    let kid = match key.get("kid") {
        None | Some(Value::Null) => None,
        Some(Value::String(kid)) if kid.len() <= MAX_KID_LENGTH => Some(kid.clone()),
        Some(_) => return Err(Skipped::Malformed),
    };
    let public = public_key(key)?;
    let algorithm = match text(key, "alg")? {
        Some(named) => named.parse().map_err(|_| Skipped::OtherAlgorithm)?,
        // A key that does not say is good for the first of the provider's that fits its type.
        None => *algorithms
            .iter()
            .find(|algorithm| public.fits(**algorithm))
            .ok_or(Skipped::OtherAlgorithm)?,
    };
    if !public.fits(algorithm) || !algorithms.contains(&algorithm) {
        return Err(Skipped::OtherAlgorithm);
    }
    let ready = VerificationKey::public(algorithm, &public).map_err(|error| match error {
        BadKey::Weak => Skipped::Weak,
        BadKey::Unusual | BadKey::Malformed => Skipped::Malformed,
    })?;
    Ok((kid, algorithm, ready))
}

fn check_purpose(key: &Map<String, Value>) -> Result<(), Skipped> {
    if text(key, "kty")? == Some("oct") || key.contains_key("k") {
        return Err(Skipped::Symmetric);
    }
    if ["d", "p", "q", "dp", "dq", "qi"]
        .iter()
        .any(|name| key.contains_key(*name))
    {
        return Err(Skipped::Private);
    }
    if text(key, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(Skipped::OtherUse);
    }
    match key.get("key_ops") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(all)) if all.iter().any(|one| one == "verify") => Ok(()),
        Some(_) => Err(Skipped::OtherUse),
    }
}

fn public_key(key: &Map<String, Value>) -> Result<PublicKey, Skipped> {
    let number = |name: &str| Ok(text(key, name)?.ok_or(Skipped::Malformed)?.to_owned());
    match (text(key, "kty")?, text(key, "crv")?) {
        (Some("RSA"), _) => Ok(PublicKey::Rsa {
            n: number("n")?,
            e: number("e")?,
        }),
        (Some("EC"), Some("P-256")) => Ok(PublicKey::P256 {
            x: number("x")?,
            y: number("y")?,
        }),
        (Some("EC"), Some("P-384")) => Ok(PublicKey::P384 {
            x: number("x")?,
            y: number("y")?,
        }),
        (Some("OKP"), Some("Ed25519")) => Ok(PublicKey::Ed25519 { x: number("x")? }),
        (None, _) => Err(Skipped::Malformed),
        _ => Err(Skipped::OtherAlgorithm),
    }
}

fn text<'a>(key: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Skipped> {
    match key.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Skipped::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    fn all() -> BTreeSet<Algorithm> {
        [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA].into()
    }

    fn read(keys: &Value) -> Result<KeySet, BadKeySet> {
        KeySet::read(json!({ "keys": keys }).to_string().as_bytes(), &all())
    }

    fn bytes(length: usize) -> String {
        URL_SAFE_NO_PAD.encode(vec![0xff; length])
    }

    fn rsa(kid: &str) -> Value {
        json!({"kty": "RSA", "kid": kid, "n": bytes(256), "e": "AQAB"})
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    #[test]
    fn each_key_is_good_for_one_algorithm() {
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": bytes(32)});
        let ec = json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": bytes(32), "y": bytes(32)});
        let set = read(&json!([rsa("rsa"), ed, ec])).unwrap();
        assert_eq!(set.len(), 3);
        for (kid, algorithm, found) in [
            (Some("rsa"), Algorithm::RS256, true),
            (Some("rsa"), Algorithm::PS256, false),
            (Some("rsa"), Algorithm::ES256, false),
            (Some("ed"), Algorithm::EdDSA, true),
            (Some("ec"), Algorithm::ES256, true),
            (Some("RSA"), Algorithm::RS256, false),
            (None, Algorithm::RS256, false),
        ] {
            assert_eq!(
                set.find(kid, algorithm).is_some(),
                found,
                "{kid:?} {algorithm}"
            );
        }
        let one = read(&json!([rsa("rsa")])).unwrap();
        assert!(one.find(None, Algorithm::RS256).is_some());
    }

    #[test]
    fn odd_keys_are_left_out() {
        use Skipped::*;
        for (odd, reason) in [
            (
                json!({"kty": "oct", "k": "c2VjcmV0", "kid": "x"}),
                Symmetric,
            ),
            (with(rsa("x"), "k", json!("c2VjcmV0")), Symmetric),
            (with(rsa("x"), "d", json!("AQAB")), Private),
            (with(rsa("x"), "use", json!("enc")), OtherUse),
            (with(rsa("x"), "key_ops", json!(["encrypt"])), OtherUse),
            (with(rsa("x"), "alg", json!("HS256")), OtherAlgorithm),
            (with(rsa("x"), "alg", json!("none")), OtherAlgorithm),
            (with(rsa("x"), "alg", json!("ES256")), OtherAlgorithm),
            (with(rsa("x"), "alg", json!("PS256")), OtherAlgorithm),
            (with(rsa("x"), "kty", json!("EC")), OtherAlgorithm),
            (with(rsa("x"), "kty", json!("XYZ")), OtherAlgorithm),
            (with(rsa("x"), "kid", json!("k".repeat(257))), Malformed),
            (with(rsa("x"), "kid", json!(7)), Malformed),
            (with(rsa("x"), "n", json!(bytes(128))), Weak),
            (with(rsa("x"), "n", json!("***")), Malformed),
            (with(rsa("x"), "e", json!("AQ")), Malformed),
            (with(rsa("x"), "n", json!(bytes(5000))), Malformed),
        ] {
            let set = read(&json!([rsa("good"), odd])).unwrap();
            assert_eq!(set.len(), 1, "{odd:.80}");
            assert_eq!(set.skipped, [(reason, 1)].into(), "{odd:.80}");
            assert_eq!(read(&json!([odd])).err(), Some(BadKeySet::Useless(1)));
        }
    }

    #[test]
    fn odd_documents_are_refused() {
        let many: Vec<Value> = (0..65).map(|n| rsa(&n.to_string())).collect();
        let twice = json!([rsa("a"), rsa("a")]);
        assert_eq!(read(&twice).err(), Some(BadKeySet::Twice));
        assert_eq!(read(&json!(many)).err(), Some(BadKeySet::TooMany));
        assert_eq!(read(&json!([])).err(), Some(BadKeySet::Useless(0)));
        assert_eq!(read(&json!([7])).err(), Some(BadKeySet::Malformed));
        let deep = format!("{{\"keys\":{}", "[".repeat(100_000));
        let long = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(MAX_LENGTH));
        for (document, expected) in [
            ("", BadKeySet::Malformed),
            ("<html>", BadKeySet::Malformed),
            ("[]", BadKeySet::Malformed),
            ("{}", BadKeySet::Malformed),
            (r#"{"keys":{}}"#, BadKeySet::Malformed),
            (r#"{"keys":[],"keys":[]}"#, BadKeySet::Malformed),
            (&deep, BadKeySet::Malformed),
            (&long, BadKeySet::TooLong),
        ] {
            let read = KeySet::read(document.as_bytes(), &all()).err();
            assert_eq!(read, Some(expected), "{document:.40}");
        }
    }
}
