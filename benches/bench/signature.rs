//! The check of a token's signature and nothing else: what an exchange costs at least. The same
//! library as the server's, one thread.

use std::fs;
use std::io::stdin;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::bail;
use jsonwebtoken::{DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ticketgate::identity::pem;
use ticketgate::org::public_key::PublicKey;

use crate::signers::Algorithm;
use crate::turn::{Latencies, Mark, Turn};

/// One turn, a line on standard input: every token is checked once.
#[derive(Serialize, Deserialize)]
pub struct Job {
    /// How they are signed.
    pub algorithm: Algorithm,
    /// The shared secret, or a public key as PEM.
    pub verifies: String,
    /// The tokens, one a line.
    pub tokens: PathBuf,
}

/// Does the jobs on standard input until it ends.
pub fn run() -> anyhow::Result<()> {
    for line in stdin().lines() {
        let turn = check_all(&serde_json::from_str(&line?)?)?;
        println!("{}", serde_json::to_string(&turn)?);
    }
    Ok(())
}

fn check_all(job: &Job) -> anyhow::Result<Turn> {
    let key = match job.algorithm {
        Algorithm::HS256 => DecodingKey::from_secret(job.verifies.as_bytes()),
        Algorithm::RS256 | Algorithm::ES256 => match pem::public_key(&job.verifies)? {
            PublicKey::Rsa { n, e } => DecodingKey::from_rsa_components(&n, &e)?,
            PublicKey::P256 { x, y } => DecodingKey::from_ec_components(&x, &y)?,
            _ => bail!("a key of another type than the benchmark made"),
        },
    };
    let mut only_the_signature = Validation::new(job.algorithm.jwt());
    only_the_signature.required_spec_claims.clear();
    only_the_signature.validate_exp = false;
    only_the_signature.validate_aud = false;
    let tokens = fs::read_to_string(&job.tokens)?;
    let me = std::process::id();
    let mut latencies = Latencies::with_room_for(tokens.lines().count());
    let first = Mark::now(me, me)?;
    let mut checked = 0;
    for token in tokens.lines() {
        let began = Instant::now();
        jsonwebtoken::decode::<Value>(token, &key, &only_the_signature)?;
        latencies.push(began.elapsed());
        checked += 1;
    }
    let last = Mark::now(me, me)?;
    Ok(Turn::between(&first, &last, latencies, checked))
}
