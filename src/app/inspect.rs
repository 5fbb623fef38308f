//! Inspect: what the store holds of something, and what this node would decide, with the reason.

use jiff::Timestamp;

use crate::app::App;
use crate::app::revoke::selector::Selector;
use crate::credential::api_key::{ApiKey, KeyStanding};
use crate::credential::holder::{Credential, Holder, Standing};
use crate::engine::member::Member;
use crate::names::marks::Marks;
use crate::names::organization_id::OrganizationId;
use crate::names::username::Username;
use crate::org::organization::Organization;
use crate::store::port::{self, StoreError};
use crate::store::record::{Kept as _, Policy, Record, RecordKey, TokenIndex};
use crate::store::status::Place;

/// What is known of something.
#[derive(Debug)]
pub struct Inspection {
    /// The records that belong to it, as this node sees them.
    pub records: Vec<Inspected>,
    /// What would become of each credential that was asked about.
    pub verdicts: Vec<Verdict>,
}

/// A record and where it lies.
#[derive(Debug)]
pub struct Inspected {
    /// Its name.
    pub key: RecordKey,
    /// Where it lies in the store; `None`: there is none.
    pub place: Option<Place>,
    /// What this node knows, from its cache where that may serve.
    pub record: Option<Record>,
    /// Whether that came from the cache.
    pub cached: bool,
}

/// What this node would decide about a credential now, if its password were right.
#[derive(Debug)]
pub struct Verdict {
    /// Which one, such as `token 3f0c...` or `password`.
    pub credential: String,
    /// Whether it would be let in.
    pub allow: bool,
    /// Why.
    pub reason: String,
    /// When that changes by itself.
    pub until: Option<Timestamp>,
}

impl App {
    /// Looks at what the selector names. `None`: there is nothing of that name.
    ///
    /// # Errors
    /// The store's.
    pub async fn inspect(&self, selector: &Selector) -> Result<Option<Inspection>, StoreError> {
        match selector {
            Selector::Token(id) => {
                let Some(index) = port::read::<TokenIndex>(&*self.store, id).await? else {
                    return Ok(None);
                };
                let is_it = |one: &Credential| one.token_id() == Some(*id);
                let mut inspection = self.inspect_username(index.username(), is_it).await?;
                let index = self.inspected(TokenIndex::key(id)).await?;
                inspection.records.insert(0, index);
                Ok(Some(inspection))
            }
            Selector::Username(name) => {
                let organization = self.organization_id(name.organization.clone()).await?;
                let Some(organization) = organization else {
                    return Ok(None);
                };
                let username = Username {
                    local: name.local.clone(),
                    organization,
                };
                let inspection = self.inspect_username(username, |_| true).await?;
                Ok(inspection.has_any().then_some(inspection))
            }
            Selector::ApiKey(id) => {
                let Some(key) = port::read::<ApiKey>(&*self.store, id).await? else {
                    return Ok(None);
                };
                self.inspect_key(&key).await.map(Some)
            }
            Selector::Organization(name) => match self.organization_id(name.clone()).await? {
                Some(id) => {
                    let inspection = self.inspect_organization(id).await?;
                    Ok(inspection.has_any().then_some(inspection))
                }
                None => Ok(None),
            },
            Selector::Subject { .. } | Selector::IssuedBefore { .. } => Ok(None),
        }
    }

    async fn inspect_username(
        &self,
        username: Username,
        chosen: impl Fn(&Credential) -> bool,
    ) -> Result<Inspection, StoreError> {
        let records = vec![
            self.inspected(Holder::key(&username)).await?,
            self.inspected(Organization::key(&username.organization))
                .await?,
        ];
        let (organization, holder) = self.named(&username).await?;
        let mut verdicts = Vec::new();
        if let Some(member) = Member::of(organization.as_deref(), holder.as_deref()) {
            let credentials = member.holder.credentials.iter();
            let chosen = credentials.filter(|one| chosen(one));
            verdicts.extend(chosen.map(|one| Verdict::of(&member, one, self.now())));
        }
        Ok(Inspection { records, verdicts })
    }

    async fn inspect_key(&self, key: &ApiKey) -> Result<Inspection, StoreError> {
        let records = vec![
            self.inspected(ApiKey::key(&key.id)).await?,
            self.inspected(Organization::key(&key.organization)).await?,
        ];
        let organization = port::read::<Organization>(&*self.store, &key.organization).await?;
        let (allow, reason) = match organization {
            None => (false, "its organization is gone".to_owned()),
            Some(organization) => match key.standing(&organization.marks, self.now()) {
                KeyStanding::Live => (true, "live".to_owned()),
                KeyStanding::Revoked => (false, over(key.revoked_at, &organization.marks)),
                KeyStanding::Expired => (false, "its time is up".to_owned()),
                KeyStanding::Replaced => (false, "another key has taken its place".to_owned()),
            },
        };
        let verdicts = vec![Verdict {
            credential: format!("API key {}", key.id),
            allow,
            reason,
            until: key.ends_at().filter(|_| allow),
        }];
        Ok(Inspection { records, verdicts })
    }

    async fn inspect_organization(&self, id: OrganizationId) -> Result<Inspection, StoreError> {
        let records = vec![
            self.inspected(Organization::key(&id)).await?,
            self.inspected(Policy::key(&id)).await?,
        ];
        Ok(Inspection {
            records,
            verdicts: Vec::new(),
        })
    }

    async fn inspected(&self, key: RecordKey) -> Result<Inspected, StoreError> {
        let known = self.store.peek(&key);
        let cached = known.is_some();
        let found = match known {
            Some(found) => found,
            None => self.store.get(&key).await?,
        };
        Ok(Inspected {
            place: self.store.place(&key).await?,
            record: found.map(|found| found.record),
            key,
            cached,
        })
    }
}

impl Inspection {
    fn has_any(&self) -> bool {
        self.records
            .first()
            .is_some_and(|first| first.record.is_some() || first.place.is_some())
    }
}

impl Verdict {
    fn of(member: &Member<'_>, credential: &Credential, now: Timestamp) -> Self {
        let name = match credential.token_id() {
            Some(id) => format!("token {id}"),
            None => "password".to_owned(),
        };
        let (allow, reason, until) = match member.standing(credential, now) {
            Standing::Live => (true, "live".to_owned(), credential.expires_at),
            Standing::Expired => (false, "its time is up".to_owned(), None),
            Standing::Revoked => {
                let marks = &member.organization.marks;
                (
                    false,
                    over(credential.revoked_at.as_deref().copied(), marks),
                    None,
                )
            }
        };
        Self {
            credential: name,
            allow,
            reason,
            until,
        }
    }
}

/// Why something is over that was revoked.
fn over(revoked_at: Option<Timestamp>, marks: &Marks) -> String {
    match (revoked_at, marks.not_issued_before) {
        (Some(at), _) => format!("revoked at {at}"),
        (None, None) => "all of its organization was revoked after it was issued".to_owned(),
        (None, Some(mark)) => format!(
            "its organization has revoked everything that was issued before {mark}, or everything \
             once since it was issued"
        ),
    }
}
