//! Exchange: an identity token becomes a short-lived MQTT login.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::try_join;
use uuid::Uuid;

use crate::app::App;
use crate::credential::holder::{
    Credential, CredentialKind, Holder, HolderIdentity, TooManyCredentials,
};
use crate::credential::minted_password;
use crate::identity::jwt::{TokenError, UnverifiedToken};
use crate::identity::key_sets::NoKey;
use crate::names::marks::Marks;
use crate::names::organization_id::OrganizationName;
use crate::names::origin::Origin;
use crate::names::token_id::TokenId;
use crate::names::username::Username;
use crate::org::organization::Organization;
use crate::org::provider::{Provider, ProviderKind};
use crate::secret::Secret;
use crate::store::port::{self, Change, StoreError};
use crate::store::record::TokenIndex;

/// A request to exchange.
#[derive(Debug)]
pub struct ExchangeRequest<'a> {
    /// Whose provider and whose users.
    pub organization: OrganizationName,
    /// The provider's product or name, where the caller says one.
    pub provider: Option<&'a str>,
    /// The provider's id, where the caller says one.
    pub integration_id: Option<Uuid>,
    /// The identity token.
    pub token: &'a Secret,
    /// The life asked for, in seconds.
    pub ttl_seconds: Option<u32>,
    /// The web origin of the page that asks; `None`: not a browser.
    pub origin: Option<&'a Origin>,
}

/// A freshly minted token.
#[derive(Debug)]
pub struct MintedToken {
    /// Its id.
    pub id: TokenId,
    /// The MQTT username.
    pub username: Username,
    /// The MQTT password, shown this once.
    pub password: Secret,
    /// What the provider calls the subject.
    pub subject: String,
    /// The subject's e-mail address.
    pub email: Option<String>,
    /// The provider's product.
    pub provider: ProviderKind,
    /// When it was minted.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why nothing was minted.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No organization of that name.
    #[error("there is no such organization")]
    OrganizationNotFound,
    /// None of its providers made the token.
    #[error("no enabled identity provider of the organization issues such tokens")]
    ProviderNotFound,
    /// The page's origin is not allowed.
    #[error("the organization does not allow requests from this web origin")]
    OriginNotAllowed,
    /// The identity token is no good.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The username belongs to somebody else.
    #[error("the username of this subject is taken by another user of the organization")]
    NameTaken,
    /// Too many tokens of one subject.
    #[error(transparent)]
    TooMany(#[from] TooManyCredentials),
    /// The provider's secret cannot be read.
    #[error("the provider's secret cannot be opened; is its pepper still in the key list?")]
    SecretLost,
    /// The provider's public keys cannot be fetched.
    #[error(transparent)]
    NoKeys(NoKey),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MintedToken {
    /// How long it lives from when it was minted.
    pub fn life(&self) -> SignedDuration {
        self.expires_at.duration_since(self.issued_at)
    }

    /// When its owner should fetch a new one: after nine tenths of its life.
    pub fn refresh_recommended_at(&self) -> Timestamp {
        self.issued_at + self.life() * 9 / 10
    }
}

impl App {
    /// Exchanges an identity token for a minted one. When this returns, the login works and would
    /// survive a crash.
    ///
    /// # Errors
    /// [`ExchangeError`]; nothing was minted then, or (after a store error) nothing that anybody
    /// knows the password of.
    pub async fn exchange(
        &self,
        request: &ExchangeRequest<'_>,
    ) -> Result<MintedToken, ExchangeError> {
        let organization = self.organization(request.organization.clone()).await?;
        let organization = organization.ok_or(ExchangeError::OrganizationNotFound)?;
        if request
            .origin
            .is_some_and(|origin| !organization.allows_origin(origin))
        {
            return Err(ExchangeError::OriginNotAllowed);
        }
        let token = UnverifiedToken::read(request.token)?;
        let provider = provider_of(request, &token, &organization)?;
        let key = self.verification_key(provider, &token).await?;
        self.reseal_later(provider, &organization);
        let now = self.now();
        let identity = token.verify(provider, &key, &organization.allowed_origins, now)?;
        let end = organization
            .token_life
            .end(now, request.ttl_seconds, identity.expires_at);
        let end = end.ok_or(TokenError::Expired)?;
        let username = Username {
            local: provider.local_name(&identity.subject),
            organization: organization.id.clone(),
        };
        let minted = minted_password::mint(&self.keys);
        let subject = HolderIdentity::Subject {
            provider: provider.id,
            subject: identity.subject.clone(),
        };
        let credential = Credential {
            kind: CredentialKind::of(&minted),
            claims: identity.claims,
            issued_at: now,
            epoch: organization.marks.epoch,
            expires_at: Some(end),
            revoked_at: None,
            terms: None,
        };
        let holding = self.hold(&username, &subject, &credential, &organization.marks);
        // An index that is left alone by a crash leads nowhere and expires.
        let indexing = self.index(minted.id, &username, end);
        try_join!(indexing, holding)?;
        self.metrics.minted();
        tracing::info!(%username, token = %minted.id, expires_at = %end, "minted");
        Ok(MintedToken {
            id: minted.id,
            username,
            password: minted.password,
            subject: identity.subject,
            email: identity.email,
            provider: provider.kind,
            issued_at: now,
            expires_at: end,
        })
    }

    /// Encrypts the provider's secret anew where an old pepper guards it, so that the old one can go.
    fn reseal_later(&self, provider: &Provider, organization: &Organization) {
        if provider.resealed(&self.keys).is_none() {
            return;
        }
        let (keys, id) = (Arc::clone(&self.keys), organization.id.clone());
        self.renew_later(move |store| async move {
            port::update::<Organization, StoreError>(&*store, &id, |current| {
                let Some(mut organization) = current.cloned() else {
                    return Ok(Change::Keep);
                };
                let mut changed = false;
                for provider in &mut organization.providers {
                    if let Some(resealed) = provider.resealed(&keys) {
                        *provider = resealed;
                        changed = true;
                    }
                }
                Ok(if changed {
                    Change::Set(organization)
                } else {
                    Change::Keep
                })
            })
            .await
        });
    }

    /// Stores whose a token is.
    pub(in crate::app) async fn index(
        &self,
        id: TokenId,
        username: &Username,
        expires_at: Timestamp,
    ) -> Result<(), ExchangeError> {
        let index = TokenIndex {
            name: username.local.clone(),
            organization: username.organization.clone(),
            expires_at,
        };
        port::create(&*self.store, &id, index).await?;
        Ok(())
    }

    /// Stores the credential with its holder, whom it makes where there is none yet.
    pub(in crate::app) async fn hold(
        &self,
        username: &Username,
        subject: &HolderIdentity,
        credential: &Credential,
        marks: &Marks,
    ) -> Result<(), ExchangeError> {
        port::update::<Holder, ExchangeError>(&*self.store, username, |current| {
            let mut holder = match current {
                Some(holder) if holder.identity != *subject => {
                    return Err(ExchangeError::NameTaken);
                }
                Some(holder) => holder.clone(),
                None => Holder {
                    name: username.local.clone(),
                    organization: username.organization.clone(),
                    identity: subject.clone(),
                    credentials: Vec::new(),
                },
            };
            holder.add(credential.clone(), marks, credential.issued_at)?;
            Ok(Change::Set(holder))
        })
        .await?;
        Ok(())
    }
}

/// The provider that the token's issuer names, among the organization's only. The issuer is not
/// verified yet; whoever lies about it fails at the signature.
fn provider_of<'a>(
    request: &ExchangeRequest<'_>,
    token: &UnverifiedToken<'_>,
    organization: &'a Organization,
) -> Result<&'a Provider, ExchangeError> {
    let issuer = token.issuer().ok_or(TokenError::Issuer)?;
    let named = |provider: &&Provider| {
        let said = |name: &str| name == provider.kind.as_str() || name == provider.name;
        request.provider.is_none_or(said)
            && request.integration_id.is_none_or(|id| id == provider.id)
    };
    let provider = organization.provider_by_issuer(issuer).filter(named);
    provider.ok_or(ExchangeError::ProviderNotFound)
}
