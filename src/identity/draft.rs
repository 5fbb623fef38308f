//! What a provider's owner says of it, whatever its product is.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::org::claim_path::ClaimPath;
use crate::org::https_url::HttpsUrl;
use crate::org::provider::{BadProvider, KeySource, Provider, ProviderKey, ProviderKind};
use crate::org::public_key::Algorithm;

/// A provider before it is checked.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What its owner calls it.
    pub name: String,
    /// What the usernames of its subjects begin with.
    pub username_prefix: String,
    /// Whether a token without an e-mail address is refused.
    pub require_email: bool,
    /// Where topic rules find a claim.
    pub claim_map: BTreeMap<String, ClaimPath>,
    /// What a token must say.
    pub required_claims: BTreeMap<ClaimPath, Option<String>>,
    /// The accepted `azp` values.
    pub authorized_parties: Vec<String>,
}

impl Draft {
    /// A provider of which nothing unusual is said.
    pub fn new(name: &str, username_prefix: &str) -> Self {
        Self {
            name: name.to_owned(),
            username_prefix: username_prefix.to_owned(),
            require_email: true,
            claim_map: BTreeMap::new(),
            required_claims: BTreeMap::new(),
            authorized_parties: Vec::new(),
        }
    }

    /// The provider.
    ///
    /// # Errors
    /// [`BadProvider`]: the first mistake.
    pub fn provider(
        self,
        id: Uuid,
        kind: ProviderKind,
        issuer: String,
        audiences: Vec<String>,
        keys: Vec<ProviderKey>,
    ) -> Result<Provider, BadProvider> {
        let mut keys = keys.into_iter();
        let provider = Provider {
            id,
            name: self.name,
            kind,
            issuer,
            audiences,
            key: keys.next().ok_or(BadProvider::NoAlgorithm)?,
            more_keys: keys.collect(),
            username_prefix: self.username_prefix,
            require_email: self.require_email,
            claim_map: self.claim_map,
            required_claims: self.required_claims,
            authorized_parties: self.authorized_parties,
            enabled: true,
        };
        provider.check()?;
        Ok(provider)
    }
}

/// Keys at an address.
pub fn key_set(url: HttpsUrl, algorithms: impl Into<BTreeSet<Algorithm>>) -> ProviderKey {
    ProviderKey::KeySet {
        source: KeySource::Url(url),
        algorithms: algorithms.into(),
    }
}

/// `https://<domain>`
///
/// # Errors
/// [`BadProvider::Domain`] for anything but a bare domain.
pub fn domain_url(domain: &str) -> Result<HttpsUrl, BadProvider> {
    let bad = || BadProvider::Domain(domain.to_owned());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
    if domain.is_empty() || !domain.bytes().all(plain) {
        return Err(bad());
    }
    let lower = domain.to_ascii_lowercase();
    format!("https://{lower}").parse().map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{auth0, clerk, firebase, oidc};

    fn draft() -> Draft {
        Draft::new("one", "user_")
    }

    fn keys(provider: &Provider) -> (String, Vec<Algorithm>) {
        let (source, algorithms) = provider.key_set().unwrap();
        (source.to_string(), algorithms.iter().copied().collect())
    }

    #[test]
    fn each_product_has_its_issuer_its_audience_and_its_keys() {
        let rs256 = vec![Algorithm::RS256];
        let audience = || vec!["https://api.example".to_owned()];
        let firebase = firebase::provider(draft(), "my-app-4711", None).unwrap();
        assert_eq!(
            firebase.issuer,
            "https://securetoken.google.com/my-app-4711"
        );
        assert_eq!(firebase.audiences, ["my-app-4711"]);
        assert_eq!(keys(&firebase), (firebase::KEYS.to_owned(), rs256.clone()));

        let auth0 = auth0::provider(draft(), "Tenant.eu.auth0.com", audience()).unwrap();
        assert_eq!(auth0.issuer, "https://tenant.eu.auth0.com/");
        let url = "https://tenant.eu.auth0.com/.well-known/jwks.json";
        assert_eq!(keys(&auth0), (url.to_owned(), rs256.clone()));

        let clerk = clerk::provider(draft(), "x-1.clerk.accounts.dev", vec![]).unwrap();
        assert_eq!(clerk.issuer, "https://x-1.clerk.accounts.dev");
        let url = "https://x-1.clerk.accounts.dev/.well-known/jwks.json";
        assert_eq!(keys(&clerk), (url.to_owned(), rs256));

        let issuer = "https://id.example/realms/main";
        let oidc = oidc::provider(draft(), issuer, None, audience(), [].into()).unwrap();
        assert_eq!(oidc.issuer, issuer);
        let (source, algorithms) = keys(&oidc);
        assert_eq!(source, format!("the discovery document of {issuer}"));
        assert_eq!(algorithms, oidc::USUAL);
    }

    #[test]
    fn what_is_no_domain_or_project_is_refused() {
        for bad in [
            "",
            "https://a.example",
            "a.example/x",
            "u@a.example",
            "a b",
            "a.example?x",
        ] {
            let auth0 = auth0::provider(draft(), bad, vec!["x".into()]);
            assert_eq!(auth0, Err(BadProvider::Domain(bad.to_owned())), "{bad}");
        }
        for bad in ["", "abc", "Upper-case", "4711-app", "a/b-c-d", "demo.app"] {
            let firebase = firebase::provider(draft(), bad, None);
            assert_eq!(firebase, Err(BadProvider::ProjectId), "{bad}");
        }
        let nobody = auth0::provider(draft(), "a.example", vec![]);
        assert_eq!(nobody, Err(BadProvider::NoAudience));
    }
}
