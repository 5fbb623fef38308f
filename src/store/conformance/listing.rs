//! What an organization has can be listed and counted without looking at anybody else's.

use std::collections::BTreeSet;

use super::samples::{api_key, holder, later};
use super::{Subject, read};
use crate::credential::api_key::ApiKey;
use crate::credential::holder::Holder;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::store::list::{ListKind, ListedToken};
use crate::store::port::{self, Change, Store, StoreError, Write};
use crate::store::record::{Kept as _, TokenIndex};

async fn listed(subject: &Subject, organization: &OrganizationId, page: usize) -> Vec<String> {
    let now = later(&subject.clock, 0);
    let mut found = Vec::new();
    let mut from = None;
    loop {
        let listed = subject
            .store
            .list(ListKind::Tokens, organization, now, from, page);
        let listed = listed.await.expect("a list");
        assert!(listed.names.len() <= page, "a page is not longer");
        let tokens = listed
            .names
            .iter()
            .map(|name| ListedToken::parse(name).expect("a token"));
        found.extend(tokens.map(|token| token.id.to_string()));
        match listed.next {
            Some(next) => from = Some(next),
            None => return found,
        }
    }
}

async fn count(store: &dyn Store, organization: &OrganizationId, subject: &Subject) -> u64 {
    let now = later(&subject.clock, 0);
    store
        .count(ListKind::Tokens, organization, now)
        .await
        .expect("a count")
}

pub async fn tokens_are_listed_once_in_pages_of_any_length(subject: &Subject) {
    let store = &*subject.store;
    let (ours, theirs) = (OrganizationId::random(), OrganizationId::random());
    let mut expected = BTreeSet::new();
    for number in 0..70 {
        // Most end in the same second.
        let life = if number % 10 == 0 { 600 + number } else { 600 };
        let index = |organization: &OrganizationId| TokenIndex {
            name: "alice".parse().expect("a name"),
            organization: organization.clone(),
            expires_at: later(&subject.clock, life),
        };
        let id = TokenId::random();
        port::create(store, &id, index(&ours)).await.expect("made");
        let other = TokenId::random();
        let made = port::create(store, &other, index(&theirs)).await;
        made.expect("made");
        expected.insert(id.to_string());
    }
    for page in [1, 3, 7, 1_000] {
        let found = listed(subject, &ours, page).await;
        assert_eq!(found.len(), expected.len(), "none comes twice");
        assert_eq!(BTreeSet::from_iter(found), expected, "pages of {page}");
    }
    assert_eq!(count(store, &ours, subject).await, 70);
    let nobody = OrganizationId::random();
    assert!(listed(subject, &nobody, 5).await.is_empty());
    assert_eq!(count(store, &nobody, subject).await, 0);
}

pub async fn a_token_whose_end_moves_is_listed_once(subject: &Subject) {
    let store = &*subject.store;
    let organization = OrganizationId::random();
    let id = TokenId::random();
    let index = TokenIndex {
        name: "alice".parse().expect("a name"),
        organization: organization.clone(),
        expires_at: later(&subject.clock, 600),
    };
    port::create(store, &id, index).await.expect("made");
    let end = later(&subject.clock, 1_200);
    port::update::<TokenIndex, StoreError>(store, &id, |current| {
        let mut index = current.expect("it is there").clone();
        index.expires_at = end;
        Ok(Change::Set(index))
    })
    .await
    .expect("changed");
    assert_eq!(listed(subject, &organization, 5).await, [id.to_string()]);
    assert_eq!(count(store, &organization, subject).await, 1);
    let stored = read::<TokenIndex>(store, &id).await;
    assert_eq!(stored.map(|index| index.expires_at), Some(end));
}

pub async fn keys_and_users_are_listed_while_they_are_there(subject: &Subject) {
    let store = &*subject.store;
    let (ours, theirs) = (OrganizationId::random(), OrganizationId::random());
    let mut expected = BTreeSet::new();
    for number in 0..5 {
        let mut key = api_key(ours.clone());
        key.created_at = later(&subject.clock, number);
        port::create(store, &key.id, key.clone())
            .await
            .expect("made");
        expected.insert(key.id.to_string());
        let other = api_key(theirs.clone());
        port::create(store, &other.id, other.clone())
            .await
            .expect("made");
        // Whatever becomes of it, it stays one row.
        port::update::<ApiKey, StoreError>(store, &key.id, |current| {
            let mut key = current.expect("it is there").clone();
            key.revoked_at = Some(key.created_at);
            Ok(Change::Set(key))
        })
        .await
        .expect("changed");
    }
    for page in [1, 2, 100] {
        let found = names(subject, ListKind::Keys, &ours, page).await;
        assert_eq!(found.len(), expected.len(), "none comes twice");
        assert_eq!(BTreeSet::from_iter(found), expected, "pages of {page}");
    }
    let by_hand = holder("by-hand", None);
    let user = by_hand.username();
    port::create(store, &user, by_hand.clone())
        .await
        .expect("made");
    let mut minted = holder("minted", Some(later(&subject.clock, 600)));
    minted.organization = user.organization.clone();
    port::create(store, &minted.username(), minted)
        .await
        .expect("made");
    let users = names(subject, ListKind::Users, &user.organization, 9).await;
    assert_eq!(users, ["by-hand"], "whoever has a provider is in no list");
    let (_, state) = port::read_state::<Holder>(store, &user)
        .await
        .expect("a store")
        .expect("it is there");
    let gone = Write {
        key: Holder::key(&user),
        expected: Some(state),
        record: None,
        audit: None,
    };
    store.put(gone).await.expect("gone");
    let users = names(subject, ListKind::Users, &user.organization, 9).await;
    assert!(users.is_empty(), "{users:?}");
    let now = later(&subject.clock, 0);
    for (kind, organization, expected) in [
        (ListKind::Keys, &ours, 5),
        (ListKind::Users, &user.organization, 0),
    ] {
        let counted = store.count(kind, organization, now).await;
        assert_eq!(counted.expect("a count"), expected, "{kind:?}");
    }
}

async fn names(
    subject: &Subject,
    kind: ListKind,
    organization: &OrganizationId,
    page: usize,
) -> Vec<String> {
    let now = later(&subject.clock, 0);
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let listed = subject
            .store
            .list(kind, organization, now, from, page)
            .await;
        let listed = listed.expect("a list");
        assert!(listed.names.len() <= page, "a page is not longer");
        found.extend(listed.names);
        match listed.next {
            Some(next) => from = Some(next),
            None => return found,
        }
    }
}
