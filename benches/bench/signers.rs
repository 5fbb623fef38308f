//! Who signs the identity tokens: one provider for each algorithm, with a key made for this run.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::Context as _;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::Algorithm as JwtAlgorithm;
use serde::{Deserialize, Serialize};
use serde_json::json;
use ticketgate::identity::custom::{self, CustomKey};
use ticketgate::identity::draft::Draft;
use ticketgate::identity::pem;
use ticketgate::keyring::Keyring;
use ticketgate::org::provider::{BadProvider, Provider};
use ticketgate::org::public_key;
use ticketgate::secret::Secret;

const SHARED_SECRET: &str = "a shared secret of more than 32 bytes";
const AUDIENCE: &str = "benchmark";
/// Longer than any run.
const LIFE: i64 = 86_400;

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// HMAC-SHA-256.
    HS256,
    /// RSA with 2048 bits.
    RS256,
    /// P-256.
    ES256,
}

/// A signer for each algorithm.
pub struct Signers(BTreeMap<Algorithm, Signer>);

struct Signer {
    signs: Signs,
    /// What verifies: the shared secret, or a public key as PEM.
    verifies: String,
}

enum Signs {
    Shared(Box<hmac::Key>),
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl Algorithm {
    /// Its name in tokens.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::HS256 => "HS256",
            Algorithm::RS256 => "RS256",
            Algorithm::ES256 => "ES256",
        }
    }

    /// As the token library names it.
    pub fn jwt(self) -> JwtAlgorithm {
        match self {
            Algorithm::HS256 => JwtAlgorithm::HS256,
            Algorithm::RS256 => JwtAlgorithm::RS256,
            Algorithm::ES256 => JwtAlgorithm::ES256,
        }
    }

    fn issuer(self) -> String {
        format!("https://{}.example", self.name().to_lowercase())
    }
}

impl FromStr for Algorithm {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let all = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256];
        let named = all.into_iter().find(|one| one.name() == text);
        named.context("it is HS256, RS256 or ES256")
    }
}

impl Signers {
    /// Makes the keys.
    pub fn new() -> anyhow::Result<Self> {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let rsa_public = AsDer::<PublicKeyX509Der<'_>>::as_der(rsa.public_key())?;
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let ec_public = AsDer::<PublicKeyX509Der<'_>>::as_der(ec.public_key())?;
        let shared = Signer {
            signs: Signs::Shared(Box::new(hmac::Key::new(
                HMAC_SHA256,
                SHARED_SECRET.as_bytes(),
            ))),
            verifies: SHARED_SECRET.to_owned(),
        };
        let rsa = Signer {
            signs: Signs::Rsa(rsa),
            verifies: as_pem(rsa_public.as_ref()),
        };
        let ec = Signer {
            signs: Signs::Ec(ec),
            verifies: as_pem(ec_public.as_ref()),
        };
        Ok(Self(BTreeMap::from([
            (Algorithm::HS256, shared),
            (Algorithm::RS256, rsa),
            (Algorithm::ES256, ec),
        ])))
    }

    /// A token of somebody.
    pub fn token(&self, algorithm: Algorithm, subject: &str) -> anyhow::Result<String> {
        let signer = self.0.get(&algorithm).context("there is one for each")?;
        let now = Timestamp::now().as_second();
        let claims = json!({
            "iss": algorithm.issuer(),
            "aud": AUDIENCE,
            "sub": subject,
            "email": format!("{}@example.com", &subject[..12]),
            "iat": now,
            "exp": now + LIFE,
        });
        let header = json!({"alg": algorithm.name(), "typ": "JWT"});
        let [header, claims] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let mut token = format!("{header}.{claims}");
        let signature = signer.signs.sign(token.as_bytes())?;
        token += ".";
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// What verifies its tokens: the shared secret, or a public key as PEM.
    pub fn verifies(&self, algorithm: Algorithm) -> anyhow::Result<&str> {
        let signer = self.0.get(&algorithm).context("there is one for each")?;
        Ok(&signer.verifies)
    }

    /// All of them, as an organization's providers.
    ///
    /// # Errors
    /// [`BadProvider`].
    pub fn providers(&self, keys: &Keyring) -> Result<Vec<Provider>, BadProvider> {
        let provider = |(algorithm, signer): (&Algorithm, &Signer)| {
            let key = match algorithm {
                Algorithm::HS256 => CustomKey::SharedSecret(Secret::new(&*signer.verifies)),
                Algorithm::RS256 => public(public_key::Algorithm::RS256, &signer.verifies),
                Algorithm::ES256 => public(public_key::Algorithm::ES256, &signer.verifies),
            };
            let name = algorithm.name().to_lowercase();
            let draft = Draft::new(&name, &format!("{name}_"));
            let audiences = vec![AUDIENCE.to_owned()];
            custom::provider(draft, &algorithm.issuer(), audiences, key, keys)
        };
        self.0.iter().map(provider).collect()
    }
}

impl Signs {
    fn sign(&self, text: &[u8]) -> anyhow::Result<Vec<u8>> {
        let random = SystemRandom::new();
        Ok(match self {
            Signs::Shared(key) => hmac::sign(key, text).as_ref().to_vec(),
            Signs::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)?;
                signature
            }
            Signs::Ec(pair) => pair.sign(&random, text)?.as_ref().to_vec(),
        })
    }
}

fn public(algorithm: public_key::Algorithm, text: &str) -> CustomKey {
    let key = pem::public_key(text).expect("a key that was just made");
    CustomKey::Public(algorithm, key)
}

fn as_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let (lines, rest) = text.as_bytes().as_chunks::<64>();
    let lines = lines.iter().map(<[u8; 64]>::as_slice).chain([rest]);
    let lines = lines.map(|line| String::from_utf8_lossy(line) + "\n");
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}-----END PUBLIC KEY-----\n",
        lines.collect::<String>()
    )
}
