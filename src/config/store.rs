//! Where records live, and the folder of what belongs to this node alone.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::StoreLocation;
use crate::config::reader::{Field, Reader, at_least_one};
use crate::config::source::{COMMAND_LINE, variable};
use crate::secret::Secret;
use crate::store::redis::Settings as RedisSettings;
use crate::store::redis::address::{Address, Servers};

/// The folder for keys, the local socket and the embedded store, where nothing else is said.
const DEFAULT_FOLDER: &str = "./ticketgate-data";
/// The longest lease: nobody wants to wait longer for a revoke.
const LONGEST_LEASE: u64 = 60_000;

/// Where things are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The records.
    pub store: StoreLocation,
    /// Keys and the local socket.
    pub folder: PathBuf,
}

/// What `store.url` says.
enum Url {
    Embedded(PathBuf),
    Redis(Address),
}

const fn field<'a>(name: &'a str, example: &'a str, meaning: &'a str) -> Field<'a> {
    Field {
        name,
        example,
        meaning,
    }
}

impl Reader {
    /// Reads where records live and where this node keeps what is its own.
    pub fn places(&mut self) -> Places {
        let named = self.source.origin("server.data_folder");
        let is_flag = named.is_some_and(|origin| origin == COMMAND_LINE);
        let folder = self.optional(
            field(
                "server.data_folder",
                DEFAULT_FOLDER,
                "Keys, the local socket, and the embedded store. Default: the embedded store's folder.",
            ),
            |text| Ok(PathBuf::from(text)),
        );
        let url = self.url();
        let redis = self.redis_settings(match &url {
            Some(Url::Redis(address)) => Some(address.clone()),
            _ => None,
        });
        let store = match (url, redis) {
            (Some(Url::Redis(_)), Some(settings)) => StoreLocation::Redis(Box::new(settings)),
            // A folder on the command line is meant for everything that lies in folders.
            (Some(Url::Embedded(path)), _) if !is_flag => StoreLocation::Embedded(path),
            _ => StoreLocation::Embedded(folder.clone().unwrap_or_else(|| DEFAULT_FOLDER.into())),
        };
        let folder = folder.unwrap_or_else(|| match &store {
            StoreLocation::Embedded(folder) => folder.clone(),
            StoreLocation::Redis(_) => DEFAULT_FOLDER.into(),
        });
        Places { store, folder }
    }

    fn url(&mut self) -> Option<Url> {
        let name = "store.url";
        let is_in_file = self.source.is_in_file(name);
        let meaning = "Where records live: embedded:<folder>, redis://host:6379, rediss:// with TLS,\n    \
                       redis+sentinel://host:26379,host:26379,host:26379/mymaster,\n    \
                       redis+cluster://host:6379,host:6379.";
        self.optional(field(name, "redis://127.0.0.1:6379", meaning), |text| {
            match text.strip_prefix("embedded:") {
                Some("") => return Err("is not `embedded:<folder>`".to_owned()),
                Some(folder) => return Ok(Url::Embedded(folder.into())),
                None => {}
            }
            let address: Address = text.parse().map_err(|error| format!("{error}"))?;
            if is_in_file && address.password.is_some() {
                let text = "has a password, which does not belong into the settings file; use";
                return Err(format!(
                    "{text} store.password_file or {}",
                    variable("store.password")
                ));
            }
            Ok(Url::Redis(address))
        })
    }

    /// Reads every field of Redis, whether it is used or not: what is wrong is wrong.
    fn redis_settings(&mut self, address: Option<Address>) -> Option<RedisSettings> {
        let user = self.optional(
            field("store.user", "ticketgate", "The ACL user in Redis."),
            |text| Ok(text.to_owned()),
        );
        let password = self.secret_or_file("store.password", "Its password.");
        let sentinel_user = self.optional(
            field(
                "store.sentinel_user",
                "ticketgate",
                "The user at the Sentinels.",
            ),
            |text| Ok(text.to_owned()),
        );
        let sentinel_password = self.secret_or_file("store.sentinel_password", "Its password.");
        let authorities = self.optional(
            field(
                "store.ca_file",
                "/etc/ticketgate/redis-ca.pem",
                "The authorities to trust with rediss://, as PEM. Default: the system's.",
            ),
            |path| std::fs::read(path).map_err(|error| format!("{path}: {error}")),
        );
        let prefix = self.with(
            field("store.prefix", "tg", "What every key in Redis begins with."),
            "tg".to_owned(),
            clean_prefix,
        );
        let (lease, timeout) = self.lease_and_timeout();
        let safe = address
            .as_ref()
            .is_some_and(|address| !matches!(address.servers, Servers::One { .. }));
        let min_replicas = self.parsed(
            field(
                "store.min_replicas",
                "1",
                "How many replicas must have a revoke before it is answered.\n    \
                 Default: 1 with Sentinel and Cluster, where a replica may take over, else 0.",
            ),
            usize::from(safe),
        );
        let mut address = address?;
        address.user = user.or(address.user);
        address.password = password.or(address.password);
        Some(RedisSettings {
            address,
            authorities,
            sentinel_login: (sentinel_user, sentinel_password),
            prefix,
            lease,
            timeout,
            min_replicas,
        })
    }

    fn lease_and_timeout(&mut self) -> (Duration, Duration) {
        let timeout = self.with(
            field(
                "store.timeout_ms",
                "250",
                "How long Redis may take for one answer.",
            ),
            250,
            at_least_one::<u64>,
        );
        let lease = self.with(
            field(
                "store.lease_ms",
                "1000",
                "How long a node that hears nothing from Redis serves from memory, and so the\n    \
                 longest that a revoke waits for one. The same on every node; at least twice\n    \
                 store.timeout_ms.",
            ),
            1_000,
            |text| {
                let lease: u64 = text.parse().map_err(|error| format!("{error}"))?;
                match lease {
                    lease if lease > LONGEST_LEASE => Err(format!("is over {LONGEST_LEASE}")),
                    lease if lease < timeout * 2 => {
                        Err(format!("is less than twice store.timeout_ms ({timeout})"))
                    }
                    lease => Ok(lease),
                }
            },
        );
        (Duration::from_millis(lease), Duration::from_millis(timeout))
    }

    /// A secret from the variable of `name`, or from the file that the field `<name>_file` names.
    fn secret_or_file(&mut self, name: &str, meaning: &str) -> Option<Secret> {
        let in_place = self.secret(field(name, "(from a variable only)", meaning), |text| {
            Ok(text.clone())
        });
        let file = format!("{name}_file");
        let from_file = self.optional(
            field(
                &file,
                "/etc/ticketgate/redis.password",
                "The same in a file.",
            ),
            |path| {
                let text =
                    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
                let text = Secret::new(text);
                Ok(Secret::new(text.expose().trim_end_matches(['\r', '\n'])))
            },
        );
        in_place.or(from_file)
    }
}

fn clean_prefix(text: &str) -> Result<String, String> {
    let clean = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(clean) {
        return Err("is not 1 to 64 characters of A-Z a-z 0-9 - _ . :".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::{Flags, Source};

    fn read(variables: &[(&str, &str)], data: Option<&str>) -> Result<Places, Vec<String>> {
        let fields = data.map(|data| ("server.data_folder", data.to_owned()));
        let flags = Flags {
            file: None,
            fields: fields.into_iter().collect(),
        };
        let variables = variables
            .iter()
            .map(|(name, value)| (format!("TICKETGATE__{name}"), (*value).to_owned()));
        let mut reader = Reader::new(Source::gather_from(&flags, variables));
        let places = reader.places();
        match reader.source.mistakes_so_far() {
            mistakes if mistakes.is_empty() => Ok(places),
            mistakes => Err(mistakes),
        }
    }

    fn embedded(places: &Places) -> Option<&str> {
        match &places.store {
            StoreLocation::Embedded(folder) => folder.to_str(),
            StoreLocation::Redis(_) => None,
        }
    }

    #[test]
    fn folders_follow_each_other() {
        let none = read(&[], None).unwrap();
        assert_eq!(embedded(&none), Some(DEFAULT_FOLDER));
        assert_eq!(none.folder, PathBuf::from(DEFAULT_FOLDER));
        let url = read(&[("STORE__URL", "embedded:/a")], None).unwrap();
        assert_eq!(
            (embedded(&url), url.folder.to_str()),
            (Some("/a"), Some("/a"))
        );
        let flag = read(&[("STORE__URL", "embedded:/a")], Some("/b")).unwrap();
        assert_eq!(
            (embedded(&flag), flag.folder.to_str()),
            (Some("/b"), Some("/b"))
        );
        let both = [("STORE__URL", "embedded:/a"), ("SERVER__DATA_FOLDER", "/b")];
        let both = read(&both, None).unwrap();
        assert_eq!(
            (embedded(&both), both.folder.to_str()),
            (Some("/a"), Some("/b"))
        );
        let redis = read(&[("STORE__URL", "redis://a")], Some("/b")).unwrap();
        assert_eq!(
            (embedded(&redis), redis.folder.to_str()),
            (None, Some("/b"))
        );
    }

    #[test]
    fn replicas_are_waited_for_where_one_may_take_over() {
        for (url, expected) in [
            ("redis://a", 0),
            ("redis+sentinel://a/m", 1),
            ("redis+cluster://a", 1),
        ] {
            let places = read(&[("STORE__URL", url)], None).unwrap();
            let StoreLocation::Redis(settings) = places.store else {
                panic!("{url}")
            };
            assert_eq!(settings.min_replicas, expected, "{url}");
        }
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        for (name, value, expected) in [
            (
                "STORE__URL",
                "redis+sentinel://a",
                "lacks the master's name",
            ),
            ("STORE__URL", "mysql://a", "redis+cluster://"),
            ("STORE__LEASE_MS", "400", "twice store.timeout_ms"),
            ("STORE__LEASE_MS", "100000", "over 60000"),
            ("STORE__PREFIX", "a b", "1 to 64 characters"),
            ("STORE__PASSWORD_FILE", "/nowhere", "No such file"),
        ] {
            let mistakes = read(&[(name, value)], None).unwrap_err().join("\n");
            assert!(mistakes.contains(expected), "{mistakes}");
        }
    }
}
