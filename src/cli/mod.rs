//! The command line: one file for each group of commands.

mod audit;
mod broker;
mod demo_token;
mod doctor;
mod init;
mod inspect;
mod keys;
mod local;
mod output;
mod progress;
mod provider;
mod revoke;
mod runtime;
mod serve;
mod setup;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cli::output::Output;
use crate::config::source::Flags;

/// Decides who may connect to an MQTT broker and what they may publish and subscribe, and mints the
/// credentials they do it with.
///
/// A first start: `ticketgate init`, then `ticketgate org create`, `provider add`, `key create` and
/// `policy set`, then `ticketgate serve`. Settings come from a TOML file, from variables such as
/// TICKETGATE__SERVER__BIND and from flags; `ticketgate config` lists them all.
#[derive(Debug, Parser)]
#[command(name = "ticketgate", version, arg_required_else_help = true)]
pub struct Cli {
    /// The settings file [variable: TICKETGATE_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder: keys, the local socket, and the embedded store where no other is set
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON, for machines
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a data folder: seal keys, peppers, and an empty store where it is the embedded one
    Init,
    /// Run the server
    Serve,
    /// List every setting with its variable and an example
    Config,
    /// Organizations
    #[command(subcommand)]
    Org(setup::OrgCommand),
    /// Identity providers whose tokens may be exchanged
    #[command(subcommand)]
    Provider(provider::ProviderCommand),
    /// API keys
    #[command(subcommand)]
    Key(setup::KeyCommand),
    /// Topic rules
    #[command(subcommand)]
    Policy(setup::PolicyCommand),
    /// MQTT users with a password of their own
    #[command(subcommand)]
    User(setup::UserCommand),
    /// End logins, users, API keys or all that an organization has issued, on the running server
    Revoke(revoke::Arguments),
    /// Show what the store holds of something, and what this node would decide
    Inspect(inspect::Arguments),
    /// Read the audit log: who did what, to whom, from where
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Prove that brokers and this server are wired as they should be
    Doctor(doctor::Arguments),
    /// Look after the store: check it, export it, import into it
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Seal keys and peppers
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// The files that a broker needs to ask this server
    #[command(subcommand)]
    Broker(broker::BrokerCommand),
    /// Print a fresh secret for a broker connection
    HookSecret,
    /// Print an identity token as Supabase would sign it, for trying things out
    DemoToken(demo_token::Arguments),
}

impl Cli {
    /// Runs the command and reports a failure on standard error.
    pub fn run(self) -> ExitCode {
        if let Command::Doctor(arguments) = &self.command {
            let output = Output { json: self.json };
            return doctor::run(&self.flags(), arguments, output);
        }
        match self.dispatch() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("ticketgate: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn dispatch(self) -> anyhow::Result<()> {
        let flags = self.flags();
        let output = Output { json: self.json };
        match self.command {
            Command::Init => init::run(&flags, output),
            Command::Serve => serve::run(&flags),
            Command::Config => {
                print!("{}", crate::config::fields::describe());
                Ok(())
            }
            Command::Org(command) => setup::org(&flags, command, output),
            Command::Provider(command) => provider::run(&flags, command, output),
            Command::Key(command) => setup::key(&flags, command, output),
            Command::Policy(command) => setup::policy(&flags, command, output),
            Command::User(command) => setup::user(&flags, command, output),
            Command::Revoke(arguments) => revoke::run(&flags, &arguments, output),
            Command::Inspect(arguments) => inspect::run(&flags, &arguments, output),
            Command::Audit(command) => audit::run(&flags, command, output),
            Command::Doctor(_) => unreachable!("it has exit codes of its own"),
            Command::Store(command) => store::run(&flags, command, output),
            Command::Keys(command) => keys::run(&command),
            Command::Broker(command) => broker::run(&command, output),
            Command::HookSecret => {
                println!("{}", crate::names::base62::random(43));
                Ok(())
            }
            Command::DemoToken(arguments) => demo_token::run(&arguments),
        }
    }

    fn flags(&self) -> Flags {
        let mut fields = Vec::new();
        if let Some(folder) = &self.data {
            fields.push(("server.data_folder", folder.display().to_string()));
        }
        Flags {
            file: self.config.clone(),
            fields,
        }
    }
}
