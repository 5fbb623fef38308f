//! The tokens of an organization can be listed and counted without looking at anybody else's.

use std::collections::BTreeSet;

use super::samples::later;
use super::{Subject, read};
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::store::list::{ListKind, ListedToken};
use crate::store::port::{self, Change, Store, StoreError};
use crate::store::record::TokenIndex;

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
