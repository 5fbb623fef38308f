//! Every field, with its default, what it means and an example. `ticketgate config` prints them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::app::audit;
use crate::config::brokers;
use crate::config::limits;
use crate::config::reader::{Field, Reader, at_least_one};
use crate::config::source::{Flags, Source};
use crate::config::store::Places;
use crate::config::{Config, ConfigErrors, LogSettings, StoreLocation};
use crate::credential::root_key::RootKeys;
use crate::hooks::connection::BrokerConnection;
use crate::http;
use crate::identity::key_sets;
use crate::keyring::{KeyList, Keyring};
use crate::names::origin::Origin;
use crate::secret::Secret;
use crate::store::cached;

/// actix-web tells of every worker thread at `info`.
const DEFAULT_LOG: &str = "info,actix_server=warn";

/// The most ranges of trusted proxies.
const MAX_PROXIES: usize = 64;
/// The most files of root keys.
const MAX_FILES: usize = 16;

/// Reads everything that `ticketgate serve` needs.
///
/// # Errors
/// All mistakes at once.
pub fn load(flags: &Flags) -> Result<Config, ConfigErrors> {
    read(Source::gather(flags))
}

/// Reads from a gathered source.
///
/// # Errors
/// All mistakes at once.
pub fn read(source: Source) -> Result<Config, ConfigErrors> {
    let mut reader = Reader::new(source);
    let http = reader.http();
    let Places { store, folder } = reader.places();
    let cache = reader.cache();
    let keys = reader.keys(&folder);
    let root_keys = reader.root_keys();
    let key_sets = reader.key_sets();
    let audit = reader.audit();
    let hashing = reader.hashing();
    let limits = limits::read(&mut reader);
    let local_socket = reader.local_socket(&folder);
    let log = reader.log();
    let brokers = brokers::read(&mut reader);
    let mistakes = reader.source.finish();
    match keys {
        Some(keys) if mistakes.is_empty() => Ok(Config {
            http,
            store,
            cache,
            keys,
            root_keys,
            key_sets,
            audit,
            hashing,
            limits,
            local_socket,
            brokers,
            log,
        }),
        _ => Err(ConfigErrors(mistakes)),
    }
}

/// Reads only what the commands need that open the store themselves.
///
/// # Errors
/// All mistakes at once.
pub fn load_store(flags: &Flags) -> Result<(StoreLocation, Keyring), ConfigErrors> {
    let mut reader = Reader::new(Source::gather(flags));
    let Places { store, folder } = reader.places();
    let keys = reader.keys(&folder);
    let mistakes = reader.source.mistakes_so_far();
    match keys {
        Some(keys) if mistakes.is_empty() => Ok((store, keys)),
        _ => Err(ConfigErrors(mistakes)),
    }
}

/// Reads only what the audit log keeps.
///
/// # Errors
/// All mistakes at once.
pub fn load_audit(flags: &Flags) -> Result<audit::Settings, ConfigErrors> {
    let mut reader = Reader::new(Source::gather(flags));
    let settings = reader.audit();
    let mistakes = reader.source.mistakes_so_far();
    if mistakes.is_empty() {
        Ok(settings)
    } else {
        Err(ConfigErrors(mistakes))
    }
}

/// Reads only where the store, this node's folder and the local socket are.
///
/// # Errors
/// All mistakes at once.
pub fn load_places(flags: &Flags) -> Result<(Places, PathBuf), ConfigErrors> {
    let mut reader = Reader::new(Source::gather(flags));
    let places = reader.places();
    let socket = reader.local_socket(&places.folder);
    let mistakes = reader.source.mistakes_so_far();
    if mistakes.is_empty() {
        Ok((places, socket))
    } else {
        Err(ConfigErrors(mistakes))
    }
}

/// Reads only how brokers reach this server, and where the local socket is.
///
/// # Errors
/// All mistakes at once.
pub fn load_edge(
    flags: &Flags,
) -> Result<(http::Settings, Vec<BrokerConnection>, PathBuf), ConfigErrors> {
    let mut reader = Reader::new(Source::gather(flags));
    let http = reader.http();
    let places = reader.places();
    let socket = reader.local_socket(&places.folder);
    let brokers = brokers::read(&mut reader);
    let mistakes = reader.source.mistakes_so_far();
    if mistakes.is_empty() {
        Ok((http, brokers, socket))
    } else {
        Err(ConfigErrors(mistakes))
    }
}

/// Every field with its default, variable and meaning, as text.
pub fn describe() -> String {
    let mut reader = Reader::new(Source::default());
    reader.http();
    let folder = reader.places().folder;
    reader.cache();
    reader.keys(&folder);
    reader.root_keys();
    reader.key_sets();
    reader.audit();
    reader.hashing();
    limits::read(&mut reader);
    reader.local_socket(&folder);
    reader.log();
    brokers::describe(&mut reader);
    reader.described()
}

impl Reader {
    fn http(&mut self) -> http::Settings {
        let default = http::Settings::default();
        let field = |name, example, meaning| Field {
            name,
            example,
            meaning,
        };
        http::Settings {
            bind: self.parsed(
                field(
                    "server.bind",
                    "127.0.0.1:8080",
                    "Address and port to listen on; port 0: any.",
                ),
                default.bind,
            ),
            workers: self.parsed(
                field(
                    "server.workers",
                    "2",
                    "Threads that answer. Default: one for each core.",
                ),
                default.workers,
            ),
            shutdown_seconds: self.parsed(
                field(
                    "server.shutdown_seconds",
                    "10",
                    "How long requests may finish at a stop.",
                ),
                default.shutdown_seconds,
            ),
            public_url: self.optional(
                field(
                    "server.public_url",
                    "https://auth.example.com",
                    "The address that clients know the server by; OAuth metadata names it.",
                ),
                |text| {
                    let origin = text.strip_suffix('/').unwrap_or(text).parse::<Origin>();
                    let origin = origin.map_err(|error| error.to_string())?;
                    Ok(origin.as_str().to_owned())
                },
            ),
            trusted_proxies: self.list(
                field(
                    "server.trusted_proxies",
                    "10.0.0.0/8,fd00::/8",
                    "Proxies whose X-Forwarded-For or Forwarded tells a caller's address.",
                ),
                MAX_PROXIES,
            ),
            hook_deadline: Duration::from_millis(self.with(
                field(
                    "hooks.deadline_ms",
                    "1000",
                    "How long a whole hook answer may take.",
                ),
                default.hook_deadline.as_millis() as u64,
                at_least_one,
            )),
            hook_body_limit: self.with(
                field(
                    "hooks.body_limit",
                    "1048576",
                    "The longest hook body, in bytes.",
                ),
                default.hook_body_limit,
                at_least_one,
            ),
            hooks_in_flight: self.with(
                field(
                    "hooks.in_flight",
                    "4096",
                    "The most hooks answered at a time.",
                ),
                default.hooks_in_flight,
                at_least_one,
            ),
            api_body_limit: self.with(
                field(
                    "api.body_limit",
                    "65536",
                    "The longest body of an API call, in bytes.",
                ),
                default.api_body_limit,
                at_least_one,
            ),
            api_deadline: Duration::from_millis(self.with(
                field(
                    "api.deadline_ms",
                    "5000",
                    "How long a whole API call may take, its body included.",
                ),
                default.api_deadline.as_millis() as u64,
                at_least_one,
            )),
            api_in_flight: self.with(
                field(
                    "api.in_flight",
                    "256",
                    "The most API calls answered at a time.",
                ),
                default.api_in_flight,
                at_least_one,
            ),
        }
    }

    fn cache(&mut self) -> cached::Settings {
        let default = cached::Settings::default();
        let field = |name, example, meaning| Field {
            name,
            example,
            meaning,
        };
        cached::Settings {
            capacity: self.parsed(
                field(
                    "cache.capacity",
                    "1000000",
                    "The most records kept in memory.",
                ),
                default.capacity,
            ),
            max_age_seconds: self.parsed(
                field(
                    "cache.max_age_seconds",
                    "600",
                    "The longest that one is kept.",
                ),
                default.max_age_seconds,
            ),
            negative_capacity: self.parsed(
                field(
                    "cache.negative_capacity",
                    "100000",
                    "The most unknown names kept.",
                ),
                default.negative_capacity,
            ),
            negative_max_age_seconds: self.parsed(
                field(
                    "cache.negative_max_age_seconds",
                    "30",
                    "The longest that one is kept.",
                ),
                default.negative_max_age_seconds,
            ),
        }
    }

    fn keys(&mut self, folder: &Path) -> Option<Keyring> {
        let seals = self.key_list("seal", "Keys that seal minted passwords", folder);
        let peppers = self.key_list("pepper", "Keys that guard what is stored", folder);
        Some(Keyring::new(seals?, peppers?))
    }

    /// A list of keys from the variable or the field `keys.<name>`, or from a file.
    fn key_list(&mut self, name: &str, meaning: &str, folder: &Path) -> Option<KeyList> {
        let (list, file) = (format!("keys.{name}"), format!("keys.{name}_file"));
        let meaning = format!("{meaning}, newest first: `<id> <key>`, one a line or with commas.");
        let field = Field {
            name: &list,
            example: "Ab3z <43 characters>",
            meaning: &meaning,
        };
        let parse = |text: &Secret| KeyList::parse(text).map_err(|error| error.to_string());
        let in_place = self.secret(field, parse);
        let default = key_file(folder, name);
        let example = default.display().to_string();
        let field = Field {
            name: &file,
            example: &example,
            meaning: "The same in a file.",
        };
        let path = self.parsed(field, default);
        if in_place.is_some() {
            return in_place;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        match text.and_then(|text| parse(&Secret::new(text))) {
            Ok(list) => Some(list),
            Err(error) => {
                let cure = "`ticketgate init` makes a data folder with keys";
                self.source
                    .mistake(format!("  {file}: {}: {error}; {cure}", path.display()));
                None
            }
        }
    }

    /// The operator's root keys, from the variable `keys.root` and from files.
    fn root_keys(&mut self) -> RootKeys {
        let meaning = "The operator's root keys, one a line or with commas; `ticketgate keys \
                       new-root` prints one.";
        let field = Field {
            name: "keys.root",
            example: "root_<at least 32 characters>",
            meaning,
        };
        let parse = |text: &Secret| RootKeys::parse(text).map_err(|error| error.to_string());
        let mut all = self.secret(field, parse).unwrap_or_default();
        let name = "keys.root_files";
        let field = Field {
            name,
            example: "/etc/ticketgate/root.keys",
            meaning: "The same in files. Without any, nobody may do what takes a root key.",
        };
        for path in self.list::<String>(field, MAX_FILES) {
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
            let keys = text.and_then(|text| parse(&Secret::new(text)));
            let keys = keys.and_then(|keys| match keys.is_empty() {
                true => Err("it holds no root key".to_owned()),
                false => Ok(keys),
            });
            let known = std::mem::take(&mut all);
            match keys.and_then(|keys| known.and(keys).map_err(|error| error.to_string())) {
                Ok(both) => all = both,
                Err(error) => {
                    let cure = "`ticketgate keys new-root` prints one";
                    self.source
                        .mistake(format!("  {name}: {path}: {error}; {cure}"));
                }
            }
        }
        all
    }

    fn key_sets(&mut self) -> key_sets::Settings {
        let default = key_sets::Settings::default();
        let mut seconds = |name, example, meaning, most: u64, default: Duration| {
            let field = Field {
                name,
                example,
                meaning,
            };
            let parse = |text: &str| match at_least_one::<u64>(text)? {
                seconds if seconds > most => Err(format!("must be at most {most}")),
                seconds => Ok(seconds),
            };
            Duration::from_secs(self.with(field, default.as_secs(), parse))
        };
        let timeout = seconds(
            "identity.fetch_seconds",
            "3",
            "How long fetching a provider's keys may take.",
            30,
            default.timeout,
        );
        let pause = seconds(
            "identity.fetch_pause_seconds",
            "10",
            "The shortest time between two fetches of one provider's keys.",
            3600,
            default.pause,
        );
        let max_stale = seconds(
            "identity.max_stale_seconds",
            "21600",
            "How long a provider's last good keys are used while it is down.",
            30 * 86_400,
            default.max_stale,
        );
        let meaning = "Providers at private addresses, and http:// on loopback: for development.";
        let field = Field {
            name: "identity.allow_private_addresses",
            example: "false",
            meaning,
        };
        let allow_private_addresses = self.parsed(field, default.allow_private_addresses);
        key_sets::Settings {
            allow_private_addresses,
            timeout,
            pause,
            max_stale,
            ..default
        }
    }

    fn hashing(&mut self) -> usize {
        let meaning = "Slow password hashes (about 20 ms of a core) at a time.";
        self.with(
            Field {
                name: "server.hashing",
                example: "1",
                meaning,
            },
            1,
            at_least_one,
        )
    }

    fn local_socket(&mut self, folder: &Path) -> PathBuf {
        let default = folder.join("admin.sock");
        let example = default.display().to_string();
        let meaning = "The socket for `ticketgate revoke` and metrics; its mode is the permission.";
        self.parsed(
            Field {
                name: "server.local_socket",
                example: &example,
                meaning,
            },
            default,
        )
    }

    fn log(&mut self) -> LogSettings {
        let format = Field {
            name: "log.format",
            example: "human",
            meaning: "`human` or `json`.",
        };
        let json = self.with(format, false, |text| match text {
            "human" => Ok(false),
            "json" => Ok(true),
            _ => Err("is neither `human` nor `json`".to_owned()),
        });
        let meaning =
            "What is logged: off, error, warn, info, debug, trace, or a filter by module.";
        let level = Field {
            name: "log.level",
            example: "info",
            meaning,
        };
        let filter = self.with(level, DEFAULT_LOG.to_owned(), |text| {
            match text.parse::<tracing_subscriber::filter::Targets>() {
                Ok(_) => Ok(text.to_owned()),
                Err(error) => Err(error.to_string()),
            }
        });
        LogSettings { json, filter }
    }
}

/// Where `ticketgate init` puts a list of keys.
pub fn key_file(folder: &Path, name: &str) -> PathBuf {
    folder.join("keys").join(format!("{name}.keys"))
}
