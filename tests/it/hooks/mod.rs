//! What brokers ask and what they are told.

mod decisions;
