//! What JSON bodies are made of, read strictly: an object is an object, and each name stands once.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::hooks::call::Unreadable;
use crate::secret::SecretStr;

/// A text that borrows from the body where it has no escapes.
#[derive(Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Like [`Text`], for a password: it has no way to be printed.
#[derive(Deserialize)]
pub struct Password<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A JSON object: derived readers take a list of the fields' values as well.
pub struct Object<T>(pub T);

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = ObjectVisitor(PhantomData);
        deserializer.deserialize_map(visitor).map(Object)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// Reads a body that is one object.
///
/// # Errors
/// [`Unreadable::Malformed`].
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Unreadable> {
    // Checked as UTF-8 as a whole: `from_slice` would check every text in it on its own.
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::Malformed)?;
    let object: Object<T> = serde_json::from_str(text).map_err(|_| Unreadable::Malformed)?;
    Ok(object.0)
}

/// A password that travels as base64, as MQTT allows it any bytes. Ours are text.
///
/// # Errors
/// [`Unreadable::Malformed`] for what is not base64, or not text inside.
pub fn from_base64(password: Password<'_>) -> Result<SecretStr<'static>, Unreadable> {
    let bytes = STANDARD
        .decode(password.0.as_bytes())
        .map_err(|_| Unreadable::Malformed)?;
    let text = String::from_utf8(bytes).map_err(|_| Unreadable::Malformed)?;
    Ok(SecretStr::new(text))
}
