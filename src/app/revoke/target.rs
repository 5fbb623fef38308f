//! What a selector stands for: names become the one record that has to change.

use std::sync::Arc;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use crate::app::App;
use crate::app::revoke::RevokeError;
use crate::app::revoke::selector::Selector;
use crate::credential::api_key::ApiKey;
use crate::credential::holder::{Holder, HolderIdentity};
use crate::names::key_id::ApiKeyId;
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::names::token_id::TokenId;
use crate::names::username::{PresentedUsername, Username};
use crate::org::audit::Action;
use crate::org::organization::Organization;
use crate::store::port::{self, StoreError};
use crate::store::record::{Kept as _, RecordKey, TokenIndex};

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One token.
    Token {
        /// Its id.
        id: TokenId,
        /// Whose it is.
        username: Username,
    },
    /// Every credential of a username.
    Username(Username),
    /// The same, as long as it belongs to this subject.
    Subject {
        /// The username.
        username: Username,
        /// Whose it must be.
        identity: HolderIdentity,
    },
    /// One API key.
    ApiKey {
        /// Its id.
        id: ApiKeyId,
        /// Whose it is.
        organization: OrganizationId,
    },
    /// Everything of an organization until now.
    Organization(OrganizationId),
    /// Everything of an organization that was issued before a time.
    IssuedBefore {
        /// The organization.
        organization: OrganizationId,
        /// A whole second.
        time: Timestamp,
    },
}

impl Target {
    /// The record that says whether it is over.
    pub fn key(&self) -> RecordKey {
        match self {
            Target::Token { username, .. }
            | Target::Username(username)
            | Target::Subject { username, .. } => Holder::key(username),
            Target::ApiKey { id, .. } => ApiKey::key(id),
            Target::Organization(organization) | Target::IssuedBefore { organization, .. } => {
                Organization::key(organization)
            }
        }
    }

    /// What the audit log calls it when it is over.
    pub fn action(&self) -> Action {
        match self {
            Target::Token { .. } => Action::TokenRevoke,
            Target::Username(_) | Target::Subject { .. } => Action::UserRevoke,
            Target::ApiKey { .. } => Action::KeyRevoke,
            Target::Organization(_) | Target::IssuedBefore { .. } => Action::OrganizationRevoke,
        }
    }

    /// Whose it is.
    pub fn organization(&self) -> &OrganizationId {
        match self {
            Target::Token { username, .. }
            | Target::Username(username)
            | Target::Subject { username, .. } => &username.organization,
            Target::ApiKey { organization, .. }
            | Target::Organization(organization)
            | Target::IssuedBefore { organization, .. } => organization,
        }
    }

    /// The username that a subject has at a provider of the organization.
    fn subject(organization: &Organization, provider: &str, subject: String) -> Option<Self> {
        let (provider, local) = organization.name_at(provider, &subject)?;
        Some(Target::Subject {
            username: Username {
                local,
                organization: organization.id.clone(),
            },
            identity: HolderIdentity::Subject { provider, subject },
        })
    }
}

impl App {
    /// What the selector stands for; `None`: nothing. Records are read anew: another node may have
    /// made them just now.
    pub(super) async fn target(&self, selector: Selector) -> Result<Option<Target>, RevokeError> {
        Ok(match selector {
            Selector::Token(id) => {
                let index = port::reread::<TokenIndex>(&*self.store, &id).await?;
                index.map(|index| Target::Token {
                    id,
                    username: index.username(),
                })
            }
            Selector::Username(name) => self.username(name).await?.map(Target::Username),
            Selector::Subject {
                organization,
                provider,
                subject,
            } => {
                let organization = self.organization_reread(organization).await?;
                organization.and_then(|one| Target::subject(&one, &provider, subject))
            }
            Selector::ApiKey(id) => {
                let key = port::reread::<ApiKey>(&*self.store, &id).await?;
                key.map(|key| Target::ApiKey {
                    id,
                    organization: key.organization.clone(),
                })
            }
            Selector::Organization(name) => {
                let organization = self.organization_reread(name).await?;
                organization.map(|one| Target::Organization(one.id.clone()))
            }
            Selector::IssuedBefore { organization, time } => {
                let time = self.past(time)?;
                let organization = self.organization_reread(organization).await?;
                organization.map(|one| Target::IssuedBefore {
                    organization: one.id.clone(),
                    time,
                })
            }
        })
    }

    async fn username(&self, name: PresentedUsername) -> Result<Option<Username>, StoreError> {
        let organization = self.organization_id(name.organization).await?;
        Ok(organization.map(|organization| Username {
            local: name.local,
            organization,
        }))
    }

    async fn organization_reread(
        &self,
        name: OrganizationName,
    ) -> Result<Option<Arc<Organization>>, StoreError> {
        match self.organization_id(name).await? {
            Some(id) => port::reread::<Organization>(&*self.store, &id).await,
            None => Ok(None),
        }
    }

    /// The time as a whole second, which is what records have.
    ///
    /// # Errors
    /// [`RevokeError::InFuture`] while what is issued now would be issued before it.
    fn past(&self, time: Timestamp) -> Result<Timestamp, RevokeError> {
        let now = self.now();
        let up = TimestampRound::new()
            .smallest(Unit::Second)
            .mode(RoundMode::Ceil);
        let second = time.round(up).ok().filter(|second| *second <= now);
        second.ok_or(RevokeError::InFuture(now))
    }
}
