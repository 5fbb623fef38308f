//! An identity provider that does as it is told: keys of every type, answers of every kind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a path is answered with.
#[derive(Clone)]
pub struct Answer {
    pub status: &'static str,
    pub headers: String,
    pub body: Vec<u8>,
    /// How often the body is sent, whatever its length is said to be.
    pub times: usize,
    /// Whether anything is sent at all.
    pub silent: bool,
}

/// A server on a free loopback port. It ends with the test's event loop.
#[derive(Clone)]
pub struct Issuer {
    /// `http://127.0.0.1:<port>`
    pub url: String,
    state: Arc<Mutex<Served>>,
}

#[derive(Default)]
struct Served {
    answers: HashMap<String, Answer>,
    asked: HashMap<String, usize>,
    down: bool,
}

impl Answer {
    pub fn json(body: &Value) -> Self {
        Self::body(body.to_string())
    }

    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: "200 OK",
            headers: String::new(),
            body: body.into(),
            times: 1,
            silent: false,
        }
    }

    /// The same with a header.
    pub fn with(mut self, header: &str) -> Self {
        self.headers.push_str(&format!("{header}\r\n"));
        self
    }
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
        };
        let served = issuer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = served.clone();
                tokio::spawn(async move { served.serve(stream).await });
            }
        });
        issuer
    }

    pub fn answer(&self, path: &str, answer: Answer) {
        let mut state = self.state.lock().unwrap();
        state.answers.insert(path.to_owned(), answer);
    }

    /// Publishes these keys at `/keys`.
    pub fn publish(&self, keys: &[Value]) {
        self.answer("/keys", Answer::json(&json!({ "keys": keys })));
    }

    /// Whether every connection is closed at once.
    pub fn down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.asked.get(path).copied().unwrap_or(0)
    }

    /// How often anything was asked for.
    pub fn asked_at_all(&self) -> usize {
        self.state.lock().unwrap().asked.values().sum()
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let answer = {
            let mut state = self.state.lock().unwrap();
            *state.asked.entry(path.clone()).or_default() += 1;
            if state.down {
                return;
            }
            state.answers.get(&path).cloned()
        };
        let Some(answer) = answer else {
            let _ = stream
                .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                .await;
            return;
        };
        if answer.silent {
            let _ = stream.read_u8().await;
            return;
        }
        let Answer {
            status,
            headers,
            body,
            times,
            ..
        } = answer;
        let length = match headers.contains("content-length") || times > 1 {
            true => String::new(),
            false => format!("content-length: {}\r\n", body.len()),
        };
        let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}{length}\r\n");
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        for _ in 0..times {
            if stream.write_all(&body).await.is_err() {
                return;
            }
        }
    }
}

/// A key that signs.
pub enum Signer {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl Signer {
    pub fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Signer::Rsa(_) => "RS256",
            Signer::P256(_) => "ES256",
            Signer::Ed25519(_) => "EdDSA",
            Signer::Secret(_) => "HS256",
        }
    }

    /// The public key as its issuer publishes it.
    pub fn jwk(&self, kid: &str) -> Value {
        let mut key = match self {
            Signer::Rsa(pair) => json!({
                "kty": "RSA",
                "n": B64.encode(pair.public_key().modulus().big_endian_without_leading_zero()),
                "e": B64.encode(pair.public_key().exponent().big_endian_without_leading_zero()),
            }),
            Signer::P256(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = (B64.encode(&point[..32]), B64.encode(&point[32..]));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
            Signer::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": B64.encode(pair.public_key())})
            }
            Signer::Secret(_) => panic!("a secret is not published"),
        };
        key["kid"] = json!(kid);
        key["use"] = json!("sig");
        key["alg"] = json!(self.algorithm());
        key
    }

    /// A token with this header and these claims, whatever they say.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", B64.encode(header), B64.encode(claims));
        let signature = self.signature(message.as_bytes(), header.contains("PS256"));
        format!("{message}.{}", B64.encode(signature))
    }

    /// A token as it should be.
    pub fn sign(&self, kid: &str, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm(), "typ": "JWT", "kid": kid});
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    fn signature(&self, message: &[u8], pss: bool) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Signer::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let done = if pss {
                    pair.sign(&RSA_PSS_SHA256, &random, message, &mut signature)
                } else {
                    pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                };
                done.unwrap();
                signature
            }
            Signer::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Signer::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Signer::Secret(secret) => {
                use aws_lc_rs::hmac;
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
        }
    }
}
