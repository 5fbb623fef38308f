//! `ticketgate store export` and `import`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, Read as _, Seek, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::app::transfer::export::{self, Exported};
use crate::app::transfer::import::{self, Imported, Mode};
use crate::cli::init::private_file;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::store::Listed;
use crate::clock::SystemClock;
use crate::keyring::Keyring;
use crate::store::inventory::Inventory;

/// The longest import from standard input, which has to be read twice.
const MAX_STDIN: u64 = 256 << 20;

/// Writes an export to a new file or to standard output; an error when it is not all of the store.
pub async fn run_export(store: &dyn Inventory, path: &Path, output: Output) -> anyhow::Result<()> {
    let exported = if is_standard(path) {
        let exported = write(store, &mut io::stdout().lock()).await?;
        // Standard output is the export's.
        eprintln!("exported {} records", exported.records);
        exported
    } else {
        let exported = write_file(store, path).await?;
        let text = format!(
            "exported {} records to {}",
            exported.records,
            path.display()
        );
        output.print(&json!(exported), &text);
        exported
    };
    match exported.left_out {
        0 => Ok(()),
        left_out => bail!(
            "{left_out} could not be read and are not in the export; `ticketgate store check` says \
             what can be done"
        ),
    }
}

/// Makes the file; a file that would not be whole goes again.
async fn write_file(store: &dyn Inventory, path: &Path) -> anyhow::Result<Exported> {
    let context = || format!("cannot write {}", path.display());
    let mut file = private_file().open(path).with_context(context)?;
    let written = match write(store, &mut file).await {
        Ok(exported) => file.sync_all().map(|()| exported).with_context(context),
        Err(error) => Err(error),
    };
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written
}

async fn write(store: &dyn Inventory, writer: &mut dyn Write) -> anyhow::Result<Exported> {
    let mut progress = Progress::new();
    let mut writer = BufWriter::new(writer);
    let mut tell = |event: export::Event<'_>| match event {
        export::Event::Progress(number) => progress.step(number, &format!("exported {number}")),
        export::Event::LeftOut(name, why) => {
            progress.note(&format!("left out {}: {why}", name.escape_debug()));
        }
    };
    let exported = export::export(store, &SystemClock, &mut writer, &mut tell).await;
    progress.clear();
    Ok(exported?)
}

/// Reads an export from a file or from standard input; an error when records were left out.
pub async fn run_import(
    store: &dyn Inventory,
    keys: &Keyring,
    path: &Path,
    mode: Mode,
    output: Output,
) -> anyhow::Result<()> {
    if is_standard(path) {
        return import(store, keys, &mut whole_stdin()?, mode, output).await;
    }
    let context = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(context)?;
    import(store, keys, &mut BufReader::new(file), mode, output).await
}

async fn import(
    store: &dyn Inventory,
    keys: &Keyring,
    reader: &mut (impl BufRead + Seek),
    mode: Mode,
    output: Output,
) -> anyhow::Result<()> {
    let mut progress = Progress::new();
    let mut refused = Listed::default();
    let mut tell = |event: import::Event<'_>| match event {
        import::Event::Checked(number) => progress.step(number, &format!("read {number}")),
        import::Event::Progress(number, all) => {
            progress.step(number, &format!("imported {number} of {all}"));
        }
        import::Event::Refused(key, why) if output.json => {
            refused.add(|| json!({ "key": key.to_string(), "why": why }));
        }
        import::Event::Refused(key, why) => progress.print(&format!("left out {key}: {why}")),
    };
    let imported = import::import(store, keys, &SystemClock, reader, mode, &mut tell).await;
    progress.clear();
    let imported = imported?;
    let mut result = json!(imported);
    result["dry_run"] = json!(mode.dry_run);
    refused.put_into(&mut result, "refused_records");
    output.print(&result, &summary(&imported, mode));
    match imported.refused {
        0 => Ok(()),
        refused => bail!("{refused} of {} records were left out", imported.records),
    }
}

fn summary(imported: &Imported, mode: Mode) -> String {
    let counts = [
        (imported.created, "new"),
        (imported.replaced, "in the place of others"),
        (imported.unchanged, "there already"),
        (imported.expired, "over"),
        (imported.refused, "left out"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let mut text = format!("{} records: {}", imported.records, counts.join(", "));
    if mode.dry_run {
        text.push_str("\nnothing was written");
    }
    if imported.left_out_of_export > 0 {
        text.push_str(&format!(
            "\n{} things could not be read when the export was made and are not in it",
            imported.left_out_of_export
        ));
    }
    for pepper in &imported.missing_peppers {
        text.push_str(&format!(
            "\nrecords need the pepper {pepper}, which this deployment does not have; what is \
             under it is void until it is in keys/pepper.keys"
        ));
    }
    text
}

fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

fn whole_stdin() -> anyhow::Result<Cursor<Vec<u8>>> {
    let mut text = Vec::new();
    let read = io::stdin()
        .lock()
        .take(MAX_STDIN + 1)
        .read_to_end(&mut text);
    if read.context("cannot read standard input")? as u64 > MAX_STDIN {
        bail!("standard input is longer than {MAX_STDIN} bytes; import it from a file");
    }
    Ok(Cursor::new(text))
}
