//! Client identifiers (MQTT 5 section 3.1.3.1): any text of at most 65,535 bytes without NUL.

/// The longest client id that the protocol can carry, in bytes.
pub const MAX_LENGTH: usize = 65_535;

/// Whether a text can be a client id. An empty one cannot: brokers assign an id before they ask.
pub fn is_client_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_LENGTH && !text.contains('\0')
}
