use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn token(end: i64) -> Credential {
    let kind = CredentialKind::Token {
        id: TokenId::random(),
        pepper: RingKeyId::random(),
        digest: [7; 32],
    };
    Credential {
        kind,
        claims: Claims::default(),
        issued_at: at(0),
        epoch: Epoch::default(),
        expires_at: Some(at(end)),
        revoked_at: None,
        terms: None,
    }
}

fn holder(credentials: Vec<Credential>) -> Holder {
    Holder {
        name: "u".parse().unwrap(),
        organization: OrganizationId::random(),
        identity: HolderIdentity::Subject {
            provider: Uuid::nil(),
            subject: "s".into(),
        },
        credentials,
    }
}

#[test]
fn a_credential_ends_at_the_tick_of_its_expiry() {
    let credential = token(10);
    let standing = |credential: &Credential, now| credential.standing(&Marks::default(), at(now));
    assert_eq!(standing(&credential, 9), Standing::Live);
    assert_eq!(standing(&credential, 10), Standing::Expired);
    let revoked = Credential {
        revoked_at: Some(Box::new(at(5))),
        ..credential
    };
    assert_eq!(standing(&revoked, 9), Standing::Revoked);
    assert_eq!(standing(&revoked, 11), Standing::Revoked);
}

#[test]
fn a_credential_that_is_older_than_a_mark_is_revoked() {
    let mut marks = Marks::default();
    let old = token(10);
    marks.revoke_issued_before(at(0));
    assert_eq!(old.standing(&marks, at(1)), Standing::Live, "at the tick");
    marks.revoke_issued_before(at(1));
    assert_eq!(old.standing(&marks, at(1)), Standing::Revoked);

    let mut marks = Marks::default();
    marks.revoke_all();
    assert_eq!(old.standing(&marks, at(11)), Standing::Revoked);
    let new = Credential {
        epoch: marks.epoch,
        ..token(10)
    };
    assert_eq!(new.standing(&marks, at(1)), Standing::Live);
    let holder = holder(vec![old, new.clone()]);
    assert_eq!(holder.live(&marks, at(1)).collect::<Vec<_>>(), [&new]);
}

#[test]
fn revoking_ends_what_was_chosen_and_what_had_expired_here() {
    let mut holder = holder(vec![token(10), token(20), token(30)]);
    let kept = holder.credentials[2].token_id();
    holder.revoke(|credential| credential.token_id() != kept, at(15));
    let standings = |holder: &Holder, now| {
        let standing = |credential: &Credential| credential.standing(&Marks::default(), at(now));
        holder.credentials.iter().map(standing).collect::<Vec<_>>()
    };
    let (revoked, live) = (Standing::Revoked, Standing::Live);
    assert_eq!(standings(&holder, 5), [revoked, revoked, live]);
    holder.revoke(|_| true, at(16));
    assert_eq!(standings(&holder, 5), [revoked; 3]);
    let when = |credential: &Credential| **credential.revoked_at.as_ref().unwrap();
    let times: Vec<_> = holder.credentials.iter().map(when).collect();
    assert_eq!(times, [at(15), at(15), at(16)], "the first time counts");
}

#[test]
fn the_number_of_credentials_is_bounded_and_the_dead_make_room() {
    let mut holder = holder(vec![]);
    for _ in 0..MAX_CREDENTIALS {
        holder.add(token(10), &Marks::default(), at(0)).unwrap();
    }
    let second = holder.credentials[1].token_id();
    assert_eq!(holder.add(token(10), &Marks::default(), at(0)), Ok(()));
    assert_eq!(holder.credentials.len(), MAX_CREDENTIALS);
    assert_eq!(holder.credentials[0].token_id(), second, "the oldest went");
    assert_eq!(holder.add(token(20), &Marks::default(), at(10)), Ok(()));
    assert_eq!(holder.credentials.len(), 1);
}

#[test]
fn narrower_tokens_leave_room_for_logins_and_are_remembered_after_their_end() {
    let narrow = |end| {
        let limits = Limits {
            publish: false,
            subscribe: true,
            topics: None,
        };
        let terms = Terms {
            limits: Some(limits),
            client_id: Some("c".into()),
            ..Terms::default()
        };
        Credential {
            terms: Some(Box::new(terms)),
            ..token(end)
        }
    };
    let marks = Marks::default();
    let mut holder = holder(vec![]);
    for _ in 0..48 {
        holder.add(narrow(10), &marks, at(0)).unwrap();
    }
    assert_eq!(
        holder.add(narrow(10), &marks, at(0)),
        Err(TooManyCredentials)
    );
    for _ in 0..40 {
        holder.add(token(20), &marks, at(0)).unwrap();
    }
    assert_eq!(holder.credentials.len(), MAX_CREDENTIALS);
    holder.add(token(20), &marks, at(10)).unwrap();
    let ended = holder.limits_for("c").count();
    assert_eq!(ended, 32, "the last that have ended");
    assert_eq!(holder.limits_for("d").count(), 0);
}

#[test]
fn the_revoked_make_room_only_where_it_is_needed() {
    let mut holder = holder((0..MAX_CREDENTIALS).map(|_| token(10)).collect());
    holder.revoke(|_| true, at(1));
    assert_eq!(holder.add(token(10), &Marks::default(), at(2)), Ok(()));
    assert_eq!(holder.credentials.len(), 1);
}

#[test]
fn what_is_older_than_a_mark_makes_room_only_where_it_is_needed() {
    let mut marks = Marks::default();
    marks.revoke_all();
    let new = || Credential {
        epoch: marks.epoch,
        ..token(10)
    };
    let mut holder = holder((2..MAX_CREDENTIALS).map(|_| token(10)).collect());
    for expected in [MAX_CREDENTIALS - 1, MAX_CREDENTIALS, 3] {
        assert_eq!(holder.add(new(), &marks, at(2)), Ok(()));
        assert_eq!(holder.credentials.len(), expected);
    }
}

#[test]
fn claims_count_where_all_live_credentials_agree() {
    let with = |role: &str, end| {
        let mut credential = token(end);
        credential.claims.insert("email", "a@b");
        credential.claims.insert("role", role);
        credential
    };
    let holder = holder(vec![with("admin", 10), with("guest", 20)]);
    let marks = Marks::default();
    let claims = |now| holder.common_claims("c", &marks, at(now));
    assert_eq!(claims(5).get("role"), None);
    assert_eq!(claims(15).get("role"), Some("guest"));
    assert_eq!(claims(5).get("email"), Some("a@b"));
    assert!(claims(25).is_empty());

    let mut marks = Marks::default();
    marks.revoke_all();
    let mut holder = holder.clone();
    assert!(holder.common_claims("c", &marks, at(5)).is_empty());
    holder.credentials[0].epoch = marks.epoch;
    let claims = holder.common_claims("c", &marks, at(5));
    assert_eq!(claims.get("role"), Some("admin"), "the other is over");
}

#[test]
fn the_record_ends_with_its_last_credential_and_reads_back() {
    let mut holder = holder(vec![token(10), token(30)]);
    assert_eq!(holder.expires_at(), Some(at(30)));
    let text = serde_json::to_string(&holder).unwrap();
    assert_eq!(serde_json::from_str::<Holder>(&text).unwrap(), holder);
    assert!(!text.contains("epoch"), "as older records were: {text}");
    let mut marks = Marks::default();
    marks.revoke_all();
    holder.credentials[0].epoch = marks.epoch;
    let text = serde_json::to_string(&holder).unwrap();
    assert_eq!(serde_json::from_str::<Holder>(&text).unwrap(), holder);
    holder.identity = HolderIdentity::Static;
    assert_eq!(holder.expires_at(), None);
}

#[test]
fn a_bound_credential_is_for_its_client_alone() {
    let mut bound = token(10);
    bound.claims.insert("role", "admin");
    bound.terms = Some(Box::new(crate::credential::terms::Terms {
        client_id: Some("c1".into()),
        ..Default::default()
    }));
    let mut open = token(10);
    open.claims.insert("role", "guest");
    let holder = holder(vec![bound, open]);
    let marks = Marks::default();
    let live = |client| holder.live_for(client, &marks, at(5)).count();
    assert_eq!((live("c1"), live("c2"), live("")), (2, 1, 1));
    let role = |client| {
        let claims = holder.common_claims(client, &marks, at(5));
        claims.get("role").map(str::to_owned)
    };
    assert_eq!(role("c1"), None, "they differ");
    assert_eq!(role("c2").as_deref(), Some("guest"));
}
