//! Writes what nobody waits for.

use std::sync::{Arc, PoisonError};

use tokio::select;
use tokio::sync::{mpsc, oneshot};

use crate::app::App;
use crate::metrics::AuditLossLabel;
use crate::store::audit::Line;

/// The most entries that are written at a time.
const BATCH: usize = 256;

impl App {
    /// Writes what waits until `stop` is dropped, and then what still waits. One task does this; a
    /// second one has nothing to do.
    pub async fn write_audit(self: Arc<Self>, mut stop: oneshot::Receiver<()>) {
        let waiting = &self.audit.waiting;
        let taken = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut waiting) = taken else {
            return;
        };
        loop {
            let mut lines = Vec::new();
            select! {
                biased;
                count = waiting.recv_many(&mut lines, BATCH) => match count {
                    0 => return,
                    _ => self.write_lines(lines).await,
                },
                _ = &mut stop => break,
            }
        }
        waiting.close();
        self.write_rest(waiting).await;
    }

    async fn write_rest(&self, mut waiting: mpsc::Receiver<Line>) {
        loop {
            let mut lines = Vec::new();
            if waiting.recv_many(&mut lines, BATCH).await == 0 {
                return;
            }
            self.write_lines(lines).await;
        }
    }

    async fn write_lines(&self, lines: Vec<Line>) {
        let trails: Vec<_> = lines.iter().map(|line| line.log.trail).collect();
        if let Err(error) = self.store.append_audit(lines).await {
            tracing::warn!(%error, count = trails.len(), "entries are missing in the audit log");
            for trail in trails {
                self.metrics
                    .audit_lost(trail.into(), AuditLossLabel::Store, 1);
            }
        }
    }
}
