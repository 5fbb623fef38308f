//! `ticketgate init`.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use crate::cli::output::Output;
use crate::cli::runtime::block_on;
use crate::config::StoreLocation;
use crate::config::fields::{key_file, load_places};
use crate::config::source::Flags;
use crate::keyring::KeyList;
use crate::store::embedded::FILE_NAME;
use crate::wiring;

/// Makes what is missing; what is there stays as it is.
pub fn run(flags: &Flags, output: Output) -> anyhow::Result<()> {
    let (places, _) = load_places(flags)?;
    let folder = &places.folder;
    let keys = folder.join("keys");
    for folder in [folder, &keys] {
        make_private_folder(folder).with_context(|| folder.display().to_string())?;
    }
    let mut made = Vec::new();
    for name in ["seal", "pepper"] {
        let path = key_file(folder, name);
        if make_key_file(&path).with_context(|| path.display().to_string())? {
            made.push(path.display().to_string());
        }
    }
    match &places.store {
        StoreLocation::Embedded(folder) => made.extend(make_store(folder)?),
        // Asked now, so that a wrong address or login shows before the first start.
        StoreLocation::Redis(settings) => block_on(wiring::try_store(settings))?,
    }
    let text = match made.as_slice() {
        [] => format!("{} has everything already", folder.display()),
        made => format!(
            "made {}\nKeep a copy of {} in a safe place: without it every password is void.",
            made.join(", "),
            keys.display()
        ),
    };
    output.print(&json!({ "folder": folder, "made": made }), &text);
    Ok(())
}

/// Returns the file's name if it was made.
fn make_store(folder: &Path) -> anyhow::Result<Option<String>> {
    let file = folder.join(FILE_NAME);
    if file.exists() {
        return Ok(None);
    }
    make_private_folder(folder).with_context(|| folder.display().to_string())?;
    // Empty and private first: the store fills the file that it finds.
    private_file()
        .open(&file)
        .with_context(|| file.display().to_string())?;
    wiring::create_store(folder)?;
    Ok(Some(file.display().to_string()))
}

fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Returns whether the file was made; one that is there is never touched. It appears under its name
/// only when all of it is on the disk.
fn make_key_file(path: &Path) -> std::io::Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    let draft = path.with_extension("draft");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private_file().open(&draft)?;
    file.write_all(KeyList::fresh_line().expose().as_bytes())?;
    file.sync_all()?;
    // Unlike a rename, a link never replaces what came into being in the meantime.
    std::fs::hard_link(&draft, path)?;
    std::fs::remove_file(&draft)?;
    Ok(true)
}

/// Makes a file that only its owner can read, and refuses one that is there.
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
}
