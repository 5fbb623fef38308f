//! Web origins (RFC 6454 section 6.2), as browsers send them in the `Origin` header.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest origin: a scheme, a host name of 253 characters and a port.
pub const MAX_LENGTH: usize = 270;

/// An origin `scheme://host[:port]`, lower case, without a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

/// The text is not an origin that can be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an origin is `https://host` or `http://host`, with `:port` where needed and nothing else")]
pub struct NotAnOrigin;

impl Origin {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_name!(Origin, NotAnOrigin);

impl FromStr for Origin {
    type Err = NotAnOrigin;

    /// `null`, wildcards, paths and user names are refused: each would allow more than one origin.
    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let lower = text.to_ascii_lowercase();
        let host = lower
            .strip_prefix("https://")
            .or_else(|| lower.strip_prefix("http://"))
            .ok_or(NotAnOrigin)?;
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (host, None),
        };
        let good_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
        let good_host = !host.is_empty() && host.bytes().all(plain);
        if lower.len() > MAX_LENGTH || !good_host || !good_port {
            return Err(NotAnOrigin);
        }
        Ok(Self(lower))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_scheme_host_and_port() {
        for good in [
            "https://app.example.com",
            "http://localhost:3000",
            "http://[::1]:80",
        ] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in [
            "null",
            "*",
            "https://*.example.com",
            "https://a.example.com/",
            "https://a@b",
            "ftp://a",
            "https://",
            "https://a:b",
            "https://a:99999",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
        assert_eq!(
            "HTTPS://App.example".parse::<Origin>().unwrap().as_str(),
            "https://app.example"
        );
    }
}
