//! `ticketgate provider`, as a person uses it.

use serde_json::json;

use crate::support::issuer::{Issuer, Signer};
use crate::support::program::Site;

const ED: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

fn add<'a>(site: &'a Site, kind: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let org = ["provider", "add", kind, "--org", &site.organization];
    [&org[..], rest].concat()
}

fn prefixed<'a>(name: &'a str, prefix: &'a str) -> [&'a str; 4] {
    ["--name", name, "--username-prefix", prefix]
}

#[test]
fn every_kind_is_added_by_one_command() {
    let site = Site::set_up();
    site.write("public.pem", ED);
    let (pem, secret) = (site.path("public.pem"), site.path("jwt.secret"));
    for (kind, name, rest, issuer) in [
        (
            "supabase",
            "s2_",
            vec!["--project-url", "https://two.supabase.co"],
            "https://two.supabase.co/auth/v1",
        ),
        (
            "supabase",
            "s3_",
            vec![
                "--project-url",
                "https://three.supabase.co",
                "--jwt-secret-file",
                &secret,
                "--signing-keys",
            ],
            "https://three.supabase.co/auth/v1",
        ),
        (
            "firebase",
            "fb_",
            vec!["--project-id", "my-app-4711", "--without-email"],
            "https://securetoken.google.com/my-app-4711",
        ),
        (
            "auth0",
            "a0_",
            vec![
                "--domain",
                "tenant.eu.auth0.com",
                "--audience",
                "https://api.example",
                "--claim",
                "email=https://app.example/email",
            ],
            "https://tenant.eu.auth0.com/",
        ),
        (
            "oidc",
            "oi_",
            vec![
                "--issuer",
                "https://id.example/realms/main",
                "--audience",
                "app",
                "--claim",
                "role=realm_access.role",
                "--require-claim",
                "email_verified=true",
            ],
            "https://id.example/realms/main",
        ),
        (
            "custom",
            "ed_",
            vec![
                "--issuer",
                "my-backend",
                "--audience",
                "mqtt",
                "--algorithm",
                "EdDSA",
                "--key-file",
                &pem,
            ],
            "my-backend",
        ),
        (
            "custom",
            "hs_",
            vec![
                "--issuer",
                "my-other",
                "--audience",
                "mqtt",
                "--algorithm",
                "HS256",
                "--secret-file",
                &secret,
            ],
            "my-other",
        ),
    ] {
        let arguments = [&prefixed(name, name)[..], &rest].concat();
        let reply = site.json(&add(&site, kind, &arguments));
        assert_eq!(
            (&reply["kind"], &reply["issuer"]),
            (&json!(kind), &json!(issuer))
        );
    }
    let clerk = [
        "--domain",
        "clerk.example.com",
        "--dev-domain",
        "x-1.clerk.accounts.dev",
    ];
    let arguments = [&prefixed("clerk", "ck_")[..], &clerk].concat();
    let text = site.run(&add(&site, "clerk", &arguments));
    assert!(
        text.contains("clerk-development for tokens of https://x-1.clerk"),
        "{text}"
    );

    let org = ["--org", &site.organization];
    let list = site.run(&[&["provider", "list"], &org[..]].concat());
    assert_eq!(list.lines().count(), 10, "{list}");
    let show = |name: &str| site.run(&[&["provider", "show", name], &org[..]].concat());
    let oidc = show("oi_");
    for line in [
        "claim role from realm_access.role",
        "required: email_verified = true",
        "the discovery document of https://id.example/realms/main",
        "audiences: app",
    ] {
        assert!(oidc.contains(line), "{line}: {oidc}");
    }
    let both = show("s3_");
    assert!(
        both.contains("HS256 with a shared secret, RS256, ES256, EdDSA"),
        "{both}"
    );
    assert!(
        both.contains("https://three.supabase.co/auth/v1/.well-known/jwks.json"),
        "{both}"
    );
}

#[test]
fn mistakes_are_told_with_the_cure() {
    let site = Site::set_up();
    site.write(
        "private.pem",
        "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
    );
    let private = site.path("private.pem");
    let custom = ["--issuer", "x", "--audience", "a", "--algorithm"];
    for (kind, rest, expected) in [
        ("firebase", vec!["--project-id", "UPPER"], "project id"),
        (
            "auth0",
            vec!["--domain", "https://a.example", "--audience", "x"],
            "without https://",
        ),
        (
            "oidc",
            vec!["--issuer", "http://id.example", "--audience", "x"],
            "https://",
        ),
        ("oidc", vec!["--issuer", "https://id.example"], "--audience"),
        (
            "oidc",
            vec![
                "--issuer",
                "https://id.example",
                "--audience",
                "x",
                "--claim",
                "username=x",
            ],
            "not username",
        ),
        (
            "custom",
            [&custom[..], &["RS256", "--key-file", &private]].concat(),
            "private key",
        ),
        (
            "custom",
            [&custom[..], &["HS256", "--key-file", &private]].concat(),
            "--secret-file",
        ),
        (
            "custom",
            [&custom[..], &["none", "--key-file", &private]].concat(),
            "one of RS256",
        ),
        ("clerk", vec![], "--domain"),
    ] {
        let arguments = [&prefixed("x", "x_")[..], &rest].concat();
        let error = site.fail(&add(&site, kind, &arguments));
        assert!(error.contains(expected), "{kind} {rest:?}: {error}");
        assert!(!error.contains("AA=="), "{error}");
    }
}

#[test]
fn the_help_teaches_by_examples() {
    let site = Site::set_up();
    for kind in ["supabase", "firebase", "auth0", "clerk", "oidc", "custom"] {
        let help = site.run(&["provider", "add", kind, "--help"]);
        let example = format!("ticketgate provider add {kind} --org ORG");
        assert!(help.contains(&example), "{help}");
    }
}

#[tokio::test]
async fn a_running_server_shows_its_key_sets_and_heeds_a_disable() {
    let (site, issuer, signer) = (Site::set_up(), Issuer::start().await, Signer::p256());
    issuer.publish(&[signer.jwk("one")]);
    let keys = format!("{}/keys", issuer.url);
    let rest = [
        "--issuer",
        &issuer.url,
        "--jwks-url",
        &keys,
        "--audience",
        "mqtt",
    ];
    let arguments = [&prefixed("dev", "dev_")[..], &rest].concat();
    let output = site.output(&add(&site, "oidc", &arguments));
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(
        warning.contains("is not encrypted"),
        "said loudly: {warning}"
    );
    let settings = std::fs::read_to_string(site.path("ticketgate.toml")).unwrap();
    site.write(
        "ticketgate.toml",
        &format!("{settings}\n[identity]\nallow_private_addresses = true\n"),
    );
    let server = site.serve().await;
    assert!(
        server.log().contains("for development only"),
        "{}",
        server.log()
    );

    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": issuer.url, "aud": "mqtt", "sub": "a", "email": "a@b.example", "exp": now + 600,
    });
    let exchange = async || {
        let body = json!({
            "organization_id": site.organization,
            "token": signer.sign("one", &claims),
        });
        let url = format!("{}/v2/tokens/exchange", site.url());
        let call = reqwest::Client::new().post(url).json(&body);
        call.send().await.unwrap().status().as_u16()
    };
    let org = ["--org", &site.organization];
    let provider = |arguments: &[&str]| site.run(&[&["provider"], arguments, &org[..]].concat());
    assert!(provider(&["status"]).contains("no token has needed it yet"));
    assert_eq!(exchange().await, 200);
    let status = provider(&["status"]);
    for text in [
        "key set fresh",
        "1 fetches of which 0 failed",
        "key one ES256",
    ] {
        assert!(status.contains(text), "{text}: {status}");
    }
    assert!(provider(&["disable", "dev"]).contains("disabled provider dev"));
    assert_eq!(exchange().await, 404);
    assert!(provider(&["list"]).contains("dev (oidc, disabled)"));
    provider(&["enable", "dev"]);
    assert_eq!(exchange().await, 200);
    provider(&["remove", "dev"]);
    assert_eq!(exchange().await, 404);
    // The same people may have their prefix again, and others may not; the server need not stop.
    let other = [
        "--issuer",
        "https://other.example",
        "--jwks-url",
        &keys,
        "--audience",
        "mqtt",
    ];
    let taken = site.fail(&add(
        &site,
        "oidc",
        &[&prefixed("dev", "dev_")[..], &other].concat(),
    ));
    assert!(taken.contains("of a removed provider"), "{taken}");
    site.run(&add(&site, "oidc", &arguments));
    assert_eq!(exchange().await, 200, "its users are the same people");
    provider(&["remove", "dev"]);
    let gone = site.fail(&["provider", "show", "dev", "--org", &site.organization]);
    assert!(gone.contains("no provider of that name"), "{gone}");
}
