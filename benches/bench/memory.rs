//! What a credential weighs: in the cache of a server, and in Redis.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use redis::cmd;
use serde::Serialize;
use ticketgate::store::record::RecordKey;
use ticketgate::store::redis::keys::Keys;

use crate::generator::Job;
use crate::machine;
use crate::place::{Location, Place, Setup, Stock};
use crate::process::{Cores, Process};
use crate::progress::Progress;
use crate::redis::RedisServer;
use crate::report::Finding;
use crate::site::Site;
use crate::target::VERNEMQ_HOOK as HOOK;
use crate::weigh::{self, Weights};

const CONNECTIONS: usize = 64;
/// Questions in one turn, so that progress can be told.
const IN_A_TURN: u64 = 20_000;
/// Copies of a record that are weighed.
const COPIES: u32 = 100_000;

/// How much is measured.
#[derive(Args)]
pub struct Plan {
    /// How many credentials; a tenth of it is weighed as well
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..=1_000_000))]
    credentials: u64,
}

/// Everything that was measured.
#[derive(Serialize)]
struct Measured {
    rows: Vec<Row>,
    anatomy: Anatomy,
}

/// Bytes of one credential where there are so many.
#[derive(Serialize)]
struct Row {
    credentials: u64,
    /// In the cache of a server.
    cached: f64,
    /// The holder's record in Redis.
    holder: f64,
    /// The index from the token's id.
    index: f64,
}

/// Where the bytes of one credential are.
#[derive(Serialize)]
struct Anatomy {
    holder: Stored,
    index: Stored,
    /// The holder's record and name in the server, by themselves.
    weights: Weights,
}

/// One key in Redis, in bytes.
#[derive(Serialize)]
struct Stored {
    name: u64,
    text: u64,
    /// What Redis says that it uses for both, its own tables left out.
    usage: u64,
    example: String,
}

/// Measures everything that the plan says.
pub fn run(plan: &Plan, folder: &Path) -> anyhow::Result<Finding> {
    let mut rows = Vec::new();
    let mut anatomy = None;
    for credentials in [plan.credentials / 10, plan.credentials] {
        let redis = RedisServer::start(None)?;
        let (place, [holder, index]) = fill(&redis, folder, credentials)?;
        anatomy = Some(Anatomy::of(&redis, &place)?);
        rows.push(Row {
            credentials,
            cached: cached(place)?,
            holder,
            index,
        });
    }
    let anatomy = anatomy.context("two were measured")?;
    let measured = Measured { rows, anatomy };
    Finding::new("memory", measured.markdown(), &measured)
}

/// Fills a Redis; returns what one holder and one index weigh in it.
fn fill(redis: &RedisServer, folder: &Path, count: u64) -> anyhow::Result<(Place, [f64; 2])> {
    let mut stock = Stock::open(folder, Location::Redis(redis.url()))?;
    let empty = redis.used_memory()?;
    stock.add_holders(count)?;
    let with_holders = redis.used_memory()?;
    stock.add_indexes()?;
    let with_both = redis.used_memory()?;
    let each = |bytes| bytes as f64 / count as f64;
    let place = stock.close(&[HOOK.broker])?;
    Ok((
        place,
        [each(with_holders - empty), each(with_both - with_holders)],
    ))
}

/// What one credential weighs in a server that has all of them in its cache.
fn cached(place: Place) -> anyhow::Result<f64> {
    let count = place.logins.len() as u64;
    let setup = Setup {
        // A cache that is full to the brim has let go of a few.
        cache_capacity: place.logins.len() * 5 / 4,
        ..place.setup
    };
    let mut site = Site::start(setup, &place.folder, Cores::default())?;
    // The first questions have the server make what it makes once.
    site.once_each(&Job::once_each(HOOK, CONNECTIONS, CONNECTIONS as u64))?;
    let empty = machine::resident(site.server())?;
    let mut progress = Progress::begin("Filling the cache", count);
    for first in (0..count).step_by(IN_A_TURN as usize) {
        site.once_each(&part(first, count))?;
        progress.add(IN_A_TURN);
    }
    let full = machine::resident(site.server())?;
    let mut progress = Progress::begin("Making sure that all of it is there", count);
    for first in (0..count).step_by(IN_A_TURN as usize) {
        site.warm_turn(&part(first, count))?;
        progress.add(IN_A_TURN);
    }
    Ok((full - empty) as f64 / (count - CONNECTIONS as u64) as f64)
}

fn part(first: u64, count: u64) -> Job {
    let logins = IN_A_TURN.min(count - first);
    Job {
        first,
        ..Job::once_each(HOOK, CONNECTIONS, logins)
    }
}

impl Anatomy {
    fn of(redis: &RedisServer, place: &Place) -> anyhow::Result<Self> {
        let login = place.logins.last().context("there are some")?;
        let key = RecordKey::Holder(login.username.clone());
        let holder = Stored::read(redis, &key)?;
        let weighing = weigh::Job {
            key: key.to_string(),
            text: holder.example.clone(),
            copies: COPIES,
        };
        Ok(Self {
            holder,
            index: Stored::read(redis, &RecordKey::Token(login.token))?,
            weights: Process::start(None, &["weigh"])?.ask(&weighing)?,
        })
    }
}

impl Stored {
    fn read(redis: &RedisServer, key: &RecordKey) -> anyhow::Result<Self> {
        let name = Keys::with_prefix("tg").record(key);
        let example: String = redis.ask(cmd("GET").arg(&name))?;
        Ok(Self {
            usage: redis.ask(cmd("MEMORY").arg("USAGE").arg(&name))?,
            name: name.len() as u64,
            text: example.len() as u64,
            example,
        })
    }

    fn row(&self, what: &str) -> String {
        let Self {
            name, text, usage, ..
        } = self;
        format!("| {what} | {name} | {text} | {usage} |\n")
    }
}

impl Measured {
    fn markdown(&self) -> String {
        let mut text = String::from(
            "Bytes for each credential.\n\n| credentials | cached in a server | in Redis: holder \
             | token index | both |\n|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let (credentials, both) = (row.credentials, row.holder + row.index);
            let (cached, holder, index) = (row.cached, row.holder, row.index);
            text += &format!(
                "| {credentials} | **{cached:.0}** | {holder:.0} | {index:.0} | **{both:.0}** |\n"
            );
        }
        text + &self
            .anatomy
            .markdown(self.rows.last().map_or(0.0, |row| row.cached))
    }
}

impl Anatomy {
    fn markdown(&self, cached: f64) -> String {
        let Weights {
            record,
            tight,
            claims,
            key,
        } = self.weights;
        let rest = cached - record - key;
        let mut text = format!(
            "\nOf the cached ones {record:.0} are the record ({tight:.0} if its texts and lists had \
             no room to spare, {claims:.0} of that for claims), {key:.0} the text of its name, \
             and {rest:.0} the cache's own.\n\n\
             | in Redis | name | text | MEMORY USAGE |\n|---|---|---|---|\n"
        );
        text += &self.holder.row("holder");
        text += &self.index.row("token index");
        text + &format!(
            "\n    {}\n    {}\n",
            self.holder.example, self.index.example
        )
    }
}
