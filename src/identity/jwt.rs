//! Verification of identity tokens (JWT, RFC 7519), by RFC 8725: the provider's record says which
//! algorithms, keys, issuer and audiences; the token's header only says which of its keys, and
//! nothing that a header points to is ever fetched.
//!
//! Signatures are the library's work. Forms and claims are checked here, against the server's own
//! clock: three parts of canonical base64, JSON without doubled names, nothing unusual.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{DecodingKey, EncodingKey, Header};
use serde_json::{Map, Value};

use crate::identity::claims::{self, text};
use crate::identity::strict_json;
use crate::names::claims::Claims;
use crate::names::origin::Origin;
use crate::org::provider::Provider;
use crate::org::public_key::{Algorithm, BadKey, PublicKey};
use crate::secret::Secret;

/// The longest token, in bytes.
pub const MAX_LENGTH: usize = 16 * 1024;
/// How far the provider's clock and ours may be apart, in seconds.
pub const LEEWAY: i64 = 30;
/// The longest `kid`, in bytes.
pub const MAX_KID_LENGTH: usize = 256;

/// Values of `typ` that an identity or access token may have, in lower case (RFC 8725 section 3.11).
const TYPES: [&str; 4] = ["jwt", "application/jwt", "at+jwt", "application/at+jwt"];
/// Header fields that change what the signature or the payload means.
const UNUSUAL: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// Whom a provider says the subject is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the provider calls the subject (`sub`).
    pub subject: String,
    /// The subject's e-mail address, where there is one.
    pub email: Option<String>,
    /// What topic rules may use.
    pub claims: Claims,
    /// When a login made from it ends at the latest: with the identity token, or for one that has
    /// just expired by our clock with the leeway.
    pub expires_at: Timestamp,
}

/// Why an identity token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64 JSON, over-long, or a claim of the wrong type.
    #[error("the identity token is malformed")]
    Malformed,
    /// Another algorithm than the provider's.
    #[error("the identity token is not signed with the provider's algorithm")]
    Algorithm,
    /// Signed with a key that is not among the provider's.
    #[error("the identity token is signed with a key that the provider does not publish")]
    UnknownKey,
    /// A wrong signature.
    #[error("unable to verify the identity token's signature")]
    Signature,
    /// Another issuer than the provider's.
    #[error("the identity token is of another issuer")]
    Issuer,
    /// Not for us.
    #[error("the identity token is for another audience")]
    Audience,
    /// Its time is up.
    #[error("the identity token has expired")]
    Expired,
    /// No `exp`.
    #[error("the identity token has no expiry time (exp)")]
    NoExpiry,
    /// `nbf` or `iat` in the future.
    #[error("the identity token is not valid yet")]
    NotYetValid,
    /// No `sub`, or one that is empty or over-long.
    #[error("the identity token names no subject (sub)")]
    NoSubject,
    /// `azp` names somebody else.
    #[error("the identity token was issued to another application or page (azp)")]
    AuthorizedParty,
    /// A claim that the provider's record requires is not there.
    #[error("the identity token lacks a claim that the provider's settings require")]
    NoClaim,
    /// It is there with another value.
    #[error("a claim of the identity token has not the value that the settings require")]
    OtherClaim,
    /// No `email`, where the provider needs one.
    #[error("email claim required: let the provider put `email` into its tokens")]
    NoEmail,
}

/// A token that was read and not verified.
pub struct UnverifiedToken<'a> {
    /// Header and payload as they were signed.
    signed: &'a str,
    signature: &'a str,
    algorithm: SignedWith,
    kid: Option<String>,
    payload: Map<String, Value>,
}

/// What a token says that it is signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedWith {
    /// A shared secret, HS256.
    SharedSecret,
    /// A key pair.
    KeyPair(Algorithm),
}

/// A key with the one algorithm that it is good for.
pub struct VerificationKey {
    good_for: SignedWith,
    algorithm: jsonwebtoken::Algorithm,
    key: DecodingKey,
}

impl VerificationKey {
    /// HS256 with a shared secret.
    pub fn shared_secret(secret: &Secret) -> Self {
        Self {
            good_for: SignedWith::SharedSecret,
            algorithm: jsonwebtoken::Algorithm::HS256,
            key: DecodingKey::from_secret(secret.expose().as_bytes()),
        }
    }

    /// A public key.
    ///
    /// # Errors
    /// [`BadKey`] for one that is weak, malformed or of another type than the algorithm needs.
    pub fn public(algorithm: Algorithm, key: &PublicKey) -> Result<Self, BadKey> {
        key.check()?;
        if !key.fits(algorithm) {
            return Err(BadKey::Malformed);
        }
        let decoding = match key {
            PublicKey::Rsa { n, e } => DecodingKey::from_rsa_components(n, e),
            PublicKey::P256 { x, y } | PublicKey::P384 { x, y } => {
                DecodingKey::from_ec_components(x, y)
            }
            PublicKey::Ed25519 { x } => DecodingKey::from_ed_components(x),
        };
        Ok(Self {
            good_for: SignedWith::KeyPair(algorithm),
            algorithm: match algorithm {
                Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
                Algorithm::PS256 => jsonwebtoken::Algorithm::PS256,
                Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
                Algorithm::ES384 => jsonwebtoken::Algorithm::ES384,
                Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
            },
            key: decoding.map_err(|_| BadKey::Malformed)?,
        })
    }
}

impl<'a> UnverifiedToken<'a> {
    /// Reads a token, strictly.
    ///
    /// # Errors
    /// [`TokenError::Malformed`], or [`TokenError::Algorithm`] for one that no provider can have.
    pub fn read(token: &'a Secret) -> Result<Self, TokenError> {
        let token = token.expose();
        if token.len() > MAX_LENGTH {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header = decoded_object(header)?;
        let algorithm = check_header(&header)?;
        let payload = decoded_object(payload)?;
        let bytes = URL_SAFE_NO_PAD.decode(signature);
        if bytes.map_err(|_| TokenError::Malformed)?.is_empty() {
            return Err(TokenError::Signature);
        }
        Ok(Self {
            signed,
            signature,
            algorithm,
            kid: text(&header, "kid")?.map(str::to_owned),
            payload,
        })
    }

    /// The issuer that it claims to have: good only for choosing which provider to verify it
    /// against.
    pub fn issuer(&self) -> Option<&str> {
        self.payload.get("iss")?.as_str()
    }

    /// What it says that it is signed with: good only for choosing among the provider's own keys.
    pub fn signed_with(&self) -> SignedWith {
        self.algorithm
    }

    /// The name of the key: good only for finding one of the provider's own.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Verifies it as a token of the provider, signed with this key of the provider's. `origins` are
    /// the web origins of the organization.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn verify(
        &self,
        provider: &Provider,
        key: &VerificationKey,
        origins: &[Origin],
        now: Timestamp,
    ) -> Result<Identity, TokenError> {
        self.check_signature(key)?;
        let payload = &self.payload;
        if text(payload, "iss")? != Some(provider.issuer.as_str()) {
            return Err(TokenError::Issuer);
        }
        claims::identity(payload, provider, origins, now)
    }

    fn check_signature(&self, key: &VerificationKey) -> Result<(), TokenError> {
        if key.good_for != self.algorithm {
            return Err(TokenError::Algorithm);
        }
        let message = self.signed.as_bytes();
        match jsonwebtoken::crypto::verify(self.signature, message, &key.key, key.algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(TokenError::Signature),
        }
    }
}

/// Signs claims as a provider with a shared secret does, for demonstrations and tests.
///
/// # Panics
/// When the claims are not JSON, which a [`Value`] always is.
pub fn sign_hs256(claims: &Value, shared_secret: &Secret) -> Secret {
    let key = EncodingKey::from_secret(shared_secret.expose().as_bytes());
    let token = jsonwebtoken::encode(&Header::new(jsonwebtoken::Algorithm::HS256), claims, &key);
    Secret::new(token.expect("JSON claims can be signed with a shared secret"))
}

fn decoded_object(part: &str) -> Result<Map<String, Value>, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part);
    let bytes = bytes.map_err(|_| TokenError::Malformed)?;
    strict_json::object(&bytes).ok_or(TokenError::Malformed)
}

fn check_header(header: &Map<String, Value>) -> Result<SignedWith, TokenError> {
    if UNUSUAL.iter().any(|name| header.contains_key(*name)) {
        return Err(TokenError::Malformed);
    }
    let typ = text(header, "typ")?.map(str::to_ascii_lowercase);
    let cty = text(header, "cty")?;
    let kid = text(header, "kid")?;
    if typ.is_some_and(|typ| !TYPES.contains(&typ.as_str()))
        || cty.is_some()
        || kid.is_some_and(|kid| kid.len() > MAX_KID_LENGTH)
    {
        return Err(TokenError::Malformed);
    }
    match text(header, "alg")?.ok_or(TokenError::Malformed)? {
        "HS256" => Ok(SignedWith::SharedSecret),
        other => other
            .parse()
            .map(SignedWith::KeyPair)
            .map_err(|_| TokenError::Algorithm),
    }
}

#[cfg(test)]
mod tests;
