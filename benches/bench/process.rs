//! Children: on a core of their own where there is one, and gone when we are.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::machine;

/// How much of the end of what a child wrote is shown when it fails, in bytes.
const SHOWN: u64 = 4_096;

/// A child that is killed when this is dropped, or when this process dies.
pub struct Killed {
    child: Child,
    log: File,
}

/// A child of this same program that takes questions and gives answers, a line each.
pub struct Process {
    child: Killed,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Where processes may run; `None`: anywhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cores {
    /// What is measured.
    pub server: Option<usize>,
    /// Everything that it needs.
    pub others: Option<usize>,
}

impl Cores {
    /// One for the server and another one, if there are two.
    pub fn apart() -> anyhow::Result<Self> {
        if let [first, .., last] = *machine::cores()? {
            return Ok(Self {
                server: Some(first),
                others: Some(last),
            });
        }
        eprintln!("There is one core only: all processes share it, and figures say little.");
        Ok(Self::default())
    }
}

impl Killed {
    /// Starts a program on a core. What it writes to standard error is kept.
    pub fn start(
        core: Option<usize>,
        program: &OsStr,
        set_up: impl FnOnce(&mut Command) -> &mut Command,
    ) -> anyhow::Result<Self> {
        let log = tempfile::tempfile()?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(core) = core {
            command.args(["taskset", "--cpu-list", &core.to_string()]);
        }
        command.arg(program).stderr(log.try_clone()?);
        let child = set_up(&mut command).spawn();
        let child = child.context("setpriv, which is part of util-linux")?;
        Ok(Self { child, log })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of what it wrote to standard error.
    pub fn said(&self) -> String {
        let length = self.log.metadata().map_or(0, |log| log.len());
        let mut end = vec![0; length.min(SHOWN) as usize];
        let from = length.saturating_sub(SHOWN);
        let read = self.log.read_exact_at(&mut end, from);
        read.map_or_else(
            |error| error.to_string(),
            |()| String::from_utf8_lossy(&end).into_owned(),
        )
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts this program again.
    pub fn start(core: Option<usize>, arguments: &[&str]) -> anyhow::Result<Self> {
        let me = std::env::current_exe()?;
        let mut child = Killed::start(core, me.as_os_str(), |command| {
            let command = command.args(arguments);
            command.stdin(Stdio::piped()).stdout(Stdio::piped())
        })?;
        let pipes = &mut child.child;
        Ok(Self {
            input: pipes.stdin.take().context("it was piped")?,
            output: BufReader::new(pipes.stdout.take().context("it was piped")?),
            child,
        })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a line and waits for one.
    pub fn ask<T: DeserializeOwned>(&mut self, question: &impl Serialize) -> anyhow::Result<T> {
        // Where nobody reads any more, the missing answer tells why.
        let _ = writeln!(self.input, "{}", serde_json::to_string(question)?);
        let mut line = String::new();
        let read = self.output.read_line(&mut line)?;
        ensure!(
            read > 0,
            "a process of the benchmark has failed:\n{}",
            self.child.said()
        );
        Ok(serde_json::from_str(&line)?)
    }
}
