//! What commands print: text for people, or one JSON value for machines.

use std::io::{ErrorKind, Write as _};

use serde_json::Value;

/// Which of the two.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// JSON.
    pub json: bool,
}

impl Output {
    /// Prints the result of a command.
    pub fn print(self, value: &Value, text: &str) {
        let mut out = std::io::stdout().lock();
        let written = if self.json {
            writeln!(out, "{value}")
        } else {
            writeln!(out, "{text}")
        };
        // Whoever reads only the beginning (`| head`) has what was asked for.
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            eprintln!("ticketgate: the result could not be written: {error}");
        }
    }
}
