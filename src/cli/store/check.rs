//! `ticketgate store check`.

use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};

use crate::app::check::problem::{Finding, Outcome};
use crate::app::check::{self, Event, Options};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::store::Listed;
use crate::clock::SystemClock;
use crate::store::inventory::Inventory;

/// How long to wait before a second look at a store that others use. No login takes that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints every finding; an error when some are left.
pub async fn run(store: &dyn Inventory, fix: bool, output: Output) -> anyhow::Result<()> {
    let alone = store.status().kind == "embedded";
    let options = Options {
        fix,
        patience: if alone { Duration::ZERO } else { PATIENCE },
    };
    let mut progress = Progress::new();
    let mut listed = Listed::default();
    let mut tell = |event: Event<'_>| match event {
        Event::Progress(number) => progress.step(number, &format!("looked at {number}")),
        Event::Waiting(number, patience) => progress.note(&format!(
            "{number} look wrong; looking at them again in {} seconds",
            patience.as_secs()
        )),
        Event::Found(finding) if output.json => listed.add(|| value(finding)),
        Event::Found(finding) => progress.print(&text(finding)),
    };
    let checked = check::check(store, &SystemClock, options, &mut tell).await;
    progress.clear();
    let report = checked?;
    let mut result = json!(report);
    result["left"] = json!(report.left());
    listed.put_into(&mut result, "findings");
    let (looked_at, found, mended) = (report.looked_at, report.found, report.mended);
    let text = match found {
        0 => format!("looked at {looked_at}: nothing is wrong"),
        _ => format!("looked at {looked_at}: {found} wrong, {mended} mended"),
    };
    output.print(&result, &text);
    match report.left() {
        0 => Ok(()),
        1 => bail!("1 finding is left"),
        left => bail!("{left} findings are left"),
    }
}

fn value(finding: &Finding) -> Value {
    json!({
        "name": finding.name,
        "kind": finding.problem.kind(),
        "problem": finding.problem.to_string(),
        "advice": finding.problem.advice(),
        "mended": match &finding.outcome {
            Outcome::Mended(what) => Some(what),
            Outcome::Left | Outcome::Overtaken => None,
        },
    })
}

fn text(finding: &Finding) -> String {
    let done = match &finding.outcome {
        Outcome::Left => finding.problem.advice(),
        Outcome::Mended(what) => what,
        Outcome::Overtaken => "somebody else has just changed it; check again",
    };
    let name = finding.name.escape_debug();
    format!("{name}: {}\n    {done}", finding.problem)
}
