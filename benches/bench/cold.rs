//! CONNECT hooks for credentials that the server has not seen, over Redis.
//!
//! Each round starts a server, asks it for every credential once, which it has to read, and then
//! once more, which it answers from memory. In the same round the same records are read by the
//! same client library and nothing else.

mod table;

use std::fs;
use std::path::Path;

use anyhow::ensure;
use clap::Args;
use serde::Serialize;
use ticketgate::store::record::RecordKey;
use ticketgate::store::redis::keys::Keys;

use crate::cold::table::{Measured, Row};
use crate::generator::Job;
use crate::getter;
use crate::place::{Location, Place};
use crate::process::{Cores, Process};
use crate::redis::RedisServer;
use crate::report::Finding;
use crate::site::{Outcome, Site};
use crate::target::VERNEMQ_HOOK as HOOK;
use crate::turn::Turn;

/// The connections over which everybody comes back.
const STORM_CONNECTIONS: usize = 256;

/// How much is measured.
#[derive(Args)]
pub struct Plan {
    /// How many credentials there are; each is asked for once in a turn
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    logins: u64,
    /// How often each variant has its turn, with each number of connections
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How many connections ask at a time
    #[arg(long, default_value = "16,64,256", value_delimiter = ',')]
    connections: Vec<usize>,
    /// How often everybody comes back at once
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    storms: u32,
    /// How many a second come back in a storm; default: half of what the server did cold
    #[arg(long)]
    rate: Option<f64>,
}

/// What is compared in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Variant {
    /// Nothing cached.
    Cold,
    /// Everything cached.
    Warm,
    /// No hooks at all, just the reads.
    Get,
}

/// One turn.
#[derive(Debug, Serialize)]
struct Sample {
    variant: Variant,
    connections: usize,
    round: u32,
    #[serde(flatten)]
    turn: Turn,
}

/// Everybody comes back at once.
#[derive(Serialize)]
struct Storm {
    /// As the server counts them.
    store_reads: u64,
    #[serde(flatten)]
    turn: Turn,
}

/// What every turn needs.
struct Ground {
    place: Place,
    cores: Cores,
    getter: Process,
    // Last, because the others lean on it.
    _redis: RedisServer,
}

/// Measures everything that the plan says.
pub fn run(plan: &Plan, folder: &Path) -> anyhow::Result<Finding> {
    let mut ground = Ground::prepare(plan.logins, folder)?;
    let samples = ground.rounds(plan)?;
    let connections = plan.connections.iter();
    let rows: Vec<Row> = connections.map(|count| Row::of(*count, &samples)).collect();
    let slowest = rows.iter().map(|row| row.cold.per_second.low);
    let rate = plan.rate.unwrap_or(slowest.fold(f64::MAX, f64::min) / 2.0);
    let storms = (0..plan.storms).map(|nth| {
        eprintln!("cold: storm {} of {}", nth + 1, plan.storms);
        ground.storm(rate)
    });
    let measured = Measured {
        logins: plan.logins,
        rounds: plan.rounds,
        storms: storms.collect::<anyhow::Result<_>>()?,
        storm_rate: rate,
        rows,
        samples,
    };
    Finding::new("cold", measured.markdown(), &measured)
}

impl Ground {
    fn prepare(logins: u64, folder: &Path) -> anyhow::Result<Self> {
        let cores = Cores::apart()?;
        let redis = RedisServer::start(cores.others)?;
        let store = Location::Redis(redis.url());
        let place = Place::with_logins(folder, store, logins, &[HOOK.broker])?;
        Ok(Self {
            getter: start_getter(&place, &redis, cores)?,
            place,
            cores,
            _redis: redis,
        })
    }

    fn rounds(&mut self, plan: &Plan) -> anyhow::Result<Vec<Sample>> {
        let mut samples = Vec::new();
        for &connections in &plan.connections {
            for round in 0..plan.rounds {
                let (nth, rounds) = (round + 1, plan.rounds);
                eprintln!("cold: {connections} connections, round {nth} of {rounds}");
                samples.extend(self.round(connections, round)?);
            }
        }
        Ok(samples)
    }

    /// Every other round begins with the plain reads, the others end with them.
    fn round(&mut self, connections: usize, round: u32) -> anyhow::Result<[Sample; 3]> {
        let (get, [cold, warm]) = if round.is_multiple_of(2) {
            (self.reads(connections)?, self.hooks(connections)?)
        } else {
            let hooks = self.hooks(connections)?;
            (self.reads(connections)?, hooks)
        };
        let turns = [
            (Variant::Cold, cold),
            (Variant::Warm, warm),
            (Variant::Get, get),
        ];
        Ok(turns.map(|(variant, turn)| Sample {
            variant,
            connections,
            round,
            turn,
        }))
    }

    fn reads(&mut self, connections: usize) -> anyhow::Result<Turn> {
        let concurrent = connections;
        self.getter.ask(&getter::Job { concurrent })
    }

    /// Cold, then warm.
    fn hooks(&self, connections: usize) -> anyhow::Result<[Turn; 2]> {
        let job = Job::once_each(HOOK, connections, self.logins());
        let mut site = self.start_site()?;
        Ok([self.misses(&mut site, &job)?.turn, site.warm_turn(&job)?])
    }

    fn storm(&self, rate: f64) -> anyhow::Result<Storm> {
        let job = Job {
            rate: Some(rate),
            ..Job::once_each(HOOK, STORM_CONNECTIONS, self.logins())
        };
        let Outcome { turn, store_reads } = self.misses(&mut self.start_site()?, &job)?;
        Ok(Storm { store_reads, turn })
    }

    /// Every answer must have been read from the store, or it was not cold.
    fn misses(&self, site: &mut Site, job: &Job) -> anyhow::Result<Outcome> {
        let outcome = site.once_each(job)?;
        let (reads, logins) = (outcome.store_reads, self.logins());
        ensure!(reads >= logins, "{reads} reads for {logins} credentials");
        Ok(outcome)
    }

    fn start_site(&self) -> anyhow::Result<Site> {
        Site::start(self.place.setup.clone(), &self.place.folder, self.cores)
    }

    fn logins(&self) -> u64 {
        self.place.logins.len() as u64
    }
}

/// It runs where the server does otherwise.
fn start_getter(place: &Place, redis: &RedisServer, cores: Cores) -> anyhow::Result<Process> {
    let file = place.folder.join("keys");
    let keys = Keys::with_prefix("tg");
    let name = |username| keys.record(&RecordKey::Holder(username)) + "\n";
    let logins = place.logins.iter();
    let names: String = logins.map(|login| name(login.username.clone())).collect();
    fs::write(&file, names)?;
    let (url, process) = (redis.url(), redis.process().to_string());
    let file = file.to_string_lossy();
    Process::start(cores.server, &["getter", &url, &process, &file])
}
