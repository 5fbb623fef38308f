//! `ticketgate serve` as a process that can be killed, stopped and started again.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::program::program;

/// The program in a folder of its own.
pub struct Process {
    variables: Vec<(String, String)>,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// One that has yet to be started.
    pub fn new(folder: &Path) -> Self {
        Self {
            variables: Vec::new(),
            log: folder.join("log"),
            child: Mutex::new(None),
        }
    }

    /// A setting for when it starts, such as `SERVER__BIND`. A later one wins.
    pub fn set(&mut self, name: &str, value: &str) {
        let name = format!("TICKETGATE__{name}");
        self.variables.push((name, value.to_owned()));
    }

    /// Starts it, if it does not run.
    pub fn start(&self) {
        if self.is_alive() {
            return;
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        // The signal is for the case that the test process is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        let program = program();
        command.arg(program.get_program()).arg("serve");
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command.stdin(Stdio::null()).stderr(log.unwrap());
        *self.child.lock().unwrap() = Some(command.spawn().unwrap());
    }

    /// Whether it has been started and has not ended.
    pub fn is_alive(&self) -> bool {
        let mut child = self.child.lock().unwrap();
        let alive = |child: &mut Child| child.try_wait().unwrap().is_none();
        child.as_mut().is_some_and(alive)
    }

    /// SIGKILL. It is gone when this returns.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM; returns whether it ended well.
    pub fn terminate(&self) -> bool {
        self.signal("-TERM");
        let child = self.child.lock().unwrap().take();
        child.unwrap().wait().unwrap().success()
    }

    /// SIGSTOP. It does nothing more when this returns.
    pub fn pause(&self) {
        self.signal("-STOP");
        let started = Instant::now();
        while self.state() != Some('T') {
            assert!(started.elapsed() < Duration::from_secs(5), "it runs on");
            std::thread::yield_now();
        }
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// What it has written so far, since its first start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn id(&self) -> u32 {
        self.child.lock().unwrap().as_ref().unwrap().id()
    }

    fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// The letter that the kernel gives the process, as in `ps`.
    fn state(&self) -> Option<char> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).ok()?;
        text.rsplit_once(") ")?.1.chars().next()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
