//! Key sets over TLS, from whom one can trust and from others.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use ticketgate::identity::draft::Draft;
use ticketgate::identity::oidc;
use ticketgate::names::organization_id::OrganizationName;

use super::{AUDIENCE, Scene, add};
use crate::support::issuer::Signer;
use crate::support::program::Site;
use crate::support::rabbitmq::free_port;
use crate::support::redis::certificate;

const DOWN: (u16, &str) = (503, "temporarily_unavailable");

/// A TLS server whose certificate is signed by an authority that nobody knows.
struct Strange(Child, tempfile::TempDir);

impl Strange {
    fn start(port: u16) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        certificate::write(folder.path());
        let server = Command::new("openssl")
            .args([
                "s_server",
                "-key",
                "server.key",
                "-cert",
                "server.pem",
                "-WWW",
                "-quiet",
            ])
            .args(["-accept", &format!("127.0.0.1:{port}")])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(server.unwrap(), folder)
    }
}

impl Drop for Strange {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let port = free_port();
    let server = Strange::start(port);
    let scene = Scene::start().await;
    std::fs::write(
        server.1.path().join("keys"),
        json!({"keys": [scene.signer.jwk("one")]}).to_string(),
    )
    .unwrap();
    let url = format!("https://localhost:{port}");
    let keys = format!("{url}/keys").parse().unwrap();
    let draft = Draft::new("tls", "tls_");
    let provider = oidc::provider(draft, &url, Some(keys), vec![AUDIENCE.into()], [].into());
    let provider = provider.unwrap();
    let id = provider.id;
    add(&scene.world, provider).await;
    let token = scene
        .signer
        .sign("one", &scene.claims_with("iss", json!(url)));
    let organization = scene.world.organization.clone();
    // Until the TLS server listens, the connection is refused.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        scene
            .assert(&token, DOWN.0, DOWN.1, "unknown authority")
            .await;
        let name = OrganizationName::Id(organization.clone());
        let views = scene
            .world
            .app
            .providers(name, Some(&id.to_string()))
            .await
            .unwrap();
        let error = views[0]
            .key_set
            .as_ref()
            .unwrap()
            .error
            .as_ref()
            .unwrap()
            .to_string();
        if error.contains("certificate") {
            break;
        }
        assert!(Instant::now() < deadline, "{error}");
        scene.later(11);
    }
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted() {
    let (port, signer, site) = (free_port(), Signer::ed25519(), Site::set_up());
    let server = Strange::start(port);
    let keys = json!({"keys": [signer.jwk("one")]}).to_string();
    std::fs::write(server.1.path().join("keys"), keys).unwrap();
    let url = format!("https://localhost:{port}");
    let keys = format!("{url}/keys");
    let add = [
        "provider",
        "add",
        "oidc",
        "--org",
        &site.organization,
        "--name",
        "tls",
    ];
    let rest = [
        "--username-prefix",
        "tls_",
        "--issuer",
        &url,
        "--jwks-url",
        &keys,
    ];
    site.run(&[&add[..], &rest, &["--audience", AUDIENCE]].concat());
    let authority = server.1.path().join("ca.pem").display().to_string();
    let settings = [
        ("SSL_CERT_FILE", authority.as_str()),
        ("TICKETGATE__IDENTITY__ALLOW_PRIVATE_ADDRESSES", "true"),
        ("TICKETGATE__IDENTITY__FETCH_PAUSE_SECONDS", "1"),
    ];
    let serving = site.serve_with(&settings).await;
    let claims = json!({
        "iss": url, "aud": AUDIENCE, "sub": "a", "email": "a@b.example",
        "exp": jiff::Timestamp::now().as_second() + 600,
    });
    let token = signer.sign("one", &claims);
    let body = json!({"organization_id": site.organization, "token": token});
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let call = reqwest::Client::new().post(format!("{}/v2/tokens/exchange", site.url()));
        let reply = call.json(&body).send().await.unwrap();
        if reply.status() == 200 {
            break;
        }
        // Until the TLS server listens.
        assert_eq!(reply.status(), 503);
        assert!(Instant::now() < deadline, "{}", serving.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!serving.log().contains(&token), "a token is in the log");
}
