//! A token that somebody shows: whose it is and how it stands.

use std::sync::Arc;

use jiff::Timestamp;

use crate::app::App;
use crate::app::audit::caller;
use crate::app::tokens::mint::{Draft, Narrowing, Parent};
use crate::app::tokens::{ExchangeError, MintedToken};
use crate::credential::holder::{Credential, Holder, HolderIdentity, Standing};
use crate::credential::minted_password::MintedPassword;
use crate::engine::authenticate::check_minted;
use crate::engine::member::Member;
use crate::identity::jwt::TokenError;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::names::username::Username;
use crate::org::audit::Actor;
use crate::org::organization::{NATIVE_PROVIDER, NATIVE_PROVIDER_NAME, Organization};
use crate::secret::Secret;
use crate::store::port::{self, StoreError};
use crate::store::record::{Kept as _, TokenIndex};

/// A token whose password somebody has shown.
#[derive(Debug)]
pub struct KnownToken {
    /// Its id.
    pub id: TokenId,
    /// Its organization.
    pub organization: Arc<Organization>,
    /// Whose it is.
    pub holder: Arc<Holder>,
}

impl KnownToken {
    /// The credential itself.
    pub fn credential(&self) -> Option<&Credential> {
        self.holder.token(self.id)
    }

    /// How it stands.
    pub fn standing(&self, now: Timestamp) -> Standing {
        self.credential().map_or(Standing::Revoked, |credential| {
            credential.standing(&self.organization.marks, now)
        })
    }

    /// What the provider calls the subject.
    pub fn subject(&self) -> &str {
        subject_of(&self.holder)
    }

    /// The name of the provider that its subject is from; `None`: it is gone or switched off.
    pub fn provider(&self) -> Option<&'static str> {
        provider_of(&self.organization, &self.holder)
    }
}

/// What the provider of a holder is called; `None`: it is gone or switched off.
pub(super) fn provider_of(organization: &Organization, holder: &Holder) -> Option<&'static str> {
    match &holder.identity {
        HolderIdentity::Subject { provider, .. } if *provider == NATIVE_PROVIDER => {
            Some(NATIVE_PROVIDER_NAME)
        }
        HolderIdentity::Subject { provider, .. } => {
            let mut known = organization.providers.iter();
            let known = known.find(|one| one.enabled && one.id == *provider);
            known.map(|one| one.kind.as_str())
        }
        HolderIdentity::Static => Some(NATIVE_PROVIDER_NAME),
    }
}

/// What the provider calls a holder.
pub(super) fn subject_of(holder: &Holder) -> &str {
    match &holder.identity {
        HolderIdentity::Subject { subject, .. } => subject,
        HolderIdentity::Static => holder.name.as_str(),
    }
}

impl App {
    /// The token that a password is of, live or not; `None`: of none. A forged password costs no
    /// lookup.
    ///
    /// # Errors
    /// The store's.
    pub async fn known_token(&self, password: &Secret) -> Result<Option<KnownToken>, StoreError> {
        let Ok(password) = MintedPassword::verify(password.expose(), &self.keys) else {
            return Ok(None);
        };
        let store = &*self.store;
        let mut index = port::read::<TokenIndex>(store, &password.id).await?;
        if index.is_none() {
            // Its seal proves that this deployment made it: another node just now, perhaps.
            index = port::reread::<TokenIndex>(store, &password.id).await?;
        }
        let Some(username) = index.map(|index| index.username()) else {
            return Ok(None);
        };
        if let Some(known) = self.shown(&username, password).await? {
            return Ok(Some(known));
        }
        self.store.read_newer(&Holder::key(&username)).await?;
        self.shown(&username, password).await
    }

    /// Why nothing is known of a password. One that this deployment has sealed is of a token that is
    /// there, with a newer password, or of one whose record has gone after its end.
    pub(super) async fn unknown_token(&self, password: &Secret) -> ExchangeError {
        let Ok(password) = MintedPassword::verify(password.expose(), &self.keys) else {
            return ExchangeError::UnknownToken;
        };
        match port::read::<TokenIndex>(&*self.store, &password.id).await {
            Ok(Some(_)) => ExchangeError::UnknownToken,
            Ok(None) => ExchangeError::Expired,
            Err(error) => error.into(),
        }
    }

    async fn shown(
        &self,
        username: &Username,
        password: MintedPassword<'_>,
    ) -> Result<Option<KnownToken>, StoreError> {
        let (Some(organization), Some(holder)) = self.named(username).await? else {
            return Ok(None);
        };
        let member = Member::of(Some(&organization), Some(&holder));
        if check_minted(password, member, &self.keys, self.now()).is_err() {
            return Ok(None);
        }
        let actor = Actor::Holder(username.clone());
        caller::identified_without_key(actor, &username.organization);
        Ok(Some(KnownToken {
            id: password.id,
            organization,
            holder,
        }))
    }

    /// Exchanges a token of our own: whoever shows it gets to know what it is good for. Only where a
    /// narrower one is asked for, that is minted; it ends with the first.
    pub(super) async fn exchange_own(
        &self,
        organization: &OrganizationId,
        password: &Secret,
        narrowing: &Narrowing,
        ttl_seconds: Option<u32>,
    ) -> Result<MintedToken, ExchangeError> {
        let Some(known) = self.known_token(password).await? else {
            return Err(self.unknown_token(password).await);
        };
        if known.organization.id != *organization {
            return Err(TokenError::Signature.into());
        }
        match known.standing(self.now()) {
            Standing::Live => {}
            Standing::Expired => return Err(ExchangeError::Expired),
            Standing::Revoked => return Err(ExchangeError::Revoked),
        }
        let provider = known.provider().ok_or(ExchangeError::ProviderNotFound)?;
        if *narrowing != Narrowing::default() {
            let credential = known.credential().ok_or(ExchangeError::UnknownToken)?;
            let narrowing = narrowing.within(credential.terms.as_deref());
            let narrowing = narrowing.ok_or(ExchangeError::NotNarrower)?;
            return self
                .mint(Draft {
                    organization: &known.organization,
                    name: known.holder.name.clone(),
                    identity: known.holder.identity.clone(),
                    claims: credential.claims.clone(),
                    narrowing: &narrowing,
                    ttl_seconds,
                    latest: credential.expires_at.unwrap_or(self.now()),
                    replaces: false,
                    subject: subject_of(&known.holder).to_owned(),
                    email: credential.claims.get("email").map(str::to_owned),
                    provider,
                    parent: Some(Parent {
                        id: known.id,
                        password: MintedPassword::verify(password.expose(), &self.keys)
                            .map_err(|_| ExchangeError::UnknownToken)?,
                        born: credential.issued_at,
                    }),
                })
                .await;
        }
        let minted = MintedToken::of(&known, provider, password.clone(), self.now());
        minted.ok_or(ExchangeError::Revoked)
    }
}
