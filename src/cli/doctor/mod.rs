//! `ticketgate doctor`: proves that broker and server are wired as they should be.

mod brokers;
mod mqtt;
mod probes;
mod report;
mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, value_parser};
use tokio::time::timeout;

use crate::cli::broker::fill::{Hook, ServerUrl, Variant};
use crate::cli::doctor::brokers::{Broker, Ill, Line};
use crate::cli::doctor::mqtt::Target;
use crate::cli::doctor::probes::Prober;
use crate::cli::doctor::report::{Part, Report};
use crate::cli::doctor::trial::Trial;
use crate::cli::local;
use crate::cli::output::Output;
use crate::cli::runtime::block_on;
use crate::config::fields::load_edge;
use crate::config::source::Flags;
use crate::hooks::connection::BrokerConnection;
use crate::http::Settings;
use crate::http::wire::{BeginBody, BeginReply, RevokeBody, WatchedBody};

const EXAMPLES: &str = "\
Examples:
  Ask the running server as each of its brokers would:
    ticketgate --config ticketgate.toml doctor
  At the address at which the broker reaches it:
    ticketgate --config ticketgate.toml doctor --url http://10.0.0.5:8080
  And try the broker out as an MQTT client:
    ticketgate --config ticketgate.toml doctor --connection main --broker mqtt://10.0.0.7:1883

Run it where the server runs, with the server's settings: it needs the hook secrets and the local
socket. It mints a login that lives for a minute at most and revokes it at the end, publishes to
topics with random names only, and for a moment lets questions about that login alone fail (status
503). Nobody else's session notices.

Exit code: 0 all is well, 1 something is wrong (the table says what, and which line cures it), 2 it
could not be run.";

/// Proves that brokers and this server are wired as they should be
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The server as brokers reach it [default: the address of server.bind]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// One broker connection, by its name in [brokers.<name>] [default: all of them]
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Also try this broker: mqtt://host:port or mqtts://host:port
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// The certificate authorities to trust with mqtts [default: the system's]
    #[arg(long, value_name = "FILE", requires = "broker")]
    ca: Option<PathBuf>,
    /// For which organization, where a connection serves several: org_... or its UUID
    #[arg(long)]
    org: Option<String>,
    /// How long the try of one connection may take: its login lives for a minute
    #[arg(long, value_name = "SECONDS", default_value_t = 55, value_parser = value_parser!(u32).range(1..=55))]
    within: u32,
}

/// What is looked at: a broker connection of this server.
pub struct Subject<'a> {
    connection: &'a BrokerConnection,
    broker: &'static Broker,
    /// The server as brokers reach it, without a `/` at its end.
    url: &'a str,
    /// The same in its parts.
    server: &'a ServerUrl,
}

impl Subject<'_> {
    /// The lines that cure an ill of this connection's broker. The secret stays out of it.
    fn cure(&self, ill: Ill) -> String {
        let hook = Hook {
            server: self.server,
            dialect: self.connection.dialect.name().as_str(),
            connection: &self.connection.name,
            secret: None,
        };
        let lines = (self.broker.cure)(ill).iter().map(Line::text);
        let text = lines.collect::<Vec<_>>().join("\n");
        let filled = hook.fill(&text, Variant::Plain);
        filled.expose().trim_end().to_owned()
    }
}

/// Runs it, and tells by the exit code what came of it.
pub fn run(flags: &Flags, arguments: &Arguments, output: Output) -> ExitCode {
    match examine(flags, arguments) {
        Ok(report) => {
            output.print(&report.json(), &report.text());
            if report.is_good() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(1)
            }
        }
        Err(error) => {
            eprintln!("ticketgate: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn examine(flags: &Flags, arguments: &Arguments) -> anyhow::Result<Report> {
    let (settings, brokers, socket) = load_edge(flags)?;
    let chosen = choose(&brokers, arguments)?;
    let target = match &arguments.broker {
        Some(text) => Some(Target::parse(text, arguments.ca.as_deref())?),
        None => None,
    };
    let url = match &arguments.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => own_url(&settings),
    };
    let server: ServerUrl = url.parse().context("--url")?;
    block_on(async {
        let mut report = Report::new();
        for connection in chosen {
            let subject = Subject {
                connection,
                broker: brokers::of(connection.dialect.name()),
                url: &url,
                server: &server,
            };
            let examining = examine_one(&subject, target.as_ref(), arguments, &socket, &mut report);
            examining.await?;
        }
        Ok(report)
    })
}

fn choose<'a>(
    brokers: &'a [BrokerConnection],
    arguments: &Arguments,
) -> anyhow::Result<Vec<&'a BrokerConnection>> {
    let names = || {
        let names = brokers.iter().map(|one| one.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let wanted = |one: &&BrokerConnection| {
        let wanted = arguments.connection.as_ref();
        wanted.is_none_or(|wanted| *wanted == one.name)
    };
    let chosen: Vec<_> = brokers.iter().filter(wanted).collect();
    match (&*chosen, &arguments.connection) {
        ([], Some(name)) => bail!("there is no [brokers.{name}]; there is: {}", names()),
        ([], None) => bail!("the settings have no [brokers.<name>]; is --config missing?"),
        ([_, _, ..], None) if arguments.broker.is_some() => {
            bail!(
                "say with --connection which of these the broker is: {}",
                names()
            )
        }
        _ => Ok(chosen),
    }
}

/// Where a server with these settings is reached on its own machine.
fn own_url(settings: &Settings) -> String {
    let mut address = settings.bind;
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        };
        address.set_ip(loopback);
    }
    format!("http://{address}")
}

async fn examine_one(
    subject: &Subject<'_>,
    target: Option<&Target>,
    arguments: &Arguments,
    socket: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.about(&subject.connection.name, Part::Server);
    report.doing("asking this server as the broker asks");
    let body = BeginBody {
        connection: subject.connection.name.clone(),
        organization: arguments.org.clone(),
    };
    let login: BeginReply = local::ask(socket, "/doctor/begin", &body)
        .await
        .with_context(|| format!("connection {}", subject.connection.name))?;
    let trying = try_out(subject, target, &login, socket, report);
    let limit = Duration::from_secs(arguments.within.into());
    let tried = timeout(limit, trying).await;
    // Whatever came of it, the login ends here.
    let ended = end(&login, socket).await;
    match tried {
        Ok(tried) => tried?,
        Err(_) => out_of_time(subject, target, limit, report),
    }
    ended
}

/// What was not found out in time may be wrong, so this is a failure.
fn out_of_time(
    subject: &Subject<'_>,
    target: Option<&Target>,
    limit: Duration,
    report: &mut Report,
) {
    let name = &subject.connection.name;
    let parts = [
        (Part::Server, &probes::CHECKS[..]),
        (Part::Broker, &trial::CHECKS),
    ];
    let parts = parts.into_iter().take(if target.is_some() { 2 } else { 1 });
    let missing: Vec<&str> = parts
        .flat_map(|(part, checks)| report.without(name, part, checks))
        .collect();
    let seen = format!("out of time; not checked: {}", missing.join(", "));
    let cure = "run it again, with --connection for one broker at a time; where it stays so, find out \
                why the broker or this server answers so slowly";
    let expected = format!("done within {} s", limit.as_secs());
    report.fail("all checks", &expected, &seen, cure.to_owned());
}

async fn try_out(
    subject: &Subject<'_>,
    target: Option<&Target>,
    login: &BeginReply,
    socket: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (name, dialect) = (&subject.connection.name, subject.connection.dialect.name());
    if login.dialect != dialect.as_str() {
        let seen = format!("the running server has {}", login.dialect);
        let cure = "restart the server: its settings were changed".to_owned();
        report.fail("dialect", dialect.as_str(), &seen, cure);
        return Ok(());
    }
    let prober = Prober::new(subject, login)?;
    let answers = prober.run(report).await;
    let trial = target.map(|target| Trial::new(subject, target, login, socket));
    if let Some(trial) = &trial {
        report.about(name, Part::Broker);
        trial.run(report).await?;
    }
    revoke(login, socket).await?;
    if let Some(trial) = &trial {
        trial.after_revoke(report).await?;
    } else if answers {
        prober.after_revoke(report).await;
    }
    Ok(())
}

async fn revoke(login: &BeginReply, socket: &Path) -> anyhow::Result<()> {
    let body = RevokeBody {
        target: Some(login.token_id.clone()),
        subject: None,
        provider: None,
        organization: None,
        issued_before: None,
    };
    let _: serde_json::Value = local::ask(socket, "/revoke", &body).await?;
    Ok(())
}

async fn end(login: &BeginReply, socket: &Path) -> anyhow::Result<()> {
    revoke(login, socket).await?;
    let body = WatchedBody {
        username: login.username.clone(),
    };
    let _: serde_json::Value = local::ask(socket, "/doctor/end", &body).await?;
    Ok(())
}
