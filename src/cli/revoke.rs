//! `ticketgate revoke`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::cli::output::Output;
use crate::config::fields::load_places;
use crate::config::source::Flags;
use crate::http::wire::{RevokeBody, RevokeReply};

/// Longer than the server takes for anything.
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub struct Arguments {
    /// A token id (UUID), or a username (<name>@<organization>) for all of its credentials
    target: String,
}

/// Asks the running server through its local socket.
pub fn run(flags: &Flags, arguments: &Arguments, output: Output) -> anyhow::Result<()> {
    let (_, socket) = load_places(flags)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let reply = runtime.block_on(ask(&socket, &arguments.target))?;
    let text = match reply.revoked {
        0 => format!("{}: nothing was live any more", reply.username),
        count => format!(
            "{}: revoked {count}; no CONNECT with it is allowed again. A session that is open \
             stays open at the broker until it is closed there",
            reply.username
        ),
    };
    output.print(&serde_json::to_value(&reply)?, &text);
    Ok(())
}

async fn ask(socket: &Path, target: &str) -> anyhow::Result<RevokeReply> {
    let client = reqwest::Client::builder()
        .unix_socket(socket)
        .timeout(DEADLINE)
        .build()?;
    let body = RevokeBody {
        target: target.to_owned(),
    };
    let sent = client
        .post("http://localhost/revoke")
        .json(&body)
        .send()
        .await;
    let reply = sent.with_context(|| {
        let socket = socket.display();
        format!("no server answers on {socket}; is `ticketgate serve` running on this data folder?")
    })?;
    if reply.status().is_success() {
        return Ok(reply.json().await?);
    }
    let error: serde_json::Value = reply.json().await.unwrap_or_default();
    bail!(
        "{}",
        error["message"]
            .as_str()
            .unwrap_or("the server refused without saying why")
    )
}
