//! Reading the audit log: filtered, newest first, page by page.

use jiff::Timestamp;
use uuid::Uuid;

use crate::app::App;
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::org::audit::text::Text;
use crate::org::audit::{Entry, Outcome, Trail, first_id};
use crate::store::audit::{AuditLog, Stretch};
use crate::store::port::StoreError;

/// The most entries of one page.
pub const MAX_PAGE: usize = 500;
/// The most entries that are looked at for one page, whatever the filter.
const MAX_LOOKED_AT: usize = 5_000;

/// Which entries to show.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// The sorts; none: all but decisions.
    pub trails: Vec<Trail>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// By whom, in the words of an entry.
    pub actor: Option<String>,
    /// An action, or what stands before the `.` of several.
    pub action: Option<String>,
    /// On whom or what; the id of a token finds what was done with it.
    pub target: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// Some entries.
#[derive(Debug)]
pub struct AuditPage {
    /// Newest first; at most as many as were asked for. There may be fewer, or none, and more to
    /// come.
    pub entries: Vec<Entry>,
    /// Where to go on; `None`: these were the last.
    pub next: Option<Uuid>,
}

impl AuditFilter {
    fn trails(&self) -> Vec<Trail> {
        if self.trails.is_empty() {
            return vec![Trail::Changes, Trail::Tokens, Trail::Refusals];
        }
        let mut trails = self.trails.clone();
        trails.sort_unstable();
        trails.dedup();
        trails
    }

    fn shows(&self, entry: &Entry) -> bool {
        let is = |asked: &Option<String>, found: Option<&str>| {
            asked.as_deref().is_none_or(|asked| found == Some(asked))
        };
        let action = entry.action.as_str();
        let group = action.split('.').next();
        let token = entry.details.get("token");
        let target = entry.target.as_ref();
        (is(&self.action, Some(action)) || is(&self.action, group))
            && is(&self.actor, Some(entry.actor.as_str()))
            && (is(&self.target, target.map(Text::as_str))
                || is(&self.target, token.map(Text::as_str)))
            && self.outcome.is_none_or(|outcome| outcome == entry.outcome)
            && self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time < until)
    }
}

impl App {
    /// Some entries of an organization's log (`None`: of calls that were of no organization), from
    /// the newest or from where an earlier page ended. What is written meanwhile moves nothing: no
    /// entry comes twice, and none is passed over that was there when the first page was read.
    ///
    /// # Errors
    /// The store's.
    pub async fn audit_page(
        &self,
        organization: Option<&OrganizationId>,
        filter: &AuditFilter,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<AuditPage, StoreError> {
        let _place = self.audit.reading.acquire().await;
        let limit = limit.clamp(1, MAX_PAGE);
        let from = filter.since.map_or(Uuid::nil(), first_id);
        let end = filter.until.map_or(Uuid::max(), until_id);
        let mut stretch = Stretch {
            from: from.max(self.keep().from),
            before: before.unwrap_or(Uuid::max()).min(end),
        };
        let mut entries = Vec::new();
        let mut looked_at = 0;
        while looked_at < MAX_LOOKED_AT {
            // A filter leaves few, so more is read at a time.
            let newest = self.newest(organization, filter, stretch, MAX_PAGE.min(limit * 2));
            let (newest, is_last) = newest.await?;
            looked_at += newest.len();
            for entry in newest {
                stretch.before = entry.id;
                if filter.shows(&entry) {
                    entries.push(entry);
                }
                if entries.len() == limit {
                    let next = Some(stretch.before);
                    return Ok(AuditPage { entries, next });
                }
            }
            if is_last {
                return Ok(AuditPage {
                    entries,
                    next: None,
                });
            }
        }
        let next = Some(stretch.before);
        Ok(AuditPage { entries, next })
    }

    /// The newest entries of several logs, and whether there are no more.
    async fn newest(
        &self,
        organization: Option<&OrganizationId>,
        filter: &AuditFilter,
        stretch: Stretch,
        limit: usize,
    ) -> Result<(Vec<Entry>, bool), StoreError> {
        let reading = filter.trails().into_iter().map(|trail| {
            let log = AuditLog {
                trail,
                organization: organization.cloned(),
            };
            async move { self.store.read_audit(&log, stretch, limit).await }
        });
        let read = futures_util::future::try_join_all(reading).await?;
        let all_read = read.iter().all(|entries| entries.len() < limit);
        let mut entries: Vec<Entry> = read.into_iter().flatten().collect();
        let is_last = all_read && entries.len() <= limit;
        entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
        entries.truncate(limit);
        Ok((entries, is_last))
    }

    /// The organization whose log somebody names; `None`: there is no such organization. One that is
    /// gone has a log all the same, under its id.
    ///
    /// # Errors
    /// The store's.
    pub async fn audited_organization(
        &self,
        name: OrganizationName,
    ) -> Result<Option<OrganizationId>, StoreError> {
        self.organization_id(name).await
    }
}

/// The id after all those of entries made before a time. Ids of one process may run ahead of its
/// clock by a little, so a second is added; the filter looks at the time itself.
fn until_id(until: Timestamp) -> Uuid {
    let later = until.checked_add(jiff::SignedDuration::from_secs(1));
    later.map_or(Uuid::max(), first_id)
}
