//! `ticketgate audit`.

use std::io::{ErrorKind, Write as _};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};

use crate::cli::local;
use crate::cli::output::Output;
use crate::cli::runtime::block_on;
use crate::clock::{Clock as _, SystemClock};
use crate::config::fields::load_places;
use crate::config::source::Flags;
use crate::http::wire::audit::{AuditBody, AuditReply};
use crate::names::organization_id::OrganizationName;
use crate::org::audit::Entry;

const EXAMPLES: &str = "\
Examples:
  What was changed in an organization since yesterday:
    ticketgate audit list --organization org_k7xm4pqr2n5t --since 24h --trail changes
  Who has revoked a user, and when:
    ticketgate audit list --organization org_k7xm4pqr2n5t --target user_8f14e45f@org_k7xm4pqr2n5t
  What an API key has done:
    ticketgate audit list --organization org_k7xm4pqr2n5t --actor key:Ab3zAb3zAb
  Calls that were refused, of nobody whose organization is known:
    ticketgate audit list --without-organization --outcome refused
  All of a month, a JSON object in each line:
    ticketgate audit export --organization org_k7xm4pqr2n5t \\
      --since 2026-08-01T00:00:00Z --until 2026-09-01T00:00:00Z > 2026-08.ndjson

Sorts of entries (--trail): changes (what administrators do), tokens (mints and refreshes), refusals
(calls of the API that were refused or failed), decisions (answers to brokers; written where
audit.decisions says so, and shown only when asked for).
Actions: token.mint, token.revoke, key.create, user.create, provider.add, policy.put,
organization.update, call.refused, decision and others; `--action provider` takes all of provider.*.
Actors: key:<id>, operator, subject:<provider>:<subject>, holder:<username>, broker:<name>, nobody.

It asks the running server of this data folder. Of two nodes on one store either will do.";

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Show entries, newest first
    #[command(after_help = EXAMPLES)]
    List {
        #[command(flatten)]
        filter: Filter,
        /// The most entries to show, 1 to 500
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Where an earlier list ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Print all entries, newest first, a JSON object in each line
    #[command(after_help = EXAMPLES)]
    Export {
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Debug, Args)]
pub struct Filter {
    /// Whose log: org_... or the UUID
    #[arg(
        long,
        visible_alias = "org",
        required_unless_present = "without_organization"
    )]
    organization: Option<OrganizationName>,
    /// The log of calls of which nobody knows the organization
    #[arg(long, conflicts_with = "organization")]
    without_organization: bool,
    /// Sorts of entries, with commas between; without it all but decisions
    #[arg(long, value_name = "SORTS")]
    trail: Option<String>,
    /// From then on: a time such as 2026-08-01T09:30:00Z, or how long ago, such as 90m, 24h or 7d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// By whom
    #[arg(long)]
    actor: Option<String>,
    /// What was done
    #[arg(long)]
    action: Option<String>,
    /// On whom or what: a username, a token id, key:<id>, a provider's name, an organization
    #[arg(long)]
    target: Option<String>,
    /// How it ended: ok, refused or failed
    #[arg(long)]
    outcome: Option<String>,
}

/// Asks the running server through its local socket.
pub fn run(flags: &Flags, command: AuditCommand, output: Output) -> anyhow::Result<()> {
    let (_, socket) = load_places(flags)?;
    match command {
        AuditCommand::List {
            filter,
            limit,
            cursor,
        } => {
            let body = AuditBody {
                limit: Some(limit),
                cursor,
                ..filter.body()?
            };
            let reply: AuditReply = block_on(local::ask(&socket, "/audit", &body))?;
            output.print(&serde_json::to_value(&reply)?, &text(&reply));
            Ok(())
        }
        AuditCommand::Export { filter } => {
            let body = filter.body()?;
            block_on(async {
                let mut reply = local::open(&socket, "/audit/export", &body).await?;
                let cut = "the export was broken off; what was printed is not all of it";
                while let Some(lines) = reply.chunk().await.context(cut)? {
                    if !print(&lines)? {
                        break;
                    }
                }
                Ok(())
            })
        }
    }
}

impl Filter {
    fn body(self) -> anyhow::Result<AuditBody> {
        let time = |text: Option<String>| text.map(|text| time(&text)).transpose();
        Ok(AuditBody {
            organization_id: self.organization.map(|name| name.to_string()),
            trail: self.trail,
            since: time(self.since)?,
            until: time(self.until)?,
            actor: self.actor,
            action: self.action,
            target: self.target,
            outcome: self.outcome,
            limit: None,
            cursor: None,
        })
    }
}

/// A time, or how long ago one was.
fn time(text: &str) -> anyhow::Result<String> {
    if text.parse::<Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<i32>().ok());
    let ago = match days {
        Some(days) => Some(SignedDuration::from_hours(24 * i64::from(days))),
        None => text.parse().ok(),
    };
    let then = ago.and_then(|ago| SystemClock.now().checked_sub(ago).ok());
    match then {
        Some(then) => Ok(then.to_string()),
        None => bail!("`{text}` is neither a time such as 2026-08-01T09:30:00Z nor 90m, 24h or 7d"),
    }
}

/// Returns whether somebody still reads.
fn print(lines: &[u8]) -> anyhow::Result<bool> {
    match std::io::stdout().lock().write_all(lines) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("the export could not be written"),
    }
}

fn text(reply: &AuditReply) -> String {
    let mut lines: Vec<String> = reply.entries.iter().map(line).collect();
    if lines.is_empty() {
        lines.push("nothing that was asked for".to_owned());
    }
    if let Some(cursor) = &reply.next_cursor {
        lines.push(format!("more: --cursor {cursor}"));
    }
    lines.join("\n")
}

/// The texts of an entry are safe for a terminal.
fn line(entry: &Entry) -> String {
    let mut line = format!("{:.0}  {}  {}", entry.time, entry.action, entry.actor);
    if let Some(target) = &entry.target {
        line.push_str(&format!(" -> {target}"));
    }
    line.push_str(&format!("  {}", entry.outcome.as_str()));
    if let Some(code) = &entry.code {
        line.push_str(&format!(" ({code})"));
    }
    if let Some(from) = &entry.from {
        line.push_str(&format!("  from {from}"));
    }
    for (name, value) in &entry.details {
        // A key is as safe as a value only when it was read as one.
        line.push_str(&format!("  {}={value}", name.escape_debug()));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_ago() {
        let now = SystemClock.now();
        assert_eq!(
            time("2026-08-01T09:30:00Z").unwrap(),
            "2026-08-01T09:30:00Z"
        );
        for (text, hours) in [("90m", 1.5), ("24h", 24.0), ("7d", 168.0)] {
            let then: Timestamp = time(text).unwrap().parse().unwrap();
            let ago = now.duration_since(then).as_secs_f64() / 3600.0;
            assert!((ago - hours).abs() < 0.01, "{text}: {ago}");
        }
        for text in ["", "yesterday", "7", "d"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
