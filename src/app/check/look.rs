//! Looking at one thing, and at what belongs to it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::app::check::problem::Problem;
use crate::clock::Clock;
use crate::credential::holder::{Credential, Holder};
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::org::organization::Organization;
use crate::store::inventory::{Content, Inventory, Stored};
use crate::store::list::{ListKind, ListRow};
use crate::store::port::{Found, StoreError};
use crate::store::record::{Record, RecordKey, TokenIndex};

/// A store that counts its own time down may be a little off.
const EXPIRY_TOLERANCE: SignedDuration = SignedDuration::from_secs(5);
/// How many organizations are remembered to exist.
const MAX_KNOWN: usize = 10_000;
/// How often a thing is looked at that others keep changing.
const MAX_TRIES: usize = 8;

/// A thing as it was seen.
pub struct Seen {
    /// When the store will drop it.
    pub expires_at: Option<Timestamp>,
    /// The record, or why it is none.
    pub content: Result<Found, Problem>,
}

/// What looks.
pub struct Eyes<'a> {
    /// At what.
    pub store: &'a dyn Inventory,
    clock: &'a dyn Clock,
    /// Spares a look for each of the many things of one organization.
    known: Mutex<HashSet<OrganizationId>>,
}

impl Seen {
    /// What a scan showed.
    pub fn of(key: &RecordKey, thing: Stored) -> Self {
        let content = match thing.content {
            Content::WrongType(kind) => Err(Problem::WrongType(kind)),
            Content::Text { text, revision } => match (Record::decode(key, &text), revision) {
                (Err(error), _) => Err(error.into()),
                (Ok(_), None) => Err(Problem::NoRevision),
                (Ok(record), Some(revision)) => Ok(Found { record, revision }),
            },
        };
        Self {
            expires_at: thing.expires_at,
            content,
        }
    }
}

impl<'a> Eyes<'a> {
    pub fn new(store: &'a dyn Inventory, clock: &'a dyn Clock) -> Self {
        Self {
            store,
            clock,
            known: Mutex::default(),
        }
    }

    /// Looks at a thing as it is now; `None`: it is gone.
    pub async fn look(&self, key: &RecordKey) -> Result<Option<Seen>, StoreError> {
        let mut content = self.read(key).await?;
        for _ in 0..MAX_TRIES {
            let place = match self.store.place(key).await {
                Ok(place) => place,
                Err(StoreError::Bad { .. }) => None,
                Err(error) => return Err(error),
            };
            let again = self.read(key).await?;
            if again == content {
                let expires_at = place.and_then(|place| place.expires_at);
                return Ok(content.map(|content| Seen {
                    expires_at,
                    content,
                }));
            }
            content = again;
        }
        // Whoever changes it that often can read it.
        Ok(None)
    }

    async fn read(&self, key: &RecordKey) -> Result<Option<Result<Found, Problem>>, StoreError> {
        match self.store.get(key).await {
            Ok(found) => Ok(found.map(Ok)),
            Err(StoreError::Bad { error, .. }) => Ok(Some(Err(error.into()))),
            Err(error) => Err(error),
        }
    }

    /// What is wrong with a thing.
    pub async fn problems(&self, key: &RecordKey, seen: &Seen) -> Result<Vec<Problem>, StoreError> {
        let record = match &seen.content {
            Ok(found) => &found.record,
            Err(problem) => return Ok(vec![problem.clone()]),
        };
        if record.own_key().is_some_and(|own| own != *key) {
            return Ok(vec![Problem::Misnamed]);
        }
        let mut problems = Vec::new();
        // Tokens that are in no list are gone soon anyway.
        let row = ListRow::of(key, record).filter(|row| row.kind != ListKind::Tokens);
        if let Some(row) = row
            && !self.store.is_listed(key, &row).await?
        {
            problems.push(Problem::NotListed(row.kind));
        }
        let is_over = record
            .expires_at()
            .is_some_and(|end| end <= self.clock.now());
        // What is over is on its way out, and so is what belonged to it.
        if !is_over {
            self.relations(key, record, &mut problems).await?;
        }
        // The one that is dropped at another time goes anyway.
        if !problems.contains(&Problem::DanglingIndex) {
            problems.extend(expiry(record.expires_at(), seen.expires_at));
        }
        Ok(problems)
    }

    async fn relations(
        &self,
        key: &RecordKey,
        record: &Record,
        problems: &mut Vec<Problem>,
    ) -> Result<(), StoreError> {
        match (key, record) {
            (_, Record::Organization(organization)) => {
                self.organization(organization, problems).await
            }
            (_, Record::Alias(alias)) => self.belongs_to(&alias.organization, problems).await,
            (RecordKey::Policy(organization), _) => self.belongs_to(organization, problems).await,
            (_, Record::ApiKey(api_key)) => self.belongs_to(&api_key.organization, problems).await,
            (_, Record::Holder(holder)) => self.holder(holder, problems).await,
            (RecordKey::Token(id), Record::Token(index)) => self.index(*id, index, problems).await,
            _ => Ok(()),
        }
    }

    async fn organization(
        &self,
        organization: &Organization,
        problems: &mut Vec<Problem>,
    ) -> Result<(), StoreError> {
        if !self
            .is_there(&RecordKey::Policy(organization.id.clone()))
            .await?
        {
            problems.push(Problem::NoPolicy);
        }
        let alias = organization.alias;
        match self.read(&RecordKey::Alias(alias)).await? {
            None => problems.push(Problem::NoAlias(alias)),
            Some(Ok(found)) if !leads_to(&found.record, &organization.id) => {
                problems.push(Problem::ForeignAlias(alias));
            }
            // One that cannot be read is a finding of its own.
            Some(_) => {}
        }
        for origin in &organization.allowed_origins {
            if !self.is_there(&RecordKey::Origin(origin.clone())).await? {
                problems.push(Problem::NoOrigin(origin.clone()));
            }
        }
        Ok(())
    }

    async fn belongs_to(
        &self,
        organization: &OrganizationId,
        problems: &mut Vec<Problem>,
    ) -> Result<(), StoreError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(organization) {
            return Ok(());
        }
        if self
            .is_there(&RecordKey::Organization(organization.clone()))
            .await?
        {
            let mut known = known();
            if known.len() == MAX_KNOWN {
                known.clear();
            }
            known.insert(organization.clone());
        } else {
            problems.push(Problem::NoOrganization(organization.clone()));
        }
        Ok(())
    }

    async fn holder(&self, holder: &Holder, problems: &mut Vec<Problem>) -> Result<(), StoreError> {
        self.belongs_to(&holder.organization, problems).await?;
        let now = self.clock.now();
        let is_live = |one: &&Credential| {
            one.revoked_at.is_none() && one.expires_at.is_none_or(|end| end > now)
        };
        let live = holder.credentials.iter().filter(is_live);
        let tokens: Vec<TokenId> = live.filter_map(Credential::token_id).collect();
        for id in tokens {
            match self.read(&RecordKey::Token(id)).await? {
                None => problems.push(Problem::NoIndex(id)),
                Some(Ok(Found {
                    record: Record::Token(index),
                    ..
                })) if index.username() != holder.username() => {
                    problems.push(Problem::ForeignIndex(id));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    async fn index(
        &self,
        id: TokenId,
        index: &TokenIndex,
        problems: &mut Vec<Problem>,
    ) -> Result<(), StoreError> {
        let leads = match self.read(&RecordKey::Holder(index.username())).await? {
            None => false,
            Some(Ok(Found {
                record: Record::Holder(holder),
                ..
            })) => holder.token(id).is_some(),
            // One that cannot be read may have it.
            Some(_) => true,
        };
        if !leads {
            problems.push(Problem::DanglingIndex);
        }
        Ok(())
    }

    async fn is_there(&self, key: &RecordKey) -> Result<bool, StoreError> {
        Ok(self.read(key).await?.is_some())
    }
}

fn leads_to(record: &Record, organization: &OrganizationId) -> bool {
    matches!(record, Record::Alias(alias) if alias.organization == *organization)
}

fn expiry(should: Option<Timestamp>, is: Option<Timestamp>) -> Option<Problem> {
    let right = match (should, is) {
        (Some(should), Some(is)) => is.duration_since(should).abs() <= EXPIRY_TOLERANCE,
        (should, is) => should == is,
    };
    (!right).then_some(Problem::Expiry { is, should })
}
