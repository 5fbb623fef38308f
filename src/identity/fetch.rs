//! Fetching what a provider publishes: over TLS, from a public address that was checked, without
//! redirects, within limits of time and size.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AGE, CACHE_CONTROL, HeaderMap};
use reqwest::{Client, Response, redirect};
use url::{Host, Url};

use crate::identity::address::is_public;
use crate::identity::jwk::{self, BadKeySet, KeySet};
use crate::identity::strict_json;
use crate::org::https_url::HttpsUrl;
use crate::org::provider::KeySource;
use crate::org::public_key::Algorithm;

const DISCOVERY: &str = ".well-known/openid-configuration";

/// Why there is no key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No TLS client.
    #[error("no TLS client can be made: {0} (are CA certificates installed?)")]
    Client(String),
    /// The address is one of ours.
    #[error(
        "`{0}` has a private address; if the provider is there on purpose, set \
         identity.allow_private_addresses"
    )]
    Private(String),
    /// Not in time.
    #[error("no complete answer in time from {0}")]
    Timeout(HttpsUrl),
    /// No connection, no trusted certificate, no HTTP.
    #[error("{0} cannot be fetched: {1}")]
    Connection(HttpsUrl, String),
    /// Not 200. Redirects are not followed.
    #[error("{0} answered with status {1}")]
    Status(HttpsUrl, u16),
    /// Not a discovery document of the issuer.
    #[error("{0} is not the discovery document of this issuer: {1}")]
    Discovery(HttpsUrl, &'static str),
    /// What came is no set of keys.
    #[error("{0}: {1}")]
    KeySet(HttpsUrl, BadKeySet),
}

/// A key set that came, and how long its sender says it is good for.
pub struct Fetched {
    /// The keys.
    pub set: KeySet,
    /// `max-age`, less `Age`.
    pub max_age: Option<Duration>,
}

/// Fetches key sets.
pub struct Fetcher {
    client: Client,
    allow_private: bool,
    timeout: Duration,
}

impl Fetcher {
    /// A client that trusts the system's certificate authorities.
    ///
    /// # Errors
    /// [`FetchError::Client`].
    pub fn new(allow_private: bool, timeout: Duration) -> Result<Self, FetchError> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            // Each fetch resolves and checks the address anew; and a connection belongs to the
            // event loop that opened it, which may be gone at the next one.
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(CheckedResolver { allow_private }))
            .connect_timeout(timeout)
            .timeout(timeout)
            .user_agent(concat!("ticketgate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| FetchError::Client(error.to_string()))?;
        Ok(Self {
            client,
            allow_private,
            timeout,
        })
    }

    /// Fetches the keys of a provider whose tokens have these algorithms.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(
        &self,
        source: &KeySource,
        algorithms: &BTreeSet<Algorithm>,
    ) -> Result<Fetched, FetchError> {
        let (KeySource::Url(named) | KeySource::Discovery(named)) = source;
        let whole = async {
            let url = match source {
                KeySource::Url(url) => url.clone(),
                KeySource::Discovery(issuer) => self.discover(issuer).await?,
            };
            let (headers, body) = self.get(&url).await?;
            let set = KeySet::read(&body, algorithms);
            Ok(Fetched {
                set: set.map_err(|error| FetchError::KeySet(url, error))?,
                max_age: max_age(&headers),
            })
        };
        match tokio::time::timeout(self.timeout, whole).await {
            Ok(fetched) => fetched,
            Err(_) => Err(FetchError::Timeout(named.clone())),
        }
    }

    /// Where the issuer says its keys are (OpenID Connect Discovery 1.0 section 4).
    async fn discover(&self, issuer: &HttpsUrl) -> Result<HttpsUrl, FetchError> {
        let url = issuer.below(DISCOVERY);
        let url = url.map_err(|error| FetchError::Client(error.to_string()))?;
        let (_, body) = self.get(&url).await?;
        let wrong = |why| FetchError::Discovery(url.clone(), why);
        let document = strict_json::object(&body).ok_or_else(|| wrong("not a JSON object"))?;
        let text = |name: &str| document.get(name)?.as_str();
        if text("issuer") != Some(issuer.as_str()) {
            return Err(wrong("its `issuer` is another"));
        }
        // Not ours to compare, so it may be written in any way.
        let keys = text("jwks_uri").and_then(|uri| Url::parse(uri).ok());
        let keys: HttpsUrl = keys
            .and_then(|keys| keys.as_str().parse().ok())
            .ok_or_else(|| wrong("its `jwks_uri` is no https address"))?;
        if keys.is_plain_http() && !issuer.is_plain_http() {
            return Err(wrong("its `jwks_uri` is no https address"));
        }
        Ok(keys)
    }

    async fn get(&self, url: &HttpsUrl) -> Result<(HeaderMap, Vec<u8>), FetchError> {
        self.check_host(url)?;
        let failed = |error: reqwest::Error| failure(url, &error);
        let call = self.client.get(url.as_str());
        let call = call.header(ACCEPT, "application/jwk-set+json, application/json");
        let reply = call.send().await.map_err(failed)?;
        if reply.status() != 200 {
            return Err(FetchError::Status(url.clone(), reply.status().as_u16()));
        }
        let headers = reply.headers().clone();
        let body = bounded_body(reply).await.map_err(failed)?;
        let body = body.ok_or_else(|| FetchError::KeySet(url.clone(), BadKeySet::TooLong))?;
        Ok((headers, body))
    }

    /// Checks an address that is written out, which nobody resolves.
    fn check_host(&self, url: &HttpsUrl) -> Result<(), FetchError> {
        if self.allow_private {
            return Ok(());
        }
        let parsed = Url::parse(url.as_str());
        let parsed = parsed.map_err(|error| FetchError::Client(error.to_string()))?;
        let is_public = match parsed.host() {
            Some(Host::Ipv4(address)) => is_public(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => is_public(IpAddr::V6(address)),
            Some(Host::Domain(_)) => !url.is_plain_http(),
            None => false,
        };
        if is_public {
            Ok(())
        } else {
            let host = parsed.host_str().unwrap_or_default();
            Err(FetchError::Private(host.to_owned()))
        }
    }
}

/// Reads a body up to the limit; `None`: it is longer.
async fn bounded_body(mut reply: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    if reply
        .content_length()
        .is_some_and(|length| length > jwk::MAX_LENGTH as u64)
    {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(chunk) = reply.chunk().await? {
        if body.len() + chunk.len() > jwk::MAX_LENGTH {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// The innermost reason is the one that helps.
fn failure(url: &HttpsUrl, error: &reqwest::Error) -> FetchError {
    if error.is_timeout() {
        return FetchError::Timeout(url.clone());
    }
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(private) = inner.downcast_ref::<PrivateAddress>() {
            return FetchError::Private(private.0.clone());
        }
        reason = inner.to_string();
        source = inner.source();
    }
    FetchError::Connection(url.clone(), reason)
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get(CACHE_CONTROL)?.to_str().ok()?;
    let seconds = |text: &str| text.trim().trim_matches('"').parse::<u64>().ok();
    let mut age = None;
    for directive in directives.split(',') {
        let directive = directive.trim().to_ascii_lowercase();
        match directive.split_once('=') {
            Some(("max-age", value)) => age = seconds(value),
            None if directive == "no-store" || directive == "no-cache" => {
                return Some(Duration::ZERO);
            }
            _ => {}
        }
    }
    let spent = headers.get(AGE).and_then(|age| seconds(age.to_str().ok()?));
    let left = age?.saturating_sub(spent.unwrap_or(0));
    Some(Duration::from_secs(left))
}

/// Resolves a name to those of its addresses that may be connected to. What was checked is what is
/// connected to: nobody resolves a second time.
struct CheckedResolver {
    allow_private: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` has a private address")]
struct PrivateAddress(String);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            let good = |address: &SocketAddr| allow_private || is_public(address.ip());
            // A name with one private address among others is up to something.
            if !found.iter().all(good) {
                return Err(PrivateAddress(name.as_str().to_owned()).into());
            }
            if found.is_empty() {
                return Err(io::Error::other("the name has no address").into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_what_the_sender_says_less_what_is_over() {
        let age = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            max_age(&headers).map(|age| age.as_secs())
        };
        assert_eq!(age(&[]), None);
        assert_eq!(age(&[("cache-control", "public")]), None);
        assert_eq!(age(&[("cache-control", "Public, Max-Age=300")]), Some(300));
        let spent = [("cache-control", "max-age=300"), ("age", "100")];
        assert_eq!(age(&spent), Some(200));
        let long_spent = [("cache-control", "max-age=300"), ("age", "400")];
        assert_eq!(age(&long_spent), Some(0));
        assert_eq!(age(&[("cache-control", "max-age=300, no-store")]), Some(0));
        assert_eq!(age(&[("cache-control", "max-age=x")]), None);
    }

    #[tokio::test]
    async fn private_addresses_are_refused_before_anything_is_sent() {
        let fetcher = Fetcher::new(false, Duration::from_secs(5)).unwrap();
        let algorithms = [Algorithm::RS256].into();
        for url in [
            "https://127.0.0.1:1/",
            "https://[::1]:1/",
            "https://169.254.169.254/latest",
            "http://127.0.0.1:1/",
            "http://localhost:1/",
            "https://localhost:1/",
            "https://[::ffff:10.0.0.1]/",
        ] {
            // What the address is written like does not matter.
            let Ok(url) = url.parse::<HttpsUrl>() else {
                continue;
            };
            let refused = fetcher
                .fetch(&KeySource::Url(url.clone()), &algorithms)
                .await;
            assert!(matches!(refused, Err(FetchError::Private(_))), "{url}");
        }
    }
}
