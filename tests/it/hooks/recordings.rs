//! Recorded requests of real brokers: those that are committed, and those that may not be.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::hooks::wire::Request;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A recorded request and where it comes from.
pub struct Recorded {
    /// `post/001 v311-connect-userpass`
    pub name: String,
    pub request: Request,
}

/// The recordings in `tests/golden/<broker>/recorded`, each run in its order.
pub fn committed(broker: &str) -> Vec<Recorded> {
    let folder = Path::new(ROOT).join(format!("tests/golden/{broker}/recorded"));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().flat_map(read_run).collect()
}

/// The recordings of some runs in `../shared/captures/<broker>`, beside the checkout and not in it;
/// none, and a line that says so, where they are not there.
pub fn beside(broker: &str, runs: &[&str]) -> Vec<Recorded> {
    let folder = Path::new(ROOT).join("../shared/captures").join(broker);
    let read = |run: &&str| read_folder(&folder.join(run), run);
    let Some(recorded) = runs.iter().map(read).collect::<Option<Vec<_>>>() else {
        // Written past the test harness, which would keep it to itself.
        let line = format!("NOT RUN: there are no recordings at ../shared/captures/{broker}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return Vec::new();
    };
    recorded.into_iter().flatten().collect()
}

fn read_folder(folder: &Path, run: &str) -> Option<Vec<Recorded>> {
    let index = std::fs::read_to_string(folder.join("index.tsv")).ok()?;
    let names = index.lines().map(|line| line.split('\t').nth(7).unwrap());
    let read = |name: &str| {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let mut rest = bytes.as_slice();
        let request = Request::take(&mut rest);
        assert!(rest.is_empty() && request.to_bytes() == bytes, "{name}");
        Recorded {
            name: format!("{run}/{name}"),
            request,
        }
    };
    Some(names.map(read).collect())
}

fn read_run(file: &PathBuf) -> Vec<Recorded> {
    let run = file.file_stem().unwrap().to_str().unwrap();
    let bytes = std::fs::read(file).unwrap();
    let mut rest = bytes.as_slice();
    let mut recorded = Vec::new();
    while let Some(after) = rest.strip_prefix(b"=== ") {
        let end = after.iter().position(|byte| *byte == b'\n').unwrap();
        let name = format!("{run}/{}", std::str::from_utf8(&after[..end]).unwrap());
        rest = &after[end + 1..];
        let before = rest;
        let request = Request::take(&mut rest);
        assert!(before.starts_with(&request.to_bytes()), "{name}: not exact");
        rest = rest
            .strip_prefix(b"\n")
            .expect("a request ends with a line");
        recorded.push(Recorded { name, request });
    }
    assert!(rest.is_empty(), "{run}: {} bytes are left", rest.len());
    recorded
}
