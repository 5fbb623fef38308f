use super::*;
use crate::credential::terms::Limits;

fn created(keys: &Keyring, kind: ApiKeyKind) -> (ApiKey, Secret) {
    let new = NewApiKey {
        organization: OrganizationId::random(),
        kind,
        name: "ci".into(),
        scopes: vec![],
        rules: KeyRules::default(),
        created_by: None,
    };
    ApiKey::create(keys, new, Epoch::default(), Timestamp::UNIX_EPOCH)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_publishable_key_is_no_more_than_its_kind_whatever_its_record_says() {
    let (mut key, _) = created(&Keyring::random(), ApiKeyKind::Publishable);
    key.scopes = Scope::ALL.to_vec();
    let held = |key: &ApiKey| key.held_scopes().collect::<Vec<_>>();
    assert_eq!(held(&key), [Scope::TokensExchange]);
    key.rules.limits = Some(Limits {
        publish: true,
        subscribe: false,
        topics: None,
    });
    assert_eq!(held(&key), [Scope::TokensExchange]);
    key.rules.limits.as_mut().unwrap().topics = Some(vec!["a".into()]);
    assert_eq!(held(&key), [Scope::TokensExchange, Scope::Publish]);
    assert!(!key.may_connect());
}

#[test]
fn a_key_ends_at_the_tick_of_its_end_or_of_its_grace() {
    let (mut key, _) = created(&Keyring::random(), ApiKeyKind::Secret);
    let marks = Marks::default();
    assert_eq!(key.ends_at(), None);
    key.rules.expires_at = Some(at(10));
    assert_eq!(key.standing(&marks, at(9)), KeyStanding::Live);
    assert_eq!(key.standing(&marks, at(10)), KeyStanding::Expired);
    key.replaced = Some(Replaced {
        by: ApiKeyId::random(),
        at: at(0),
        until: at(5),
    });
    assert_eq!(key.standing(&marks, at(4)), KeyStanding::Live);
    assert_eq!(key.standing(&marks, at(5)), KeyStanding::Replaced);
    assert_eq!(key.ends_at(), Some(at(5)));
    let text = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<ApiKey>(&text).unwrap(), key);
}

#[test]
fn a_scope_of_a_later_version_is_left_out() {
    let (mut key, _) = created(&Keyring::random(), ApiKeyKind::Secret);
    key.scopes = vec![Scope::Publish, Scope::KeysRead];
    let text = serde_json::to_string(&key).unwrap();
    let later = text.replace("keys:read", "moon:fly");
    let read = serde_json::from_str::<ApiKey>(&later).unwrap();
    assert_eq!(read.scopes, [Scope::Publish]);
}

#[test]
fn a_key_is_over_when_it_is_revoked_or_older_than_a_mark() {
    let (key, _) = created(&Keyring::random(), ApiKeyKind::Secret);
    let mut marks = Marks::default();
    assert!(key.is_live(&marks, at(0)));
    marks.revoke_issued_before(Timestamp::UNIX_EPOCH);
    assert!(key.is_live(&marks, at(0)), "issued at the tick");
    let revoked = ApiKey {
        revoked_at: Some(Timestamp::UNIX_EPOCH),
        ..key.clone()
    };
    assert!(!revoked.is_live(&marks, at(0)));
    marks.revoke_all();
    assert!(!key.is_live(&marks, at(0)));
}

#[test]
fn an_older_record_is_of_the_first_epoch_and_not_revoked() {
    let (key, _) = created(&Keyring::random(), ApiKeyKind::Secret);
    let text = serde_json::to_string(&key).unwrap();
    for new in ["epoch", "revoked", "rules", "created_by", "replaced"] {
        assert!(!text.contains(new), "{text}");
    }
    assert_eq!(serde_json::from_str::<ApiKey>(&text).unwrap(), key);
    let mut marks = Marks::default();
    marks.revoke_all();
    let later = ApiKey {
        epoch: marks.epoch,
        revoked_at: Some(Timestamp::UNIX_EPOCH),
        ..key
    };
    let text = serde_json::to_string(&later).unwrap();
    assert_eq!(serde_json::from_str::<ApiKey>(&text).unwrap(), later);
}

#[test]
fn every_kind_reads_back() {
    let keys = Keyring::random();
    for kind in ApiKeyKind::ALL {
        let (key, text) = created(&keys, kind);
        assert_eq!(text.expose().len(), 3 + 48);
        let presented = PresentedApiKey::verify(text.expose(), &keys).unwrap();
        assert_eq!((presented.id, presented.kind), (key.id, kind));
        assert!(key.is_of(&presented, &keys));
        assert!(text.expose().ends_with(&key.last_four));
    }
}

#[test]
fn one_key_is_not_another() {
    let keys = Keyring::random();
    let (first, _) = created(&keys, ApiKeyKind::Secret);
    let (_, second) = created(&keys, ApiKeyKind::Secret);
    assert!(!first.is_of(
        &PresentedApiKey::verify(second.expose(), &keys).unwrap(),
        &keys
    ));
}

#[test]
fn a_swapped_prefix_a_changed_letter_or_a_cut_is_forged() {
    let keys = Keyring::random();
    let (_, text) = created(&keys, ApiKeyKind::Publishable);
    let text = text.expose();
    let swapped = text.replace("pk_", "sk_");
    let recased: String = text
        .chars()
        .rev()
        .map(|c| c.to_ascii_uppercase())
        .rev()
        .collect();
    for forged in [
        "",
        "sk_",
        &swapped,
        &recased,
        &text[..50],
        &text[1..],
        "sk_live_",
    ] {
        assert!(PresentedApiKey::verify(forged, &keys).is_err(), "{forged}");
    }
}

#[test]
fn a_right_checksum_does_not_make_a_key() {
    let keys = Keyring::random();
    let (_, foreign) = created(&Keyring::random(), ApiKeyKind::Secret);
    assert!(PresentedApiKey::verify(foreign.expose(), &keys).is_err());
}
