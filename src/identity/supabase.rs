//! Supabase Auth: access tokens signed with the project's JWT secret (HS256), issuer
//! `<project url>/auth/v1`, audience `authenticated`.

use uuid::Uuid;

use crate::keyring::Keyring;
use crate::org::organization::MAX_NAME_LENGTH;
use crate::org::provider::{BadProvider, Provider, ProviderKind};
use crate::secret::Secret;

const AUDIENCE: &str = "authenticated";

/// A Supabase project as a provider.
///
/// # Errors
/// [`BadProvider`], such as for a secret that is too short to be safe.
pub fn provider(
    name: &str,
    project_url: &str,
    jwt_secret: &Secret,
    username_prefix: &str,
    keys: &Keyring,
) -> Result<Provider, BadProvider> {
    if name.is_empty() || name.len() > MAX_NAME_LENGTH || name.chars().any(char::is_control) {
        return Err(BadProvider::Name(MAX_NAME_LENGTH));
    }
    if !Provider::is_prefix(username_prefix) {
        return Err(BadProvider::Prefix);
    }
    let id = Uuid::new_v4();
    Ok(Provider {
        id,
        name: name.to_owned(),
        kind: ProviderKind::Supabase,
        issuer: issuer(project_url)?,
        audiences: vec![AUDIENCE.to_owned()],
        key: Provider::seal_shared_secret(id, jwt_secret, keys)?,
        username_prefix: username_prefix.to_owned(),
        require_email: true,
        enabled: true,
    })
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
        let make =
            |name, prefix| provider(name, "https://a.example", &secret, prefix, &keys).map(drop);
        assert_eq!(make("Demo app", "user_"), Ok(()));
        assert!(matches!(make("", "user_"), Err(BadProvider::Name(_))));
        assert!(matches!(make("a\nb", "user_"), Err(BadProvider::Name(_))));
        for prefix in ["", "a/b", "a@", "a.b", &*"x".repeat(25)] {
            assert_eq!(make("Demo", prefix), Err(BadProvider::Prefix), "{prefix}");
        }
    }
}
