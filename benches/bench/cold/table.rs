//! What the cold part has measured becomes tables.

use serde::Serialize;

use crate::cold::{STORM_CONNECTIONS, Sample, Storm, Variant};
use crate::statistics::Spread;
use crate::turn::{Figures, Turn};

/// Everything that was measured, and what it comes to.
#[derive(Serialize)]
pub struct Measured {
    /// How many credentials there were.
    pub logins: u64,
    /// How often each variant had its turn.
    pub rounds: u32,
    /// What is compared.
    pub rows: Vec<Row>,
    /// Requests a second that the storms had.
    pub storm_rate: f64,
    /// The storms.
    pub storms: Vec<Storm>,
    /// What the rows are made of.
    pub samples: Vec<Sample>,
}

/// One number of connections.
#[derive(Serialize)]
pub struct Row {
    connections: usize,
    /// The hook with nothing cached.
    pub cold: Figures,
    warm: Figures,
    get: Figures,
    /// Answers a second, divided by those of the same round.
    cold_to_warm: Spread,
    cold_to_get: Spread,
    /// The warm hook's processor time, divided by the cold one's.
    cpu_ratio: f64,
}

impl Row {
    /// Of the samples with this many connections.
    pub fn of(connections: usize, samples: &[Sample]) -> Self {
        let turns = |variant| -> Vec<&Turn> {
            let ours = |one: &&Sample| one.variant == variant && one.connections == connections;
            samples.iter().filter(ours).map(|one| &one.turn).collect()
        };
        let [cold, warm, get] = [Variant::Cold, Variant::Warm, Variant::Get].map(turns);
        let to = |other: &[&Turn]| {
            let pairs = cold.iter().zip(other);
            Spread::of(pairs.map(|(cold, other)| cold.per_second / other.per_second))
        };
        let (cold_to_warm, cold_to_get) = (to(&warm), to(&get));
        let [cold, warm, get] = [cold, warm, get].map(|turns| Figures::of(&turns));
        Self {
            connections,
            cold_to_warm,
            cold_to_get,
            cpu_ratio: warm.server_cpu.low / cold.server_cpu.low,
            cold,
            warm,
            get,
        }
    }

    fn speed(&self) -> String {
        format!(
            "| {} | {} | {} | {} | **{:.2}** | {:.2} | {} | {} |\n",
            self.connections,
            self.get.per_second,
            self.warm.per_second,
            self.cold.per_second,
            self.cold_to_warm,
            self.cold_to_get,
            self.warm.latency(),
            self.cold.latency(),
        )
    }

    fn cost(&self) -> String {
        let percent = |spread: Spread| spread.median * 100.0;
        format!(
            "| {} | {:.1} | {:.1} | {:.1} | {:.2} | {:.0} % / {:.0} % | {:.0} % / {:.0} % |\n",
            self.connections,
            self.get.server_cpu.low,
            self.warm.server_cpu.low,
            self.cold.server_cpu.low,
            self.cpu_ratio,
            percent(self.warm.server_busy),
            percent(self.cold.server_busy),
            percent(self.warm.generator_busy),
            percent(self.cold.generator_busy),
        )
    }
}

impl Storm {
    fn row(&self, nth: usize, logins: u64) -> String {
        let Self { store_reads, turn } = self;
        format!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.4} | {:.0} % |\n",
            nth + 1,
            turn.per_second,
            turn.p50,
            turn.p99,
            turn.max,
            *store_reads as f64 / logins as f64,
            turn.server_busy * 100.0,
        )
    }
}

impl Measured {
    /// As tables.
    pub fn markdown(&self) -> String {
        let (logins, rounds) = (self.logins, self.rounds);
        let mut text = format!(
            "{rounds} rounds, {logins} credentials, each asked for once in a turn of a server \
             without any in its cache (cold), then once more (warm). The server, or the plain \
             reader in its place, has one core; the generator and Redis share another.\n\n\
             | connections | GET/s | warm hook req/s | cold hook req/s | cold to warm \
             | cold to GET | warm p50 / p99 µs | cold p50 / p99 µs |\n\
             |---|---|---|---|---|---|---|---|\n"
        );
        text.extend(self.rows.iter().map(Row::speed));
        text += "\n| connections | GET CPU µs | warm CPU µs | cold CPU µs | CPU ratio \
                 | server busy, warm / cold | generator busy, warm / cold |\n\
                 |---|---|---|---|---|---|---|\n";
        text.extend(self.rows.iter().map(Row::cost));
        text + &self.storms()
    }

    fn storms(&self) -> String {
        let (logins, rate) = (self.logins, self.storm_rate);
        let mut text = format!(
            "\nReconnect storm: {logins} credentials, none cached, {rate:.0} a second over \
             {STORM_CONNECTIONS} connections whatever the answers take. No wrong answer.\n\n\
             | storm | answered/s | p50 µs | p99 µs | max µs | store reads for one credential \
             | server busy |\n|---|---|---|---|---|---|---|\n"
        );
        let storms = self.storms.iter().enumerate();
        text.extend(storms.map(|(nth, storm)| storm.row(nth, logins)));
        text
    }
}
