//! Topic rules: who may publish and subscribe where.
//!
//! [`document`] reads what operators write, [`rule`] is the one form that everything parses into,
//! [`template`] fills in placeholders, [`decide`] applies the rules to a request, [`index`] finds
//! them where there are many.

pub mod applied;
pub mod decide;
pub mod document;
pub mod index;
pub mod rule;
pub mod template;
