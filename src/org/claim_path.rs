//! Where a claim is found in a token: `role`, `app_metadata.role`, `https://app.example/role`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest path, in bytes.
pub const MAX_LENGTH: usize = 256;
/// The most steps of a path.
pub const MAX_STEPS: usize = 8;

/// A claim's place. Dots lead into objects; a text with `:` or `/` in it is the whole name of one
/// claim, as the namespaced ones are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClaimPath(String);

/// Not a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a claim is named like `role`, `app_metadata.role` or `https://app.example/role`: at most \
     {MAX_LENGTH} bytes and {MAX_STEPS} steps, none of them empty"
)]
pub struct NotAClaimPath;

impl ClaimPath {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names to follow, outermost first.
    pub fn steps(&self) -> Vec<&str> {
        if self.0.contains([':', '/']) {
            return vec![&self.0];
        }
        self.0.split('.').collect()
    }
}

impl FromStr for ClaimPath {
    type Err = NotAClaimPath;

    fn from_str(text: &str) -> Result<Self, NotAClaimPath> {
        let path = Self(text.to_owned());
        let steps = path.steps();
        let good = text.len() <= MAX_LENGTH
            && steps.len() <= MAX_STEPS
            && steps.iter().all(|step| !step.is_empty())
            && !text.chars().any(char::is_control);
        if good { Ok(path) } else { Err(NotAClaimPath) }
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ClaimPath {
    type Error = NotAClaimPath;

    fn try_from(text: String) -> Result<Self, NotAClaimPath> {
        text.parse()
    }
}

impl From<ClaimPath> for String {
    fn from(path: ClaimPath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_lead_into_objects_and_addresses_are_one_name() {
        let steps = |text: &str| text.parse::<ClaimPath>().map(|path| path.steps().join(" "));
        assert_eq!(steps("role").as_deref(), Ok("role"));
        assert_eq!(
            steps("app_metadata.role").as_deref(),
            Ok("app_metadata role")
        );
        let namespaced = "https://app.example/role";
        assert_eq!(steps(namespaced).as_deref(), Ok(namespaced));
        for bad in ["", ".", "a.", ".a", "a..b", "a\n", "a.b.c.d.e.f.g.h.i"] {
            assert_eq!(steps(bad), Err(NotAClaimPath), "{bad}");
        }
    }
}
