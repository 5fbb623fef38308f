//! Check: what in a store does not fit together, and mending it.
//!
//! Everything is looked at page by page, and what belongs to it is looked up: memory does not grow
//! with the store. What looks wrong is looked at again after a pause, because others may be in the
//! midst of writing two records that belong together; only what is still wrong then is told, and
//! mended where that can lose nothing.

mod look;
mod mend;
pub mod problem;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use crate::app::check::look::{Eyes, Seen};
use crate::app::check::problem::{Finding, Outcome, Problem};
use crate::clock::Clock;
use crate::store::inventory::{Content, Inventory, Stored};
use crate::store::port::StoreError;
use crate::store::record::RecordKey;

/// How many things are looked at at a time.
const AT_A_TIME: usize = 32;
/// After so many things that look wrong there is a pause, and they are looked at again.
const MAX_SUSPECTS: usize = 50_000;

/// How to check.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Mend what can be mended.
    pub fix: bool,
    /// How long to wait before the second look: longer than anybody takes to write the records of
    /// one login. Zero where nobody else writes.
    pub patience: Duration,
}

/// What is told while it goes on.
#[derive(Debug)]
pub enum Event<'a> {
    /// So many things have been looked at.
    Progress(u64),
    /// So many look wrong, and are looked at again after so long.
    Waiting(usize, Duration),
    /// Something is wrong.
    Found(&'a Finding),
}

/// How many of what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The things that were looked at.
    pub looked_at: u64,
    /// What is wrong.
    pub found: u64,
    /// What of it was mended.
    pub mended: u64,
    /// What is wrong, by its kind.
    pub kinds: BTreeMap<&'static str, u64>,
}

/// Looks at everything in a store.
///
/// # Errors
/// The store's; what was told until then is right.
pub async fn check(
    store: &dyn Inventory,
    clock: &dyn Clock,
    options: Options,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Report, StoreError> {
    let mut check = Check {
        eyes: Eyes::new(store, clock),
        options,
        tell,
        suspects: Vec::new(),
        report: Report::default(),
    };
    let mut from = None;
    loop {
        let page = store.scan(from.as_deref()).await?;
        check.page(page.things).await?;
        if check.suspects.len() >= MAX_SUSPECTS {
            check.look_again().await?;
        }
        let Some(next) = page.next else { break };
        from = Some(next);
    }
    check.look_again().await?;
    Ok(check.report)
}

impl Report {
    /// What is still wrong.
    pub fn left(&self) -> u64 {
        self.found - self.mended
    }
}

struct Check<'a> {
    eyes: Eyes<'a>,
    options: Options,
    tell: &'a mut dyn FnMut(Event<'_>),
    /// What looked wrong at the first look, with what only a scan can see of it.
    suspects: Vec<(RecordKey, Option<Problem>)>,
    report: Report,
}

impl Check<'_> {
    async fn page(&mut self, things: Vec<Stored>) -> Result<(), StoreError> {
        self.report.looked_at += things.len() as u64;
        (self.tell)(Event::Progress(self.report.looked_at));
        let mut known = Vec::with_capacity(things.len());
        for thing in things {
            match thing.name.parse::<RecordKey>() {
                Ok(key) => known.push((key, thing)),
                Err(_) => {
                    let kind = match thing.content {
                        Content::WrongType(kind) => Some(kind),
                        Content::Text { .. } => None,
                    };
                    self.found(thing.name, Problem::NotAKey(kind), Outcome::Left);
                }
            }
        }
        let eyes = &self.eyes;
        let looks = known.into_iter().map(|(key, thing)| async move {
            let seen = Seen::of(&key, thing);
            let problems = eyes.problems(&key, &seen).await?;
            Ok::<_, StoreError>((!problems.is_empty()).then(|| (key, seen.content.err())))
        });
        let looks = stream::iter(looks).buffer_unordered(AT_A_TIME);
        let suspects: Vec<_> = looks.try_collect().await?;
        self.suspects.extend(suspects.into_iter().flatten());
        Ok(())
    }

    async fn look_again(&mut self) -> Result<(), StoreError> {
        if self.suspects.is_empty() {
            return Ok(());
        }
        if !self.options.patience.is_zero() {
            let number = self.suspects.len();
            (self.tell)(Event::Waiting(number, self.options.patience));
            tokio::time::sleep(self.options.patience).await;
        }
        let mut suspects = std::mem::take(&mut self.suspects);
        suspects.sort_by(|one, other| one.0.cmp(&other.0));
        suspects.dedup_by(|one, other| one.0 == other.0);
        for (key, scanned) in suspects {
            self.suspect(&key, scanned).await?;
        }
        Ok(())
    }

    async fn suspect(
        &mut self,
        key: &RecordKey,
        scanned: Option<Problem>,
    ) -> Result<(), StoreError> {
        let Some(mut seen) = self.eyes.look(key).await? else {
            return Ok(());
        };
        // To read it is not enough to tell a list from a text without a revision.
        if let (Err(problem), Some(scanned)) = (&mut seen.content, scanned) {
            *problem = scanned;
        }
        for problem in self.eyes.problems(key, &seen).await? {
            let outcome = if self.options.fix {
                mend::mend(self.eyes.store, key, &seen, &problem).await?
            } else {
                Outcome::Left
            };
            self.found(key.to_string(), problem, outcome);
        }
        Ok(())
    }

    fn found(&mut self, name: String, problem: Problem, outcome: Outcome) {
        self.report.found += 1;
        *self.report.kinds.entry(problem.kind()).or_default() += 1;
        if matches!(outcome, Outcome::Mended(_)) {
            self.report.mended += 1;
        }
        (self.tell)(Event::Found(&Finding {
            name,
            problem,
            outcome,
        }));
    }
}

#[cfg(test)]
mod tests;
