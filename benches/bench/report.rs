//! Samples become a table for people and a file for machines.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::Plan;
use crate::generator::Turn;
use crate::hook::Sample;
use crate::machine::{self, Machine};
use crate::statistics::Spread;
use crate::target::{Broker, Route, Target};

/// Everything that a run has shown.
#[derive(Serialize)]
pub struct Report {
    machine: Machine,
    load_after: f64,
    rounds: u32,
    seconds: f64,
    logins: u32,
    hook: Vec<Row>,
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

/// One route's figures over all rounds.
#[derive(Serialize)]
struct Figures {
    per_second: Spread,
    p50: Spread,
    p99: Spread,
    server_cpu: Spread,
    server_user_cpu: Spread,
    server_busy: Spread,
    generator_busy: Spread,
}

impl Report {
    /// Sums up.
    pub fn new(machine: Machine, plan: &Plan, samples: Vec<Sample>) -> anyhow::Result<Self> {
        let rows = |broker| {
            let row = |connections: &usize| Row::of(broker, *connections, &samples);
            plan.connections.iter().map(row).collect::<Vec<_>>()
        };
        Ok(Self {
            machine,
            load_after: machine::load()?,
            rounds: plan.rounds,
            seconds: plan.seconds,
            logins: plan.logins,
            hook: Broker::ALL.into_iter().flat_map(rows).collect(),
            samples,
        })
    }

    /// As tables.
    pub fn markdown(&self) -> String {
        let mut text = self.circumstances();
        text += "\n| hook | connections | no-op req/s | hook req/s | ratio | \
                 no-op p50 / p99 µs | hook p50 / p99 µs |\n|---|---|---|---|---|---|---|\n";
        for row in &self.hook {
            text += &row.speed();
        }
        text += "\n| hook | connections | no-op CPU µs | hook CPU µs | CPU ratio | \
                 of these in user code | server busy | generator busy |\n\
                 |---|---|---|---|---|---|---|---|\n";
        for row in &self.hook {
            text += &row.cost();
        }
        text
    }

    /// Writes all of it.
    pub fn write_json(&self, file: &Path) -> anyhow::Result<()> {
        Ok(fs::write(file, serde_json::to_string_pretty(self)? + "\n")?)
    }

    fn circumstances(&self) -> String {
        let Machine {
            processor,
            cores,
            kernel,
            rust,
            load_before,
        } = &self.machine;
        let load_after = self.load_after;
        let (rounds, seconds, logins) = (self.rounds, self.seconds, self.logins);
        format!(
            "{processor}, {cores} cores, Linux {kernel}, {rust}; load {load_before} before, \
             {load_after} after.\n{rounds} rounds of {seconds} s for each, {logins} logins, \
             one server worker.\n"
        )
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
        let mut text = format!("| {} | {} |", self.broker.name(), self.connections);
        for figures in [&self.noop, &self.hook] {
            let Spread { low, median, high } = figures.per_second;
            let _ = write!(text, " {median:.0} ({low:.0}-{high:.0}) |");
        }
        let Spread { low, median, high } = self.ratio;
        let _ = write!(text, " **{median:.2}** ({low:.2}-{high:.2}) |");
        for figures in [&self.noop, &self.hook] {
            let (p50, p99) = (figures.p50.median, figures.p99.median);
            let _ = write!(text, " {p50:.0} / {p99:.0} |");
        }
        text + "\n"
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

impl Figures {
    fn of(turns: &[&Turn]) -> Self {
        let spread = |figure: fn(&Turn) -> f64| Spread::of(turns.iter().map(|turn| figure(turn)));
        Self {
            per_second: spread(|turn| turn.per_second),
            p50: spread(|turn| turn.p50),
            p99: spread(|turn| turn.p99),
            server_cpu: spread(|turn| turn.server_cpu),
            server_user_cpu: spread(|turn| turn.server_user_cpu),
            server_busy: spread(|turn| turn.server_busy),
            generator_busy: spread(|turn| turn.generator_busy),
        }
    }
}
