//! `scripts/bench`: how close the server comes to its own limits, and how soon a revoke counts.
//!
//! Every part starts processes of this one program, servers and generators of load, and compares
//! what they do. Nothing here asserts a time: it asserts that every reply was the right one, and
//! prints how long they took.

#![forbid(unsafe_code)]

mod acl;
mod cold;
mod exchange;
mod exchanger;
mod generator;
mod getter;
mod hook;
mod http;
mod logins;
mod machine;
mod memory;
mod nodes;
mod place;
mod process;
mod progress;
mod proxy;
mod redis;
mod report;
mod revoke;
mod server;
mod signature;
mod signers;
mod site;
mod statistics;
mod target;
mod turn;
mod watch;
mod weigh;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::report::{Finding, Report};

/// Run through `scripts/bench`, whose --help explains what is measured and how.
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    /// What `cargo bench` adds to every command
    #[arg(long, global = true, hide = true)]
    bench: bool,
    /// Write every sample, as JSON
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    /// CONNECT hooks, warm from the cache, against a route that does nothing
    Hook(hook::Plan),
    /// How soon a revoke returns, and how soon three nodes on one Redis refuse the credential
    Revoke(revoke::Plan),
    /// CONNECT hooks that miss the cache, and the storm when everybody comes back at once
    Cold(cold::Plan),
    /// Decisions on topics, with few rules and with many
    Acl(acl::Plan),
    /// Exchanges of identity tokens for logins, against the bare check of their signatures
    Exchange(exchange::Plan),
    /// Bytes of a credential in the cache and in Redis
    Memory(memory::Plan),
    /// Every part, as it is without options
    All,
    /// The server under test
    #[command(hide = true)]
    Server,
    /// The load
    #[command(hide = true)]
    Generator(generator::Arguments),
    /// Plain reads from Redis
    #[command(hide = true)]
    Getter(getter::Arguments),
    /// Clients that exchange identity tokens
    #[command(hide = true)]
    Exchanger(exchanger::Arguments),
    /// Checks of signatures alone
    #[command(hide = true)]
    Signature,
    /// The weight of records alone
    #[command(hide = true)]
    Weigh,
}

fn main() -> anyhow::Result<()> {
    let Cli { part, json, .. } = Cli::parse();
    match part {
        Some(Part::Server) => server::run(),
        Some(Part::Generator(arguments)) => generator::run(&arguments),
        Some(Part::Getter(arguments)) => getter::run(&arguments),
        Some(Part::Exchanger(arguments)) => exchanger::run(&arguments),
        Some(Part::Signature) => signature::run(),
        Some(Part::Weigh) => weigh::run(),
        Some(part) => measure(part, json),
        // `cargo test --all-targets` starts this without a part; nothing is to be measured then.
        None => Ok(Cli::command().print_help()?),
    }
}

fn measure(part: Part, json: Option<PathBuf>) -> anyhow::Result<()> {
    let machine = machine::describe()?;
    let findings = in_folder(move |folder| part.run(folder))?;
    let report = Report::new(machine, findings)?;
    println!("{}", report.markdown());
    match json {
        Some(file) => report.write_json(&file),
        None => Ok(()),
    }
}

impl Part {
    fn run(self, folder: &Path) -> anyhow::Result<Vec<Finding>> {
        let finding = match self {
            Part::Hook(plan) => hook::run(&plan, folder)?,
            Part::Revoke(plan) => revoke::run(&plan, folder)?,
            Part::Cold(plan) => cold::run(&plan, folder)?,
            Part::Acl(plan) => acl::run(&plan)?,
            Part::Exchange(plan) => exchange::run(&plan, folder)?,
            Part::Memory(plan) => memory::run(&plan, folder)?,
            Part::All => return run_all(folder),
            Part::Server
            | Part::Generator(_)
            | Part::Getter(_)
            | Part::Exchanger(_)
            | Part::Signature
            | Part::Weigh => {
                bail!("it measures nothing by itself")
            }
        };
        Ok(vec![finding])
    }
}

fn run_all(folder: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in ["hook", "revoke", "cold", "acl", "exchange", "memory"] {
        let folder = folder.join(name);
        fs::create_dir(&folder)?;
        let part = Cli::parse_from(["bench", name]).part;
        findings.extend(part.context("it was named")?.run(&folder)?);
    }
    Ok(findings)
}

/// Works in a folder that is gone afterwards, whatever the end: done, failed, panicked, or told to
/// stop. The kernel sees to the children.
fn in_folder<T: Send + 'static>(
    work: impl FnOnce(&Path) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let folder = tempfile::Builder::new().prefix("ticketgate-").tempdir()?;
    let path = folder.path().to_owned();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let (mut stop, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        tokio::select! {
            outcome = spawn_blocking(move || work(&path)) => outcome?,
            _ = stop.recv() => bail!("stopped"),
            _ = interrupt.recv() => bail!("interrupted"),
        }
    });
    runtime.shutdown_background();
    outcome
}
