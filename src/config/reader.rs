//! Reads fields one by one out of a [`Source`], noting every mistake with its cure.

use std::fmt::Display;
use std::str::FromStr;

use crate::config::source::{Source, variable};
use crate::secret::Secret;

/// Reads fields one by one, gathering mistakes and descriptions.
pub struct Reader {
    /// Where values come from.
    pub source: Source,
    described: Vec<String>,
}

/// A field's name, example and meaning.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Such as `server.bind`.
    pub name: &'a str,
    /// A good value.
    pub example: &'a str,
    /// What it means.
    pub meaning: &'a str,
}

impl Reader {
    /// Reads one field with the type's own parser, or takes the default.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, field: Field<'_>, default: T) -> T {
        self.with(field, default, |text| {
            text.parse::<T>().map_err(|error| error.to_string())
        })
    }

    /// Reads one field with `parse`, or takes the default.
    pub fn with<T>(
        &mut self,
        field: Field<'_>,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.optional(field, parse).unwrap_or(default)
    }

    /// Reads one field; `None` where it is not set or wrong.
    pub fn optional<T>(
        &mut self,
        field: Field<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Field {
            name,
            example,
            meaning,
        } = field;
        let variable = variable(name);
        self.described
            .push(format!("{name}\n    {meaning}\n    {variable}={example}\n"));
        let (text, from) = self.source.take(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                let cure = format!("set {variable} or the field to something like `{example}`");
                self.source
                    .mistake(format!("  {name}: {error} (from {from}); {cure}"));
                None
            }
        }
    }

    /// Reads a field that is a secret: from a variable only, because the settings file is read by
    /// more people than a file of secrets.
    pub fn secret<T>(
        &mut self,
        field: Field<'_>,
        parse: impl FnOnce(&Secret) -> Result<T, String>,
    ) -> Option<T> {
        let name = field.name;
        if self.source.is_in_file(name) {
            let text = format!("  {name}: secrets do not belong into the settings; use a file of");
            self.source
                .mistake(format!("{text} its own or {}", variable(name)));
            self.source.take(name);
            return None;
        }
        self.optional(field, |text| parse(&Secret::new(text)))
    }

    /// Reads a list: one text with commas, or a list of texts in the file.
    pub fn list<T: FromStr<Err: Display>>(&mut self, field: Field<'_>, most: usize) -> Vec<T> {
        let parse = |text: &str| {
            let texts = text.split(',').map(str::trim).filter(|one| !one.is_empty());
            let read = |one: &str| one.parse().map_err(|error| format!("`{one}`: {error}"));
            let all = texts.map(read).collect::<Result<Vec<T>, String>>()?;
            if all.len() > most {
                return Err(format!(
                    "has {} entries, at most {most} are possible",
                    all.len()
                ));
            }
            Ok(all)
        };
        self.with(field, Vec::new(), parse)
    }

    /// Starts on a source.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            described: Vec::new(),
        }
    }

    /// Every field asked for so far, with its variable and meaning.
    pub fn described(&self) -> String {
        self.described.join("\n")
    }
}

/// Parses a number that is not zero.
///
/// # Errors
/// What is wrong with it, in words.
pub fn at_least_one<T: FromStr<Err: Display> + PartialOrd + From<u8>>(
    text: &str,
) -> Result<T, String> {
    let number: T = text.parse().map_err(|error: T::Err| error.to_string())?;
    if number < T::from(1) {
        Err("must be at least 1".to_owned())
    } else {
        Ok(number)
    }
}
