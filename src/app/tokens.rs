//! Exchange: an identity token becomes a short-lived MQTT login. The rest of a token's life is in the
//! modules below.

pub mod create;
pub mod known;
pub mod list;
pub mod mint;
pub mod quota;
pub mod refresh;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::app::App;
use crate::app::audit::caller;
use crate::app::tokens::known::KnownToken;
use crate::app::tokens::mint::{Draft, Narrowing};
use crate::credential::holder::{HolderIdentity, TooManyCredentials};
use crate::credential::key_rules::KeyRules;
use crate::credential::minted_password;
use crate::credential::terms::Limits;
use crate::identity::jwt::{TokenError, UnverifiedToken};
use crate::identity::key_sets::NoKey;
use crate::limits::limiter::Limited;
use crate::names::organization_id::OrganizationName;
use crate::names::origin::Origin;
use crate::names::token_id::TokenId;
use crate::names::username::Username;
use crate::org::audit::Actor;
use crate::org::organization::{ForeignOrigin, Organization};
use crate::org::provider::Provider;
use crate::secret::Secret;
use crate::store::port::{self, Change, StoreError};

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
    /// The rules of the key that asks: they narrow what is minted.
    pub rules: Option<&'a KeyRules>,
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
    pub provider: &'static str,
    /// What it may do at most; `None`: no narrower than the organization's policy.
    pub limits: Option<Limits>,
    /// When it was minted, or refreshed last.
    pub issued_at: Timestamp,
    /// Now.
    pub handed_out_at: Timestamp,
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
    /// Too many tokens of one user, by the organization's own limit.
    #[error("the user has {0} live tokens, as many as the organization allows")]
    UserFull(u32),
    /// Too many tokens of the organization.
    #[error("the organization has {0} tokens, as many as it may have")]
    OrganizationFull(u64),
    /// Too many tokens are minted for the organization.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// What the caller wants of the token cannot be.
    #[error("{0}")]
    Narrowing(String),
    /// A right that the token which was shown does not have.
    #[error("the token does not have what is asked for, or not within what it has")]
    NotNarrower,
    /// The password that was shown is of no token, or of another one.
    #[error("there is no such token, or this is not its password")]
    UnknownToken,
    /// The token that was shown has ended, or is gone for another reason by now.
    #[error("the token has expired; exchange the identity token for a new one")]
    Expired,
    /// The token was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// The change is made, but some node may not know yet what it has ended.
    #[error(
        "the change is made, but nobody can say yet whether every node knows it ({0}); call again"
    )]
    Unconfirmed(StoreError),
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

impl From<ForeignOrigin> for ExchangeError {
    fn from(_: ForeignOrigin) -> Self {
        ExchangeError::OriginNotAllowed
    }
}

impl MintedToken {
    /// A token that is there already, with its password; `None`: it has gone meanwhile.
    fn of(
        known: &KnownToken,
        provider: &'static str,
        password: Secret,
        now: Timestamp,
    ) -> Option<Self> {
        let credential = known.credential()?;
        let terms = credential.terms.as_deref();
        let began = terms.and_then(|terms| terms.refreshed_at);
        Some(Self {
            id: known.id,
            username: known.holder.username(),
            password,
            subject: known::subject_of(&known.holder).to_owned(),
            email: credential.claims.get("email").map(str::to_owned),
            provider,
            limits: terms.and_then(|terms| terms.limits.clone()),
            issued_at: began.unwrap_or(credential.issued_at),
            handed_out_at: now,
            expires_at: credential.expires_at?,
        })
    }

    /// How much of its life is left, in whole seconds.
    pub fn seconds_left(&self) -> i64 {
        self.expires_at.duration_since(self.handed_out_at).as_secs()
    }

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
        self.exchange_narrowed(request, &Narrowing::default()).await
    }

    /// The same for a token that is narrower than a plain login.
    ///
    /// # Errors
    /// As [`exchange`](App::exchange).
    pub async fn exchange_narrowed(
        &self,
        request: &ExchangeRequest<'_>,
        narrowing: &Narrowing,
    ) -> Result<MintedToken, ExchangeError> {
        let organization = self.organization(request.organization.clone()).await?;
        let organization = organization.ok_or(ExchangeError::OrganizationNotFound)?;
        caller::concerns(&organization.id);
        organization.check_origin(request.origin)?;
        let key = request.rules;
        let narrowing = &narrowing
            .within_key(key)
            .ok_or(ExchangeError::NotNarrower)?;
        let ttl_seconds = capped(request.ttl_seconds, key, &organization);
        if request.token.expose().starts_with(minted_password::PREFIX) {
            return self
                .exchange_own(&organization.id, request.token, narrowing, ttl_seconds)
                .await;
        }
        let token = UnverifiedToken::read(request.token)?;
        let provider = provider_of(request, &token, &organization)?;
        let key = self.verification_key(provider, &token).await?;
        // Its key may have taken a while to come, and the provider may be switched off since.
        let organization = self.organization(request.organization.clone()).await?;
        let organization = organization.ok_or(ExchangeError::OrganizationNotFound)?;
        let same = provider_of(request, &token, &organization)?;
        if same != provider {
            return Err(ExchangeError::ProviderNotFound);
        }
        self.reseal_later(provider, &organization);
        let now = self.now();
        let identity = token.verify(provider, &key, &organization.allowed_origins, now)?;
        let actor = Actor::Subject {
            provider: provider.id,
            subject: identity.subject.clone(),
        };
        caller::identified_without_key(actor, &organization.id);
        self.mint(Draft {
            organization: &organization,
            name: provider.local_name(&identity.subject),
            identity: HolderIdentity::Subject {
                provider: provider.id,
                subject: identity.subject.clone(),
            },
            claims: identity.claims,
            narrowing,
            ttl_seconds,
            latest: identity.expires_at,
            replaces: false,
            subject: identity.subject,
            email: identity.email,
            provider: provider.kind.as_str(),
            parent: None,
        })
        .await
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
}

/// The life that is asked for, no longer than the key that asks allows.
fn capped(asked: Option<u32>, key: Option<&KeyRules>, organization: &Organization) -> Option<u32> {
    let Some(cap) = key.and_then(|rules| rules.max_ttl_seconds) else {
        return asked;
    };
    let usual = organization.token_life.default_seconds;
    Some(asked.unwrap_or(usual).min(cap))
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
