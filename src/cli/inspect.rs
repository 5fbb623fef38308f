//! `ticketgate inspect`.

use clap::Args;

use crate::cli::local;
use crate::cli::output::Output;
use crate::cli::runtime::block_on;
use crate::config::fields::load_places;
use crate::config::source::Flags;
use crate::http::wire::{InspectBody, InspectReply};

const EXAMPLES: &str = "\
Examples:
    ticketgate inspect user_8f14e45f@org_k7xm4pqr2n5t
    ticketgate inspect 3f0c2a8e-6a54-4a57-9a0e-0d4f6b1c2d3e
    ticketgate inspect key:Ab3zAb3zAb
    ticketgate inspect org_k7xm4pqr2n5t

It asks the running server of this data folder, so that you see what that node sees. Hashes and
encrypted secrets are left out.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A username (<name>@<organization>), a token id (UUID), key:<id> for an API key, or an
    /// organization (org_..., or org:<UUID>)
    target: String,
}

/// Asks the running server through its local socket.
pub fn run(flags: &Flags, arguments: &Arguments, output: Output) -> anyhow::Result<()> {
    let (_, socket) = load_places(flags)?;
    let body = InspectBody {
        target: arguments.target.clone(),
    };
    let reply: InspectReply = block_on(local::ask(&socket, "/inspect", &body))?;
    output.print(&serde_json::to_value(&reply)?, &text(&reply));
    Ok(())
}

fn text(reply: &InspectReply) -> String {
    let mut lines = Vec::new();
    for verdict in &reply.verdicts {
        let word = if verdict.allow { "allow" } else { "deny" };
        let until = verdict.until.as_ref();
        let until = until
            .map(|until| format!(" until {until}"))
            .unwrap_or_default();
        lines.push(format!(
            "{}: this node would {word} it{until}: {}",
            verdict.credential, verdict.reason
        ));
    }
    for record in &reply.records {
        lines.push(String::new());
        lines.push(match &record.name {
            Some(name) => format!("{} lies at {name}", record.key),
            None => format!("{} is not in the store", record.key),
        });
        if let Some(seconds) = record.ttl_seconds {
            lines.push(format!("  the store drops it in {seconds} s"));
        }
        if let (Some(shard), Some(position)) = (record.shard, &record.log_position) {
            lines.push(format!(
                "  shard {shard:02}, its change log read to {position}"
            ));
        }
        let source = if record.cached {
            "from the cache"
        } else {
            "read now"
        };
        if let Some(value) = &record.record {
            let value = serde_json::to_string_pretty(value).unwrap_or_default();
            lines.push(format!("  {source}: {}", value.replace('\n', "\n  ")));
        }
    }
    lines.join("\n").trim_start().to_owned()
}
