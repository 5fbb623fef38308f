//! Listing tokens: those of an organization page by page, or those of one user.

use std::sync::Arc;

use jiff::Timestamp;

use crate::app::App;
use crate::app::tokens::known::{provider_of, subject_of};
use crate::credential::holder::{Credential, Holder, Standing};
use crate::credential::terms::Limits;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::names::username::{LocalName, Username};
use crate::org::organization::{Organization, native_name};
use crate::store::list::{ListKind, ListPlace, ListedToken};
use crate::store::port::{self, StoreError};

/// The most tokens of one page.
pub const MAX_PAGE: usize = 200;

/// Which tokens of an organization.
#[derive(Debug, Default)]
pub struct TokenFilter {
    /// Only those of a username.
    pub username: Option<LocalName>,
    /// Only those of somebody whom a provider, or a server of the organization, calls so.
    pub user_id: Option<String>,
    /// Only those with this e-mail address among their claims.
    pub email: Option<String>,
    /// Revoked ones as well. Those whose time is up are never listed.
    pub with_revoked: bool,
}

/// A token in a list.
#[derive(Debug)]
pub struct TokenEntry {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub username: Username,
    /// What the provider calls that subject.
    pub subject: String,
    /// The subject's e-mail address.
    pub email: Option<String>,
    /// The provider; `None`: it is gone or switched off.
    pub provider: Option<&'static str>,
    /// When it was minted.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was refreshed last.
    pub refreshed_at: Option<Timestamp>,
    /// Whether it is over before its time.
    pub is_revoked: bool,
    /// The only client id that may use it.
    pub client_id: Option<String>,
    /// What it may do at most.
    pub limits: Option<Limits>,
}

/// Some tokens.
#[derive(Debug)]
pub struct TokenPage {
    /// At most as many as were asked for; there may be fewer, or none, and more to come.
    pub tokens: Vec<TokenEntry>,
    /// Where to go on; `None`: these were the last.
    pub next: Option<ListPlace>,
}

impl App {
    /// Lists tokens of an organization. Those of one user come in one page.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_tokens(
        &self,
        organization: &OrganizationId,
        filter: &TokenFilter,
        from: Option<ListPlace>,
        limit: usize,
    ) -> Result<TokenPage, StoreError> {
        let found = port::read::<Organization>(&*self.store, organization).await?;
        let Some(found) = found else {
            return Ok(TokenPage {
                tokens: Vec::new(),
                next: None,
            });
        };
        if filter.username.is_some() || filter.user_id.is_some() {
            return self.list_of_one(&found, filter).await;
        }
        let (now, limit) = (self.now(), limit.clamp(1, MAX_PAGE));
        let listed = self
            .store
            .list(ListKind::Tokens, organization, now, from, limit);
        let listed = listed.await?;
        let mut tokens = Vec::new();
        for token in listed
            .names
            .iter()
            .filter_map(|name| ListedToken::parse(name))
        {
            let username = Username {
                local: token.holder,
                organization: organization.clone(),
            };
            let Some(holder) = port::read::<Holder>(&*self.store, &username).await? else {
                continue;
            };
            let credential = holder.token(token.id);
            tokens.extend(credential.and_then(|one| entry(&found, &holder, one, filter, now)));
        }
        Ok(TokenPage {
            tokens,
            next: listed.next,
        })
    }

    /// The tokens of whoever has the username, or of all whom somebody calls so.
    async fn list_of_one(
        &self,
        organization: &Organization,
        filter: &TokenFilter,
    ) -> Result<TokenPage, StoreError> {
        let mut names: Vec<LocalName> = filter.username.iter().cloned().collect();
        if let (Some(user), None) = (&filter.user_id, &filter.username) {
            names.push(native_name(&organization.id, user));
            names.extend(organization.names_of(user));
        }
        let now = self.now();
        let mut tokens = Vec::new();
        for name in names {
            let username = Username {
                local: name,
                organization: organization.id.clone(),
            };
            let holder: Option<Arc<Holder>> = port::read(&*self.store, &username).await?;
            let Some(holder) = holder else { continue };
            let said = filter.user_id.as_deref();
            if said.is_some_and(|said| said != subject_of(&holder)) {
                continue;
            }
            let credentials = holder.credentials.iter();
            tokens.extend(
                credentials.filter_map(|one| entry(organization, &holder, one, filter, now)),
            );
        }
        Ok(TokenPage { tokens, next: None })
    }
}

fn entry(
    organization: &Organization,
    holder: &Holder,
    credential: &Credential,
    filter: &TokenFilter,
    now: Timestamp,
) -> Option<TokenEntry> {
    let email = credential.claims.get("email");
    let standing = credential.standing(&organization.marks, now);
    let is_over = credential.expires_at.is_none_or(|end| end <= now);
    let is_wanted = standing == Standing::Live || filter.with_revoked;
    if is_over || !is_wanted || filter.email.is_some() && filter.email.as_deref() != email {
        return None;
    }
    let terms = credential.terms.as_deref();
    Some(TokenEntry {
        id: credential.token_id()?,
        username: holder.username(),
        subject: subject_of(holder).to_owned(),
        email: email.map(str::to_owned),
        provider: provider_of(organization, holder),
        issued_at: credential.issued_at,
        expires_at: credential.expires_at?,
        refreshed_at: terms.and_then(|terms| terms.refreshed_at),
        is_revoked: standing == Standing::Revoked,
        client_id: terms.and_then(|terms| terms.client_id.clone()),
        limits: terms.and_then(|terms| terms.limits.clone()),
    })
}
