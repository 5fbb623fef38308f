//! `ticketgate keys`.

use clap::Subcommand;

use crate::credential::root_key::RootKeys;
use crate::keyring::KeyList;

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Print a fresh line for a list of seal keys or peppers
    ///
    /// To rotate: put the line above the others in keys/seal.keys or keys/pepper.keys and restart.
    /// The newest key makes new passwords, all keys in the list still verify. Drop an old seal key
    /// when the passwords it made have expired (a day after the last could be refreshed, 31 days in
    /// all), an old pepper when no user needs it.
    New,
    /// Print a fresh root key: the operator's own, for what no organization's key may do
    ///
    /// Put it into a file that keys.root_files names, or into TICKETGATE__KEYS__ROOT, and restart. To
    /// rotate: add the new one, restart, hand it out, drop the old one, restart.
    NewRoot,
}

/// Runs one of them.
pub fn run(command: &KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::New => print!("{}", KeyList::fresh_line().expose()),
        KeysCommand::NewRoot => println!("{}", RootKeys::fresh().expose()),
    }
    Ok(())
}
