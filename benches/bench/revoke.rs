//! How soon a revoke counts: three nodes on one Redis, each with every credential in its cache.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde::Serialize;

use crate::nodes::{Deployment, NODES};
use crate::place::LEASE;
use crate::proxy::Fault;
use crate::report::Finding;
use crate::statistics::{Spread, at_share, sorted};
use crate::watch::Seen;

/// What a revoke may take longer than a lease when a node is silent.
const MARGIN: Duration = Duration::from_millis(250);

/// How much is measured.
#[derive(Args)]
pub struct Plan {
    /// How often each variant has its turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How many revokes a turn has
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..))]
    revokes: u32,
    /// How many revokes there are for each way in which a node can lose its log
    #[arg(long, default_value_t = 20)]
    lost: u32,
    /// How many credentials every node has in its cache
    #[arg(long, default_value_t = 10_000)]
    logins: u64,
}

/// One revoke, in milliseconds from the call.
#[derive(Debug, Serialize)]
struct Sample {
    round: u32,
    /// What one node had lost; null: nothing.
    lost: Option<Fault>,
    returned: f64,
    /// When each node refused, the one that had lost something last; empty: nobody looked.
    refused: Vec<f64>,
}

/// Everything that was measured, and what it comes to.
#[derive(Serialize)]
struct Measured {
    logins: u64,
    rounds: u32,
    revokes: u32,
    watched_returned: Times,
    watched_refused: Times,
    idle_returned: Times,
    samples: Vec<Sample>,
    /// Answers "unavailable" of the node that had lost something.
    unavailable: u64,
    losses: Vec<Sample>,
}

/// Milliseconds of many revokes.
#[derive(Serialize)]
struct Times {
    /// Of the rounds' medians.
    p50: Spread,
    /// Of all revokes.
    p99: f64,
    max: f64,
}

/// Measures everything that the plan says.
pub fn run(plan: &Plan, folder: &Path) -> anyhow::Result<Finding> {
    let needed = u64::from(plan.rounds * plan.revokes * 2).max(u64::from(plan.lost * 2));
    ensure!(
        needed <= plan.logins,
        "{needed} revokes need as many --logins"
    );
    let samples = without_losses(plan, folder)?;
    let (losses, unavailable) = with_losses(plan, folder)?;
    let measured = Measured::of(plan, samples, losses, unavailable);
    Finding::new("revoke", measured.markdown(), &measured)
}

/// In turn a revoke with all nodes asked without pause, and one with nobody else there.
fn without_losses(plan: &Plan, folder: &Path) -> anyhow::Result<Vec<Sample>> {
    let mut deployment = Deployment::start(folder, plan.logins, false)?;
    let mut samples = Vec::new();
    for round in 0..plan.rounds {
        eprintln!("revoke: round {} of {}", round + 1, plan.rounds);
        for _ in 0..plan.revokes {
            samples.push(Sample::new(round, None, &deployment.revoke_watched()?));
            samples.push(Sample::new(round, None, &deployment.revoke_idle()?));
        }
    }
    let unavailable = deployment.unavailable()?;
    ensure!(
        unavailable == 0,
        "{unavailable} answers were no refusals but \"unavailable\""
    );
    Ok(samples)
}

/// Revokes called on the other nodes while one hears nothing.
fn with_losses(plan: &Plan, folder: &Path) -> anyhow::Result<(Vec<Sample>, u64)> {
    let mut deployment = Deployment::start(folder, plan.logins, true)?;
    let mut samples = Vec::new();
    for round in 0..plan.lost {
        eprintln!("revoke: lost logs, round {} of {}", round + 1, plan.lost);
        for fault in [Fault::Log, Fault::All] {
            let seen = deployment.revoke_unheard(fault)?;
            samples.push(Sample::new(round, Some(fault), &seen));
        }
    }
    Ok((samples, deployment.unavailable()?))
}

impl Sample {
    fn new(round: u32, lost: Option<Fault>, seen: &Seen) -> Self {
        let millis = |time: &Duration| time.as_secs_f64() * 1e3;
        Self {
            round,
            lost,
            returned: millis(&seen.returned),
            refused: seen.refused.iter().map(millis).collect(),
        }
    }

    /// When the last node refused; `None`: nobody looked.
    fn last_refused(&self) -> Option<f64> {
        self.refused.iter().copied().reduce(f64::max)
    }
}

impl Times {
    /// What `time` says of the samples, where it says something.
    fn of(rounds: u32, samples: &[Sample], time: impl Fn(&Sample) -> Option<f64>) -> Self {
        let median = |round| {
            let ours = samples.iter().filter(|sample| sample.round == round);
            at_share(&sorted(ours.filter_map(&time)), 0.5)
        };
        let all = sorted(samples.iter().filter_map(&time));
        Self {
            p50: Spread::of((0..rounds).map(median)),
            p99: at_share(&all, 0.99),
            max: at_share(&all, 1.0),
        }
    }

    fn row(&self, name: &str) -> String {
        let Self { p50, p99, max } = self;
        format!("| {name} | {p50:.2} | {p99:.2} | {max:.2} |\n")
    }
}

impl Measured {
    fn of(plan: &Plan, samples: Vec<Sample>, losses: Vec<Sample>, unavailable: u64) -> Self {
        let watched = |sample: &Sample| !sample.refused.is_empty();
        let times = |time: &dyn Fn(&Sample) -> Option<f64>| Times::of(plan.rounds, &samples, time);
        Self {
            logins: plan.logins,
            rounds: plan.rounds,
            revokes: plan.revokes,
            watched_returned: times(&|one| watched(one).then_some(one.returned)),
            watched_refused: times(&Sample::last_refused),
            idle_returned: times(&|one| (!watched(one)).then_some(one.returned)),
            unavailable,
            losses,
            samples,
        }
    }

    fn markdown(&self) -> String {
        let (rounds, revokes, logins) = (self.rounds, self.revokes, self.logins);
        let mut text = format!(
            "{NODES} nodes on one Redis, {logins} credentials in the cache of each; {rounds} rounds \
             of {revokes} revokes, each called on any node. Milliseconds from the call.\n\n\
             | | p50 | p99 | max |\n|---|---|---|---|\n"
        );
        text += &self
            .watched_returned
            .row("returned, every node asked without pause");
        text += &self
            .watched_refused
            .row("the last node refused, asked without pause");
        text += &self.idle_returned.row("returned, nobody else there");
        let ratio = self.watched_returned.p50.median / self.idle_returned.p50.median;
        text += &format!("\nAsking without pause makes a revoke {ratio:.1} times as long.\n");
        if !self.losses.is_empty() {
            text += &self.lost();
        }
        text
    }

    fn lost(&self) -> String {
        let bound = (LEASE + MARGIN).as_secs_f64() * 1e3;
        let mut text = format!(
            "\nThe same while one node hears nothing of its change log, the call on another. \
             Never more than {bound:.0} ms is the aim.\n\n\
             | lost | revokes | returned: p50 | max | that node refused: p50 | max \
             | over {bound:.0} ms |\n|---|---|---|---|---|---|---|\n"
        );
        for (fault, name) in [
            (Fault::Log, "the log's connection"),
            (Fault::All, "all of them"),
        ] {
            let ours = || self.losses.iter().filter(|one| one.lost == Some(fault));
            let returned = sorted(ours().map(|one| one.returned));
            let refused = sorted(ours().filter_map(|one| one.refused.last().copied()));
            let is_over =
                |one: &&Sample| one.returned.max(one.last_refused().unwrap_or(0.0)) > bound;
            let over = ours().filter(is_over).count();
            let count = returned.len();
            let both = |times: &[f64]| {
                let (p50, max) = (at_share(times, 0.5), at_share(times, 1.0));
                format!("{p50:.0} | {max:.0}")
            };
            let (returned, refused) = (both(&returned), both(&refused));
            text += &format!("| {name} | {count} | {returned} | {refused} | **{over}** |\n");
        }
        let unavailable = self.unavailable;
        text + &format!("\n{unavailable} of the refusals were \"unavailable\".\n")
    }
}
