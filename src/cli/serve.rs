//! `ticketgate serve`.

use std::io::{IsTerminal as _, stderr};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogSettings;
use crate::config::fields::load;
use crate::config::source::Flags;
use crate::http::server::run_event_loop;
use crate::wiring;

/// Runs until it is told to stop (SIGTERM, SIGINT).
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    let config = load(flags)?;
    start_logging(&config.log)?;
    run_event_loop(async {
        if config.brokers.is_empty() {
            tracing::warn!("no broker connection is set up, so no broker can ask; see [brokers]");
        }
        let running = wiring::build(config)?;
        tracing::info!(address = %running.address(), "listening");
        let stopper = running.stopper();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            stopper.stop().await;
        });
        running.run().await.context("the server failed")?;
        tracing::info!("stopped");
        Ok(())
    })
}

fn start_logging(settings: &LogSettings) -> anyhow::Result<()> {
    let filter: Targets = settings.filter.parse()?;
    let registry = tracing_subscriber::registry().with(filter);
    if settings.json {
        registry
            .with(fmt::layer().json().with_writer(stderr))
            .try_init()?;
    } else {
        let colours = stderr().is_terminal();
        registry
            .with(fmt::layer().with_ansi(colours).with_writer(stderr))
            .try_init()?;
    }
    Ok(())
}
