//! Exchanges of identity tokens for logins, against the bare check of the tokens' signatures.
//!
//! Every token is exchanged once, for a subject that nobody has seen, so that each exchange is two
//! new records. In the same round the same tokens' signatures are checked by the same library and
//! nothing else, on the core that is the server's otherwise.

use std::fs;
use std::path::Path;

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use crate::exchanger;
use crate::place::{Location, Place, Stock};
use crate::process::{Cores, Process};
use crate::redis::RedisServer;
use crate::report::Finding;
use crate::signature;
use crate::signers::{Algorithm, Signers};
use crate::site::Site;
use crate::statistics::Spread;
use crate::turn::{Figures, Turn};

/// How much is measured.
#[derive(Args)]
pub struct Plan {
    /// How many tokens are exchanged in a turn
    #[arg(long, default_value_t = 8_000, value_parser = clap::value_parser!(u64).range(100..))]
    tokens: u64,
    /// How often each variant has its turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How many connections exchange at a time
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How many live tokens there are before, in Redis; the embedded store has the first of these
    #[arg(long, default_value = "1000,1000000", value_delimiter = ',')]
    live: Vec<u64>,
    /// How the tokens are signed
    #[arg(long, default_value = "HS256,RS256,ES256", value_delimiter = ',')]
    algorithms: Vec<Algorithm>,
}

/// Where the logins are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Embedded,
    Redis,
}

/// One turn of an algorithm: its tokens checked, and exchanged.
#[derive(Serialize)]
struct Sample {
    algorithm: Algorithm,
    round: u32,
    check: Turn,
    exchange: Turn,
}

/// An algorithm on a store.
#[derive(Serialize)]
struct Row {
    store: Kind,
    live: u64,
    algorithm: Algorithm,
    check: Figures,
    exchange: Figures,
    /// Exchanges a second, divided by checks a second of the same round.
    ratio: Spread,
}

/// Everything that was measured, and what it comes to.
#[derive(Serialize)]
struct Measured {
    tokens: u64,
    rounds: u32,
    connections: usize,
    rows: Vec<Row>,
    samples: Vec<Sample>,
}

/// What the turns on one store need. In the order in which they have to end.
struct Ground<'a> {
    plan: &'a Plan,
    signers: &'a Signers,
    folder: &'a Path,
    exchanger: Process,
    checker: Process,
    site: Site,
}

/// Measures everything that the plan says.
pub fn run(plan: &Plan, folder: &Path) -> anyhow::Result<Finding> {
    let signers = Signers::new()?;
    let cores = Cores::apart()?;
    let embedded = plan.live.iter().take(1).map(|live| (Kind::Embedded, *live));
    let redis = plan.live.iter().map(|live| (Kind::Redis, *live));
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for (nth, (kind, live)) in embedded.chain(redis).enumerate() {
        let folder = folder.join(nth.to_string());
        fs::create_dir(&folder)?;
        let server = match kind {
            Kind::Embedded => None,
            Kind::Redis => Some(RedisServer::start(cores.others)?),
        };
        let store = match &server {
            None => Location::Embedded(folder.clone()),
            Some(server) => Location::Redis(server.url()),
        };
        let place = fill(store, &folder, live, &signers)?;
        let mut ground = Ground::prepare(plan, &signers, &folder, place, cores)?;
        let samples = ground.rounds(kind, live)?;
        let of = |algorithm| Row::of(kind, live, algorithm, &samples);
        rows.extend(plan.algorithms.iter().copied().map(of));
        all.extend(samples);
    }
    let measured = Measured {
        tokens: plan.tokens,
        rounds: plan.rounds,
        connections: plan.connections,
        rows,
        samples: all,
    };
    Finding::new("exchange", measured.markdown(), &measured)
}

fn fill(store: Location, folder: &Path, live: u64, signers: &Signers) -> anyhow::Result<Place> {
    let mut stock = Stock::open(folder, store)?;
    stock.trust(signers)?;
    stock.add_holders(live)?;
    stock.add_indexes()?;
    stock.close(&[])
}

impl<'a> Ground<'a> {
    fn prepare(
        plan: &'a Plan,
        signers: &'a Signers,
        folder: &'a Path,
        place: Place,
        cores: Cores,
    ) -> anyhow::Result<Self> {
        let site = Site::start(place.setup, folder, cores)?;
        let (address, process) = (site.address.to_string(), site.server().to_string());
        Ok(Self {
            plan,
            signers,
            folder,
            exchanger: Process::start(cores.others, &["exchanger", &address, &process])?,
            checker: Process::start(cores.server, &["signature"])?,
            site,
        })
    }

    fn rounds(&mut self, kind: Kind, live: u64) -> anyhow::Result<Vec<Sample>> {
        let mut samples = Vec::new();
        for round in 0..self.plan.rounds {
            let (nth, rounds) = (round + 1, self.plan.rounds);
            eprintln!("exchange: {kind:?} with {live} tokens, round {nth} of {rounds}");
            let mut algorithms = self.plan.algorithms.clone();
            // Whatever drifts during a round hurts none of them more than another.
            if round % 2 == 1 {
                algorithms.reverse();
            }
            for algorithm in algorithms {
                samples.push(self.turn(algorithm, round)?);
            }
        }
        Ok(samples)
    }

    fn turn(&mut self, algorithm: Algorithm, round: u32) -> anyhow::Result<Sample> {
        let tokens = self.folder.join("tokens");
        let token = |_| self.signers.token(algorithm, &Uuid::new_v4().to_string());
        let lines: Vec<String> = (0..self.plan.tokens).map(token).collect::<Result<_, _>>()?;
        fs::write(&tokens, lines.join("\n"))?;
        let check = self.checker.ask(&signature::Job {
            algorithm,
            verifies: self.signers.verifies(algorithm)?.to_owned(),
            tokens: tokens.clone(),
        })?;
        let exchange = self.exchanger.ask(&exchanger::Job {
            organization: self.site.setup.organization.to_string(),
            tokens,
            connections: self.plan.connections,
        })?;
        Ok(Sample {
            algorithm,
            round,
            check,
            exchange,
        })
    }
}

impl Row {
    fn of(store: Kind, live: u64, algorithm: Algorithm, samples: &[Sample]) -> Self {
        let ours: Vec<&Sample> = samples
            .iter()
            .filter(|sample| sample.algorithm == algorithm)
            .collect();
        let ratios = ours
            .iter()
            .map(|one| one.exchange.per_second / one.check.per_second);
        let turns = |of: fn(&Sample) -> &Turn| -> Vec<&Turn> {
            ours.iter().map(|sample| of(sample)).collect()
        };
        Self {
            store,
            live,
            algorithm,
            ratio: Spread::of(ratios),
            check: Figures::of(&turns(|sample| &sample.check)),
            exchange: Figures::of(&turns(|sample| &sample.exchange)),
        }
    }
}

impl Measured {
    fn markdown(&self) -> String {
        let (tokens, rounds, connections) = (self.tokens, self.rounds, self.connections);
        let mut text = format!(
            "{rounds} rounds of {tokens} tokens for each, over {connections} connections; one server \
             worker on one core, the clients and Redis on another. The check is the signature's \
             alone, on the server's core. RS256 is the yardstick.\n\n\
             | store | live tokens | algorithm | checks/s | exchanges/s | to the check | \
             to the RS256 check | p50 / p99 µs | server CPU µs | server busy |\n\
             |---|---|---|---|---|---|---|---|---|---|\n"
        );
        let rs256 = |row: &Row| {
            let is_yardstick = |one: &&Row| {
                one.algorithm == Algorithm::RS256 && one.store == row.store && one.live == row.live
            };
            let yardstick = self.rows.iter().find(is_yardstick);
            yardstick.map_or(f64::NAN, |one| one.check.per_second.median)
        };
        for row in &self.rows {
            let store = match row.store {
                Kind::Embedded => "embedded",
                Kind::Redis => "Redis",
            };
            text += &format!(
                "| {store} | {} | {} | {} | {} | **{:.2}** | {:.2} | {} | {:.1} | {:.0} % |\n",
                row.live,
                row.algorithm.name(),
                row.check.per_second,
                row.exchange.per_second,
                row.ratio,
                row.exchange.per_second.median / rs256(row),
                row.exchange.latency(),
                row.exchange.server_cpu.median,
                row.exchange.server_busy.median * 100.0,
            );
        }
        text
    }
}
