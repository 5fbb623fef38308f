use uuid::Uuid;

use super::*;
use crate::credential::api_key::{NewApiKey, Replaced};
use crate::credential::terms::Limits;
use crate::names::key_id::ApiKeyId;
use crate::names::marks::Marks;
use crate::names::organization_id::OrganizationId;
use crate::org::organization::{TokenLife, TokenRules};
use crate::secret::Secret;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn organization() -> Organization {
    Organization {
        id: OrganizationId::random(),
        alias: Uuid::nil(),
        name: "demo".into(),
        token_life: TokenLife::default(),
        allowed_origins: vec!["https://app.example".parse().unwrap()],
        providers: vec![],
        retired_prefixes: vec![],
        created_at: at(0),
        token_rules: TokenRules::default(),
        limits: crate::limits::counts::OrganizationLimits::default(),
        service_keys: Vec::new(),
        marks: Marks::default(),
    }
}

fn key_of(demo: &Organization, keys: &Keyring, kind: ApiKeyKind) -> (ApiKey, Secret) {
    let new = NewApiKey {
        organization: demo.id.clone(),
        kind,
        name: "k".into(),
        scopes: kind.default_scopes(),
        rules: KeyRules::default(),
        created_by: None,
    };
    ApiKey::create(keys, new, demo.marks.epoch, at(0))
}

#[test]
fn an_api_key_is_good_until_it_or_everything_is_over() {
    let (keys, mut demo) = (Keyring::random(), organization());
    let (mut key, text) = key_of(&demo, &keys, ApiKeyKind::Secret);
    let (other, _) = key_of(&demo, &keys, ApiKeyKind::Secret);
    let presented = PresentedApiKey::verify(text.expose(), &keys).unwrap();
    let decide = |demo: &Organization, key: &ApiKey, now| {
        authenticate_key(&presented, demo, key, &keys, at(now))
    };
    assert_eq!(decide(&demo, &key, 0), Ok(()));
    assert_eq!(decide(&demo, &other, 0), Err(KeyRefusal::WrongSecret));
    demo.marks.revoke_all();
    assert_eq!(decide(&demo, &key, 0), Err(KeyRefusal::Revoked));
    key.epoch = demo.marks.epoch;
    key.rules.expires_at = Some(at(10));
    assert_eq!(decide(&demo, &key, 9), Ok(()));
    assert_eq!(decide(&demo, &key, 10), Err(KeyRefusal::Expired));
    key.rules.expires_at = None;
    let (by, until) = (ApiKeyId::random(), at(10));
    key.replaced = Some(Replaced {
        by,
        at: at(0),
        until,
    });
    assert_eq!(decide(&demo, &key, 9), Ok(()));
    assert_eq!(decide(&demo, &key, 10), Err(KeyRefusal::Replaced));
    key.revoked_at = Some(at(0));
    assert_eq!(decide(&demo, &key, 0), Err(KeyRefusal::Revoked));
}

#[test]
fn what_is_wrong_is_judged_in_a_fixed_order() {
    let (keys, demo) = (Keyring::random(), organization());
    let (mut key, _) = key_of(&demo, &keys, ApiKeyKind::Publishable);
    key.rules.allowed_addresses = vec!["10.0.0.0/8".parse().unwrap()];
    key.scopes = Scope::ALL.to_vec();
    let (good, bad) = ("https://app.example", "https://evil.example");
    let decide = |key: &ApiKey, address: &str, origin: &str, scope| {
        let origin: Option<Origin> = origin.parse().ok();
        let wanted = KeyUse {
            scope,
            address: address.parse().ok(),
            origin: origin.as_ref(),
        };
        authorize_key(&demo, key, &wanted)
    };
    let create = Scope::TokensCreate;
    for (address, origin, scope, expected) in [
        ("11.0.0.1", bad, create, KeyRefusal::Address),
        ("unknown", good, create, KeyRefusal::Address),
        ("10.0.0.1", bad, create, KeyRefusal::Origin),
        ("10.0.0.1", good, create, KeyRefusal::Kind(create)),
        ("10.0.0.1", "", create, KeyRefusal::Kind(create)),
        (
            "10.0.0.1",
            good,
            Scope::Publish,
            KeyRefusal::Scope(Scope::Publish),
        ),
    ] {
        assert_eq!(decide(&key, address, origin, scope), Err(expected));
    }
    assert_eq!(
        decide(&key, "10.0.0.1", good, Scope::TokensExchange),
        Ok(())
    );
    key.rules.allowed_origins = vec!["https://other.example".parse().unwrap()];
    let exchange = Scope::TokensExchange;
    let refused = Err(KeyRefusal::Origin);
    assert_eq!(decide(&key, "10.0.0.1", good, exchange), refused);
    // The organization has to allow it as well.
    let other = "https://other.example";
    assert_eq!(decide(&key, "10.0.0.1", other, exchange), refused);
    assert_eq!(decide(&key, "10.0.0.1", "", exchange), Ok(()));
}

#[test]
fn a_publishable_key_is_on_no_admin_scope_even_if_its_record_names_it() {
    let (keys, demo) = (Keyring::random(), organization());
    let (mut key, _) = key_of(&demo, &keys, ApiKeyKind::Publishable);
    key.scopes = Scope::ALL.to_vec();
    for scope in Scope::ALL {
        let wanted = KeyUse {
            scope,
            address: None,
            origin: None,
        };
        let decided = authorize_key(&demo, &key, &wanted);
        assert_eq!(decided.is_ok(), scope == Scope::TokensExchange, "{scope:?}");
    }
}

#[test]
fn rights_that_no_key_of_the_kind_can_have() {
    let rules = KeyRules::default();
    let check = |kind, scopes: &[Scope], rules: &KeyRules| {
        let rights = KeyRights {
            kind,
            scopes,
            rules,
        };
        rights.check_kind()
    };
    let public = ApiKeyKind::Publishable;
    assert_eq!(check(public, &[Scope::TokensExchange], &rules), Ok(()));
    let keys = Scope::KeysRead;
    assert_eq!(
        check(public, &[keys], &rules),
        Err(NoSuchRights::Kind(keys))
    );
    let publish = [Scope::Publish];
    assert_eq!(
        check(public, &publish, &rules),
        Err(NoSuchRights::OpenPublish)
    );
    let topics = KeyRules {
        limits: Some(Limits {
            publish: true,
            subscribe: false,
            topics: Some(vec!["a".into()]),
        }),
        ..rules
    };
    assert_eq!(check(public, &publish, &topics), Ok(()));
    assert_eq!(check(ApiKeyKind::Secret, &Scope::ALL, &topics), Ok(()));
}

#[test]
fn a_key_gives_nothing_that_it_lacks() {
    let (keys, demo) = (Keyring::random(), organization());
    let (mut maker, _) = key_of(&demo, &keys, ApiKeyKind::Restricted);
    maker.scopes = vec![Scope::KeysWrite, Scope::TokensCreate];
    let rules = KeyRules::default();
    let check = |maker: &ApiKey, kind, scopes: &[Scope], rules: &KeyRules| {
        let rights = KeyRights {
            kind,
            scopes,
            rules,
        };
        rights.check_within(maker)
    };
    let (secret, restricted) = (ApiKeyKind::Secret, ApiKeyKind::Restricted);
    assert_eq!(
        check(&maker, restricted, &[Scope::TokensCreate], &rules),
        Ok(())
    );
    let beyond = check(&maker, secret, &[Scope::TokensCreate], &rules);
    assert!(matches!(beyond, Err(NoSuchRights::Beyond(_))));
    for scope in Scope::ALL {
        let made = check(&maker, restricted, &[scope], &rules);
        assert_eq!(made.is_ok(), maker.scopes.contains(&scope), "{scope:?}");
    }
    let (by, until) = (ApiKeyId::random(), at(10));
    maker.replaced = Some(Replaced {
        by,
        at: at(0),
        until,
    });
    let outliving = check(&maker, restricted, &[], &rules);
    assert_eq!(outliving, Err(NoSuchRights::Beyond(Wider("expires_at"))));
    let ending = KeyRules {
        expires_at: Some(at(10)),
        ..rules
    };
    assert_eq!(check(&maker, restricted, &[], &ending), Ok(()));
}
