//! The `ticketgate` program.

use std::process::ExitCode;

use clap::Parser as _;
use ticketgate::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
