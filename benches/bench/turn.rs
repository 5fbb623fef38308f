//! What came of asking for a while, whoever asked.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::machine::CpuTime;
use crate::statistics::{Spread, at_share};

/// What came of a turn. Whatever is per request or second is of the measured time only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Turn {
    /// Requests that were answered, all of them with a yes, warm-up and the rest included.
    pub answered: u64,
    /// Answers a second.
    pub per_second: f64,
    /// The time that half of the answers took at most, in microseconds.
    pub p50: f64,
    /// The time that 99 of 100 took at most.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// Microseconds of processor time that the server took for one request.
    pub server_cpu: f64,
    /// Of these, outside the kernel.
    pub server_user_cpu: f64,
    /// The share of its core that the server used.
    pub server_busy: f64,
    /// The share of its core that the generator used.
    pub generator_busy: f64,
}

/// How far the server and the generator were at a moment.
pub struct Mark {
    /// The moment.
    pub at: Instant,
    server: CpuTime,
    generator: CpuTime,
}

/// How long answers took, in units of 100 ns: half the memory, and nobody sees the difference.
#[derive(Default)]
pub struct Latencies(Vec<u32>);

/// The figures of several turns.
#[derive(Serialize)]
pub struct Figures {
    /// See [`Turn::per_second`], and so on for the others.
    pub per_second: Spread,
    pub p50: Spread,
    pub p99: Spread,
    pub max: Spread,
    pub server_cpu: Spread,
    pub server_user_cpu: Spread,
    pub server_busy: Spread,
    pub generator_busy: Spread,
}

impl Mark {
    /// Now, of these two processes.
    pub fn now(server: u32, generator: u32) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            server: CpuTime::of(server)?,
            generator: CpuTime::of(generator)?,
        })
    }
}

impl Latencies {
    /// With room, so that it does not move while it is filled.
    pub fn with_room_for(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// One more answer.
    pub fn push(&mut self, took: Duration) {
        let units = took.as_nanos() / 100;
        self.0.push(u32::try_from(units).unwrap_or(u32::MAX));
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Turn {
    /// Of the answers between two moments, one at least.
    pub fn between(first: &Mark, last: &Mark, latencies: Latencies, answered: u64) -> Self {
        let Latencies(mut latencies) = latencies;
        latencies.sort_unstable();
        let micros = |share| f64::from(at_share(&latencies, share)) / 10.0;
        let seconds = (last.at - first.at).as_secs_f64();
        let requests = latencies.len() as f64;
        let server = last.server.since(first.server);
        let generator = last.generator.since(first.generator);
        Self {
            answered,
            per_second: requests / seconds,
            p50: micros(0.5),
            p99: micros(0.99),
            max: micros(1.0),
            server_cpu: server.total().as_secs_f64() * 1e6 / requests,
            server_user_cpu: server.user.as_secs_f64() * 1e6 / requests,
            server_busy: server.total().as_secs_f64() / seconds,
            generator_busy: generator.total().as_secs_f64() / seconds,
        }
    }
}

impl Figures {
    /// Of one turn at least.
    pub fn of(turns: &[&Turn]) -> Self {
        let spread = |figure: fn(&Turn) -> f64| Spread::of(turns.iter().map(|turn| figure(turn)));
        Self {
            per_second: spread(|turn| turn.per_second),
            p50: spread(|turn| turn.p50),
            p99: spread(|turn| turn.p99),
            max: spread(|turn| turn.max),
            server_cpu: spread(|turn| turn.server_cpu),
            server_user_cpu: spread(|turn| turn.server_user_cpu),
            server_busy: spread(|turn| turn.server_busy),
            generator_busy: spread(|turn| turn.generator_busy),
        }
    }

    /// Half of the answers and 99 of 100, in microseconds.
    pub fn latency(&self) -> String {
        format!("{:.0} / {:.0}", self.p50.median, self.p99.median)
    }
}
