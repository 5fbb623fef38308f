//! What the parts have found becomes tables for people and a file for machines.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::machine::{self, Machine};

/// What one part has found.
pub struct Finding {
    part: &'static str,
    /// Tables.
    text: String,
    /// All of it.
    samples: Value,
}

/// Everything that a run has found.
#[derive(Serialize)]
pub struct Report {
    machine: Machine,
    load_after: f64,
    #[serde(flatten)]
    parts: Map<String, Value>,
    #[serde(skip)]
    text: String,
}

impl Finding {
    /// Of a part.
    pub fn new(part: &'static str, text: String, samples: &impl Serialize) -> anyhow::Result<Self> {
        let samples = serde_json::to_value(samples)?;
        Ok(Self {
            part,
            text,
            samples,
        })
    }
}

impl Report {
    /// Of a machine as it was before, and of all that was found on it.
    pub fn new(machine: Machine, findings: Vec<Finding>) -> anyhow::Result<Self> {
        let load_after = machine::load()?;
        let mut text = circumstances(&machine, load_after);
        let mut parts = Map::new();
        for finding in findings {
            text += &format!("\n## {}\n\n{}", finding.part, finding.text);
            parts.insert(finding.part.into(), finding.samples);
        }
        Ok(Self {
            machine,
            load_after,
            parts,
            text,
        })
    }

    /// As tables.
    pub fn markdown(&self) -> &str {
        &self.text
    }

    /// Writes all of it.
    pub fn write_json(&self, file: &Path) -> anyhow::Result<()> {
        Ok(fs::write(file, serde_json::to_string_pretty(self)? + "\n")?)
    }
}

fn circumstances(machine: &Machine, load_after: f64) -> String {
    let Machine {
        processor,
        cores,
        kernel,
        rust,
        load_before,
    } = machine;
    format!(
        "{processor}, {cores} cores, Linux {kernel}, {rust}; load {load_before} before, \
         {load_after} after.\n"
    )
}
