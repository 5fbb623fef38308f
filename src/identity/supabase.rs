//! Supabase Auth: issuer `<project url>/auth/v1`, audience `authenticated`; access tokens signed with
//! the project's JWT secret (HS256), or with a key pair whose public half the project publishes.

use uuid::Uuid;

use crate::identity::draft::{Draft, key_set};
use crate::keyring::Keyring;
use crate::org::provider::{BadProvider, Provider, ProviderKind};
use crate::org::public_key::Algorithm;
use crate::secret::Secret;

const AUDIENCE: &str = "authenticated";
/// What the signing keys of a project may be.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// How a project signs.
#[derive(Debug)]
pub enum Signing<'a> {
    /// With its JWT secret, as older projects do.
    Secret(&'a Secret),
    /// With a key pair.
    KeyPair,
    /// With a key pair, while tokens that were signed with the JWT secret are still about.
    Both(&'a Secret),
}

/// A Supabase project as a provider.
///
/// # Errors
/// [`BadProvider`], such as for a secret that is too short to be safe.
pub fn provider(
    draft: Draft,
    project_url: &str,
    signing: &Signing<'_>,
    keys: &Keyring,
) -> Result<Provider, BadProvider> {
    let id = Uuid::new_v4();
    let issuer = issuer(project_url)?;
    let mut signs = Vec::new();
    if let Signing::Secret(secret) | Signing::Both(secret) = signing {
        signs.push(Provider::seal_shared_secret(id, secret, keys)?);
    }
    if let Signing::KeyPair | Signing::Both(_) = signing {
        let url = format!("{issuer}/.well-known/jwks.json").parse()?;
        signs.push(key_set(url, ALGORITHMS));
    }
    let audiences = vec![AUDIENCE.to_owned()];
    draft.provider(id, ProviderKind::Supabase, issuer, audiences, signs)
}

/// The issuer of a project's tokens.
///
/// # Errors
/// [`BadProvider::ProjectUrl`] for anything but a bare origin.
pub fn issuer(project_url: &str) -> Result<String, BadProvider> {
    let url = project_url.strip_suffix('/').unwrap_or(project_url);
    let host = url.strip_prefix("https://").or_else(|| {
        let host = url.strip_prefix("http://")?;
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        matches!(name, "localhost" | "127.0.0.1" | "[::1]").then_some(host)
    });
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    match host {
        Some(host) if !host.is_empty() && host.bytes().all(plain) => {
            Ok(format!("{}/auth/v1", url.to_ascii_lowercase()))
        }
        _ => Err(BadProvider::ProjectUrl),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_is_the_project_with_its_auth_path() {
        let expected = "https://abc123.supabase.co/auth/v1";
        assert_eq!(
            issuer("https://abc123.supabase.co").as_deref(),
            Ok(expected)
        );
        assert_eq!(
            issuer("https://abc123.supabase.co/").as_deref(),
            Ok(expected)
        );
        assert!(issuer("http://localhost:54321").is_ok());
        for bad in [
            "",
            "abc123.supabase.co",
            "http://abc123.supabase.co",
            "https://",
            "https://a/auth/v1",
            "https://a?b",
            "https://u@a",
            "http://localhost.example",
        ] {
            assert_eq!(issuer(bad), Err(BadProvider::ProjectUrl), "{bad}");
        }
    }

    #[test]
    fn names_and_prefixes_are_checked() {
        let keys = Keyring::random();
        let secret = Secret::new("0123456789abcdef0123456789abcdef");
        let make = |name, prefix| {
            let draft = Draft::new(name, prefix);
            let signing = Signing::Secret(&secret);
            provider(draft, "https://a.example", &signing, &keys).map(drop)
        };
        assert_eq!(make("Demo app", "user_"), Ok(()));
        assert!(matches!(make("", "user_"), Err(BadProvider::Name(_))));
        assert!(matches!(make("a\nb", "user_"), Err(BadProvider::Name(_))));
        for prefix in ["", "a/b", "a@", "a.b", &*"x".repeat(25)] {
            assert_eq!(make("Demo", prefix), Err(BadProvider::Prefix), "{prefix}");
        }
    }
}
