//! What commands print: text for people, or one JSON value for machines.

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
        if self.json {
            println!("{value}");
        } else {
            println!("{text}");
        }
    }
}
