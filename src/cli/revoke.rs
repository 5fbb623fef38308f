//! `ticketgate revoke`.

use anyhow::bail;
use clap::{ArgGroup, Args};

use crate::app::revoke::selector::Selector;
use crate::cli::local;
use crate::cli::output::Output;
use crate::cli::runtime::block_on;
use crate::config::fields::load_places;
use crate::config::source::Flags;
use crate::http::wire::{RevokeBody, RevokeReply};

const USAGE: &str = "ticketgate revoke [OPTIONS] TARGET [--everything]
       ticketgate revoke [OPTIONS] --subject SUB --provider NAME --org ORG
       ticketgate revoke [OPTIONS] --issued-before TIME --org ORG";

const EXAMPLES: &str = "\
Examples:
  One user, every login of it:
    ticketgate revoke user_8f14e45f@org_k7xm4pqr2n5t
  The same user by what the identity provider calls it:
    ticketgate revoke --subject 8f14e45f --provider supabase --org org_k7xm4pqr2n5t
  One login, by the token_id that the exchange returned:
    ticketgate revoke 3f0c2a8e-6a54-4a57-9a0e-0d4f6b1c2d3e
  One API key, by the id that `ticketgate key create --json` shows:
    ticketgate revoke key:Ab3zAb3zAb
  What an organization issued before an incident was over: logins, passwords, API keys:
    ticketgate revoke --issued-before 2026-08-01T09:30:00Z --org org_k7xm4pqr2n5t
  Everything that an organization has issued until now:
    ticketgate revoke org_k7xm4pqr2n5t --everything

When it returns, no node of the deployment lets the revoked in again. It does not close sessions
that are open at the broker. If it fails, run it again: that does no harm.";

#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = USAGE,
    group = ArgGroup::new("what").required(true).args(["target", "subject", "issued_before"]),
)]
pub struct Arguments {
    /// A token id (UUID), a username (<name>@<organization>) for all of its credentials, key:<id>
    /// for an API key, or with --everything an organization (org_..., or org:<UUID>)
    target: Option<String>,
    /// The target is a whole organization: all its logins, passwords and API keys made until now
    #[arg(long, conflicts_with_all = ["subject", "issued_before"], requires = "target")]
    everything: bool,
    /// What an identity provider calls the user (sub)
    #[arg(long, value_name = "SUB", requires = "provider", requires = "org")]
    subject: Option<String>,
    /// That identity provider's name or id
    #[arg(long, value_name = "NAME", requires = "subject", conflicts_with_all = ["target", "issued_before"])]
    provider: Option<String>,
    /// The organization: org_... or its UUID
    #[arg(long, conflicts_with = "target")]
    org: Option<String>,
    /// All of the organization that was issued before then, by the clock of the node that issued
    /// it; to the second and not in the future
    #[arg(long, value_name = "TIME", requires = "org")]
    issued_before: Option<String>,
}

/// Asks the running server through its local socket.
pub fn run(flags: &Flags, arguments: &Arguments, output: Output) -> anyhow::Result<()> {
    let body = arguments.body()?;
    let (_, socket) = load_places(flags)?;
    let reply: RevokeReply = block_on(local::ask(&socket, "/revoke", &body))?;
    output.print(&serde_json::to_value(&reply)?, &text(&reply));
    Ok(())
}

impl Arguments {
    /// The question to the server. A whole organization is asked for in so many words: one that is
    /// locked out by a slip of the hand has to log in everybody anew.
    fn body(&self) -> anyhow::Result<RevokeBody> {
        if let Some(target) = &self.target {
            let selector: Selector = target.parse()?;
            match (selector, self.everything) {
                (Selector::Organization(_), false) => bail!(
                    "{target} is an organization. To end every login, password and API key that it \
                     has issued until now, add --everything"
                ),
                (Selector::Organization(_), true) | (_, false) => {}
                (_, true) => bail!("--everything is for an organization, and {target} is none"),
            }
        }
        Ok(RevokeBody {
            target: self.target.clone(),
            subject: self.subject.clone(),
            provider: self.provider.clone(),
            organization: self.org.clone(),
            issued_before: self.issued_before.clone(),
        })
    }
}

/// What was revoked, in words.
fn text(reply: &RevokeReply) -> String {
    let who = [&reply.key, &reply.username, &reply.organization];
    let who = who.into_iter().flatten().next();
    let what = match (reply.revoked, &reply.issued_before) {
        (Some(0), _) => "nothing was live any more".to_owned(),
        (Some(count), _) => format!("revoked {count}"),
        (None, Some(time)) => format!("revoked all that was issued before {time}"),
        (None, None) => "revoked all that was issued until now".to_owned(),
    };
    let after = match (reply.revoked, &reply.key) {
        (Some(0), _) => "",
        (_, Some(_)) => "; no call with it is answered again",
        (_, None) => {
            "; no CONNECT with it is allowed again. A session that is open stays open at the broker \
             until it is closed there"
        }
    };
    let who = who.map_or("?", String::as_str);
    format!("{who}: {what}{after}\n{}", confirmation(reply))
}

fn confirmation(reply: &RevokeReply) -> String {
    let (total, confirmed) = (reply.nodes.total, reply.nodes.confirmed);
    let mut text = format!("{confirmed} of {total} nodes confirmed it");
    if confirmed < total {
        text.push_str("; the others have been silent for longer than they may answer from memory");
    }
    if let Some(replicas) = reply.replicas {
        text.push_str(&format!("; replicas of the store that have it: {replicas}"));
    }
    text
}
