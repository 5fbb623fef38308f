//! Records to test with: one of every type, none of them from a real keyring.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::clock::{Clock as _, ManualClock};
use crate::credential::api_key::{ApiKey, ApiKeyKind, NewApiKey};
use crate::credential::holder::{Credential, CredentialKind, Holder, HolderIdentity};
use crate::credential::human_password::HumanPassword;
use crate::credential::key_rules::KeyRules;
use crate::keyring::Keyring;
use crate::limits::counts::OrganizationLimits;
use crate::names::claims::Claims;
use crate::names::key_id::RingKeyId;
use crate::names::marks::{Epoch, Marks};
use crate::names::organization_id::OrganizationId;
use crate::names::origin::Origin;
use crate::names::token_id::TokenId;
use crate::names::username::Username;
use crate::org::organization::{Organization, TokenLife, TokenRules};
use crate::org::provider::{Provider, ProviderKind};
use crate::secret::Secret;
use crate::store::record::{Alias, Kept as _, Policy, Record};

pub fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a small number of seconds is a time")
}

/// Records keep whole seconds.
pub fn later(clock: &ManualClock, seconds: i64) -> Timestamp {
    second(clock.now().as_second()) + SignedDuration::from_secs(seconds)
}

pub fn username(local: &str) -> Username {
    Username {
        local: local.parse().expect("a clean name"),
        organization: OrganizationId::random(),
    }
}

pub fn origin(text: &str) -> Origin {
    text.parse().expect("an origin")
}

pub fn alias() -> Alias {
    Alias {
        organization: OrganizationId::random(),
    }
}

pub fn some_alias() -> Option<Record> {
    Some(alias().into_record())
}

pub fn policy(rules: usize) -> Policy {
    let rule =
        |n| format!(r#"{{"user":"ü-*","topic":"é/{n}/{{username}}/#","permission":"both"}}"#);
    let rules: Vec<_> = (0..rules).map(rule).collect();
    Policy::parse(format!(r#"{{ "rules": [{}] }}"#, rules.join(",\n"))).expect("good rules")
}

pub fn counter(id: OrganizationId) -> Organization {
    Organization {
        id,
        alias: Uuid::nil(),
        name: String::new(),
        token_life: TokenLife {
            default_seconds: 0,
            max_seconds: u32::MAX,
        },
        allowed_origins: Vec::new(),
        providers: Vec::new(),
        retired_prefixes: Vec::new(),
        created_at: second(0),
        token_rules: TokenRules::default(),
        limits: OrganizationLimits::default(),
        service_keys: Vec::new(),
        marks: Marks::default(),
    }
}

pub fn organization(name: &str, keys: &Keyring) -> Organization {
    let id = Uuid::new_v4();
    let secret = Secret::new("a shared secret of at least 32 bytes");
    let provider = Provider {
        id,
        name: name.into(),
        kind: ProviderKind::Supabase,
        issuer: "https://project.example/auth/v1".into(),
        audiences: vec!["authenticated".into()],
        key: Provider::seal_shared_secret(id, &secret, keys).expect("a long secret"),
        more_keys: Vec::new(),
        username_prefix: "user_".into(),
        require_email: false,
        claim_map: BTreeMap::new(),
        required_claims: BTreeMap::new(),
        authorized_parties: Vec::new(),
        enabled: true,
    };
    Organization {
        alias: Uuid::new_v4(),
        name: name.into(),
        allowed_origins: vec![origin("https://app.example")],
        providers: vec![provider],
        ..counter(OrganizationId::random())
    }
}

pub fn api_key(organization: OrganizationId) -> ApiKey {
    let kind = ApiKeyKind::Secret;
    let new = NewApiKey {
        organization,
        kind,
        name: "server".into(),
        scopes: kind.default_scopes(),
        rules: KeyRules::default(),
        created_by: None,
    };
    ApiKey::create(&Keyring::random(), new, Epoch::default(), second(0)).0
}

/// A holder whose one token ends then; without an end one with a password of its own.
pub fn holder(name: &str, end: Option<Timestamp>) -> Holder {
    let Username {
        local,
        organization,
    } = username(name);
    let mut claims = Claims::default();
    claims.insert("email", "zoë@example.com");
    let token = CredentialKind::Token {
        id: TokenId::random(),
        pepper: RingKeyId::random(),
        digest: std::array::from_fn(|n| n as u8),
    };
    let (identity, kind) = match end {
        Some(_) => (subject_of_a_provider(), token),
        None => (HolderIdentity::Static, password()),
    };
    Holder {
        name: local,
        organization,
        identity,
        credentials: vec![Credential {
            kind,
            claims,
            issued_at: second(0),
            epoch: Epoch::default(),
            expires_at: end,
            revoked_at: Some(Box::new(second(1))),
            terms: None,
        }],
    }
}

pub fn subject_of_a_provider() -> HolderIdentity {
    HolderIdentity::Subject {
        provider: Uuid::new_v4(),
        subject: "a1b2|c3".into(),
    }
}

/// Stored text and not a hash: hashing takes long and is not what is tested here.
pub fn password() -> CredentialKind {
    let text = r#""$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA""#;
    let password: HumanPassword = serde_json::from_str(text).expect("a text");
    CredentialKind::Password(Box::new(password))
}
