//! Fills a broker's file in: which of its sections count, and what its placeholders stand for.
//!
//! A section begins with a comment `# <name>` and ends with `# </name>`. In a section that counts, a
//! line that begins with `#` and is no comment (`# text`) loses the `#`; in one that does not, every
//! other line gets one. So a committed file works as it is, and one command turns it into another.

use std::str::FromStr;

use clap::ValueEnum;

use crate::secret::Secret;

/// What stands for the secret until somebody puts it there. The server accepts none as short.
pub const NO_SECRET: &str = "PUT-THE-SECRET-HERE";

/// How clients reach the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// MQTT over TCP, on this machine only
    Plain,
    /// MQTT over TLS, for other machines
    Tls,
}

/// Where the broker reaches this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    is_https: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: Option<u16>,
    /// What a proxy puts in front of our paths: empty, or `/...` without a slash at the end.
    prefix: String,
}

/// The text is no address of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("such as https://ticketgate.example.com or http://127.0.0.1:8080, without /hooks")]
pub struct NotAServerUrl;

/// A hook of one broker connection.
#[derive(Debug)]
pub struct Hook<'a> {
    pub server: &'a ServerUrl,
    pub dialect: &'a str,
    pub connection: &'a str,
    pub secret: Option<&'a Secret>,
}

impl ServerUrl {
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Whether what is sent there stays on this machine.
    pub fn is_local(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(if self.is_https { 443 } else { 80 })
    }

    /// As it stands in a URL.
    fn url_host(&self) -> String {
        match &self.host {
            address if address.contains(':') => format!("[{address}]"),
            name => name.clone(),
        }
    }

    fn origin(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        let host = self.url_host();
        match self.port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }
}

impl FromStr for ServerUrl {
    type Err = NotAServerUrl;

    fn from_str(text: &str) -> Result<Self, NotAServerUrl> {
        let (is_https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(NotAServerUrl),
        };
        // No user, query or fragment, and nothing that one of the files would have to escape.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]/".contains(&byte);
        if !rest.bytes().all(plain) {
            return Err(NotAServerUrl);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(address) => address.split_once(']').ok_or(NotAServerUrl)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port.parse().map_err(|_| NotAServerUrl)?),
            None if port.is_empty() => None,
            None => return Err(NotAServerUrl),
        };
        let prefix = path.trim_end_matches('/');
        if host.is_empty() || host.contains(['[', ']']) || prefix.contains("/hooks") {
            return Err(NotAServerUrl);
        }
        Ok(Self {
            is_https,
            host: host.to_owned(),
            port,
            prefix: prefix.to_owned(),
        })
    }
}

impl Hook<'_> {
    /// The file with its sections chosen and its placeholders filled in.
    pub fn fill(&self, text: &str, variant: Variant) -> Secret {
        let secret = self.secret.map_or(NO_SECRET, Secret::expose);
        let bare = format!(
            "{}/hooks/{}/{}",
            self.server.prefix, self.dialect, self.connection
        );
        let origin = self.server.origin();
        let path = format!("{bare}/{secret}");
        let filled = self
            .choose_sections(text, variant)
            .replace("@HOOK_URL@", &format!("{origin}{path}"))
            .replace("@HOOK_BARE_URL@", &format!("{origin}{bare}"))
            .replace("@HOOK_PATH@", &path)
            .replace("@HOOK_SECRET@", secret)
            .replace("@HOOK_HOST@", &self.server.url_host())
            .replace("@HOOK_PORT@", &self.server.port().to_string())
            .replace("@HOOK_TLS@", &self.server.is_https.to_string());
        Secret::new(filled)
    }

    fn choose_sections(&self, text: &str, variant: Variant) -> String {
        let counts = |section: &str| match section {
            "plain" => variant == Variant::Plain,
            "tls" => variant == Variant::Tls,
            "https" => self.server.is_https,
            _ => false,
        };
        let mut chosen = String::with_capacity(text.len());
        let mut inside = None;
        for line in text.lines() {
            let mark = line.trim_start().strip_prefix("# <");
            match mark.and_then(|mark| mark.strip_suffix('>')) {
                Some(name) if name.starts_with('/') => inside = None,
                Some(name) => inside = Some(counts(name)),
                None => {
                    chosen.push_str(&match inside {
                        None => line.to_owned(),
                        Some(true) => uncomment(line).to_owned(),
                        Some(false) => comment(line),
                    });
                    chosen.push('\n');
                }
            }
        }
        chosen
    }
}

fn uncomment(line: &str) -> &str {
    let is_comment = line
        .strip_prefix("# ")
        .is_some_and(|text| !text.starts_with(' '));
    match line.strip_prefix('#') {
        Some(rest) if !is_comment => rest,
        _ => line,
    }
}

fn comment(line: &str) -> String {
    if line.trim_start().starts_with('#') || line.is_empty() {
        line.to_owned()
    } else {
        format!("#{line}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_are_read_strictly() {
        for (text, origin, prefix) in [
            (
                "https://gate.example.com",
                "https://gate.example.com:443",
                "",
            ),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080:8080", ""),
            ("http://[::1]:8080/a/b", "http://[::1]:8080:8080", "/a/b"),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!(
                (
                    format!("{}:{}", url.origin(), url.port()),
                    url.prefix.as_str()
                ),
                (origin.to_owned(), prefix)
            );
        }
        for wrong in [
            "",
            "gate.example.com",
            "ftp://gate",
            "http://",
            "http://:80",
            "http://user@gate",
            "http://gate:port",
            "http://gate:99999",
            "http://gate/?a",
            "http://gate/#a",
            "http://gate/a b",
            "http://gate\"",
            "http://[::1",
            "http://gate/hooks/vernemq",
        ] {
            assert_eq!(wrong.parse::<ServerUrl>(), Err(NotAServerUrl), "{wrong}");
        }
    }

    #[test]
    fn sections_are_chosen_and_their_comments_stay() {
        let text =
            "a\n# <plain>\n# why\nb = 1\n# </plain>\n# <tls>\n# how\n#c {\n#  d\n#}\n# </tls>\ne\n";
        let server = "http://localhost".parse().unwrap();
        let hook = Hook {
            server: &server,
            dialect: "vernemq",
            connection: "main",
            secret: None,
        };
        let plain = hook.fill(text, Variant::Plain);
        assert_eq!(
            plain.expose(),
            "a\n# why\nb = 1\n# how\n#c {\n#  d\n#}\ne\n"
        );
        let tls = hook.fill(text, Variant::Tls);
        assert_eq!(tls.expose(), "a\n# why\n#b = 1\n# how\nc {\n  d\n}\ne\n");
    }
}
