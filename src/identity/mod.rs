//! Whose tokens we believe: verification of identity tokens, and one short file of data for each
//! provider product.

pub mod jwt;
pub mod supabase;
