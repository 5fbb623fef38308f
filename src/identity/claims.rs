//! What a verified token says: for whom it is, until when, who its subject is and what topic rules may
//! know of them.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use crate::identity::jwt::{Identity, LEEWAY, TokenError};
use crate::names::claims::Claims;
use crate::names::origin::Origin;
use crate::org::claim_path::ClaimPath;
use crate::org::provider::{Provider, ProviderKind};

const MAX_SUBJECT_LENGTH: usize = 255;
const MAX_EMAIL_LENGTH: usize = 320;
/// Firebase's own limit for `sub`.
const MAX_FIREBASE_SUBJECT: usize = 128;

/// Checks the claims of a token whose signature and issuer are the provider's.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn identity(
    payload: &Map<String, Value>,
    provider: &Provider,
    origins: &[Origin],
    now: Timestamp,
) -> Result<Identity, TokenError> {
    check_audience(payload.get("aud"), &provider.audiences)?;
    check_party(text(payload, "azp")?, provider, origins)?;
    let expires_at = check_times(payload, now)?;
    let subject = text(payload, "sub")?.unwrap_or_default();
    if subject.is_empty() || subject.len() > MAX_SUBJECT_LENGTH {
        return Err(TokenError::NoSubject);
    }
    if provider.kind == ProviderKind::Firebase {
        check_firebase(payload, subject, now)?;
    }
    check_required(payload, provider)?;
    let email = email(payload, provider)?;
    if email.is_none() && provider.require_email {
        return Err(TokenError::NoEmail);
    }
    Ok(Identity {
        subject: subject.to_owned(),
        claims: mapped(payload, provider, email),
        email: email.map(str::to_owned),
        expires_at,
    })
}

/// A claim or header field that is a text where it is there.
///
/// # Errors
/// [`TokenError::Malformed`] where it is something else.
pub fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, TokenError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Malformed),
    }
}

fn check_audience(found: Option<&Value>, accepted: &[String]) -> Result<(), TokenError> {
    let is_accepted = |one: &str| accepted.iter().any(|known| known == one);
    let good = match found {
        // One that names nobody is for whoever takes no named ones.
        None | Some(Value::Null) => accepted.is_empty(),
        Some(Value::String(one)) => is_accepted(one),
        Some(Value::Array(many)) => {
            let many: Option<Vec<&str>> = many.iter().map(Value::as_str).collect();
            let many = many.ok_or(TokenError::Malformed)?;
            many.into_iter().any(is_accepted)
        }
        Some(_) => return Err(TokenError::Malformed),
    };
    if good {
        Ok(())
    } else {
        Err(TokenError::Audience)
    }
}

/// `azp`, to whom the token was issued. With Clerk it is the page's origin, and tokens that no page
/// asked for have none.
fn check_party(
    found: Option<&str>,
    provider: &Provider,
    origins: &[Origin],
) -> Result<(), TokenError> {
    let parties = &provider.authorized_parties;
    let good = match found {
        Some(found) if !parties.is_empty() => parties.iter().any(|party| party == found),
        Some(found) if provider.kind == ProviderKind::Clerk => {
            origins.iter().any(|origin| origin.as_str() == found)
        }
        Some(_) => true,
        None => parties.is_empty() || provider.kind == ProviderKind::Clerk,
    };
    if good {
        Ok(())
    } else {
        Err(TokenError::AuthorizedParty)
    }
}

fn check_times(payload: &Map<String, Value>, now: Timestamp) -> Result<Timestamp, TokenError> {
    let now = now.as_second();
    let end = date(payload, "exp")?.ok_or(TokenError::NoExpiry)?;
    if end <= now.saturating_sub(LEEWAY) {
        return Err(TokenError::Expired);
    }
    for name in ["nbf", "iat"] {
        let start = date(payload, name)?;
        if start.is_some_and(|start| start > now.saturating_add(LEEWAY)) {
            return Err(TokenError::NotYetValid);
        }
        if start.is_some_and(|start| start > end.saturating_add(LEEWAY)) {
            return Err(TokenError::Malformed);
        }
    }
    // Within the leeway the provider's clock may be right and ours ahead: then a login may live for
    // what is left of the leeway, and not a second longer.
    let end = if end > now {
        end
    } else {
        end.saturating_add(LEEWAY)
    };
    Timestamp::from_second(end).map_err(|_| TokenError::Malformed)
}

/// Firebase's own rules: the subject has signed in, in the past.
fn check_firebase(
    payload: &Map<String, Value>,
    subject: &str,
    now: Timestamp,
) -> Result<(), TokenError> {
    if subject.len() > MAX_FIREBASE_SUBJECT {
        return Err(TokenError::NoSubject);
    }
    match date(payload, "auth_time")? {
        None => Err(TokenError::NoClaim),
        Some(time) if time > now.as_second().saturating_add(LEEWAY) => Err(TokenError::NotYetValid),
        Some(_) => Ok(()),
    }
}

fn check_required(payload: &Map<String, Value>, provider: &Provider) -> Result<(), TokenError> {
    for (path, expected) in &provider.required_claims {
        let found = match at(payload, path) {
            None | Some(Value::Null) => return Err(TokenError::NoClaim),
            Some(found) => found,
        };
        let Some(expected) = expected else { continue };
        let says = |value: &Value| plain(value).is_some_and(|text| text == *expected);
        let good = match found {
            Value::Array(many) => many.iter().any(says),
            one => says(one),
        };
        if !good {
            return Err(TokenError::OtherClaim);
        }
    }
    Ok(())
}

/// A time of the token in whole seconds.
fn date(payload: &Map<String, Value>, name: &str) -> Result<Option<i64>, TokenError> {
    match payload.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(date)) => whole_seconds(date).map(Some),
        Some(_) => Err(TokenError::Malformed),
    }
}

/// A NumericDate (RFC 7519 section 2) in whole seconds.
fn whole_seconds(date: &Number) -> Result<i64, TokenError> {
    let seconds = date.as_i64().or_else(|| {
        let seconds = date.as_f64()?;
        // 2^53: beyond it a float is no longer exact, and no date is that far.
        (seconds.abs() < 9_007_199_254_740_992.0).then_some(seconds.floor() as i64)
    });
    match seconds {
        Some(seconds) if seconds >= 0 => Ok(seconds),
        _ => Err(TokenError::Malformed),
    }
}

fn at<'a>(payload: &'a Map<String, Value>, path: &ClaimPath) -> Option<&'a Value> {
    let mut steps = path.steps().into_iter();
    let first = payload.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.as_object()?.get(step))
}

/// What a topic rule can use of a value.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) => Some(value.to_string()),
        Value::Number(number) if !number.is_f64() => Some(value.to_string()),
        _ => None,
    }
}

fn email<'a>(
    payload: &'a Map<String, Value>,
    provider: &Provider,
) -> Result<Option<&'a str>, TokenError> {
    let found = match provider.claim_map.get("email") {
        Some(path) => at(payload, path),
        None => payload.get("email"),
    };
    match found {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(email)) if email.len() > MAX_EMAIL_LENGTH => Err(TokenError::Malformed),
        Some(Value::String(email)) => Ok(Some(email.as_str()).filter(|email| !email.is_empty())),
        Some(_) => Err(TokenError::Malformed),
    }
}

/// The claims that topic rules may use. One that is not a plain text is left out, and so is an
/// address that the provider says nobody has proved to be theirs.
fn mapped(payload: &Map<String, Value>, provider: &Provider, email: Option<&str>) -> Claims {
    let mut claims = Claims::default();
    for (name, path) in &provider.claim_map {
        if name != "email"
            && let Some(value) = at(payload, path).and_then(plain)
        {
            claims.insert(name, &value);
        }
    }
    // Some providers never say. Those who do say it in one of two ways.
    let proved = match payload.get("email_verified") {
        None => true,
        Some(Value::Bool(proved)) => *proved,
        Some(Value::String(proved)) => proved == "true",
        Some(_) => false,
    };
    if let Some(email) = email.filter(|_| proved) {
        claims.insert("email", email);
    }
    let usual = ["user_id", "name", "session_id", "role"].map(|name| match name {
        "user_id" => (name, "sub"),
        name => (name, name),
    });
    for (name, claim) in usual {
        if let Some(Value::String(value)) = payload.get(claim)
            && !provider.claim_map.contains_key(name)
        {
            claims.insert(name, value);
        }
    }
    claims
}
