//! `ticketgate provider`: whose tokens may be exchanged.

mod add;

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::app::providers::ProviderChange;
use crate::cli::local;
use crate::cli::output::Output;
use crate::cli::provider::add::AddProvider;
use crate::cli::runtime::block_on;
use crate::cli::setup::with_app;
use crate::config::fields::load_places;
use crate::config::source::Flags;
use crate::http::wire::{ProviderReply, ProvidersBody, ProvidersReply};
use crate::names::organization_id::OrganizationName;

#[derive(Debug, Subcommand)]
pub enum ProviderCommand {
    /// Add an identity provider
    #[command(subcommand)]
    Add(Box<AddProvider>),
    /// List an organization's providers
    List(Whole),
    /// Show all that one provider says
    Show(One),
    /// Accept new exchanges again
    Enable(One),
    /// Accept no new exchanges; logins that were minted stay good until they end or are revoked
    Disable(One),
    /// Disable and forget; the username prefix stays taken, so that nobody gets another's name
    Remove(One),
    /// Show how the key sets stand that the running server has fetched
    Status(Whole),
}

#[derive(Debug, Args)]
pub struct Whole {
    /// The organization: org_... or its UUID
    #[arg(long)]
    org: OrganizationName,
}

#[derive(Debug, Args)]
pub struct One {
    /// The organization: org_... or its UUID
    #[arg(long)]
    org: OrganizationName,
    /// The provider's name or id
    name: String,
}

/// `ticketgate provider`
pub fn run(flags: &Flags, command: ProviderCommand, output: Output) -> anyhow::Result<()> {
    match command {
        ProviderCommand::Add(add) => add::run(flags, *add, output),
        ProviderCommand::List(Whole { org }) => {
            let reply = ask(flags, org, None, None)?;
            print(output, &reply, line)
        }
        ProviderCommand::Show(One { org, name }) => {
            let reply = ask(flags, org, Some(name), None)?;
            print(output, &reply, whole)
        }
        ProviderCommand::Enable(one) => change(flags, one, ProviderChange::Enable, output),
        ProviderCommand::Disable(one) => change(flags, one, ProviderChange::Disable, output),
        ProviderCommand::Remove(one) => change(flags, one, ProviderChange::Remove, output),
        ProviderCommand::Status(Whole { org }) => {
            let (_, socket) = load_places(flags)?;
            let body = body(&org, None, None);
            let reply: ProvidersReply = block_on(local::ask(&socket, "/providers", &body))?;
            print(output, &reply, status)
        }
    }
}

fn change(flags: &Flags, one: One, change: ProviderChange, output: Output) -> anyhow::Result<()> {
    let reply = ask(flags, one.org, Some(one.name), Some(change))?;
    let done = match change {
        ProviderChange::Enable => "enabled",
        ProviderChange::Disable => "disabled",
        ProviderChange::Remove => "removed",
    };
    print(output, &reply, |provider| {
        let end = if change == ProviderChange::Enable {
            ""
        } else {
            "; its logins end by themselves, or with `ticketgate revoke`"
        };
        format!("{done} provider {}{end}", provider.name)
    })
}

fn body(
    org: &OrganizationName,
    provider: Option<String>,
    change: Option<ProviderChange>,
) -> ProvidersBody {
    ProvidersBody {
        organization: org.to_string(),
        provider,
        change,
        add: Vec::new(),
    }
}

/// Where the running server of this data folder listens, if there is one.
fn running_server(flags: &Flags) -> anyhow::Result<Option<PathBuf>> {
    let (_, socket) = load_places(flags)?;
    Ok(UnixStream::connect(&socket).is_ok().then_some(socket))
}

/// Asks the running server of this data folder, or where there is none, the store.
fn ask(
    flags: &Flags,
    org: OrganizationName,
    provider: Option<String>,
    change: Option<ProviderChange>,
) -> anyhow::Result<ProvidersReply> {
    if let Some(socket) = running_server(flags)? {
        let body = body(&org, provider, change);
        return block_on(local::ask(&socket, "/providers", &body));
    }
    with_app(flags, async |app| {
        let views = match (change, provider) {
            (Some(change), Some(name)) => {
                vec![app.change_provider(org, &name, change).await?.into()]
            }
            (_, provider) => app.providers(org, provider.as_deref()).await?,
        };
        let providers = views.into_iter().map(ProviderReply::new).collect();
        Ok(ProvidersReply { providers })
    })
}

fn print(
    output: Output,
    reply: &ProvidersReply,
    text: impl Fn(&ProviderReply) -> String,
) -> anyhow::Result<()> {
    let lines: Vec<String> = reply.providers.iter().map(text).collect();
    let text = match lines.as_slice() {
        [] => "the organization has no providers; `ticketgate provider add --help`".to_owned(),
        lines => lines.join("\n"),
    };
    output.print(&serde_json::to_value(reply)?, &text);
    Ok(())
}

fn line(provider: &ProviderReply) -> String {
    let state = if provider.enabled {
        "enabled"
    } else {
        "disabled"
    };
    format!(
        "{} ({}, {state}): tokens of {}, usernames {}...",
        provider.name, provider.kind, provider.issuer, provider.username_prefix
    )
}

fn whole(provider: &ProviderReply) -> String {
    let list = |items: &[String]| match items {
        [] => "none".to_owned(),
        items => items.join(", "),
    };
    let mut lines = vec![
        line(provider),
        format!("  id {}", provider.id),
        format!("  audiences: {}", list(&provider.audiences)),
        format!("  signed: {}", list(&provider.signed_with)),
        format!("  e-mail address required: {}", provider.require_email),
    ];
    if !provider.authorized_parties.is_empty() {
        let parties = list(&provider.authorized_parties);
        lines.push(format!("  authorized parties: {parties}"));
    }
    for (name, path) in &provider.claim_map {
        lines.push(format!("  claim {name} from {path}"));
    }
    for (path, value) in &provider.required_claims {
        let value = value.as_deref().unwrap_or("anything");
        lines.push(format!("  required: {path} = {value}"));
    }
    lines.join("\n")
}

fn status(provider: &ProviderReply) -> String {
    let mut lines = vec![line(provider)];
    let Some(set) = &provider.key_set else {
        lines.push("  no key set: it has none, or no token has needed it yet".to_owned());
        return lines.join("\n");
    };
    let time = |time: Option<jiff::Timestamp>| match time {
        Some(time) => format!("{time:.0}"),
        None => "never".to_owned(),
    };
    lines.push(format!(
        "  key set {}: fetched {}, {} fetches of which {} failed, usable until {}",
        set.state,
        time(set.fetched_at),
        set.fetches,
        set.failures,
        time(set.usable_until),
    ));
    lines.extend(set.keys.iter().map(|key| format!("  key {key}")));
    let skipped = set.skipped.iter();
    lines.extend(skipped.map(|(reason, count)| format!("  skipped {count}: {reason}")));
    lines.extend(
        set.error
            .iter()
            .map(|error| format!("  last error: {error}")),
    );
    lines.join("\n")
}
