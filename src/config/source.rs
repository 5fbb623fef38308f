//! Gathers settings from the file, the environment and the flags into one table of texts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What every variable begins with. `TICKETGATE__SERVER__BIND` is `server.bind`.
const VARIABLE_PREFIX: &str = "TICKETGATE__";
/// Where a value of a flag comes from.
pub const COMMAND_LINE: &str = "the command line";
/// Names the file, where no flag does.
const FILE_VARIABLE: &str = "TICKETGATE_CONFIG";

/// Settings as texts, each with where it came from.
#[derive(Debug, Default)]
pub struct Source {
    values: BTreeMap<String, Value>,
    mistakes: Vec<String>,
}

/// A value and its origin. No `Debug` of the value: it may be a secret.
struct Value {
    text: String,
    from: String,
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "from {}", self.from)
    }
}

/// What the caller says on the command line.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`
    pub file: Option<PathBuf>,
    /// Fields and their values, such as `("store.url", "embedded:./data")`.
    pub fields: Vec<(&'static str, String)>,
}

impl Source {
    /// Reads the file, then lets the process environment and the flags overrule it.
    pub fn gather(flags: &Flags) -> Self {
        Self::gather_from(
            flags,
            std::env::vars_os().filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.into_string().ok()?))
            }),
        )
    }

    /// The same with a given environment.
    pub fn gather_from(flags: &Flags, environment: impl Iterator<Item = (String, String)>) -> Self {
        let mut source = Self::default();
        let mut variables = Vec::new();
        let mut file = flags.file.clone();
        for (name, value) in environment {
            if name == FILE_VARIABLE && file.is_none() {
                file = Some(PathBuf::from(value));
            } else if let Some(path) = name.strip_prefix(VARIABLE_PREFIX) {
                let field = path.to_ascii_lowercase().replace("__", ".");
                variables.push((
                    field,
                    Value {
                        text: value,
                        from: name,
                    },
                ));
            }
        }
        if let Some(file) = &file {
            source.read_file(file);
        }
        source.values.extend(variables);
        for (field, text) in &flags.fields {
            let value = Value {
                text: text.clone(),
                from: COMMAND_LINE.into(),
            };
            source.values.insert((*field).to_owned(), value);
        }
        source
    }

    /// Takes a value out; a second text says where it came from.
    pub fn take(&mut self, field: &str) -> Option<(String, String)> {
        self.values
            .remove(field)
            .map(|value| (value.text, value.from))
    }

    /// Where the value comes from.
    pub fn origin(&self, field: &str) -> Option<&str> {
        self.values.get(field).map(|value| value.from.as_str())
    }

    /// Whether the value comes from the settings file.
    pub fn is_in_file(&self, field: &str) -> bool {
        let origin = self.origin(field);
        origin.is_some_and(|origin| origin != COMMAND_LINE && !origin.starts_with(VARIABLE_PREFIX))
    }

    /// The names below `table`, such as the broker connections below `brokers`.
    pub fn names_below(&self, table: &str) -> Vec<String> {
        let prefix = format!("{table}.");
        let below = self
            .values
            .keys()
            .filter_map(|field| field.strip_prefix(&prefix));
        let mut names: Vec<String> = below
            .filter_map(|rest| Some(rest.split_once('.')?.0.to_owned()))
            .collect();
        names.dedup();
        names
    }

    /// Notes a mistake.
    pub fn mistake(&mut self, text: String) {
        self.mistakes.push(text);
    }

    /// Whether a mistake about the field has been noted.
    pub fn is_wrong(&self, field: &str) -> bool {
        self.mistakes
            .iter()
            .any(|mistake| mistake.starts_with(&format!("  {field}: ")))
    }

    /// The mistakes noted so far.
    pub fn mistakes_so_far(self) -> Vec<String> {
        self.mistakes
    }

    /// Every mistake, those about values that nobody took included.
    pub fn finish(mut self) -> Vec<String> {
        let unknown = self.values.into_iter().map(|(field, value)| {
            format!(
                "  {field}: unknown field (from {}); `ticketgate config` lists all",
                value.from
            )
        });
        self.mistakes.extend(unknown);
        self.mistakes
    }

    fn read_file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return self.mistake(format!(
                    "  the file {} cannot be read: {error}",
                    path.display()
                ));
            }
        };
        match text.parse::<toml::Table>() {
            Ok(table) => self.flatten("", toml::Value::Table(table), &path.display().to_string()),
            // The library's text shows the line, which may hold a secret.
            Err(error) => {
                let line = error
                    .span()
                    .map_or(1, |span| text[..span.start].lines().count().max(1));
                let message = error.message();
                self.mistake(format!("  {}, line {line}: {message}", path.display()));
            }
        }
    }

    fn flatten(&mut self, field: &str, value: toml::Value, from: &str) {
        let text = match value {
            toml::Value::Table(table) => {
                for (name, value) in table {
                    let dot = if field.is_empty() { "" } else { "." };
                    self.flatten(&format!("{field}{dot}{name}"), value, from);
                }
                return;
            }
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Array(values) if values.iter().all(toml::Value::is_str) => {
                let texts: Vec<&str> = values.iter().filter_map(toml::Value::as_str).collect();
                texts.join(",")
            }
            _ => {
                let text = "must be a text, a whole number, true/false or a list of texts";
                return self.mistake(format!("  {field}: {text} (from {from})"));
            }
        };
        self.values.insert(
            field.to_owned(),
            Value {
                text,
                from: from.to_owned(),
            },
        );
    }
}

/// The variable that sets a field.
pub fn variable(field: &str) -> String {
    format!(
        "{VARIABLE_PREFIX}{}",
        field.to_ascii_uppercase().replace('.', "__")
    )
}
