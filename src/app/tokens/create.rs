//! Create: a server of the organization mints a token for somebody whom it names.

use uuid::Uuid;

use jiff::SignedDuration;

use crate::app::App;
use crate::app::tokens::mint::{Draft, Narrowing};
use crate::app::tokens::{ExchangeError, MintedToken, capped};
use crate::credential::holder::HolderIdentity;
use crate::credential::key_rules::KeyRules;
use crate::names::claims::Claims;
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::names::origin::Origin;
use crate::org::organization::{
    LONGEST_TOKEN_LIFE, NATIVE_PROVIDER, NATIVE_PROVIDER_NAME, native_name,
};

/// The longest name that a server may give somebody, in bytes.
const MAX_SUBJECT: usize = 255;

/// Whom a token is for. Whoever has the same text is the same person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewSubject<'a> {
    /// An e-mail address. Nobody checks that it is one.
    Email(&'a str),
    /// The server's own id of a user.
    UserId(&'a str),
}

/// A request to mint a token for somebody.
#[derive(Debug)]
pub struct CreateRequest<'a> {
    /// The organization of the key that was shown.
    pub organization: OrganizationId,
    /// For whom.
    pub subject: NewSubject<'a>,
    /// The provider's id, where the caller says one.
    pub integration_id: Option<Uuid>,
    /// Whether all other tokens of the same subject are over.
    pub replace_existing: bool,
    /// The life asked for, in seconds.
    pub ttl_seconds: Option<u32>,
    /// How it is narrower than a plain login.
    pub narrowing: &'a Narrowing,
    /// The web origin of the page that asks; `None`: not a browser.
    pub origin: Option<&'a Origin>,
    /// The rules of the key that asks: they narrow what is minted.
    pub rules: Option<&'a KeyRules>,
}

impl App {
    /// Mints a token for somebody whom a server of the organization names.
    ///
    /// # Errors
    /// As [`exchange`](App::exchange).
    pub async fn create_token(
        &self,
        request: &CreateRequest<'_>,
    ) -> Result<MintedToken, ExchangeError> {
        let id = request.organization.clone();
        let organization = self.organization(OrganizationName::Id(id)).await?;
        let organization = organization.ok_or(ExchangeError::OrganizationNotFound)?;
        organization.check_origin(request.origin)?;
        if let Some(id) = request.integration_id
            && !organization.providers.iter().any(|one| one.id == id)
        {
            return Err(ExchangeError::ProviderNotFound);
        }
        let subject = match request.subject {
            NewSubject::Email(text) | NewSubject::UserId(text) => text,
        };
        if subject.is_empty()
            || subject.len() > MAX_SUBJECT
            || subject.chars().any(char::is_control)
        {
            let text = format!("the user is 1 to {MAX_SUBJECT} bytes without control characters");
            return Err(ExchangeError::Narrowing(text));
        }
        let mut claims = Claims::default();
        claims.insert("user_id", subject);
        let email = match request.subject {
            NewSubject::Email(email) => Some(email.to_owned()),
            NewSubject::UserId(_) => None,
        };
        if let Some(email) = &email {
            claims.insert("email", email);
        }
        let key = request.rules;
        let narrowing = request.narrowing.within_key(key);
        let narrowing = &narrowing.ok_or(ExchangeError::NotNarrower)?;
        let longest = SignedDuration::from_secs(LONGEST_TOKEN_LIFE.as_secs() as i64);
        self.mint(Draft {
            organization: &organization,
            name: native_name(&organization.id, subject),
            identity: HolderIdentity::Subject {
                provider: NATIVE_PROVIDER,
                subject: subject.to_owned(),
            },
            claims,
            narrowing,
            ttl_seconds: capped(request.ttl_seconds, key, &organization),
            latest: self.now() + longest,
            replaces: request.replace_existing,
            subject: subject.to_owned(),
            email,
            provider: NATIVE_PROVIDER_NAME,
            parent: None,
        })
        .await
    }
}
