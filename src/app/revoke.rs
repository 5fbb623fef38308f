//! Revoke: the credential is over everywhere when this returns.

use std::str::FromStr;

use crate::app::App;
use crate::credential::holder::{Credential, Holder};
use crate::names::token_id::{NotATokenId, TokenId};
use crate::names::username::{NotAUsername, PresentedUsername, Username};
use crate::store::port::{self, Change, StoreError};
use crate::store::record::TokenIndex;

/// What to revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// One token.
    Token(TokenId),
    /// Every credential of a username.
    Username(PresentedUsername),
}

/// The text selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASelector {
    /// It has an `@`, but is not a username.
    #[error(transparent)]
    Username(#[from] NotAUsername),
    /// It is neither.
    #[error("{0}, or a username `<name>@<organization>`")]
    Token(#[from] NotATokenId),
}

/// What was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Whose credentials they were.
    pub username: Username,
    /// How many were live until now. Zero: all of them were over already.
    pub credentials: usize,
}

impl FromStr for Selector {
    type Err = NotASelector;

    fn from_str(text: &str) -> Result<Self, NotASelector> {
        if text.contains('@') {
            return Ok(Selector::Username(text.parse()?));
        }
        Ok(Selector::Token(text.parse()?))
    }
}

impl App {
    /// Revokes. When this returns, no answer of this server allows those credentials again:
    /// the record is changed durably first, then every cached state of it is invalid.
    ///
    /// `None`: there is nothing of that name.
    ///
    /// # Errors
    /// The store's. The change may or may not have happened then; call again.
    pub async fn revoke(&self, selector: Selector) -> Result<Option<Revoked>, StoreError> {
        let Some(username) = self.username_of(&selector).await? else {
            return Ok(None);
        };
        let chosen = |credential: &Credential| match &selector {
            Selector::Token(id) => credential.token_id() == Some(*id),
            Selector::Username(_) => true,
        };
        let now = self.now();
        let mut outcome = None;
        port::update::<Holder, StoreError>(&*self.store, &username, |current| {
            outcome = None;
            let Some(mut holder) = current.cloned() else {
                return Ok(Change::Keep);
            };
            if !holder.credentials.iter().any(chosen) {
                return Ok(Change::Keep);
            }
            let revoked = holder.revoke(chosen, now);
            outcome = Some(revoked);
            Ok(if revoked == 0 {
                Change::Keep
            } else {
                Change::Set(holder)
            })
        })
        .await?;
        let Some(credentials) = outcome else {
            return Ok(None);
        };
        self.metrics.revoked(credentials);
        tracing::info!(%username, credentials, "revoked");
        Ok(Some(Revoked {
            username,
            credentials,
        }))
    }

    async fn username_of(&self, selector: &Selector) -> Result<Option<Username>, StoreError> {
        match selector {
            Selector::Token(id) => {
                let index = port::read::<TokenIndex>(&*self.store, id).await?;
                Ok(index.map(|index| index.username()))
            }
            Selector::Username(name) => {
                let organization = self.organization_id(name.organization.clone()).await?;
                Ok(organization.map(|organization| Username {
                    local: name.local.clone(),
                    organization,
                }))
            }
        }
    }
}
