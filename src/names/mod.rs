//! The names that records and wires carry: organization ids, usernames, token and key ids, claims,
//! and the marks that end what was issued.
//!
//! A value of one of these types has been checked; code that holds one need not look again.

/// Gives a name its text forms: shown as its text, stored as its text, checked when it is read.
/// Needs `as_str` and `FromStr`.
macro_rules! text_name {
    ($type:ty, $error:ty $(, $($generics:tt)+)?) => {
        impl $(<$($generics)+>)? std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $(<$($generics)+>)? TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl $(<$($generics)+>)? From<$type> for String {
            fn from(name: $type) -> Self {
                name.as_str().to_owned()
            }
        }
    };
}

pub mod base62;
pub mod claims;
pub mod key_id;
pub mod marks;
pub mod organization_id;
pub mod origin;
pub mod token_id;
pub mod username;
