//! Verification of identity tokens (JWT, RFC 7519), by RFC 8725: the provider's record says which
//! algorithm, key, issuer and audience; the token's header is never asked.
//!
//! Signatures are the library's work. The claims are checked here, against the server's own clock.

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::{Map, Number, Value};

use crate::names::claims::Claims;
use crate::org::provider::{Provider, ProviderKey};
use crate::secret::Secret;

/// The longest token, in bytes.
pub const MAX_LENGTH: usize = 16 * 1024;
/// How far the provider's clock and ours may be apart, in seconds.
pub const LEEWAY: i64 = 30;

const MAX_SUBJECT_LENGTH: usize = 255;

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
    /// No `email`, where the provider needs one.
    #[error("email claim required: let the provider put `email` into its tokens")]
    NoEmail,
}

#[derive(Deserialize)]
struct Payload {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<Number>,
    nbf: Option<Number>,
    iat: Option<Number>,
    email: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct UnverifiedPayload {
    iss: String,
}

/// The issuer that a token claims to have. Nothing of it has been verified: good only for choosing
/// which provider to verify it against.
///
/// # Errors
/// [`TokenError::Malformed`].
pub fn unverified_issuer(token: &Secret) -> Result<String, TokenError> {
    let token = bounded(token)?;
    let payload: UnverifiedPayload = jsonwebtoken::dangerous::insecure_decode(token)
        .map_err(|_| TokenError::Malformed)?
        .claims;
    Ok(payload.iss)
}

/// Verifies a token of the provider.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn verify(
    token: &Secret,
    provider: &Provider,
    shared_secret: &Secret,
    now: Timestamp,
) -> Result<Identity, TokenError> {
    let payload = verify_signature(bounded(token)?, provider, shared_secret)?;
    if payload.iss.as_deref() != Some(provider.issuer.as_str()) {
        return Err(TokenError::Issuer);
    }
    check_audience(payload.aud.as_ref(), &provider.audiences)?;
    let expires_at = check_times(&payload, now)?;
    let subject = payload.sub.as_deref().unwrap_or_default();
    if subject.is_empty() || subject.len() > MAX_SUBJECT_LENGTH {
        return Err(TokenError::NoSubject);
    }
    let email = payload.email.clone().filter(|email| !email.is_empty());
    if email.is_none() && provider.require_email {
        return Err(TokenError::NoEmail);
    }
    Ok(Identity {
        subject: subject.to_owned(),
        claims: mapped(&payload),
        email,
        expires_at,
    })
}

/// Signs claims as a provider with a shared secret does, for demonstrations and tests.
///
/// # Panics
/// When the claims are not JSON, which a [`Value`] always is.
pub fn sign_hs256(claims: &Value, shared_secret: &Secret) -> Secret {
    let key = EncodingKey::from_secret(shared_secret.expose().as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key);
    Secret::new(token.expect("JSON claims can be signed with a shared secret"))
}

fn bounded(token: &Secret) -> Result<&str, TokenError> {
    let token = token.expose();
    if token.len() > MAX_LENGTH {
        Err(TokenError::Malformed)
    } else {
        Ok(token)
    }
}

fn verify_signature(
    token: &str,
    provider: &Provider,
    shared_secret: &Secret,
) -> Result<Payload, TokenError> {
    use jsonwebtoken::errors::ErrorKind;
    let ProviderKey::Hs256(_) = &provider.key;
    let key = DecodingKey::from_secret(shared_secret.expose().as_bytes());
    let mut only_the_signature = Validation::new(Algorithm::HS256);
    only_the_signature.required_spec_claims.clear();
    only_the_signature.validate_exp = false;
    only_the_signature.validate_nbf = false;
    only_the_signature.validate_aud = false;
    match jsonwebtoken::decode(token, &key, &only_the_signature) {
        Ok(token) => Ok(token.claims),
        Err(error) => Err(match error.kind() {
            ErrorKind::InvalidSignature => TokenError::Signature,
            ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
            _ => TokenError::Malformed,
        }),
    }
}

fn check_audience(found: Option<&Audience>, accepted: &[String]) -> Result<(), TokenError> {
    let good = match found {
        None => false,
        Some(Audience::One(one)) => accepted.contains(one),
        Some(Audience::Many(many)) => many.iter().any(|one| accepted.contains(one)),
    };
    if good {
        Ok(())
    } else {
        Err(TokenError::Audience)
    }
}

fn check_times(payload: &Payload, now: Timestamp) -> Result<Timestamp, TokenError> {
    let now = now.as_second();
    let end = whole_seconds(payload.exp.as_ref())?.ok_or(TokenError::NoExpiry)?;
    if end <= now.saturating_sub(LEEWAY) {
        return Err(TokenError::Expired);
    }
    for start in [&payload.nbf, &payload.iat] {
        let start = whole_seconds(start.as_ref())?;
        if start.is_some_and(|start| start > now.saturating_add(LEEWAY)) {
            return Err(TokenError::NotYetValid);
        }
    }
    // Within the leeway the provider's clock may be right and ours ahead: then a login may live for
    // what is left of the leeway, and not a second longer.
    let end = if end > now {
        end
    } else {
        end.saturating_add(LEEWAY)
    };
    Timestamp::from_second(end).map_err(|_| TokenError::Malformed)
}

/// A NumericDate (RFC 7519 section 2) in whole seconds.
fn whole_seconds(date: Option<&Number>) -> Result<Option<i64>, TokenError> {
    let Some(date) = date else { return Ok(None) };
    let seconds = date.as_i64().or_else(|| {
        let seconds = date.as_f64()?;
        // 2^53: beyond it a float is no longer exact, and no date is that far.
        (seconds.abs() < 9_007_199_254_740_992.0).then_some(seconds.floor() as i64)
    });
    match seconds {
        Some(seconds) if seconds >= 0 => Ok(Some(seconds)),
        _ => Err(TokenError::Malformed),
    }
}

/// The claims that topic rules may use. One that is not a plain text is left out.
fn mapped(payload: &Payload) -> Claims {
    let mut claims = Claims::default();
    if let Some(subject) = &payload.sub {
        claims.insert("user_id", subject);
    }
    if let Some(email) = &payload.email {
        claims.insert("email", email);
    }
    for name in ["session_id", "role"] {
        if let Some(Value::String(value)) = payload.others.get(name) {
            claims.insert(name, value);
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::supabase;
    use crate::keyring::Keyring;
    use serde_json::json;

    const SECRET: &str = "a shared secret of 32 bytes and more";
    const NOW: i64 = 1_800_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn provider() -> Provider {
        let url = "https://abc.supabase.co";
        supabase::provider(
            "demo",
            url,
            &Secret::new(SECRET),
            "user_",
            &Keyring::random(),
        )
        .unwrap()
    }

    fn good() -> Value {
        json!({
            "iss": "https://abc.supabase.co/auth/v1",
            "aud": "authenticated",
            "sub": "8f14e45f",
            "exp": NOW + 3600,
            "iat": NOW,
            "email": "a@b.example",
            "role": "authenticated",
            "app_metadata": {"provider": "email"}
        })
    }

    fn verified(claims: &Value) -> Result<Identity, TokenError> {
        let token = sign_hs256(claims, &Secret::new(SECRET));
        verify(&token, &provider(), &Secret::new(SECRET), now())
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        claims[name] = value;
        claims
    }

    fn without(name: &str) -> Value {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        claims
    }

    #[test]
    fn a_good_token_names_its_subject() {
        let identity = verified(&good()).unwrap();
        assert_eq!(identity.subject, "8f14e45f");
        assert_eq!(identity.email.as_deref(), Some("a@b.example"));
        assert_eq!(identity.claims.get("user_id"), Some("8f14e45f"));
        assert_eq!(identity.claims.get("role"), Some("authenticated"));
        assert_eq!(identity.expires_at.as_second(), NOW + 3600);
    }

    #[test]
    fn each_claim_is_checked() {
        use TokenError::*;
        let long = "x".repeat(256);
        for (claims, expected) in [
            (without("iss"), Issuer),
            (
                with("iss", json!("https://abc.supabase.co/auth/v1/")),
                Issuer,
            ),
            (
                with("iss", json!("https://ABC.supabase.co/auth/v1")),
                Issuer,
            ),
            (
                with("iss", json!("https://other.supabase.co/auth/v1")),
                Issuer,
            ),
            (without("aud"), Audience),
            (with("aud", json!("authenticated2")), Audience),
            (with("aud", json!(["a", "b"])), Audience),
            (with("aud", json!([])), Audience),
            (with("aud", json!({})), Malformed),
            (without("exp"), NoExpiry),
            (with("exp", json!(null)), NoExpiry),
            (with("exp", json!("1900000000")), Malformed),
            (with("exp", json!(-1)), Malformed),
            (with("exp", json!(1e300)), Malformed),
            (with("exp", json!(NOW - 30)), Expired),
            (with("exp", json!(0)), Expired),
            (with("nbf", json!(NOW + 31)), NotYetValid),
            (with("iat", json!(NOW + 31)), NotYetValid),
            (with("nbf", json!("soon")), Malformed),
            (without("sub"), NoSubject),
            (with("sub", json!("")), NoSubject),
            (with("sub", json!(long)), NoSubject),
            (with("sub", json!(7)), Malformed),
            (without("email"), NoEmail),
            (with("email", json!("")), NoEmail),
            (with("email", json!(["a@b"])), Malformed),
        ] {
            assert_eq!(verified(&claims), Err(expected), "{claims}");
        }
    }

    #[test]
    fn the_leeway_is_thirty_seconds_and_several_audiences_may_be_named() {
        for claims in [
            with("exp", json!(NOW - 29)),
            with("exp", json!(NOW as f64 + 10.5)),
            with("nbf", json!(NOW + 30)),
            with("aud", json!(["other", "authenticated"])),
        ] {
            assert!(verified(&claims).is_ok(), "{claims}");
        }
        let late = verified(&with("exp", json!(NOW - 29))).unwrap();
        assert_eq!(late.expires_at.as_second(), NOW + 1);
    }

    #[test]
    fn the_header_chooses_nothing() {
        let provider = provider();
        let secret = Secret::new(SECRET);
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let hs512 = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &good(), &key).unwrap();
        let refused = verify(&Secret::new(hs512), &provider, &secret, now());
        assert_eq!(refused, Err(TokenError::Algorithm));

        let token = sign_hs256(&good(), &secret);
        let (_, rest) = token.expose().split_once('.').unwrap();
        let (payload, _) = rest.rsplit_once('.').unwrap();
        // {"alg":"none"}, {"alg":"NONE"}, {"alg":"nOnE","typ":"JWT"}
        for header in [
            "eyJhbGciOiJub25lIn0",
            "eyJhbGciOiJOT05FIn0",
            "eyJhbGciOiJuT25FIiwidHlwIjoiSldUIn0",
        ] {
            for signature in ["", "AAAA"] {
                let unsigned = Secret::new(format!("{header}.{payload}.{signature}"));
                assert!(verify(&unsigned, &provider, &secret, now()).is_err());
            }
        }
    }

    #[test]
    fn another_secret_a_cut_and_a_flood_are_refused() {
        let provider = provider();
        let secret = Secret::new(SECRET);
        let foreign = sign_hs256(&good(), &Secret::new("another secret of 32 bytes and more"));
        assert_eq!(
            verify(&foreign, &provider, &secret, now()),
            Err(TokenError::Signature)
        );
        let token = sign_hs256(&good(), &secret);
        let token = token.expose();
        let padded = format!("{token}=");
        let long = "a".repeat(MAX_LENGTH + 1);
        let spaced = format!(" {token}");
        let cut = &token[..token.len() - 1];
        for bad in ["", "a.b.c", "..", cut, &padded, &spaced, &long] {
            let bad = Secret::new(bad);
            assert!(
                verify(&bad, &provider, &secret, now()).is_err(),
                "{}",
                bad.expose()
            );
        }
    }

    #[test]
    fn a_claim_twice_is_refused() {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
        let payload = r#"{"iss":"https://abc.supabase.co/auth/v1","iss":"https://evil/auth/v1"}"#;
        let token = format!("eyJhbGciOiJIUzI1NiJ9.{}.AAAA", B64.encode(payload));
        assert_eq!(
            unverified_issuer(&Secret::new(token)),
            Err(TokenError::Malformed)
        );
    }
}
