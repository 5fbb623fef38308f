//! Revoke: the credential is over everywhere when this returns.
//!
//! Every selector is one atomic change of one record. A token, a username and a subject end in the
//! holder, an API key in its own record, everything else by a mark on the organization.

pub mod selector;
pub mod target;

use jiff::Timestamp;

use crate::app::App;
use crate::app::revoke::selector::Selector;
use crate::app::revoke::target::Target;
use crate::credential::api_key::ApiKey;
use crate::credential::holder::{Credential, Holder, HolderIdentity};
use crate::names::key_id::ApiKeyId;
use crate::names::marks::Marks;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::names::username::Username;
use crate::org::organization::Organization;
use crate::store::audit::Line;
use crate::store::port::{self, Change, Confirmation, Revision, StoreError};

/// How often a change is made again because the store has another state when it is confirmed.
const MAX_TRIES: usize = 16;

/// What was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// What was selected.
    pub target: Target,
    /// How many credentials were live until now; zero: all of them were over already. `None`: a
    /// mark ended them, and nobody counted.
    pub credentials: Option<usize>,
    /// How far the change has got.
    pub confirmation: Confirmation,
}

/// Why nobody can say that it is over.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The mark would end what is still to be issued.
    #[error(
        "the time is in the future, so what is issued until then would be over as well; \
         the latest possible is {0}"
    )]
    InFuture(Timestamp),
    /// The change is made, but some node may not know it yet.
    #[error(
        "the change is made, but nobody can say yet whether every node knows it ({0}); call again"
    )]
    Unconfirmed(StoreError),
    /// The store. The change may or may not have happened; call again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a target.
enum Ended {
    /// There is no such thing.
    Nothing,
    /// So many credentials were live until now.
    Counted(usize),
    /// A mark is set; nobody counted.
    Marked,
}

impl Ended {
    /// What became of it in two goes: the first has ended what was live.
    fn and_then(self, again: Ended) -> Ended {
        match (self, again) {
            (Ended::Counted(first), Ended::Counted(then)) => Ended::Counted(first.max(then)),
            (Ended::Nothing, again) => again,
            (ended, _) => ended,
        }
    }
}

impl App {
    /// Revokes. When this returns, no node allows those credentials again: the record is changed
    /// durably first, then no node serves an older state of it.
    ///
    /// `None`: there is nothing of that name.
    ///
    /// # Errors
    /// [`RevokeError`]. Calling again does no harm.
    pub async fn revoke(&self, selector: Selector) -> Result<Option<Revoked>, RevokeError> {
        self.revoke_of(None, selector).await
    }

    /// The same for a caller who may revoke what belongs to one organization: to it there is nothing
    /// else.
    ///
    /// # Errors
    /// As [`revoke`](App::revoke).
    pub async fn revoke_of(
        &self,
        owner: Option<&OrganizationId>,
        selector: Selector,
    ) -> Result<Option<Revoked>, RevokeError> {
        let Some(target) = self.target(selector).await? else {
            return Ok(None);
        };
        if owner.is_some_and(|owner| owner != target.organization()) {
            return Ok(None);
        }
        let (ended, confirmed) = self.end_and_confirm(&target).await?;
        let credentials = match ended {
            Ended::Nothing => return Ok(confirmed.map(|_| None)?),
            Ended::Counted(credentials) => Some(credentials),
            Ended::Marked => None,
        };
        self.metrics.revoked(credentials.unwrap_or(0));
        let (record, is_confirmed) = (target.key(), confirmed.is_ok());
        tracing::info!(%record, credentials, is_confirmed, "revoked");
        let confirmation = confirmed.map_err(RevokeError::Unconfirmed)?;
        self.give_back_revoked(&target).await;
        Ok(Some(Revoked {
            target,
            credentials,
            confirmation,
        }))
    }

    /// Lets the tokens of a holder that are revoked no longer count in their organization.
    async fn give_back_revoked(&self, target: &Target) {
        let (Target::Token { username, .. }
        | Target::Username(username)
        | Target::Subject { username, .. }) = target
        else {
            return;
        };
        if let Ok((Some(organization), Some(holder))) = self.named(username).await {
            let revoked = holder.credentials.iter();
            let revoked = revoked.filter(|credential| credential.revoked_at.is_some());
            let tokens: Vec<TokenId> = revoked.filter_map(Credential::token_id).collect();
            self.give_back(&organization, &tokens).await;
        }
    }

    /// Makes the change and has it confirmed. Whatever became of it: an earlier call may have made
    /// the change and got no further. What is confirmed is the changed state: where the store has
    /// another by then, because somebody came after us or a server took over that lacks our change,
    /// it is made again.
    async fn end_and_confirm(
        &self,
        target: &Target,
    ) -> Result<(Ended, Result<Confirmation, StoreError>), StoreError> {
        let (mut ended, mut state) = self.end(target).await?;
        for _ in 0..MAX_TRIES {
            match self.store.confirm(&target.key(), state).await {
                Err(StoreError::Conflict) => {}
                confirmed => return Ok((ended, confirmed)),
            }
            let again;
            (again, state) = self.end(target).await?;
            ended = ended.and_then(again);
        }
        Ok((ended, Err(StoreError::Conflict)))
    }

    async fn end(&self, target: &Target) -> Result<(Ended, Option<Revision>), StoreError> {
        match target {
            Target::Token { id, username } => {
                let is_it = |one: &Credential| one.token_id() == Some(*id);
                self.end_credentials(target, username, |_| true, is_it)
                    .await
            }
            Target::Username(username) => {
                self.end_credentials(target, username, |_| true, |_| true)
                    .await
            }
            Target::Subject { username, identity } => {
                let is_theirs = |holder: &Holder| holder.identity == *identity;
                self.end_credentials(target, username, is_theirs, |_| true)
                    .await
            }
            Target::ApiKey { id, organization } => self.end_key(target, id, organization).await,
            Target::Organization(organization) => {
                self.mark(target, organization, |marks| {
                    marks.revoke_all();
                    true
                })
                .await
            }
            Target::IssuedBefore { organization, time } => {
                self.mark(target, organization, |marks| {
                    marks.revoke_issued_before(*time)
                })
                .await
            }
        }
    }

    /// What the audit log says of what is over.
    fn revoke_line(&self, target: &Target, ended: &Ended) -> Box<Line> {
        let note = self.note(target.action(), target.organization());
        let note = match target {
            Target::Token { id, username } => note.on(username).with("token", id),
            Target::Username(username) => note.on(username),
            Target::Subject { username, identity } => match identity {
                HolderIdentity::Subject { subject, .. } => {
                    note.on(username).with("subject", subject)
                }
                HolderIdentity::Static => note.on(username),
            },
            Target::ApiKey { id, .. } => note.on(&format_args!("key:{id}")),
            Target::Organization(id) => note.on(id),
            Target::IssuedBefore { organization, time } => {
                note.on(organization).with("issued_before", time)
            }
        };
        match ended {
            Ended::Counted(count) => note.with("credentials", count).line(),
            Ended::Nothing | Ended::Marked => note.line(),
        }
    }

    /// Ends the chosen credentials of a holder, if it is the right one.
    async fn end_credentials(
        &self,
        target: &Target,
        username: &Username,
        is_right: impl Fn(&Holder) -> bool,
        chosen: impl Fn(&Credential) -> bool,
    ) -> Result<(Ended, Option<Revision>), StoreError> {
        port::reread::<Holder>(&*self.store, username).await?;
        let marks = self.marks(&username.organization).await?;
        let now = self.now();
        let mut ended = Ended::Nothing;
        let updated = port::update::<Holder, StoreError>(&*self.store, username, |current| {
            let Some(holder) = current.filter(|holder| is_right(holder)) else {
                ended = Ended::Nothing;
                return Ok(Change::Keep);
            };
            let live = |holder: &Holder| {
                let live = |marks| holder.live(marks, now).count();
                marks.as_ref().map_or(0, live)
            };
            let mut changed = holder.clone();
            changed.revoke(&chosen, now);
            ended = Ended::Counted(live(holder) - live(&changed));
            // Written even where nothing is left to end: only that tells for certain that no other
            // node has just added a login to the state that was cached here.
            Ok(Change::Audited(changed, self.revoke_line(target, &ended)))
        })
        .await?;
        Ok((ended, updated.revision))
    }

    async fn end_key(
        &self,
        target: &Target,
        id: &ApiKeyId,
        organization: &OrganizationId,
    ) -> Result<(Ended, Option<Revision>), StoreError> {
        let marks = self.marks(organization).await?;
        let now = self.now();
        let mut ended = Ended::Nothing;
        let updated = port::update::<ApiKey, StoreError>(&*self.store, id, |current| {
            let Some(key) = current else {
                ended = Ended::Nothing;
                return Ok(Change::Keep);
            };
            let live = marks.as_ref().is_some_and(|marks| key.is_live(marks, now));
            ended = Ended::Counted(usize::from(live));
            if key.revoked_at.is_some() {
                return Ok(Change::Keep);
            }
            let revoked = ApiKey {
                revoked_at: Some(now),
                ..key.clone()
            };
            Ok(Change::Audited(revoked, self.revoke_line(target, &ended)))
        })
        .await?;
        Ok((ended, updated.revision))
    }

    /// Sets a mark by `set`, which tells whether that changes anything.
    async fn mark(
        &self,
        target: &Target,
        organization: &OrganizationId,
        set: impl Fn(&mut Marks) -> bool,
    ) -> Result<(Ended, Option<Revision>), StoreError> {
        let mut ended = Ended::Nothing;
        let updated =
            port::update::<Organization, StoreError>(&*self.store, organization, |current| {
                let Some(mut organization) = current.cloned() else {
                    ended = Ended::Nothing;
                    return Ok(Change::Keep);
                };
                ended = Ended::Marked;
                Ok(if set(&mut organization.marks) {
                    Change::Audited(organization, self.revoke_line(target, &ended))
                } else {
                    Change::Keep
                })
            })
            .await?;
        Ok((ended, updated.revision))
    }

    /// The marks of an organization; `None`: it is gone, and everything of it over.
    async fn marks(&self, organization: &OrganizationId) -> Result<Option<Marks>, StoreError> {
        let organization = port::read::<Organization>(&*self.store, organization).await?;
        Ok(organization.map(|organization| organization.marks))
    }
}
