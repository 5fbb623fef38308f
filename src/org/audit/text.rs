//! Texts that are safe to show anywhere: on a terminal, in a line of a file, in a page.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// The longest text, in bytes.
pub const MAX_LENGTH: usize = 256;
/// Stands for the rest of a text that was too long.
const ELLIPSIS: char = '…';
/// How the secrets of ours begin, and identity tokens, and how many characters behind that make one.
/// A username may begin so too, but hardly goes on as long.
const SECRETS: [(&str, usize); 6] = [
    ("tkn_", 40),
    ("sk_", 40),
    ("pk_", 40),
    ("rk_", 40),
    ("cs_", 30),
    ("eyJ", 20),
];
/// What stands for a text with a secret in it.
const REDACTED: &str = "[redacted]";

/// At most [`MAX_LENGTH`] bytes in one line. What a terminal would take for a command, or would show
/// in another order, is written as `\u{1b}`. A text with something in it that looks like one of our
/// secrets is left out as a whole: clients put passwords where names belong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Text(String);

impl Text {
    /// Takes what may be shown of a text.
    pub fn new(text: &str) -> Self {
        if holds_secret(text) {
            return Self(REDACTED.to_owned());
        }
        let mut safe = String::with_capacity(text.len().min(MAX_LENGTH));
        // Where the text ends if more comes than fits.
        let mut cut = 0;
        for character in text.chars() {
            if safe.len() + ELLIPSIS.len_utf8() <= MAX_LENGTH {
                cut = safe.len();
            }
            if is_safe(character) {
                safe.push(character);
            } else {
                let _ = write!(safe, "{}", character.escape_unicode());
            }
            if safe.len() > MAX_LENGTH {
                safe.truncate(cut);
                safe.push(ELLIPSIS);
                break;
            }
        }
        Self(safe)
    }

    /// The same of anything that has a text form. Secrets have none.
    pub fn of(value: &dyn fmt::Display) -> Self {
        let mut text = Bounded(String::new());
        // It ends early where there is more than could be shown.
        let _ = write!(text, "{value}");
        Self::new(&text.0)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

/// Takes in no more than can matter.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() > 64 * MAX_LENGTH {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// Neither controls nor what changes the direction of a line or hides in it.
fn is_safe(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

fn holds_secret(text: &str) -> bool {
    SECRETS.iter().any(|(beginning, length)| {
        text.match_indices(beginning).any(|(at, _)| {
            let rest = text[at + beginning.len()..].bytes();
            let secret = rest.take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
            secret.take(*length).count() == *length
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_commands_a_terminal_is_left() {
        for (hostile, safe) in [
            ("a\r\nb", "a\\u{d}\\u{a}b"),
            ("a\0b", "a\\u{0}b"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{2028}b", "a\\u{2028}b"),
            ("zoë 😀 \\", "zoë 😀 \\"),
            ("", ""),
        ] {
            assert_eq!(Text::new(hostile).as_str(), safe);
        }
    }

    #[test]
    fn a_text_is_as_long_as_it_may_be_and_no_longer() {
        let fits = "é".repeat(MAX_LENGTH / 2);
        assert_eq!(Text::new(&fits).as_str(), fits);
        for long in ["a".repeat(64 * 1024), "é".repeat(200), "\0".repeat(90)] {
            let text = Text::new(&long);
            assert!(text.as_str().len() <= MAX_LENGTH, "{text}");
            assert!(text.as_str().ends_with(ELLIPSIS), "{text}");
        }
        assert!(Text::of(&"a".repeat(1 << 20)).as_str().len() <= MAX_LENGTH);
    }

    #[test]
    fn a_text_that_was_made_safe_stays_as_it_is() {
        for text in ["a\r\nb", &"x".repeat(1_000), &"\u{1b}".repeat(100), "é"] {
            let once = Text::new(text);
            assert_eq!(Text::new(once.as_str()), once);
        }
    }

    #[test]
    fn what_looks_like_a_secret_is_left_out() {
        let secret = "Ab3z".repeat(12);
        for text in [
            format!("tkn_{secret}"),
            format!("users/sk_live_{secret}/x"),
            format!("cs_{secret}"),
            format!("eyJ{secret}.eyJ{secret}.{secret}"),
        ] {
            assert_eq!(Text::new(&text).as_str(), REDACTED, "{text}");
        }
        for text in [
            "user_alice",
            "desk_k7xm4pqr2n5tk7xm4pqr",
            "tkn_short",
            "sk_",
        ] {
            assert_eq!(Text::new(text).as_str(), text);
        }
    }
}
