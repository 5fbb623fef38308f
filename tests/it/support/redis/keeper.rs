//! A process that ends with the test process, however that one dies.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A shell that holds the other end of our pipe, and is the parent of the server.
pub struct Keeper {
    shell: Child,
    line: Mutex<Line>,
}

struct Line {
    /// Taken when this is dropped.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The server's process.
    pid: Option<u32>,
}

impl Keeper {
    /// One that will run this program, write what it says to `log` in the folder, and remove the
    /// folder in the end.
    pub fn new(folder: &Path, program: &[&OsStr]) -> Self {
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", include_str!("keeper.sh"), "keeper"])
            .arg(folder)
            .args(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let line = Line {
            orders: shell.stdin.take(),
            answers: BufReader::new(shell.stdout.take().unwrap()),
            pid: None,
        };
        Self {
            shell,
            line: Mutex::new(line),
        }
    }

    /// Starts the program; a running one is killed first.
    pub fn start(&self) {
        self.order("kill");
        self.order("start");
    }

    /// SIGKILL. The process is gone when this returns.
    pub fn kill(&self) {
        self.order("kill");
    }

    /// SIGSTOP. The process does nothing more when this returns.
    pub fn pause(&self) {
        self.order("pause");
        self.wait_for("paused", |state| state == Some('T'));
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.order("resume");
        self.wait_for("resumed", |state| state != Some('T'));
    }

    /// Whether the process is there, and not ended or paused.
    pub fn is_running(&self) -> bool {
        !matches!(self.state(), None | Some('Z' | 'T'))
    }

    fn order(&self, order: &str) {
        let mut line = self.line.lock().unwrap();
        let line = &mut *line;
        writeln!(line.orders.as_mut().unwrap(), "{order}").unwrap();
        let mut pid = String::new();
        line.answers.read_line(&mut pid).unwrap();
        line.pid = pid.trim().parse().ok();
    }

    /// The letter that the kernel gives the process, as in `ps`.
    fn state(&self) -> Option<char> {
        let pid = self.line.lock().unwrap().pid?;
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, after_name) = text.rsplit_once(") ")?;
        after_name.chars().next()
    }

    fn wait_for(&self, what: &str, holds: impl Fn(Option<char>) -> bool) {
        let started = Instant::now();
        while !holds(self.state()) {
            let waited = started.elapsed();
            assert!(waited < Duration::from_secs(5), "the server is not {what}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.line.get_mut().unwrap().orders.take());
        let _ = self.shell.wait();
    }
}
