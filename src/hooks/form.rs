//! `application/x-www-form-urlencoded` bodies and queries (URL Standard section 5.1), read strictly,
//! and the flat JSON objects that most brokers can send instead.
//!
//! The libraries for this replace bytes that are not UTF-8 and keep the last of two equal names.
//! Both would let a client say one thing to the broker and another to us, so here both are errors.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::hooks::call::{Method, RawRequest, Unreadable};
use crate::hooks::json::{self, Text};

/// The most fields of one request. The brokers send at most a dozen.
const MAX_FIELDS: usize = 64;

/// The fields of a form, each name once.
pub struct Form<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// The value of a field. In a form it is a text; JSON has more.
enum Value<'a> {
    /// A text, or a number or truth value as one.
    Text(Cow<'a, str>),
    /// JSON's `null`: as good as not there.
    Null,
    /// A list or an object, which is an error only if somebody asks for it.
    Nested,
}

impl<'a> Form<'a> {
    /// Reads a request: the query of a GET; a body that is a JSON object or a form. The content type
    /// does not count: EMQX 5.3 sends JSON as a form. No field's name begins with `{`.
    ///
    /// # Errors
    /// As [`Form::parse`] and [`Form::parse_json`].
    pub fn read(request: &RawRequest<'a>) -> Result<Self, Unreadable> {
        let text = request.text();
        match text.first() {
            Some(b'{') if request.method != Method::Get => Self::parse_json(text),
            _ => Self::parse(text),
        }
    }

    /// Reads a body or a query.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`] for bytes that are not UTF-8, a field twice, or too many fields.
    pub fn parse(text: &'a [u8]) -> Result<Self, Unreadable> {
        let mut form = Self(Vec::with_capacity(12));
        for field in text
            .split(|byte| *byte == b'&')
            .filter(|field| !field.is_empty())
        {
            let (name, value) = match field.iter().position(|byte| *byte == b'=') {
                Some(at) => (&field[..at], &field[at + 1..]),
                None => (field, &[][..]),
            };
            form.add(decode(name)?, Value::Text(decode(value)?))?;
        }
        Ok(form)
    }

    /// Reads a JSON object.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`] for anything else, a name twice, or too many of them.
    pub fn parse_json(text: &'a [u8]) -> Result<Self, Unreadable> {
        json::parse(text)
    }

    fn add(&mut self, name: Cow<'a, str>, value: Value<'a>) -> Result<(), Unreadable> {
        if self.0.len() == MAX_FIELDS || self.0.iter().any(|(known, _)| *known == name) {
            return Err(Unreadable::Malformed);
        }
        self.0.push((name, value));
        Ok(())
    }

    /// Takes a field out.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`] when it is not a text.
    pub fn take(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, Unreadable> {
        let Some(at) = self.0.iter().position(|(known, _)| known == name) else {
            return Ok(None);
        };
        match self.0.swap_remove(at).1 {
            Value::Text(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            Value::Nested => Err(Unreadable::Malformed),
        }
    }

    /// Takes a field out, if there is something in it: brokers with templates render what is absent
    /// as an empty text.
    ///
    /// # Errors
    /// As [`Form::take`].
    pub fn take_filled(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, Unreadable> {
        Ok(self.take(name)?.filter(|text| !text.is_empty()))
    }

    /// Takes a field out that has to be there.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`] when it is not.
    pub fn need(&mut self, name: &str) -> Result<Cow<'a, str>, Unreadable> {
        self.take(name)?.ok_or(Unreadable::Malformed)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Form<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FormVisitor)
    }
}

struct FormVisitor;

impl<'de> Visitor<'de> for FormVisitor {
    type Value = Form<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Form<'de>, A::Error> {
        let mut form = Form(Vec::with_capacity(12));
        while let Some((Text(name), value)) = map.next_entry()? {
            form.add(name, value)
                .map_err(|_| A::Error::custom("a name twice, or too many"))?;
        }
        Ok(form)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(number.to_string())))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(if truth {
            "true"
        } else {
            "false"
        })))
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Nested)
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
            .unwrap()
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
