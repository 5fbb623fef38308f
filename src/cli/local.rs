//! Calls of the running server over its local socket.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longer than the server takes for anything: the longest lease, and some.
const DEADLINE: Duration = Duration::from_secs(75);

/// Posts a question and reads the reply.
pub async fn ask<T: DeserializeOwned>(
    socket: &Path,
    path: &str,
    body: &impl Serialize,
) -> anyhow::Result<T> {
    Ok(open(socket, path, body).await?.json().await?)
}

/// Posts a question and returns the reply before it has come as a whole.
pub async fn open(
    socket: &Path,
    path: &str,
    body: &impl Serialize,
) -> anyhow::Result<reqwest::Response> {
    let client = reqwest::Client::builder()
        .unix_socket(socket)
        .read_timeout(DEADLINE)
        .build()?;
    let url = format!("http://localhost{path}");
    let sent = client.post(url).json(body).send().await;
    let reply = sent.with_context(|| {
        let socket = socket.display();
        format!("no server answers on {socket}; is `ticketgate serve` running on this data folder?")
    })?;
    if reply.status().is_success() {
        return Ok(reply);
    }
    let error: serde_json::Value = reply.json().await.unwrap_or_default();
    bail!(
        "{}",
        error["message"]
            .as_str()
            .unwrap_or("the server refused without saying why")
    )
}
