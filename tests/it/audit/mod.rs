//! The audit log: every change has its entry, nothing hostile gets through, nobody sees another's.

mod changes;
mod crashes;
mod decisions;
mod hostile;
mod reading;
mod refusals;

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;
use ticketgate::app::audit::query::AuditFilter;
use ticketgate::names::organization_id::OrganizationId;
use ticketgate::org::audit::{Entry, Trail};

use crate::support::program::program;
use crate::support::world::World;

const PATIENCE: Duration = Duration::from_secs(20);

/// The newest entries of a log, newest first.
async fn entries(
    world: &World,
    organization: Option<&OrganizationId>,
    trails: &[Trail],
) -> Vec<Entry> {
    let filter = AuditFilter {
        trails: trails.to_vec(),
        ..AuditFilter::default()
    };
    let page = world.app.audit_page(organization, &filter, None, 500).await;
    page.unwrap().entries
}

async fn own(world: &World, trails: &[Trail]) -> Vec<Entry> {
    entries(world, Some(&world.organization), trails).await
}

/// Waits until so many entries of a sort are there that nobody waits for.
async fn written(
    world: &World,
    organization: Option<&OrganizationId>,
    trail: Trail,
    count: usize,
) -> Vec<Entry> {
    let started = Instant::now();
    loop {
        let found = entries(world, organization, &[trail]).await;
        if found.len() >= count {
            assert_eq!(found.len(), count, "{found:#?}");
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{found:#?}");
        tokio::task::yield_now().await;
    }
}

/// `ticketgate audit ...` on the world's data folder.
async fn command(world: &World, arguments: &[&str]) -> Output {
    let mut command = program();
    command.arg("--data").arg(world.data()).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.unwrap().unwrap()
}

/// What such a command printed, which must succeed.
async fn printed(world: &World, arguments: &[&str]) -> String {
    let output = command(world, arguments).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn lines(export: &str) -> Vec<Value> {
    let lines = export.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn text(entry: &Entry, name: &str) -> String {
    let value = serde_json::to_value(entry).unwrap();
    let value = value.get(name).or_else(|| value["details"].get(name));
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}
