//! The one place where errors become HTTP statuses. Bodies serve every known reader at once:
//! `{"error":"<code>","error_description":"...","message":"...","detail":"..."}`.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};

use crate::app::api_keys::KeyError;
use crate::app::api_keys::change::ChangeKeyError;
use crate::app::doctor::ProbeError;
use crate::app::limits::AdmitError;
use crate::app::organizations::SetupError;
use crate::app::providers::ProviderError;
use crate::app::revoke::RevokeError;
use crate::app::tokens::ExchangeError;
use crate::http::limits;
use crate::http::wire::ErrorBody;
use crate::identity::jwt::TokenError;
use crate::limits::bucket::Quota;
use crate::limits::limiter::Limited;
use crate::org::audit::Outcome;
use crate::org::organization::{CannotAdd, CannotRemove};
use crate::store::port::StoreError;

/// The codes of RFC 6749 section 5.2, RFC 7009 section 2.2.1 and RFC 8693 section 2.2.2.
const OAUTH_CODES: [&str; 8] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_token_type",
    "invalid_scope",
    "invalid_target",
];

/// An error as a client of the API sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: u16,
    code: &'static str,
    text: String,
    /// What the log says beyond the text, for those errors that are ours.
    operator_text: Option<String>,
    /// How a limit stands that was reached.
    quota: Option<Quota>,
    /// Whether the caller has shown something that is no good.
    is_failure: bool,
}

impl ApiError {
    /// An error with a fixed code and a text for people.
    pub fn new(status: u16, code: &'static str, text: &str) -> Self {
        Self {
            status,
            code,
            text: text.to_owned(),
            operator_text: None,
            quota: None,
            is_failure: false,
        }
    }

    /// The fixed code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Whose fault it is, for the audit log.
    pub fn outcome(&self) -> Outcome {
        if self.status >= 500 {
            Outcome::Failed
        } else {
            Outcome::Refused
        }
    }

    /// A call that took too long, most likely because its body did not come.
    pub fn too_slow() -> Self {
        Self::new(
            408,
            "request_timeout",
            "the request was not complete in time",
        )
    }

    /// More calls at a time than there are places.
    pub fn overloaded() -> Self {
        let text = "The service is busy; try again in a moment";
        Self::new(503, "temporarily_unavailable", text)
    }

    /// The same, and it counts as a failure of the caller's address.
    pub fn as_failure(self) -> Self {
        Self {
            is_failure: true,
            ..self
        }
    }

    /// Whether the caller has shown something that is no good: it may not try that as often as it
    /// likes.
    pub fn is_failure(&self) -> bool {
        self.is_failure
    }

    /// A request that cannot be understood.
    pub fn invalid_request(text: &str) -> Self {
        Self::new(400, "invalid_request", text)
    }

    /// The same for a request that cannot be understood, with what would be.
    pub fn with_hint(self, hint: &str) -> Self {
        if self.status != 400 {
            return self;
        }
        let text = format!("{}; {hint}", self.text);
        Self { text, ..self }
    }

    fn unavailable(error: &dyn std::error::Error) -> Self {
        let text = "The service cannot answer right now; try again in a moment";
        let operator_text = Some(error.to_string());
        Self {
            operator_text,
            ..Self::new(503, "temporarily_unavailable", text)
        }
    }

    fn unconfirmed(text: &str) -> Self {
        Self {
            operator_text: Some(text.to_owned()),
            ..Self::new(503, "not_confirmed", text)
        }
    }

    /// As OAuth's endpoints say it (RFC 6749 section 5.2, RFC 8693 section 2.2.2): a subject token
    /// that is no good is an invalid request, a key that is no good an invalid client.
    pub fn in_oauth(self) -> Self {
        let (status, code) = match self.code {
            "unauthorized" | "organization_not_found" => (401, "invalid_client"),
            "insufficient_scope" => (400, "invalid_scope"),
            "origin_not_allowed" | "address_not_allowed" => (403, "unauthorized_client"),
            code if OAUTH_CODES.contains(&code) => (self.status, code),
            // What cannot be said in the RFC's words is said by the status.
            _ if matches!(self.status, 408 | 429) || self.status >= 500 => {
                (self.status, "temporarily_unavailable")
            }
            _ => (400, "invalid_request"),
        };
        Self {
            status,
            code,
            ..self
        }
    }

    /// The refusal of a good key at OAuth's endpoints: it is about the client, not about what the
    /// client asks for.
    pub fn of_client(self) -> Self {
        match self.code {
            "insufficient_scope" => Self {
                status: 400,
                code: "unauthorized_client",
                ..self
            },
            _ => self,
        }
    }

    /// The answer. Our own failures are logged here, once.
    pub fn response(&self) -> HttpResponse {
        if let Some(operator_text) = &self.operator_text {
            tracing::warn!(
                status = self.status,
                error = operator_text,
                "a request failed"
            );
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        match self.status {
            401 if self.code == "invalid_client" => {
                _ = response.insert_header((WWW_AUTHENTICATE, r#"Basic realm="ticketgate""#));
            }
            401 => _ = response.insert_header((WWW_AUTHENTICATE, "Bearer")),
            429 | 503 => {
                let seconds = self.quota.map_or(1, |quota| quota.retry_seconds);
                _ = response.insert_header((RETRY_AFTER, seconds));
            }
            _ => {}
        }
        let mut response = response.json(ErrorBody::new(self.code, &self.text));
        if let Some(quota) = &self.quota {
            limits::say(&mut response, quota);
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<Limited> for ApiError {
    fn from(limited: Limited) -> Self {
        Self {
            quota: Some(limited.quota),
            ..Self::new(429, "rate_limit_exceeded", &limited.to_string())
        }
    }
}

impl From<AdmitError> for ApiError {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Limited(limited) => limited.into(),
            AdmitError::Store(error) => error.into(),
        }
    }
}

impl From<RevokeError> for ApiError {
    fn from(error: RevokeError) -> Self {
        match &error {
            RevokeError::InFuture(_) => Self::invalid_request(&format!("issued_before: {error}")),
            RevokeError::Unconfirmed(_) => Self::unconfirmed(&error.to_string()),
            RevokeError::Store(_) => Self::unavailable(&error),
        }
    }
}

impl From<SetupError> for ApiError {
    fn from(error: SetupError) -> Self {
        let text = error.to_string();
        match &error {
            SetupError::NoSuchOrganization => Self::new(404, "organization_not_found", &text),
            SetupError::Limit(_) | SetupError::CannotAdd(CannotAdd::TooMany(_)) => {
                Self::new(409, "limit_reached", &text)
            }
            SetupError::CannotAdd(_) | SetupError::Exists => Self::new(409, "conflict", &text),
            SetupError::Store(_) => Self::unavailable(&error),
            _ => Self::invalid_request(&text),
        }
    }
}

impl From<ProviderError> for ApiError {
    fn from(error: ProviderError) -> Self {
        let text = error.to_string();
        match &error {
            ProviderError::NoSuchOrganization => Self::new(404, "organization_not_found", &text),
            ProviderError::CannotRemove(CannotRemove::NoSuchProvider) => {
                Self::new(404, "provider_not_found", &text)
            }
            ProviderError::CannotRemove(CannotRemove::TooManyRetired) => {
                Self::new(409, "too_many_removed", &text)
            }
            ProviderError::NoName => Self::invalid_request(&text),
            ProviderError::Unconfirmed(_) => Self {
                operator_text: Some(text.clone()),
                ..Self::new(503, "not_confirmed", &text)
            },
            ProviderError::Store(_) => Self::unavailable(&error),
        }
    }
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        match &error {
            KeyError::Invalid => Self::new(401, "unauthorized", &error.to_string()).as_failure(),
            KeyError::Address => Self::new(403, "address_not_allowed", &error.to_string()),
            KeyError::Origin => Self::new(403, "origin_not_allowed", &error.to_string()),
            KeyError::Kind | KeyError::Scope(_) => {
                Self::new(403, "insufficient_scope", &error.to_string())
            }
            KeyError::NoRootKey => Self::new(403, "no_root_key", &error.to_string()),
            KeyError::Store(_) => Self::unavailable(&error),
        }
    }
}

impl From<ChangeKeyError> for ApiError {
    fn from(error: ChangeKeyError) -> Self {
        let text = error.to_string();
        match error {
            ChangeKeyError::NoSuchKey => Self::new(404, "not_found", &text),
            ChangeKeyError::Wrong(_) | ChangeKeyError::NoSuchRights(_) => {
                Self::invalid_request(&text)
            }
            ChangeKeyError::Setup(error) => error.into(),
            ChangeKeyError::Beyond(_) => Self::new(403, "insufficient_scope", &text),
            ChangeKeyError::NotLive | ChangeKeyError::Import(_) => {
                Self::new(409, "conflict", &text)
            }
            ChangeKeyError::Changed => Self::new(412, "precondition_failed", &text),
            ChangeKeyError::TooMany => Self::new(409, "too_many_keys", &text),
            ChangeKeyError::Unconfirmed(_) => Self::unconfirmed(&text),
            ChangeKeyError::Store(error) => Self::unavailable(&error),
        }
    }
}

impl From<ProbeError> for ApiError {
    fn from(error: ProbeError) -> Self {
        let text = error.to_string();
        match error {
            ProbeError::NoSuchOrganization => Self::new(404, "organization_not_found", &text),
            ProbeError::WhichOrganization | ProbeError::ForeignOrganization => {
                Self::invalid_request(&text)
            }
            ProbeError::Minting(error) => error.into(),
            ProbeError::Store(error) => Self::unavailable(&error),
        }
    }
}

impl From<ExchangeError> for ApiError {
    fn from(error: ExchangeError) -> Self {
        let text = error.to_string();
        let (status, code) = match &error {
            ExchangeError::OrganizationNotFound => (404, "organization_not_found"),
            ExchangeError::ProviderNotFound => (404, "provider_not_found"),
            ExchangeError::OriginNotAllowed => (403, "origin_not_allowed"),
            ExchangeError::Token(TokenError::NoEmail) => (422, "email_required"),
            ExchangeError::Token(TokenError::NoClaim) => (422, "claim_required"),
            ExchangeError::Token(TokenError::Expired) | ExchangeError::Expired => {
                (401, "token_expired")
            }
            ExchangeError::Token(_) => (401, "invalid_token"),
            ExchangeError::NameTaken => (409, "username_taken"),
            ExchangeError::TooMany(_)
            | ExchangeError::UserFull(_)
            | ExchangeError::OrganizationFull(_) => (429, "too_many_tokens"),
            ExchangeError::Narrowing(_) => (400, "invalid_request"),
            ExchangeError::NotNarrower => (403, "insufficient_scope"),
            ExchangeError::UnknownToken => (401, "invalid_token"),
            ExchangeError::Limited(limited) => return limited.clone().into(),
            ExchangeError::Revoked => (401, "token_revoked"),
            ExchangeError::Unconfirmed(_) => return Self::unconfirmed(&text),
            ExchangeError::SecretLost | ExchangeError::NoKeys(_) | ExchangeError::Store(_) => {
                return Self::unavailable(&error);
            }
        };
        let made = Self::new(status, code, &text);
        if is_failure(&error) {
            made.as_failure()
        } else {
            made
        }
    }
}

/// Whether nothing good was shown. A token that has expired, or says too little, was its provider's all
/// the same: its signature is verified first.
fn is_failure(error: &ExchangeError) -> bool {
    match error {
        ExchangeError::Token(TokenError::Expired | TokenError::NoEmail | TokenError::NoClaim) => {
            false
        }
        ExchangeError::OrganizationNotFound
        | ExchangeError::ProviderNotFound
        | ExchangeError::Token(_)
        | ExchangeError::UnknownToken => true,
        _ => false,
    }
}
