//! `ticketgate provider`, as a person uses it.
