use super::*;
use crate::identity::draft::Draft;
use crate::identity::supabase::{self, Signing};
use crate::keyring::Keyring;
use crate::org::claim_path::ClaimPath;
use crate::org::provider::ProviderKind;
use serde_json::json;

const SECRET: &str = "a shared secret of 32 bytes and more";
const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn provider() -> Provider {
    let secret = Secret::new(SECRET);
    let draft = Draft::new("demo", "user_");
    let signing = Signing::Secret(&secret);
    supabase::provider(
        draft,
        "https://abc.supabase.co",
        &signing,
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

fn verify(
    token: &Secret,
    provider: &Provider,
    secret: &Secret,
    now: Timestamp,
) -> Result<Identity, TokenError> {
    let key = VerificationKey::shared_secret(secret);
    UnverifiedToken::read(token)?.verify(provider, &key, &[], now)
}

fn verified(claims: &Value) -> Result<Identity, TokenError> {
    verified_by(&provider(), claims)
}

fn verified_by(provider: &Provider, claims: &Value) -> Result<Identity, TokenError> {
    let token = sign_hs256(claims, &Secret::new(SECRET));
    verify(&token, provider, &Secret::new(SECRET), now())
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
        (with("exp", json!(true)), Malformed),
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
    let hs512 =
        jsonwebtoken::encode(&Header::new(jsonwebtoken::Algorithm::HS512), &good(), &key).unwrap();
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

/// A token with a header and payload of any text, well signed.
fn signed(header: &str, payload: &str) -> Secret {
    let parts = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = parts.join(".");
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let algorithm = jsonwebtoken::Algorithm::HS256;
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    Secret::new(format!("{message}.{signature}"))
}

#[test]
fn a_claim_twice_is_refused_however_well_it_is_signed() {
    let good = good().to_string();
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let check = |header: &str, payload: &str| {
        let secret = Secret::new(SECRET);
        verify(&signed(header, payload), &provider(), &secret, now()).map(drop)
    };
    assert_eq!(check(header, &good), Ok(()));
    for doubled in [
        good.replace(r#""sub""#, r#""sub":"root","sub""#),
        good.replace(r#""aud""#, r#""\u0061ud":"x","aud""#),
        good.replace(r#""provider""#, r#""provider":"x","provider""#),
    ] {
        assert_ne!(doubled, good);
        assert_eq!(
            check(header, &doubled),
            Err(TokenError::Malformed),
            "{doubled}"
        );
    }
    let twice = r#"{"alg":"HS256","alg":"HS256"}"#;
    assert_eq!(check(twice, &good), Err(TokenError::Malformed));
    let exponent = good.replace(&(NOW + 3600).to_string(), "1e400");
    assert_eq!(check(header, &exponent), Err(TokenError::Malformed));
}

#[test]
fn unusual_headers_are_refused_and_pointers_are_ignored() {
    let good = good().to_string();
    let long = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(257));
    let check = |header: &str| {
        let secret = Secret::new(SECRET);
        verify(&signed(header, &good), &provider(), &secret, now()).map(drop)
    };
    for (header, expected) in [
        (r#"{"alg":"HS256","kid":"../../etc/passwd"}"#, Ok(())),
        (
            r#"{"alg":"HS256","jku":"https://evil.example/jwks"}"#,
            Ok(()),
        ),
        (r#"{"alg":"HS256","x5u":"https://evil.example/x"}"#, Ok(())),
        (r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#, Ok(())),
        (r#"{"alg":"HS256","typ":"at+JWT"}"#, Ok(())),
        (r#"{"typ":"JWT"}"#, Err(TokenError::Malformed)),
        (r#"{"alg":["HS256"]}"#, Err(TokenError::Malformed)),
        (r#"{"alg":"HS256","kid":7}"#, Err(TokenError::Malformed)),
        (
            r#"{"alg":"HS256","crit":["exp"]}"#,
            Err(TokenError::Malformed),
        ),
        (
            r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
            Err(TokenError::Malformed),
        ),
        (r#"{"alg":"HS256","zip":"DEF"}"#, Err(TokenError::Malformed)),
        (r#"{"alg":"HS256","cty":"JWT"}"#, Err(TokenError::Malformed)),
        (
            r#"{"alg":"HS256","typ":"logout+jwt"}"#,
            Err(TokenError::Malformed),
        ),
        (
            r#"{"alg":"dir","enc":"A256GCM"}"#,
            Err(TokenError::Malformed),
        ),
        (r#"{"alg":"hs256"}"#, Err(TokenError::Algorithm)),
        (r#"{"alg":"HS384"}"#, Err(TokenError::Algorithm)),
        (r#"{"alg":"RS256"}"#, Err(TokenError::Algorithm)),
        (r#"{"alg":""}"#, Err(TokenError::Algorithm)),
        (&long, Err(TokenError::Malformed)),
    ] {
        assert_eq!(check(header), expected, "{header:.80}");
    }
}

#[test]
fn claims_are_found_where_the_map_says() {
    let mut provider = provider();
    let paths = [
        ("level", "app_metadata.level"),
        ("plan", "https://app.example/plan"),
        ("admin", "app_metadata.admin"),
        ("list", "app_metadata.list"),
        ("nothing", "app_metadata.level.deeper"),
        ("email", "contact.mail"),
        ("user_id", "app_metadata.id"),
    ];
    provider.claim_map = paths
        .map(|(name, path)| (name.to_owned(), path.parse().unwrap()))
        .into();
    let mut claims = with(
        "app_metadata",
        json!({"level": 7, "admin": true, "list": ["a"]}),
    );
    claims["https://app.example/plan"] = json!("pro");
    claims["contact"] = json!({"mail": "x@y.example"});
    let identity = verified_by(&provider, &claims).unwrap();
    let claim = |name: &str| identity.claims.get(name);
    assert_eq!(identity.email.as_deref(), Some("x@y.example"));
    assert_eq!((claim("level"), claim("plan")), (Some("7"), Some("pro")));
    assert_eq!((claim("admin"), claim("list")), (Some("true"), None));
    assert_eq!((claim("nothing"), claim("user_id")), (None, None));
    assert_eq!(claim("email"), Some("x@y.example"));
    claims["contact"] = json!({});
    assert_eq!(verified_by(&provider, &claims), Err(TokenError::NoEmail));
}

#[test]
fn an_unproved_address_is_no_claim_for_rules() {
    for unproved in [json!(false), json!("false")] {
        let identity = verified(&with("email_verified", unproved)).unwrap();
        assert_eq!(identity.email.as_deref(), Some("a@b.example"));
        assert_eq!(identity.claims.get("email"), None);
    }
    let proved = verified(&with("email_verified", json!(true))).unwrap();
    assert_eq!(proved.claims.get("email"), Some("a@b.example"));
}

#[test]
fn required_claims_and_parties_are_checked() {
    let mut provider = provider();
    let require = |path: &str, value: Option<&str>| {
        (path.parse::<ClaimPath>().unwrap(), value.map(str::to_owned))
    };
    provider.required_claims = [
        require("app_metadata.provider", None),
        require("role", Some("authenticated")),
        require("groups", Some("staff")),
    ]
    .into();
    let staff = || with("groups", json!(["x", "staff"]));
    let check = |provider: &Provider, claims: &Value| verified_by(provider, claims).map(drop);
    assert_eq!(check(&provider, &staff()), Ok(()));
    assert_eq!(check(&provider, &good()), Err(TokenError::NoClaim));
    let mut other = staff();
    other["role"] = json!("anon");
    assert_eq!(check(&provider, &other), Err(TokenError::OtherClaim));
    other = staff();
    other["groups"] = json!("staffing");
    assert_eq!(check(&provider, &other), Err(TokenError::OtherClaim));

    provider.required_claims.clear();
    provider.authorized_parties = vec!["client-1".into()];
    let party = |value: Value| with("azp", value);
    assert_eq!(check(&provider, &party(json!("client-1"))), Ok(()));
    for bad in [json!("client-12"), json!(null)] {
        assert_eq!(
            check(&provider, &party(bad)),
            Err(TokenError::AuthorizedParty)
        );
    }
}

#[test]
fn clerk_names_the_page_and_no_audience() {
    let mut provider = provider();
    provider.kind = ProviderKind::Clerk;
    provider.audiences.clear();
    let origins: [Origin; 1] = ["https://app.example".parse().unwrap()];
    let check = |claims: &Value| {
        let token = sign_hs256(claims, &Secret::new(SECRET));
        let key = VerificationKey::shared_secret(&Secret::new(SECRET));
        let token = UnverifiedToken::read(&token).unwrap();
        token.verify(&provider, &key, &origins, now()).map(drop)
    };
    let mut claims = without("aud");
    assert_eq!(check(&claims), Ok(()));
    claims["azp"] = json!("https://app.example");
    assert_eq!(check(&claims), Ok(()));
    claims["azp"] = json!("https://app.example.evil");
    assert_eq!(check(&claims), Err(TokenError::AuthorizedParty));
    assert_eq!(
        check(&good()),
        Err(TokenError::Audience),
        "made for something else"
    );
}

#[test]
fn firebase_wants_a_login_in_the_past() {
    let mut provider = provider();
    provider.kind = ProviderKind::Firebase;
    let check = |claims: &Value| verified_by(&provider, claims).map(drop);
    assert_eq!(check(&good()), Err(TokenError::NoClaim));
    assert_eq!(check(&with("auth_time", json!(NOW - 5))), Ok(()));
    let later = with("auth_time", json!(NOW + 31));
    assert_eq!(check(&later), Err(TokenError::NotYetValid));
    let mut long = with("auth_time", json!(NOW));
    long["sub"] = json!("x".repeat(129));
    assert_eq!(check(&long), Err(TokenError::NoSubject));
}
