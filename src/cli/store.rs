//! `ticketgate store`: these commands open the store themselves.

mod check;
mod transfer;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::app::transfer::import::Mode;
use crate::cli::output::Output;
use crate::cli::runtime::block_on;
use crate::config::fields::{load_places, load_store};
use crate::config::source::Flags;
use crate::store::inventory::Inventory;
use crate::wiring;

/// The most findings or names that are listed as JSON.
const MAX_LISTED: usize = 10_000;

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Find what does not fit together, and mend it with --fix
    ///
    /// Looks at everything in the store: tokens that cannot be found by their id, indexes that lead
    /// nowhere, parts of organizations that are missing, things that cannot be read, records that
    /// would be dropped too early or never. Prints a line for each with what can be done about it.
    /// Ends with exit code 1 while anything is left.
    ///
    /// An embedded store is checked while no server runs. A shared store can be checked at any
    /// time: what looks wrong is looked at again a minute later, because a login may be in the
    /// midst of being written. Use the newest version that any of the servers has.
    Check {
        /// Mend it: make missing indexes, delete those that lead nowhere, write records with a
        /// wrong expiry again, and move what cannot be read aside (under a name that begins with
        /// aside:). What a newer version wrote is never touched, and nothing is lost
        #[arg(long)]
        fix: bool,
    },
    /// Write all records to a file, a line of JSON each
    ///
    /// The file holds what the store holds: digests and encrypted secrets, no password and no key
    /// in clear. It is of use only together with the seal keys and peppers of this deployment
    /// (keys/seal.keys and keys/pepper.keys): keep them apart from it, and give the deployment that
    /// imports it the same ones. Its last line says how many records there are and which peppers
    /// they need.
    ///
    /// Records whose time is up are left out. What is written while an export of a shared store
    /// runs may be in it or not; `ticketgate store check --fix` mends the edges after the import.
    Export {
        /// A new file, which only you can read; - for standard output
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Bring the records of an export into this store
    ///
    /// The deployment must have the seal keys and peppers under which the records were made. For a
    /// new one: put keys/seal.keys and keys/pepper.keys into its data folder, run `ticketgate init`,
    /// which makes only what is missing, then import. Logins and API keys then work as before.
    ///
    /// The whole file is looked at first; when anything is wrong with it, nothing is written. A
    /// record that is there already with the same contents is passed over, so an import that was
    /// broken off can be run again. One that is there with other contents is told of and left as
    /// it is, and the exit code is 1.
    ///
    /// What was revoked since the export stays revoked where the store still knows of it. A store
    /// that does not, such as an empty one, gets back what was good when the export was made:
    /// revoke again what was revoked since.
    Import {
        /// The export; - for standard input
        file: PathBuf,
        /// Put imported records in the place of those that are there with other contents
        #[arg(long)]
        replace: bool,
        /// Write nothing, only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// Runs one of them.
pub fn run(flags: &Flags, command: StoreCommand, output: Output) -> anyhow::Result<()> {
    block_on(async {
        match command {
            StoreCommand::Check { fix } => check::run(&*open(flags).await?, fix, output).await,
            StoreCommand::Export { file } => {
                transfer::run_export(&*open(flags).await?, &file, output).await
            }
            StoreCommand::Import {
                file,
                replace,
                dry_run,
            } => {
                let (location, keys) = load_store(flags)?;
                let store = wiring::inventory(&location).await?;
                let mode = Mode { replace, dry_run };
                transfer::run_import(&*store, &keys, &file, mode, output).await
            }
        }
    })
}

/// Opens the store without the keys: nothing is decrypted.
async fn open(flags: &Flags) -> anyhow::Result<Arc<dyn Inventory>> {
    let (places, _) = load_places(flags)?;
    wiring::inventory(&places.store).await
}

/// The first of many values, for JSON.
#[derive(Default)]
struct Listed {
    values: Vec<Value>,
    more: u64,
}

impl Listed {
    fn add(&mut self, value: impl FnOnce() -> Value) {
        if self.values.len() < MAX_LISTED {
            self.values.push(value());
        } else {
            self.more += 1;
        }
    }

    /// Adds the list as a field, and how many are not in it.
    fn put_into(self, result: &mut Value, field: &str) {
        result[field] = json!(self.values);
        if self.more > 0 {
            result[format!("more_{field}")] = json!(self.more);
        }
    }
}
