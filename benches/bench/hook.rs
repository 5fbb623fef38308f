//! CONNECT hooks, warm from the cache, against no-ops that read the same body.

use std::time::Duration;

use serde::Serialize;

use crate::Plan;
use crate::generator::{Job, Turn};
use crate::site::Site;
use crate::target::Target;

/// One turn of one target.
#[derive(Debug, Serialize)]
pub struct Sample {
    /// What was asked.
    #[serde(flatten)]
    pub target: Target,
    /// Over how many connections.
    pub connections: usize,
    /// In which round. What shares a round is compared.
    pub round: u32,
    /// What came of it.
    #[serde(flatten)]
    pub turn: Turn,
}

/// Measures everything that the plan says.
pub fn run(plan: &Plan) -> anyhow::Result<Vec<Sample>> {
    eprintln!("Minting {} logins and starting the server", plan.logins);
    let mut site = Site::start(plan.logins)?;
    check_every_login(&mut site, plan.logins)?;
    let mut samples = Vec::new();
    for &connections in &plan.connections {
        for round in 0..plan.rounds {
            eprintln!(
                "{connections} connections, round {} of {}",
                round + 1,
                plan.rounds
            );
            for target in in_turn(round) {
                let job = Job {
                    target,
                    connections,
                    warm_up: plan.turn() / 4,
                    measured: plan.turn(),
                    limit: None,
                };
                samples.push(Sample {
                    target,
                    connections,
                    round,
                    turn: site.turn(&job, true)?,
                });
            }
        }
    }
    Ok(samples)
}

/// Sends every request of every target once, which fills the cache; then once more.
fn check_every_login(site: &mut Site, logins: u32) -> anyhow::Result<()> {
    for is_warm in [false, true] {
        for target in Target::all() {
            let job = Job {
                target,
                connections: 16,
                warm_up: Duration::ZERO,
                measured: Duration::from_secs(60),
                limit: Some(logins.into()),
            };
            let turn = site.turn(&job, is_warm)?;
            anyhow::ensure!(turn.answered == u64::from(logins), "{target}: too slow");
        }
    }
    Ok(())
}

/// The targets in the order of a round. Every other round turns it around, so that whatever
/// drifts during a round hurts none of them more than another.
fn in_turn(round: u32) -> Vec<Target> {
    let mut targets = Target::all();
    if round % 2 == 1 {
        targets.reverse();
    }
    targets
}
