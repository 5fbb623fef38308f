//! Topic patterns with placeholders, such as `users/{username}/#`.
//!
//! A value can never add a level, a wildcard or a `$`: where it would, the rule does not apply.

use std::borrow::Cow;

use crate::mqtt::client_id;
use crate::mqtt::topic::{NotATopic, TopicFilter};
use crate::names::claims::{Claims, is_claim_name};
use crate::names::organization_id::OrganizationId;

/// A topic filter that may have placeholders in its levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    /// Without placeholders: checked once, used as it is.
    Fixed(TopicFilter<'static>),
    /// With placeholders.
    Pieces(Vec<Piece>),
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text that stands for itself, level separators and wildcards included.
    Text(String),
    /// A value of the one who asks.
    Placeholder(Placeholder),
}

/// Which value a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placeholder {
    /// `{username}` or `%u`: the part of the username before the `@`.
    Username,
    /// `{client_id}` or `%c`.
    ClientId,
    /// `{org_short_id}`: the organization's id, `org_...`.
    OrganizationId,
    /// `{<name>}`: a claim of the identity.
    Claim(String),
}

/// One level of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// A text or a wildcard.
    Fixed(String),
    /// With placeholders.
    Filled(Vec<Piece>),
}

/// Whose values fill the placeholders.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The part of the username before the `@`.
    pub local_name: &'a str,
    /// The organization.
    pub organization: &'a OrganizationId,
    /// The client id of the session.
    pub client_id: &'a str,
    /// The mapped claims.
    pub claims: &'a Claims,
}

/// Why a text is not a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotATemplate {
    /// The topic around the placeholders is wrong.
    #[error(transparent)]
    Topic(#[from] NotATopic),
    /// `{` without `}`, or a name that no claim can have.
    #[error(
        "a placeholder is `{{name}}` with letters, digits and `_`, such as `{{username}}`, \
         `{{client_id}}`, `{{org_short_id}}`, `{{email}}` or `{{user_id}}`"
    )]
    Placeholder,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`NotATemplate`].
    pub fn parse(text: &str) -> Result<Self, NotATemplate> {
        let pieces = pieces(text)?;
        if let [Piece::Text(text)] = pieces.as_slice() {
            return Ok(Self::Fixed(TopicFilter::parse(text.as_str())?.into_owned()));
        }
        // Any harmless value shows whether the text around the placeholders is a filter.
        let tried: String = pieces
            .iter()
            .map(|piece| piece.text().unwrap_or("x"))
            .collect();
        TopicFilter::parse(tried)?;
        Ok(Self::Pieces(pieces))
    }

    /// The filter for one subject; `None` where the rule does not apply to it, because a value is
    /// missing, empty or could change the shape of the filter.
    pub fn expand(&self, subject: &Subject<'_>) -> Option<Cow<'_, str>> {
        let pieces = match self {
            Template::Fixed(filter) => return Some(Cow::Borrowed(filter.as_str())),
            Template::Pieces(pieces) => pieces,
        };
        let mut filter = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => filter.push_str(text),
                Piece::Placeholder(placeholder) => {
                    let value = placeholder
                        .value(subject)
                        .filter(|value| is_harmless(value))?;
                    // `$` at the very front would turn an ordinary topic into a system topic.
                    if filter.is_empty() && value.starts_with('$') {
                        return None;
                    }
                    filter.push_str(value);
                }
            }
        }
        TopicFilter::parse(filter.as_str())
            .is_ok()
            .then_some(Cow::Owned(filter))
    }
}

impl Template {
    /// Its levels, wildcards included.
    pub(in crate::acl) fn levels(&self) -> Vec<Level> {
        let pieces = match self {
            Template::Fixed(filter) => &[Piece::Text(filter.as_str().to_owned())],
            Template::Pieces(pieces) => pieces.as_slice(),
        };
        let mut levels = vec![Vec::new()];
        for piece in pieces {
            match piece {
                Piece::Placeholder(_) => levels.last_mut().expect("one").push(piece.clone()),
                Piece::Text(text) => {
                    for (number, part) in text.split('/').enumerate() {
                        if number > 0 {
                            levels.push(Vec::new());
                        }
                        if !part.is_empty() {
                            let level = levels.last_mut().expect("one");
                            level.push(Piece::Text(part.to_owned()));
                        }
                    }
                }
            }
        }
        levels.into_iter().map(Level::of).collect()
    }
}

impl Level {
    fn of(mut pieces: Vec<Piece>) -> Self {
        match pieces.as_mut_slice() {
            [] => Self::Fixed(String::new()),
            [Piece::Text(text)] => Self::Fixed(std::mem::take(text)),
            _ => Self::Filled(pieces),
        }
    }

    /// Whether it is this text for the subject, whatever the value is made of.
    pub(in crate::acl) fn is(&self, level: &str, subject: &Subject<'_>) -> bool {
        let pieces = match self {
            Level::Fixed(text) => return text == level,
            Level::Filled(pieces) => pieces,
        };
        let mut rest = level;
        for piece in pieces {
            let part = match piece {
                Piece::Text(text) => Some(text.as_str()),
                Piece::Placeholder(placeholder) => placeholder.value(subject),
            };
            match part.and_then(|part| rest.strip_prefix(part)) {
                Some(left) => rest = left,
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// Whether it may be several levels, or a wildcard, where `.` is `/` and `*` is `+`.
    pub(in crate::acl) fn may_be_wider_in_amqp(&self) -> bool {
        let has = |text: &str| text.contains(['.', '*']);
        match self {
            Level::Fixed(text) => has(text),
            Level::Filled(pieces) => pieces.iter().any(|piece| match piece {
                Piece::Text(text) => has(text),
                // Names and ids of ours have neither.
                Piece::Placeholder(Placeholder::Username | Placeholder::OrganizationId) => false,
                Piece::Placeholder(_) => true,
            }),
        }
    }
}

impl Piece {
    fn text(&self) -> Option<&str> {
        match self {
            Piece::Text(text) => Some(text),
            Piece::Placeholder(_) => None,
        }
    }
}

impl Placeholder {
    fn parse(name: &str) -> Result<Self, NotATemplate> {
        match name {
            "username" => Ok(Self::Username),
            "client_id" => Ok(Self::ClientId),
            "org_short_id" => Ok(Self::OrganizationId),
            _ if is_claim_name(name) => Ok(Self::Claim(name.to_owned())),
            _ => Err(NotATemplate::Placeholder),
        }
    }

    fn value<'a>(&self, subject: &Subject<'a>) -> Option<&'a str> {
        match self {
            Placeholder::Username => Some(subject.local_name),
            Placeholder::ClientId => {
                Some(subject.client_id).filter(|id| client_id::is_client_id(id))
            }
            Placeholder::OrganizationId => Some(subject.organization.as_str()),
            Placeholder::Claim(name) => subject.claims.get(name),
        }
    }
}

/// Splits a template at `{name}`, `%u` and `%c`.
fn pieces(text: &str) -> Result<Vec<Piece>, NotATemplate> {
    let mut pieces = Vec::new();
    let mut fixed = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}', '%']) {
        let (before, from) = rest.split_at(at);
        fixed.push_str(before);
        let (placeholder, after) = if let Some(inner) = from.strip_prefix('{') {
            let (name, after) = inner.split_once('}').ok_or(NotATemplate::Placeholder)?;
            (Placeholder::parse(name)?, after)
        } else if let Some(after) = from.strip_prefix("%u") {
            (Placeholder::Username, after)
        } else if let Some(after) = from.strip_prefix("%c") {
            (Placeholder::ClientId, after)
        } else {
            return Err(NotATemplate::Placeholder);
        };
        if !fixed.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut fixed)));
        }
        pieces.push(Piece::Placeholder(placeholder));
        rest = after;
    }
    fixed.push_str(rest);
    if !fixed.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(fixed));
    }
    Ok(pieces)
}

fn is_harmless(value: &str) -> bool {
    !value.is_empty() && !value.contains(|c: char| matches!(c, '/' | '+' | '#') || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(template: &str, client_id: &str, email: &str) -> Option<String> {
        let organization = "org_k7xm4pqr2n5t".parse().unwrap();
        let mut claims = Claims::default();
        claims.insert("email", email);
        let subject = Subject {
            local_name: "user_1",
            organization: &organization,
            client_id,
            claims: &claims,
        };
        Template::parse(template)
            .unwrap()
            .expand(&subject)
            .map(Cow::into_owned)
    }

    #[test]
    fn values_fill_their_places() {
        for (template, expected) in [
            ("a/#", Some("a/#")),
            ("u/{username}/+", Some("u/user_1/+")),
            ("u/%u/%c", Some("u/user_1/c1")),
            (
                "{org_short_id}/{email}/x-{client_id}-y",
                Some("org_k7xm4pqr2n5t/a@b.c/x-c1-y"),
            ),
            ("m/{missing}", None),
        ] {
            assert_eq!(
                expanded(template, "c1", "a@b.c").as_deref(),
                expected,
                "{template}"
            );
        }
    }

    #[test]
    fn a_hostile_value_makes_the_rule_not_apply() {
        for value in [
            "", "a/b", "+", "#", "a+", "a#b", "a\0b", "a\nb", "\u{7f}", "\u{85}",
        ] {
            assert_eq!(expanded("c/{client_id}/#", value, "x"), None, "{value:?}");
            assert_eq!(expanded("c/{email}/#", "x", value), None, "{value:?}");
        }
    }

    #[test]
    fn a_value_cannot_make_a_system_topic() {
        assert_eq!(expanded("{client_id}/#", "$SYS", "x"), None);
        assert_eq!(expanded("{email}", "x", "$share"), None);
        assert_eq!(
            expanded("c/{client_id}", "$SYS", "x").as_deref(),
            Some("c/$SYS")
        );
    }

    #[test]
    fn an_over_long_expansion_makes_the_rule_not_apply() {
        assert_eq!(expanded("c/{client_id}", &"x".repeat(65_534), "x"), None);
    }

    #[test]
    fn what_cannot_be_a_template() {
        for bad in [
            "",
            "a/{",
            "a/}",
            "a/{}",
            "a/{a-b}",
            "%x",
            "{username}#",
            "a/#/{username}",
            "50%",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        assert!(Template::parse("{username}+").is_err());
    }
}
