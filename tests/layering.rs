//! Holds the tree's shape: a module imports strictly lower ranks, and some things have one place.
//!
//! Every Rust service of this kind that was looked at has a ring among its top-level modules. This
//! test reads the paths in `src/` and fails on the first step towards one.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by rank, lowest first. Each may use those of lower ranks only.
const RANKS: [&[&str]; 11] = [
    &["secret", "clock", "metrics"],
    &["names", "mqtt"],
    &["keyring", "limits"],
    &["org", "credential", "acl"],
    &["engine"],
    &["hooks", "store", "identity"],
    &["app"],
    &["http"],
    &["config"],
    &["wiring"],
    &["cli"],
];

/// What may stand only in some files: the text, and the beginnings of the paths that may have it.
const WALLS: [(&str, &[&str]); 15] = [
    // One module a line, so that the check above sees each of them.
    ("crate::{", &[]),
    ("actix_web", &["http/"]),
    ("actix_http::", &["http/server.rs"]),
    ("actix_server::", &["http/server.rs"]),
    ("actix_service::", &["http/server.rs"]),
    ("redis::", &["store/redis/"]),
    ("quick_cache::", &["store/cached.rs"]),
    ("rumqttc::", &["cli/doctor/mqtt.rs"]),
    ("redb::", &["store/embedded"]),
    ("std::env", &["config/"]),
    ("Timestamp::now(", &["clock.rs"]),
    ("Instant::now(", &["clock.rs"]),
    ("SystemTime", &["clock.rs"]),
    ("unsafe ", &["mosquitto/"]),
    ("anyhow", &["cli/", "wiring.rs", "main.rs"]),
];

/// A source file with its path below `src/` and its text without comments.
struct Source {
    path: String,
    code: String,
}

#[test]
fn every_module_uses_lower_ranks_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        let own = top_module(&source.path);
        if own == "lib" || own == "main" {
            continue;
        }
        let rank = rank(&own).unwrap_or_else(|| panic!("{own} has no rank in this test"));
        for used in used_modules(&source.code) {
            let Some(other) = crate::rank(&used) else {
                wrong.push(format!(
                    "{} uses crate::{used}, which has no rank",
                    source.path
                ));
                continue;
            };
            if used != own && other >= rank {
                wrong.push(format!(
                    "{} (rank {rank}) uses {used} (rank {other})",
                    source.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn some_things_have_one_place() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (text, places) in WALLS {
            let allowed = places.iter().any(|place| source.path.starts_with(place));
            if !allowed && has_word(&source.code, text) {
                wrong.push(format!(
                    "{} has `{text}`, which belongs to {places:?}",
                    source.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rank_table_of_the_crate_is_this_one() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for (rank, modules) in RANKS.iter().enumerate() {
        let names: Vec<String> = modules.iter().map(|name| format!("`{name}`")).collect();
        let row = format!("//! | {rank} | {} |", names.join(" "));
        assert!(lib.contains(&row), "src/lib.rs lacks the row {row}");
        for module in *modules {
            assert!(
                lib.contains(&format!("pub mod {module};")),
                "{module} is not a module"
            );
        }
    }
}

#[test]
fn a_step_towards_a_ring_would_be_noticed() {
    let code = "use crate::http::Edge;\nfn f() { crate::app::run() }\nuse crate::{cli::Cli};";
    assert_eq!(used_modules(code), ["http", "app", "cli"]);
    assert!(has_word("use moka::Cache;", "moka::"));
    assert!(!has_word("use smoka::x;", "moka::"));
    assert!(has_word("use redis::Cmd;", "redis::"));
    assert!(!has_word("use crate::store::redis::Redis;", "redis::"));
    assert_eq!(without_comments("a // b\n//! crate::cli\nc"), "a \n\nc");
    assert_eq!(without_comments("\"http://x\""), "\"http://x\"");
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let src = root().join("src");
    gather(&src, &src, &mut found);
    assert!(found.len() > 40, "the sources were not found");
    found
}

fn gather(folder: &Path, src: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, src, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let code = without_comments(&fs::read_to_string(&path).unwrap());
            let path = path.strip_prefix(src).unwrap().display().to_string();
            found.push(Source { path, code });
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Cuts `//` comments off, but not the `//` of an address in a text.
fn without_comments(text: &str) -> String {
    let cut = |line: &str| match line
        .match_indices("//")
        .find(|(at, _)| !line[..*at].ends_with(':'))
    {
        Some((at, _)) => line[..at].to_owned(),
        None => line.to_owned(),
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

fn top_module(path: &str) -> String {
    path.split('/')
        .next()
        .unwrap()
        .trim_end_matches(".rs")
        .to_owned()
}

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

fn used_modules(code: &str) -> Vec<String> {
    let after = |at: usize| {
        let rest = code[at + "crate::".len()..].trim_start_matches('{');
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        rest[..end].to_owned()
    };
    code.match_indices("crate::")
        .map(|(at, _)| after(at))
        .collect()
}

fn has_word(code: &str, text: &str) -> bool {
    code.match_indices(text).any(|(at, _)| {
        // A module of ours may have the name of the crate that it alone uses: `store::redis::`.
        let ours = code[..at].ends_with("crate::store::");
        let before = code[..at].chars().next_back();
        !ours && !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}
