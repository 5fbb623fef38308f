//! `application/x-www-form-urlencoded` bodies and queries (URL Standard section 5.1), read strictly.
//!
//! The libraries for this replace bytes that are not UTF-8 and keep the last of two equal names.
//! Both would let a client say one thing to the broker and another to us, so here both are errors.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::hooks::call::Unreadable;

/// The most fields of one request. The brokers send at most a dozen.
const MAX_FIELDS: usize = 64;

/// The fields of a form, each name once.
pub struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Form<'a> {
    /// Reads a body or a query.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`] for bytes that are not UTF-8, a field twice, or too many fields.
    pub fn parse(text: &'a [u8]) -> Result<Self, Unreadable> {
        let mut fields: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::with_capacity(12);
        for field in text
            .split(|byte| *byte == b'&')
            .filter(|field| !field.is_empty())
        {
            let (name, value) = match field.iter().position(|byte| *byte == b'=') {
                Some(at) => (&field[..at], &field[at + 1..]),
                None => (field, &[][..]),
            };
            let name = decode(name)?;
            if fields.len() == MAX_FIELDS || fields.iter().any(|(known, _)| *known == name) {
                return Err(Unreadable::Malformed);
            }
            fields.push((name, decode(value)?));
        }
        Ok(Self(fields))
    }

    /// Takes a field out.
    pub fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Takes a field out that has to be there.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`] when it is not.
    pub fn need(&mut self, name: &str) -> Result<Cow<'a, str>, Unreadable> {
        self.take(name).ok_or(Unreadable::Malformed)
    }
}

fn decode(text: &[u8]) -> Result<Cow<'_, str>, Unreadable> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return std::str::from_utf8(text)
            .map(Cow::Borrowed)
            .map_err(|_| Unreadable::Malformed);
    }
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| Unreadable::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str, name: &str) -> Option<String> {
        Form::parse(text.as_bytes())
            .unwrap()
            .take(name)
            .map(Cow::into_owned)
    }

    #[test]
    fn fields_are_decoded() {
        let text = "username=al+ice%26b%3D%C3%BC%2B%2541&empty=&bare&&x=1=2";
        assert_eq!(field(text, "username").as_deref(), Some("al ice&b=ü+%41"));
        assert_eq!(field(text, "empty").as_deref(), Some(""));
        assert_eq!(field(text, "bare").as_deref(), Some(""));
        assert_eq!(field(text, "x").as_deref(), Some("1=2"));
        assert_eq!(field(text, "missing"), None);
        assert_eq!(field("", "a"), None);
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        let many: Vec<_> = (0..=MAX_FIELDS).map(|n| format!("f{n}=")).collect();
        for bad in [
            "a=1&a=2",
            "a=%FF",
            "a=%C3",
            "%FF=a",
            "a=1&%61=2",
            &*many.join("&"),
        ] {
            assert!(Form::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Form::parse(b"a=\xFF").is_err());
    }
}
