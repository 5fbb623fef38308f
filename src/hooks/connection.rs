//! A broker connection: which broker asks, how it proves itself, whose users it serves.

use crate::engine::isolation::Isolation;
use crate::hooks::dialect::Dialect;
use crate::secret::{Secret, constant_time_eq};

/// The shortest secret of a broker connection, in characters.
pub const MIN_SECRET_LENGTH: usize = 22;
/// Old and new: the most secrets that are good at a time.
pub const MAX_SECRETS: usize = 2;

/// A broker that asks this server.
#[derive(Debug, Clone)]
pub struct BrokerConnection {
    /// Its name in paths, settings and logs.
    pub name: String,
    /// How it asks.
    pub dialect: Dialect,
    /// What its requests must show, newest first.
    pub secrets: Vec<Secret>,
    /// How organizations are kept apart on it.
    pub isolation: Isolation,
    /// The mountpoint or vhost that its sessions live in by default.
    pub home: String,
    /// What to say to a username that is not of our form.
    pub foreign_names: ForeignNames,
}

/// What to say to a username that is not of our form, so cannot be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForeignNames {
    /// No.
    #[default]
    Deny,
    /// "Not mine", so that the broker asks its next authority, where it has one.
    Abstain,
}

/// Why a list of secrets cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecrets {
    /// Not one or two.
    #[error("holds {0} secrets; it is one a line, the newest first, at most {MAX_SECRETS}")]
    Count(usize),
    /// Too short to be safe, or not fit for a path.
    #[error(
        "line {0} is not at least {MIN_SECRET_LENGTH} of A-Z a-z 0-9 _ -; \
         `ticketgate hook-secret` prints a good one"
    )]
    Shape(usize),
}

impl BrokerConnection {
    /// Whether the request shows one of the secrets. Every secret is compared, in constant time.
    pub fn accepts(&self, presented: &str) -> bool {
        let right = |secret: &Secret| {
            u8::from(constant_time_eq(
                secret.expose().as_bytes(),
                presented.as_bytes(),
            ))
        };
        self.secrets.iter().map(right).fold(0, |any, one| any | one) == 1
    }
}

/// Reads the secrets of a broker connection: one a line, newest first.
///
/// # Errors
/// [`BadSecrets`]; it never repeats what a line says.
pub fn parse_secrets(text: &Secret) -> Result<Vec<Secret>, BadSecrets> {
    let lines = text
        .expose()
        .split(['\n', ','])
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let secrets: Vec<Secret> = lines.map(Secret::new).collect();
    if secrets.is_empty() || secrets.len() > MAX_SECRETS {
        return Err(BadSecrets::Count(secrets.len()));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let good = |secret: &Secret| {
        secret.expose().len() >= MIN_SECRET_LENGTH && secret.expose().bytes().all(plain)
    };
    match secrets.iter().position(|secret| !good(secret)) {
        Some(at) => Err(BadSecrets::Shape(at + 1)),
        None => Ok(secrets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_secrets_are_accepted_and_nothing_else() {
        let (old, new) = ("o".repeat(22), "n".repeat(22));
        let secrets = parse_secrets(&Secret::new(format!("{new}\n{old}\n"))).unwrap();
        let connection = BrokerConnection {
            name: "main".into(),
            dialect: Dialect::VerneMq,
            secrets,
            isolation: Isolation::Prefix,
            home: String::new(),
            foreign_names: ForeignNames::Deny,
        };
        assert!(connection.accepts(&old) && connection.accepts(&new));
        for wrong in [
            "",
            "o",
            &old[1..],
            &format!("{old}o"),
            &format!("{new}\n{old}"),
        ] {
            assert!(!connection.accepts(wrong), "{wrong}");
        }
    }

    #[test]
    fn unfit_secrets_are_refused_unshown() {
        let parse = |text: &str| parse_secrets(&Secret::new(text)).map(drop);
        let good = "a".repeat(22);
        assert_eq!(parse(""), Err(BadSecrets::Count(0)));
        assert_eq!(parse(&[&*good; 3].join("\n")), Err(BadSecrets::Count(3)));
        assert_eq!(parse("short"), Err(BadSecrets::Shape(1)));
        assert_eq!(
            parse(&format!("{good}\n{}/", good)),
            Err(BadSecrets::Shape(2))
        );
    }
}
