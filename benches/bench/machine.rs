//! What this machine is, and how much processor time a process has had.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

/// The kernel counts processor time for other programs in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// What the figures depend on.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many of its cores we may use.
    pub cores: usize,
    /// The kernel's version.
    pub kernel: String,
    /// The compiler's version.
    pub rust: String,
    /// How many processes wanted to run in the last minute, before the start.
    pub load_before: f64,
}

/// Processor time of a whole process.
#[derive(Debug, Clone, Copy)]
pub struct CpuTime {
    /// In its own code.
    pub user: Duration,
    /// In the kernel on its behalf.
    pub system: Duration,
}

/// Describes this machine.
pub fn describe() -> anyhow::Result<Machine> {
    let rust = Command::new("rustc").arg("--version").output()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(Machine {
        processor: processor()?,
        cores: cores()?.len(),
        kernel: kernel.split('-').next().unwrap_or_default().trim().into(),
        rust: String::from_utf8(rust.stdout)?.trim().into(),
        load_before: load()?,
    })
}

/// How many processes wanted to run in the last minute.
pub fn load() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    let first = text.split(' ').next().context("/proc/loadavg is empty")?;
    Ok(first.parse()?)
}

/// The cores that this process may use.
pub fn cores() -> anyhow::Result<Vec<usize>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .context("/proc/self/status names no cores")?;
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<usize>()?..=last.parse()?);
    }
    Ok(cores)
}

fn processor() -> anyhow::Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    Ok(name
        .unwrap_or("unknown")
        .trim_matches(['\t', ' ', ':'])
        .into())
}

impl CpuTime {
    /// What a process has had so far.
    pub fn of(process: u32) -> anyhow::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name in parentheses may hold anything; the fields behind it are counted from 3.
        let (_, fields) = text
            .rsplit_once(')')
            .context("an unknown form of /proc/PID/stat")?;
        let mut ticks = fields.split_whitespace().skip(14 - 3);
        let mut next = || -> anyhow::Result<Duration> {
            let ticks = ticks.next().context("too few fields in /proc/PID/stat")?;
            Ok(TICK * ticks.parse()?)
        };
        Ok(Self {
            user: next()?,
            system: next()?,
        })
    }

    /// What it has had since an earlier moment.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user - earlier.user,
            system: self.system - earlier.system,
        }
    }

    /// Both.
    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

/// The bytes of memory that a process has now.
pub fn resident(process: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes
        .with_context(|| format!("/proc/{process}/status has no VmRSS"))?
        .parse()?;
    Ok(kilobytes * 1024)
}
