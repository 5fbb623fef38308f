//! CONNECT hooks, warm from the cache, against no-ops that read the same body.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::generator::Job;
use crate::place::{Location, Place};
use crate::process::Cores;
use crate::report::Finding;
use crate::site::Site;
use crate::statistics::Spread;
use crate::target::{Broker, Route, Target};
use crate::turn::{Figures, Turn};

/// How much is measured.
#[derive(Args)]
pub struct Plan {
    /// How often each variant has its turn
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long a turn is measured, in seconds, after a quarter of that to warm up
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// How many connections ask at a time
    #[arg(long, default_value = "1,16,64,256", value_delimiter = ',')]
    connections: Vec<usize>,
    /// How many different logins take turns
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    logins: u64,
}

/// One turn of one target.
#[derive(Debug, Serialize)]
struct Sample {
    /// What was asked.
    #[serde(flatten)]
    target: Target,
    /// Over how many connections.
    connections: usize,
    /// In which round. What shares a round is compared.
    round: u32,
    /// What came of it.
    #[serde(flatten)]
    turn: Turn,
}

/// Everything that was measured, and what it comes to.
#[derive(Serialize)]
struct Measured {
    rounds: u32,
    seconds: f64,
    logins: u64,
    rows: Vec<Row>,
    samples: Vec<Sample>,
}

/// A broker at one number of connections: its hook beside its no-op.
#[derive(Serialize)]
struct Row {
    broker: Broker,
    connections: usize,
    noop: Figures,
    hook: Figures,
    /// The hook's answers a second, divided by the no-op's of the same round.
    ratio: Spread,
    /// The no-op's processor time for a request, divided by the hook's: what the ratio would be
    /// if nothing but the server's core were in the way.
    cpu_ratio: f64,
}

/// Measures everything that the plan says.
pub fn run(plan: &Plan, folder: &Path) -> anyhow::Result<Finding> {
    let store = Location::Embedded(folder.to_owned());
    let place = Place::with_logins(folder, store, plan.logins, &Broker::ALL)?;
    let mut site = Site::start(place.setup, folder, Cores::apart()?)?;
    check_every_login(&mut site, plan.logins)?;
    let mut samples = Vec::new();
    for &connections in &plan.connections {
        for round in 0..plan.rounds {
            let (nth, rounds) = (round + 1, plan.rounds);
            eprintln!("hook: {connections} connections, round {nth} of {rounds}");
            for target in in_turn(round) {
                samples.push(Sample {
                    target,
                    connections,
                    round,
                    turn: site.warm_turn(&plan.job(target, connections))?,
                });
            }
        }
    }
    let measured = Measured::of(plan, samples);
    Finding::new("hook", measured.markdown(), &measured)
}

impl Plan {
    fn job(&self, target: Target, connections: usize) -> Job {
        let measured = Duration::from_secs_f64(self.seconds);
        Job {
            warm_up: measured / 4,
            measured,
            limit: None,
            ..Job::once_each(target, connections, 0)
        }
    }
}

/// Sends every request of every target once, which fills the cache; then once more.
fn check_every_login(site: &mut Site, logins: u64) -> anyhow::Result<()> {
    for target in Target::all() {
        site.once_each(&Job::once_each(target, 16, logins))?;
    }
    for target in Target::all() {
        site.warm_turn(&Job::once_each(target, 16, logins))?;
    }
    Ok(())
}

/// The targets in the order of a round. Every other round turns it around, so that whatever
/// drifts during a round hurts none of them more than another.
fn in_turn(round: u32) -> Vec<Target> {
    let mut targets = Target::all();
    if round % 2 == 1 {
        targets.reverse();
    }
    targets
}

impl Measured {
    fn of(plan: &Plan, samples: Vec<Sample>) -> Self {
        let rows = |broker| {
            let row = |connections: &usize| Row::of(broker, *connections, &samples);
            plan.connections.iter().map(row).collect::<Vec<_>>()
        };
        Self {
            rounds: plan.rounds,
            seconds: plan.seconds,
            logins: plan.logins,
            rows: Broker::ALL.into_iter().flat_map(rows).collect(),
            samples,
        }
    }

    fn markdown(&self) -> String {
        let (rounds, seconds, logins) = (self.rounds, self.seconds, self.logins);
        let mut text = format!(
            "{rounds} rounds of {seconds} s for each, {logins} logins, one server worker.\n\n\
             | hook | connections | no-op req/s | hook req/s | ratio | \
             no-op p50 / p99 µs | hook p50 / p99 µs |\n|---|---|---|---|---|---|---|\n"
        );
        text.extend(self.rows.iter().map(Row::speed));
        text += "\n| hook | connections | no-op CPU µs | hook CPU µs | CPU ratio | \
                 of these in user code | server busy | generator busy |\n\
                 |---|---|---|---|---|---|---|---|\n";
        text.extend(self.rows.iter().map(Row::cost));
        text
    }
}

impl Row {
    fn of(broker: Broker, connections: usize, samples: &[Sample]) -> Self {
        let turns = |route| -> Vec<&Turn> {
            let target = Target { broker, route };
            let ours = |one: &&Sample| one.target == target && one.connections == connections;
            samples.iter().filter(ours).map(|one| &one.turn).collect()
        };
        let (noop, hook) = (turns(Route::Noop), turns(Route::Hook));
        let pairs = noop.iter().zip(&hook);
        let ratio = Spread::of(pairs.map(|(noop, hook)| hook.per_second / noop.per_second));
        let (noop, hook) = (Figures::of(&noop), Figures::of(&hook));
        Self {
            broker,
            connections,
            ratio,
            cpu_ratio: noop.server_cpu.low / hook.server_cpu.low,
            noop,
            hook,
        }
    }

    fn speed(&self) -> String {
        let (noop, hook, ratio) = (&self.noop, &self.hook, self.ratio);
        format!(
            "| {} | {} | {} | {} | **{:.2}** ({:.2}-{:.2}) | {} | {} |\n",
            self.broker.name(),
            self.connections,
            noop.per_second,
            hook.per_second,
            ratio.median,
            ratio.low,
            ratio.high,
            noop.latency(),
            hook.latency(),
        )
    }

    fn cost(&self) -> String {
        let (noop, hook) = (&self.noop, &self.hook);
        let percent = |share: fn(&Figures) -> Spread| {
            let of = |figures: &Figures| share(figures).median * 100.0;
            format!("{:.0} % / {:.0} %", of(noop), of(hook))
        };
        format!(
            "| {} | {} | {:.1} | {:.1} | {:.2} | {:.1} / {:.1} | {} | {} |\n",
            self.broker.name(),
            self.connections,
            noop.server_cpu.low,
            hook.server_cpu.low,
            self.cpu_ratio,
            noop.server_user_cpu.low,
            hook.server_user_cpu.low,
            percent(|figures| figures.server_busy),
            percent(|figures| figures.generator_busy),
        )
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("a turn takes 0.1 to 60 seconds".into()),
    }
}
