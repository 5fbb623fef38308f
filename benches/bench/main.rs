//! `scripts/bench`: how close the answers to brokers come to the server's own limit.
//!
//! Three processes of this one program. The driver starts a [`server`] on one core and a
//! [`generator`] of load on another, tells the generator what to send, and compares. Nothing here
//! asserts a time: it asserts that every reply was the right one, and prints how long they took.

#![forbid(unsafe_code)]

mod generator;
mod hook;
mod logins;
mod machine;
mod report;
mod server;
mod site;
mod statistics;
mod target;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

/// Run through `scripts/bench`, whose --help explains what is measured and how.
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    /// What `cargo bench` adds to every command
    #[arg(long, global = true, hide = true)]
    bench: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    /// CONNECT hooks, warm from the cache, against a route that does nothing
    Hook(Plan),
    /// Every part
    All(Plan),
    /// The server under test
    #[command(hide = true)]
    Server(server::Arguments),
    /// The load
    #[command(hide = true)]
    Generator(generator::Arguments),
}

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
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    logins: u32,
    /// Write every sample, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Plan {
    fn turn(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().part {
        Some(Part::Hook(plan) | Part::All(plan)) => measure(&plan),
        Some(Part::Server(arguments)) => server::run(&arguments),
        Some(Part::Generator(arguments)) => generator::run(&arguments),
        // `cargo test --all-targets` starts this without a part; nothing is to be measured then.
        None => Ok(Cli::command().print_help()?),
    }
}

fn measure(plan: &Plan) -> anyhow::Result<()> {
    let machine = machine::describe()?;
    let samples = hook::run(plan)?;
    let report = report::Report::new(machine, plan, samples)?;
    println!("{}", report.markdown());
    match &plan.json {
        Some(file) => report.write_json(file),
        None => Ok(()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("a turn takes 0.1 to 60 seconds".into()),
    }
}
