//! What records weigh in memory by themselves: many copies of one, with nothing around them.

use std::io::stdin;
use std::mem;
use std::sync::Arc;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use ticketgate::credential::holder::Holder;
use ticketgate::store::record::{Record, RecordKey};

use crate::machine;

/// What to weigh, a line on standard input.
#[derive(Serialize, Deserialize)]
pub struct Job {
    /// The name of a holder's record, with one credential.
    pub key: String,
    /// Its text.
    pub text: String,
    /// How many copies.
    pub copies: u32,
}

/// Bytes of one, a line on standard output.
#[derive(Debug, Serialize, Deserialize)]
pub struct Weights {
    /// The record as it was read.
    pub record: f64,
    /// The same if its texts and lists had no room to spare.
    pub tight: f64,
    /// Of that, the claims.
    pub claims: f64,
    /// What its name takes beside the name's own fixed size.
    pub key: f64,
}

/// Does the job on standard input.
pub fn run() -> anyhow::Result<()> {
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    let job: Job = serde_json::from_str(&line)?;
    let key: RecordKey = job.key.parse()?;
    let Record::Holder(holder) = Record::decode(&key, &job.text)? else {
        bail!("it is no holder");
    };
    let weights = Weights {
        record: weigh(job.copies, || Record::decode(&key, &job.text))?,
        tight: weigh(job.copies, || Arc::new(Holder::clone(&holder)))?,
        claims: weigh(job.copies, || holder.credentials[0].claims.clone())?,
        key: weigh(job.copies, || key.clone())?,
    };
    println!("{}", serde_json::to_string(&weights)?);
    Ok(())
}

/// The memory that many take beyond the list that they stand in, divided by their number.
fn weigh<T>(copies: u32, make: impl Fn() -> T) -> anyhow::Result<f64> {
    let mut all = Vec::new();
    all.resize_with(copies as usize, || None);
    let me = std::process::id();
    let before = machine::resident(me)?;
    for one in &mut all {
        *one = Some(make());
    }
    let more = machine::resident(me)? - before;
    // What is weighed next must not move in where this was.
    mem::forget(all);
    Ok(more as f64 / f64::from(copies))
}
