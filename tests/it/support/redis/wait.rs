//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(30);

/// Asks until the answer is `Ok`. An `Err` says what is missing; when the deadline has passed, the
/// test fails with the last one and with what `logs` returns.
pub async fn until<T>(
    logs: impl Fn() -> String,
    mut ask: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(missing) if started.elapsed() > DEADLINE => {
                panic!("after {DEADLINE:?}: {missing}\n{}", logs())
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// `Ok` if it holds.
pub fn check(holds: bool, missing: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(missing()) }
}
