//! `ticketgate broker`: the files that a broker needs, filled in.

pub mod files;
pub mod fill;
#[cfg(test)]
mod tests;

use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::broker::files::{BROKERS, Broker, README};
use crate::cli::broker::fill::{Hook, NO_SECRET, ServerUrl, Variant};
use crate::cli::init::private_file;
use crate::cli::output::Output;
use crate::cli::setup::read_secret;
use crate::hooks::connection::parse_secrets;
use crate::secret::Secret;

const EXAMPLES: &str = "\
Examples:

  To look at a file:
      ticketgate broker config emqx --url http://127.0.0.1:8080

  To make all of them, with the secret, for clients that come over TLS:
      ticketgate broker config emqx --url http://127.0.0.1:8080 --variant tls \\
          --secret-file hook.secret --into filled";

#[derive(Debug, Subcommand)]
pub enum BrokerCommand {
    /// List the brokers that there are files for
    List,
    /// Print a broker's configuration, hardened, commented and filled in
    ///
    /// The files are those of broker-configs/<NAME>/: anonymous logins are off, what nobody decides is
    /// a no, and the broker remembers no answer for longer than a revoke may take. README.md among
    /// them has the steps, and says what the broker cannot do.
    #[command(after_help = EXAMPLES)]
    Config(ConfigArguments),
}

#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// The broker, as in [brokers.<connection>] dialect
    #[arg(value_parser = PossibleValuesParser::new(BROKERS.iter().map(|broker| broker.name)))]
    name: String,
    /// Where the broker reaches this server, such as https://ticketgate.example.com
    #[arg(long)]
    url: ServerUrl,
    /// The broker connection: the name in [brokers.<connection>] of the server's settings
    #[arg(long, value_name = "CONNECTION", default_value = "main", value_parser = connection_name)]
    connection: String,
    /// The file with the connection's secret, the same that its secret_file names; - for standard
    /// input. Without it a mark stands in its place
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How clients reach the broker
    #[arg(long, value_enum, default_value_t = Variant::Plain)]
    variant: Variant,
    /// Print this file alone, such as README.md
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    /// Make the files in this folder instead of printing them; only you can read them
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    into: Option<PathBuf>,
}

/// A file as the broker wants it.
struct Filled {
    name: &'static str,
    text: Secret,
    holds_secret: bool,
}

/// `ticketgate broker`
pub fn run(command: &BrokerCommand, output: Output) -> anyhow::Result<()> {
    match command {
        BrokerCommand::List => {
            list(output);
            Ok(())
        }
        BrokerCommand::Config(arguments) => config(arguments, output),
    }
}

fn list(output: Output) {
    let line = |broker: &Broker| format!("{:<20} {}", broker.name, broker.title);
    let value = |broker: &Broker| json!({ "name": broker.name, "title": broker.title });
    let lines: Vec<String> = BROKERS.iter().map(line).collect();
    let values: Vec<_> = BROKERS.iter().map(value).collect();
    output.print(&json!({ "brokers": values }), &lines.join("\n"));
}

fn config(arguments: &ConfigArguments, output: Output) -> anyhow::Result<()> {
    let broker = files::find(&arguments.name).context("the broker is on the list")?;
    let server = &arguments.url;
    if broker.name == "azure-event-grid" && !server.is_https() {
        bail!("Azure Event Grid asks over https only");
    }
    let secret = match &arguments.secret_file {
        Some(path) => Some(read_newest(path)?),
        None => None,
    };
    let hook = Hook {
        server,
        dialect: broker.name,
        connection: &arguments.connection,
        secret: secret.as_ref(),
    };
    let filled = fill(broker, &hook, arguments)?;
    warn(&filled, &hook);
    match &arguments.into {
        Some(folder) => write(&filled, folder, output),
        None => {
            print(&filled, output);
            Ok(())
        }
    }
}

/// The newest secret of a connection's secret file.
fn read_newest(path: &Path) -> anyhow::Result<Secret> {
    let secrets = parse_secrets(&read_secret(path)?)
        .with_context(|| format!("{} is no secret file", path.display()))?;
    secrets.into_iter().next().context("it holds a secret")
}

fn fill(
    broker: &'static Broker,
    hook: &Hook<'_>,
    arguments: &ConfigArguments,
) -> anyhow::Result<Vec<Filled>> {
    // Printed, the steps would only be in the way of the files.
    let wanted = |name: &str| match &arguments.file {
        Some(file) => name == file,
        None => name != README || arguments.into.is_some(),
    };
    let files = broker.files.iter().filter(|file| wanted(file.name));
    let filled: Vec<Filled> = files
        .map(|file| {
            let text = hook.fill(file.text, arguments.variant);
            let holds = |secret: &Secret| text.expose().contains(secret.expose());
            Filled {
                name: file.name,
                holds_secret: hook.secret.is_some_and(holds),
                text,
            }
        })
        .collect();
    if filled.is_empty() {
        let names: Vec<&str> = broker.files.iter().map(|file| file.name).collect();
        bail!("{} has the files {}", broker.name, names.join(", "));
    }
    Ok(filled)
}

fn warn(filled: &[Filled], hook: &Hook<'_>) {
    for file in filled.iter().filter(|file| file.holds_secret) {
        eprintln!(
            "ticketgate: {} holds the secret of `{}`; let nobody but the broker read it",
            file.name, hook.connection
        );
    }
    if hook.secret.is_none() {
        eprintln!(
            "ticketgate: no --secret-file: {NO_SECRET} stands where the secret of `{}` goes",
            hook.connection
        );
    }
    if hook.dialect == "rabbitmq" && hook.server.is_https() {
        eprintln!(
            "ticketgate: RabbitMQ 3.10 and 3.11 do not start with the two lines \
             `auth_http.ssl_options.*`; there, take them out and set the same in advanced.config"
        );
    }
    if !hook.server.is_https() && !hook.server.is_local() {
        eprintln!(
            "ticketgate: the URL is plain http to another machine: passwords and the secret travel \
             in clear; use https, or a network that is yours alone"
        );
    }
}

fn print(filled: &[Filled], output: Output) {
    let value: Vec<_> = filled
        .iter()
        .map(|file| {
            json!({
                "name": file.name,
                "holds_secret": file.holds_secret,
                "text": file.text.expose(),
            })
        })
        .collect();
    let text = match filled {
        [one] => one.text.expose().to_owned(),
        several => several
            .iter()
            .map(|file| format!("######## {}\n\n{}", file.name, file.text.expose()))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    output.print(&json!({ "files": value }), text.trim_end());
}

fn write(filled: &[Filled], folder: &Path, output: Output) -> anyhow::Result<()> {
    let mut made = Vec::new();
    for file in filled {
        let path = folder.join(file.name);
        let parent = path.parent().unwrap_or(folder);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .with_context(|| parent.display().to_string())?;
        let out = private_file().open(&path);
        let mut out = out.with_context(|| match path.exists() {
            true => format!(
                "{} is there already, perhaps with another secret: remove it first",
                path.display()
            ),
            false => path.display().to_string(),
        })?;
        out.write_all(file.text.expose().as_bytes())
            .with_context(|| path.display().to_string())?;
        made.push(path.display().to_string());
    }
    let text = format!("made {}", made.join(", "));
    output.print(&json!({ "made": made }), &text);
    Ok(())
}

fn connection_name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !text.is_empty() && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("a name is a-z 0-9 and _")
    }
}
