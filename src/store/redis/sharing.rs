//! Nodes tell each other what they have used of the limits: one call an interval, for all of them.
//!
//! Nothing waits for it and nothing depends on it but how exact the limits are: decision 21 says by how
//! much. While Redis is silent each node keeps to its own count. It has nothing to do with the logs, so
//! a failure here does not end the link; one of the connections' failures is seen by whoever needs it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::Stopwatch;
use crate::limits::limiter::Limiter;
use crate::metrics::StoreCallLabel;
use crate::store::redis::Shared;
use crate::store::redis::connection::in_words;
use crate::store::redis::link::Link;
use crate::store::redis::scripts;

/// After how many intervals without a word another node has gone, or this one has lost touch.
const SILENCE: u32 = 5;

/// Reports, and takes in what others have reported, until it is told to stop.
pub async fn share(
    shared: Arc<Shared>,
    limiter: Arc<Limiter>,
    every: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Stopwatch::start();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            _ = ticks.tick() => {}
        }
        let Ok(link) = shared.link() else { continue };
        match exchange(&shared, &link, limiter.report(), every * SILENCE).await {
            Ok(reports) => {
                if heard.elapsed() > every * SILENCE {
                    limiter.lose_touch();
                }
                heard = Stopwatch::start();
                limiter.take_in(reports);
            }
            Err(problem) => tracing::debug!(problem, "limits are not shared right now"),
        }
    }
}

async fn exchange(
    shared: &Shared,
    link: &Link,
    report: String,
    silence: Duration,
) -> Result<Vec<(String, String)>, String> {
    // In whole seconds of the server's clock, so one more than that.
    let silence = (silence.as_secs() + 2).to_string();
    let call = scripts::REPORT_USE.call(
        [shared.keys.limits()],
        [shared.node.clone(), report, silence],
    );
    let watch = Stopwatch::start();
    let calling = link.write.run::<Vec<String>>(&call);
    let answered = timeout(shared.settings.timeout, calling).await;
    let label = StoreCallLabel::Limits;
    shared.metrics.store_call(label, watch.seconds());
    let answered = answered.map_err(|_| "no answer in time".to_owned())?;
    let mut words = answered.map_err(|error| in_words(&error))?.into_iter();
    let mut reports = Vec::new();
    while let (Some(node), Some(report)) = (words.next(), words.next()) {
        reports.push((node, report));
    }
    Ok(reports)
}
