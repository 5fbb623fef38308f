//! A valid token that was changed anywhere is no valid token.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use ticketgate::identity::custom::{self, CustomKey};
use ticketgate::identity::draft::Draft;
use ticketgate::identity::jwk::KeySet;
use ticketgate::identity::jwt::{Identity, TokenError, UnverifiedToken, VerificationKey};
use ticketgate::identity::pem;
use ticketgate::keyring::Keyring;
use ticketgate::org::provider::Provider;
use ticketgate::org::public_key::Algorithm;
use ticketgate::secret::Secret;

use crate::support::issuer::Signer;

const NOW: i64 = 1_800_000_000;
const SECRET: &str = "a shared secret of 32 bytes and more";

struct Case {
    token: String,
    provider: Provider,
    key: VerificationKey,
}

impl Case {
    fn new(signer: &Signer) -> Self {
        let claims = json!({
            "iss": "urn:test", "aud": ["mqtt"], "sub": "alice", "email": "a@b.example",
            "exp": NOW + 600, "iat": NOW, "app": {"role": "driver"},
        });
        let secret = Secret::new(SECRET);
        let (pasted, key) = match signer {
            Signer::Secret(_) => {
                let key = VerificationKey::shared_secret(&secret);
                (CustomKey::SharedSecret(secret), key)
            }
            _ => {
                let public = pem::public_key(&signer.jwk("one").to_string()).unwrap();
                let algorithm = signer.algorithm().parse().unwrap();
                let key = VerificationKey::public(algorithm, &public).unwrap();
                (CustomKey::Public(algorithm, public), key)
            }
        };
        let (draft, audiences) = (Draft::new("x", "x_"), vec!["mqtt".to_owned()]);
        let keys = Keyring::random();
        let provider = custom::provider(draft, "urn:test", audiences, pasted, &keys).unwrap();
        Self {
            token: signer.sign("one", &claims),
            provider,
            key,
        }
    }

    fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let now = Timestamp::from_second(NOW).unwrap();
        let token = Secret::new(token);
        UnverifiedToken::read(&token)?.verify(&self.provider, &self.key, &[], now)
    }
}

fn cases() -> Vec<Case> {
    let secret = Signer::Secret(SECRET.as_bytes().to_vec());
    let signers = [secret, Signer::rsa(), Signer::p256(), Signer::ed25519()];
    signers.iter().map(Case::new).collect()
}

/// A change of a text at a place.
fn mutated(token: &str, how: u8, at: usize, with: char) -> String {
    let at = at % token.len();
    let (before, behind) = token.split_at(at);
    match how {
        0 => format!("{before}{with}{}", &behind[1..]),
        1 => format!("{before}{with}{behind}"),
        2 => format!("{before}{}", &behind[1..]),
        3 => before.to_owned(),
        4 => format!("{behind}{before}"),
        5 => format!("{token}{behind}"),
        6 => {
            let mut parts: Vec<&str> = token.split('.').collect();
            parts.swap(at % 3, (at + 1) % 3);
            parts.join(".")
        }
        _ => {
            let cased = |c: char| match c.is_ascii_lowercase() {
                true => c.to_ascii_uppercase(),
                false => c.to_ascii_lowercase(),
            };
            let turned: String = behind.chars().take(1).map(cased).collect();
            format!("{before}{turned}{}", &behind[1..])
        }
    }
}

#[test]
fn a_changed_token_never_passes() {
    let cases = cases();
    for case in &cases {
        assert!(case.verify(&case.token).is_ok());
    }
    let strategy = (
        0..cases.len(),
        0..8_u8,
        any::<usize>(),
        prop_oneof![
            proptest::char::range('!', '~'),
            Just('.'),
            Just('='),
            Just('\n'),
            Just('é'),
        ],
    );
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 4_096,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let run = runner.run(&strategy, |(which, how, at, with)| {
        let case = &cases[which];
        let changed = mutated(&case.token, how, at, with);
        if changed != case.token {
            prop_assert!(case.verify(&changed).is_err(), "{changed}");
        }
        Ok(())
    });
    run.unwrap();
}

#[test]
fn a_token_is_good_for_its_own_key_only() {
    let cases = cases();
    for (number, case) in cases.iter().enumerate() {
        for (other, stranger) in cases.iter().enumerate() {
            assert_eq!(case.verify(&stranger.token).is_ok(), number == other);
        }
    }
}

#[test]
fn no_text_and_no_document_makes_a_reader_panic() {
    let algorithms = || Algorithm::ALL.into_iter().collect();
    let signers = [Signer::rsa(), Signer::p256(), Signer::ed25519()];
    let keys: Vec<_> = signers.iter().map(|one| one.jwk(one.algorithm())).collect();
    let document = json!({ "keys": keys }).to_string().into_bytes();
    assert_eq!(KeySet::read(&document, &algorithms()).unwrap().len(), 3);
    let strategy = (
        proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
        "[A-Za-z0-9_.=-]{0,80}",
        "\\PC{0,80}",
    );
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 2_048,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let run = runner.run(&strategy, |(changes, token, any)| {
        let mut changed = document.clone();
        for (at, byte) in changes {
            let at = at % changed.len();
            changed[at] = byte;
        }
        let _ = KeySet::read(&changed, &algorithms());
        for text in [&token, &any] {
            prop_assert!(UnverifiedToken::read(&Secret::new(text.as_str())).is_err());
            let _ = pem::public_key(text);
        }
        Ok(())
    });
    run.unwrap();
}
