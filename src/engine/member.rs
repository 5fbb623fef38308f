//! Whom a username names. The holder says what it has, its organization's marks say what of that is
//! over: nothing is decided on one without the other.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::credential::holder::{Credential, Holder, Standing};
use crate::engine::decision::DenyReason;
use crate::names::claims::Claims;
use crate::org::organization::Organization;

/// A holder in its organization.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The organization.
    pub organization: &'a Organization,
    /// The holder.
    pub holder: &'a Holder,
}

impl<'a> Member<'a> {
    /// Joins the two. Without its organization a holder is as good as nobody.
    pub fn of(
        organization: Option<&'a Organization>,
        holder: Option<&'a Holder>,
    ) -> Option<Member<'a>> {
        Some(Member {
            organization: organization?,
            holder: holder?,
        })
    }

    /// How one of its credentials stands.
    pub fn standing(&self, credential: &Credential, now: Timestamp) -> Standing {
        credential.standing(&self.organization.marks, now)
    }

    /// Its live credentials with which a session with this client id may have been opened.
    pub fn live_for(
        &self,
        client_id: &'a str,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Credential> {
        self.holder
            .live_for(client_id, &self.organization.marks, now)
    }

    /// The claims that topic rules may use.
    pub fn claims(&self, client_id: &'a str, now: Timestamp) -> Cow<'a, Claims> {
        self.holder
            .common_claims(client_id, &self.organization.marks, now)
    }
}

/// The member, if it has a live credential that its client may have. Brokers do not say with which
/// one a session was opened, so a session lives as long as any does; the session of a revoked one is
/// kicked.
///
/// # Errors
/// Why there is none.
pub fn live_member<'a>(
    organization: Option<&'a Organization>,
    holder: Option<&'a Holder>,
    client_id: &'a str,
    now: Timestamp,
) -> Result<Member<'a>, DenyReason> {
    let member = Member::of(organization, holder).ok_or(DenyReason::UnknownUsername)?;
    if member.live_for(client_id, now).next().is_some() {
        return Ok(member);
    }
    let mut credentials = member.holder.credentials.iter();
    let any_revoked =
        credentials.any(|credential| member.standing(credential, now) == Standing::Revoked);
    let any_live = member.holder.live(&member.organization.marks, now).next();
    Err(if any_live.is_some() {
        DenyReason::ForeignClientId
    } else if any_revoked {
        DenyReason::Revoked
    } else {
        DenyReason::Expired
    })
}
