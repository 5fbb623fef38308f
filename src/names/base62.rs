//! Fixed-length base62: digits, upper case, lower case, most significant first.
//!
//! Every number has exactly one text of a given length, so a text can be compared as it is.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters that 128 bits take.
pub const LENGTH_OF_128_BITS: usize = 22;
/// Characters that 64 bits take.
pub const LENGTH_OF_64_BITS: usize = 11;
/// Characters that 32 bits take.
pub const LENGTH_OF_32_BITS: usize = 6;

/// Appends `number` in `length` characters.
///
/// # Panics
/// In debug builds, when `number` does not fit.
pub fn encode(mut number: u128, length: usize, into: &mut String) {
    let start = into.len();
    for _ in 0..length {
        let digit = (number % 62) as usize;
        into.insert(start, ALPHABET[digit] as char);
        number /= 62;
    }
    debug_assert_eq!(number, 0, "the number fits the length");
}

/// Reads a text that is base62 throughout; `None` for another character or more than 128 bits.
pub fn decode(text: &str) -> Option<u128> {
    // Ten characters fit a machine word, which is several times faster than one by one.
    text.as_bytes().chunks(10).try_fold(0u128, |number, chunk| {
        let part = chunk
            .iter()
            .try_fold(0u64, |part, byte| Some(part * 62 + value(*byte)?))?;
        let factor = 62u128.pow(chunk.len() as u32);
        number.checked_mul(factor)?.checked_add(part.into())
    })
}

/// Whether every character belongs to the alphabet.
pub fn is_base62(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// `length` random characters, each with the same probability.
pub fn random(length: usize) -> String {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        for byte in crate::secret::random_bytes::<32>() {
            // 248 = 4 * 62: larger bytes would make the first letters likelier than the rest.
            if byte < 248 && text.len() < length {
                text.push(ALPHABET[byte as usize % 62] as char);
            }
        }
    }
    text
}

fn value(byte: u8) -> Option<u64> {
    let value = match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'Z' => byte - b'A' + 10,
        b'a'..=b'z' => byte - b'a' + 36,
        _ => return None,
    };
    Some(u64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(number: u128, length: usize) -> String {
        let mut text = String::new();
        encode(number, length, &mut text);
        text
    }

    #[test]
    fn numbers_round_trip_at_their_fixed_length() {
        for (number, length) in [
            (0, 6),
            (61, 6),
            (62, 6),
            (u128::from(u32::MAX), LENGTH_OF_32_BITS),
            (u128::from(u64::MAX), LENGTH_OF_64_BITS),
            (u128::MAX, LENGTH_OF_128_BITS),
        ] {
            let text = encoded(number, length);
            assert_eq!(text.len(), length);
            assert_eq!(decode(&text), Some(number));
        }
        assert_eq!(encoded(62, 3), "010");
    }

    #[test]
    fn what_is_not_base62_or_does_not_fit_is_refused() {
        assert_eq!(decode("a-b"), None);
        assert_eq!(decode("aé"), None);
        assert_eq!(decode(&"z".repeat(LENGTH_OF_128_BITS)), None);
    }

    #[test]
    fn random_texts_have_the_length_and_differ() {
        let (a, b) = (random(32), random(32));
        assert_eq!(a.len(), 32);
        assert!(is_base62(&a));
        assert_ne!(a, b);
    }
}
