//! Addresses that this server may ask: `https`, or plain `http` on this very machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// The longest address, in bytes.
pub const MAX_LENGTH: usize = 512;

/// An address without anything unusual in it. What is read is what was written: two texts that
/// differ are two addresses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpsUrl(String);

/// Why a text is not such an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnHttpsUrl {
    /// Another scheme, or http to another machine.
    #[error("`{0}` does not begin with https:// (http:// is for a loopback host, in development)")]
    Scheme(String),
    /// Something else than host, port and path, or written in an unusual way.
    #[error(
        "`{0}` is not a plain address: `https://<host>/<path>` in lower case, without a default \
         port, user, fragment or `..`"
    )]
    Unusual(String),
    /// Over-long.
    #[error("an address has at most {MAX_LENGTH} bytes")]
    Long,
}

impl HttpsUrl {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it goes over plain http, which is possible on a loopback host only.
    pub fn is_plain_http(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// The address with something behind it, between exactly one slash.
    ///
    /// # Errors
    /// [`NotAnHttpsUrl`] for what is no path.
    pub fn below(&self, path: &str) -> Result<Self, NotAnHttpsUrl> {
        format!("{}/{path}", self.0.trim_end_matches('/')).parse()
    }
}

impl FromStr for HttpsUrl {
    type Err = NotAnHttpsUrl;

    fn from_str(text: &str) -> Result<Self, NotAnHttpsUrl> {
        if text.len() > MAX_LENGTH {
            return Err(NotAnHttpsUrl::Long);
        }
        let unusual = || NotAnHttpsUrl::Unusual(text.to_owned());
        let scheme = || NotAnHttpsUrl::Scheme(text.to_owned());
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return Err(scheme());
        }
        let url = Url::parse(text).map_err(|_| unusual())?;
        let same = url.as_str() == text || url.as_str().strip_suffix('/') == Some(text);
        let host = url.host().ok_or_else(unusual)?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && !url.path().contains("//");
        if !same || !plain {
            return Err(unusual());
        }
        if url.scheme() == "http" && !is_loopback(&host) {
            return Err(scheme());
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HttpsUrl {
    type Error = NotAnHttpsUrl;

    fn try_from(text: String) -> Result<Self, NotAnHttpsUrl> {
        text.parse()
    }
}

impl From<HttpsUrl> for String {
    fn from(url: HttpsUrl) -> Self {
        url.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_https_and_http_on_loopback_pass() {
        for good in [
            "https://a.example",
            "https://a.example/",
            "https://a.example:8443/x/y.json",
            "https://a.example/keys?policy=b2c_1",
            "http://localhost:54321",
            "http://127.0.0.1:1/jwks",
            "http://[::1]:1",
        ] {
            assert_eq!(good.parse::<HttpsUrl>().unwrap().as_str(), good);
        }
        let below = |base: &str| base.parse::<HttpsUrl>().unwrap().below("x").unwrap();
        assert_eq!(below("https://a.example/").as_str(), "https://a.example/x");
        assert_eq!(below("https://a.example").as_str(), "https://a.example/x");
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "a.example",
            "ftp://a.example",
            "file:///etc/passwd",
            "http://a.example",
            "http://localhost.example",
            "http://0.0.0.0",
            "https://",
            "https://A.example",
            "https://a.example:443",
            "https://u@a.example",
            "https://u:p@a.example",
            "https://a.example/#f",
            "https://a.example/../x",
            "https://a.example//x",
            "https://0x7f.1",
            "https://2130706433",
            " https://a.example",
            "https://a.example\n",
            "https:\\\\a.example",
        ] {
            assert!(bad.parse::<HttpsUrl>().is_err(), "{bad}");
        }
        assert!(
            format!("https://a/{}", "x".repeat(600))
                .parse::<HttpsUrl>()
                .is_err()
        );
    }
}
