//! Where the servers are: what `store.url` says.
//!
//! | form | servers |
//! |---|---|
//! | `redis://[user:password@]host[:port][/db]` | one server |
//! | `redis+sentinel://[user:password@]host:port,host:port,.../master[/db]` | the master that Sentinels name |
//! | `redis+cluster://[user:password@]host:port,host:port,...` | a Redis Cluster |
//!
//! With `rediss` in place of `redis` connections are encrypted. An IPv6 address stands in brackets.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::secret::Secret;

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// The most addresses that a URL may name.
const MAX_ADDRESSES: usize = 64;

/// Where the servers are and who we are to them.
#[derive(Debug, Clone)]
pub struct Address {
    /// How they are put together.
    pub servers: Servers,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// The ACL user; `None`: the default one.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
}

/// How the servers are put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// One server, or an endpoint that stands for one.
    One {
        /// Where it is.
        host: Host,
        /// The database's number.
        database: i64,
    },
    /// A master, and Sentinels that say which server it is.
    Sentinel {
        /// Where the Sentinels are: all of them, because most of them have to agree.
        sentinels: Vec<Host>,
        /// What they call the master.
        master: String,
        /// The database's number.
        database: i64,
    },
    /// A Redis Cluster, with some of its nodes to begin with.
    Cluster(Vec<Host>),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    /// A name or an address, without brackets.
    pub name: String,
    /// The TCP port.
    pub port: u16,
}

/// The text is no such URL. It never repeats the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    /// Another scheme.
    #[error("begins with none of redis://, rediss://, redis+sentinel://, redis+cluster://")]
    Scheme,
    /// No host, an over-long list, or a port that is no number.
    #[error("has no good list of hosts (`host:port`, or several with commas between them)")]
    Hosts,
    /// Sentinels without a master.
    #[error("lacks the master's name: redis+sentinel://host:26379,host:26379/mymaster")]
    Master,
    /// Something behind the hosts that means nothing.
    #[error("has a path that is not the number of a database")]
    Database,
    /// A user or password that is not UTF-8 behind its percent signs.
    #[error("has a user or password that cannot be read; write % as %25")]
    Login,
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (scheme, rest) = text.split_once("://").ok_or(NotAnAddress::Scheme)?;
        let (tls, kind) = match scheme.strip_prefix("rediss") {
            Some(kind) => (true, kind),
            None => (
                false,
                scheme.strip_prefix("redis").ok_or(NotAnAddress::Scheme)?,
            ),
        };
        let (login, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let servers = match kind {
            "" => Servers::one(hosts, path)?,
            "+sentinel" => Servers::sentinel(hosts, path)?,
            "+cluster" if path.is_empty() => Servers::Cluster(read_hosts(hosts, REDIS_PORT)?),
            "+cluster" => return Err(NotAnAddress::Database),
            _ => return Err(NotAnAddress::Scheme),
        };
        let (user, password) = read_login(login)?;
        Ok(Self {
            servers,
            tls,
            user,
            password,
        })
    }
}

impl Servers {
    fn one(hosts: &str, path: &str) -> Result<Self, NotAnAddress> {
        let database = read_database(path)?;
        match <[Host; 1]>::try_from(read_hosts(hosts, REDIS_PORT)?) {
            Ok([host]) => Ok(Servers::One { host, database }),
            Err(_) => Err(NotAnAddress::Hosts),
        }
    }

    fn sentinel(hosts: &str, path: &str) -> Result<Self, NotAnAddress> {
        let (master, database) = path.split_once('/').unwrap_or((path, ""));
        if master.is_empty() {
            return Err(NotAnAddress::Master);
        }
        Ok(Servers::Sentinel {
            sentinels: read_hosts(hosts, SENTINEL_PORT)?,
            master: master.to_owned(),
            database: read_database(database)?,
        })
    }

    /// `redis`, `sentinel` or `cluster`.
    pub fn kind(&self) -> &'static str {
        match self {
            Servers::One { .. } => "redis",
            Servers::Sentinel { .. } => "sentinel",
            Servers::Cluster(_) => "cluster",
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port } = self;
        if name.contains(':') {
            write!(f, "[{name}]:{port}")
        } else {
            write!(f, "{name}:{port}")
        }
    }
}

fn read_hosts(text: &str, default_port: u16) -> Result<Vec<Host>, NotAnAddress> {
    let hosts = text.split(',').map(|host| read_host(host, default_port));
    let hosts: Vec<Host> = hosts.collect::<Result<_, _>>()?;
    if hosts.len() > MAX_ADDRESSES {
        return Err(NotAnAddress::Hosts);
    }
    Ok(hosts)
}

fn read_host(text: &str, default_port: u16) -> Result<Host, NotAnAddress> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']').ok_or(NotAnAddress::Hosts)?;
            (
                name,
                rest.strip_prefix(':').or(rest.is_empty().then_some("")),
            )
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, Some("")),
        },
    };
    let port = match port.ok_or(NotAnAddress::Hosts)? {
        "" => default_port,
        port => port.parse().map_err(|_| NotAnAddress::Hosts)?,
    };
    let clean = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
    if name.is_empty() || !name.chars().all(clean) {
        return Err(NotAnAddress::Hosts);
    }
    Ok(Host {
        name: name.to_owned(),
        port,
    })
}

fn read_database(text: &str) -> Result<i64, NotAnAddress> {
    match text {
        "" => Ok(0),
        text => text
            .parse::<u16>()
            .map(i64::from)
            .map_err(|_| NotAnAddress::Database),
    }
}

fn read_login(text: &str) -> Result<(Option<String>, Option<Secret>), NotAnAddress> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (text, None),
    };
    let decode = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded
            .map(|text| text.into_owned())
            .map_err(|_| NotAnAddress::Login)
    };
    let user = Some(decode(user)?).filter(|user| !user.is_empty());
    let password = password.map(decode).transpose()?.map(Secret::new);
    Ok((user, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Address {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn host(name: &str, port: u16) -> Host {
        Host {
            name: name.into(),
            port,
        }
    }

    #[test]
    fn each_form_is_read() {
        let one = read("redis://cache.example");
        let servers = Servers::One {
            host: host("cache.example", 6379),
            database: 0,
        };
        assert_eq!((one.servers, one.tls), (servers, false));
        let one = read("rediss://u%40x:p%3A%2F@[::1]:7000/3");
        let servers = Servers::One {
            host: host("::1", 7000),
            database: 3,
        };
        assert_eq!((one.servers, one.tls), (servers, true));
        assert_eq!(one.user.as_deref(), Some("u@x"));
        assert_eq!(one.password.unwrap().expose(), "p:/");
        let sentinel = read("redis+sentinel://:pw@a:1,b,[::2]/main/1");
        assert_eq!(sentinel.user, None);
        let servers = Servers::Sentinel {
            sentinels: vec![host("a", 1), host("b", 26379), host("::2", 26379)],
            master: "main".into(),
            database: 1,
        };
        assert_eq!(sentinel.servers, servers);
        let cluster = read("rediss+cluster://a:1,b:2");
        assert!(cluster.tls);
        assert_eq!(
            cluster.servers,
            Servers::Cluster(vec![host("a", 1), host("b", 2)])
        );
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for (text, expected) in [
            ("http://a", NotAnAddress::Scheme),
            ("a:6379", NotAnAddress::Scheme),
            ("redis+other://a", NotAnAddress::Scheme),
            ("redis://", NotAnAddress::Hosts),
            ("redis://a,b", NotAnAddress::Hosts),
            ("redis://a:0x1", NotAnAddress::Hosts),
            ("redis://a:70000", NotAnAddress::Hosts),
            ("redis://a b", NotAnAddress::Hosts),
            ("redis://[::1", NotAnAddress::Hosts),
            ("redis://[::1]x", NotAnAddress::Hosts),
            ("redis+cluster://a,,b", NotAnAddress::Hosts),
            ("redis://a/x", NotAnAddress::Database),
            ("redis://a/-1", NotAnAddress::Database),
            ("redis+cluster://a/1", NotAnAddress::Database),
            ("redis+sentinel://a", NotAnAddress::Master),
            ("redis+sentinel://a/", NotAnAddress::Master),
            ("redis://u:%ff@a", NotAnAddress::Login),
        ] {
            assert_eq!(text.parse::<Address>().map(drop), Err(expected), "{text}");
        }
        let error = "redis://u:hunter2@a b".parse::<Address>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
