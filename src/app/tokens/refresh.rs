//! Refresh: whoever shows a live token gets it for longer.
//!
//! What becomes of the password is the organization's choice. With `extend` it stays as it is: the
//! published JavaScript client reconnects with the first one for ever. With `rotate` a new one takes
//! its place, and the old one dies after a grace.

use jiff::{SignedDuration, Timestamp};

use crate::app::App;
use crate::app::tokens::known::KnownToken;
use crate::app::tokens::{ExchangeError, MintedToken};
use crate::credential::holder::{CredentialKind, Holder, Standing};
use crate::credential::minted_password::{self, Minted, MintedPassword};
use crate::credential::terms::Terms;
use crate::engine::authenticate::check_minted;
use crate::engine::member::Member;
use crate::names::origin::Origin;
use crate::names::token_id::TokenId;
use crate::org::audit::Action;
use crate::org::organization::{LONGEST_TOKEN_LIFE, Organization, RefreshMode};
use crate::secret::Secret;
use crate::store::port::{self, Change};
use crate::store::record::TokenIndex;

impl App {
    /// Refreshes a token. When this returns, its new end and password are durable.
    ///
    /// # Errors
    /// [`ExchangeError`]; the token is as it was then, or after a store error perhaps refreshed.
    pub async fn refresh(
        &self,
        id: TokenId,
        password: &Secret,
        origin: Option<&Origin>,
    ) -> Result<MintedToken, ExchangeError> {
        let Some(known) = self.known_token(password).await? else {
            return Err(self.unknown_token(password).await);
        };
        if known.id != id {
            return Err(ExchangeError::UnknownToken);
        }
        known.organization.check_origin(origin)?;
        let now = self.now();
        check_standing(&known, now)?;
        // Who is switched off at the provider's side is not let in for longer.
        let provider = known.provider().ok_or(ExchangeError::ProviderNotFound)?;
        let end = new_end(&known, now).ok_or(ExchangeError::Expired)?;
        // The index goes first: without one the token could not be found, and one that outlives
        // its token leads nowhere.
        port::update::<TokenIndex, ExchangeError>(&*self.store, &id, |current| {
            let mut index = current.cloned().ok_or(ExchangeError::UnknownToken)?;
            if index.expires_at >= end {
                return Ok(Change::Keep);
            }
            index.expires_at = end;
            Ok(Change::Set(index))
        })
        .await?;
        let minted = match known.organization.token_rules.refresh {
            RefreshMode::Extend => None,
            RefreshMode::Rotate => Some(minted_password::mint_again(id, &self.keys)),
        };
        let holder = self
            .change_holder(&known, password, end, minted.as_ref(), now)
            .await?;
        tracing::info!(username = %holder.username(), token = %id, expires_at = %end, "refreshed");
        let shown = minted.map_or_else(|| password.clone(), |minted| minted.password);
        let known = KnownToken {
            holder: holder.into(),
            ..known
        };
        let refreshed = MintedToken::of(&known, provider, shown, now);
        refreshed.ok_or(ExchangeError::UnknownToken)
    }

    /// Sets the new end, and the new password where there is one, if the password that was shown is
    /// still good by then.
    async fn change_holder(
        &self,
        known: &KnownToken,
        password: &Secret,
        end: Timestamp,
        minted: Option<&Minted>,
        now: Timestamp,
    ) -> Result<Holder, ExchangeError> {
        let username = known.holder.username();
        let organization: &Organization = &known.organization;
        let mut changed = None;
        port::update::<Holder, ExchangeError>(&*self.store, &username, |current| {
            let presented = MintedPassword::verify(password.expose(), &self.keys)
                .map_err(|_| ExchangeError::UnknownToken)?;
            let member = Member::of(Some(organization), current);
            let shown = check_minted(presented, member, &self.keys, now)
                .map_err(|_| ExchangeError::UnknownToken)?;
            if shown.credential.standing(&organization.marks, now) != Standing::Live {
                return Err(ExchangeError::Revoked);
            }
            let mut holder = shown.member.holder.clone();
            let mut credentials = holder.credentials.iter_mut();
            let credential = credentials.find(|one| one.token_id() == Some(known.id));
            let credential = credential.ok_or(ExchangeError::UnknownToken)?;
            let life = credential.life();
            let mut terms = credential.terms.take().unwrap_or_default();
            if let Some(minted) = minted {
                replace_password(&mut credential.kind, &mut terms, minted, now);
            }
            if end > now && life.is_some_and(|life| life != end.duration_since(now)) {
                let seconds = life.map(|life| life.as_secs());
                terms.life_seconds = seconds.and_then(|life| u32::try_from(life).ok());
            }
            terms.refreshed_at = Some(now);
            credential.terms = Some(terms);
            credential.expires_at = credential.expires_at.max(Some(end));
            changed = Some(holder.clone());
            let note = self.note(Action::TokenRefresh, &username.organization);
            let note = note.on(&username).with("token", &known.id);
            let line = note.with("expires_at", &end).line();
            Ok(Change::Audited(holder, line))
        })
        .await?;
        changed.ok_or(ExchangeError::UnknownToken)
    }
}

fn replace_password(kind: &mut CredentialKind, terms: &mut Terms, minted: &Minted, now: Timestamp) {
    if let CredentialKind::Token { pepper, digest, .. } = kind {
        terms.replace(*pepper, *digest, now);
        (*pepper, *digest) = (minted.pepper, minted.digest);
    }
}

fn check_standing(known: &KnownToken, now: Timestamp) -> Result<(), ExchangeError> {
    match known.standing(now) {
        Standing::Live => Ok(()),
        Standing::Expired => Err(ExchangeError::Expired),
        Standing::Revoked => Err(ExchangeError::Revoked),
    }
}

/// When the refreshed token ends: as long from now as it lived first, and never beyond the time for
/// which tokens may be refreshed. `None`: that time is over.
fn new_end(known: &KnownToken, now: Timestamp) -> Option<Timestamp> {
    let credential = known.credential()?;
    let organization = &known.organization;
    let rules = &organization.token_rules;
    let cap = u64::from(organization.token_life.max_seconds).min(LONGEST_TOKEN_LIFE.as_secs());
    let life = credential
        .life()?
        .min(SignedDuration::from_secs(cap as i64));
    let longest = SignedDuration::from_secs(rules.refreshable_seconds.into());
    let mut end = (now + life).min(credential.issued_at + longest);
    // A narrower form ends with the token that it is of, and that one only by its own refreshes later.
    let parent = credential.terms.as_ref().and_then(|terms| terms.parent);
    if let Some(parent) = parent {
        let marks = &organization.marks;
        let parent = known.holder.token(parent);
        let parent = parent.filter(|one| one.standing(marks, now) == Standing::Live)?;
        end = end.min(parent.expires_at?);
    }
    (end > now).then_some(end)
}
