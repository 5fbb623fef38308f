//! What the doctor found: a table for people, JSON for machines.

use serde_json::{Value, json};

use crate::cli::progress::Progress;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Not so.
    Fail,
    /// It could not be found out.
    NotChecked,
}

/// One thing that was looked at.
#[derive(Debug)]
pub struct Check {
    connection: String,
    part: Part,
    name: String,
    expected: String,
    seen: String,
    verdict: Verdict,
    cure: Option<String>,
}

/// Whom a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// This server, asked as the broker asks.
    Server,
    /// The broker, tried as a client does.
    Broker,
}

/// All checks so far; each is told of on standard error as it ends.
pub struct Report {
    connection: String,
    part: Part,
    checks: Vec<Check>,
    progress: Progress,
}

impl Part {
    fn text(self) -> &'static str {
        match self {
            Part::Server => "server",
            Part::Broker => "broker",
        }
    }
}

impl Verdict {
    fn text(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Fail => "FAIL",
            Verdict::NotChecked => "not checked",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Fail => "fail",
            Verdict::NotChecked => "not_checked",
        }
    }
}

impl Report {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            connection: String::new(),
            part: Part::Server,
            checks: Vec::new(),
            progress: Progress::new(),
        }
    }

    /// What the following checks are about.
    pub fn about(&mut self, connection: &str, part: Part) {
        self.connection = connection.to_owned();
        self.part = part;
    }

    /// Tells what is being done.
    pub fn doing(&mut self, text: &str) {
        self.progress.note(&format!("{}: {text}", self.connection));
    }

    /// Something is as it should be.
    pub fn ok(&mut self, name: &str, expected: &str, seen: &str) {
        self.add(name, expected, seen, Verdict::Ok, None);
    }

    /// Something is not as it should be, and this cures it.
    pub fn fail(&mut self, name: &str, expected: &str, seen: &str, cure: String) {
        self.add(name, expected, seen, Verdict::Fail, Some(cure));
    }

    /// Something could not be found out.
    pub fn not_checked(&mut self, name: &str, expected: &str, why: &str) {
        self.add(name, expected, why, Verdict::NotChecked, None);
    }

    fn add(
        &mut self,
        name: &str,
        expected: &str,
        seen: &str,
        verdict: Verdict,
        cure: Option<String>,
    ) {
        self.checks.push(Check {
            connection: self.connection.clone(),
            part: self.part,
            name: name.to_owned(),
            expected: expected.to_owned(),
            seen: seen.to_owned(),
            verdict,
            cure,
        });
    }

    /// Those of these checks of a connection that there is nothing about.
    pub fn without<'a>(&self, connection: &str, part: Part, checks: &[&'a str]) -> Vec<&'a str> {
        let is_there = |name: &&str| {
            self.checks.iter().any(|check| {
                (&*check.connection, check.part, &*check.name) == (connection, part, *name)
            })
        };
        let missing = checks.iter().filter(|name| !is_there(name));
        missing.copied().collect()
    }

    /// Whether nothing was wrong.
    pub fn is_good(&self) -> bool {
        !self
            .checks
            .iter()
            .any(|check| check.verdict == Verdict::Fail)
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let check = |check: &Check| {
            json!({
                "connection": check.connection,
                "part": check.part.text(),
                "check": check.name,
                "expected": check.expected,
                "seen": check.seen,
                "verdict": check.verdict.code(),
                "cure": check.cure,
            })
        };
        let checks: Vec<Value> = self.checks.iter().map(check).collect();
        json!({ "ok": self.is_good(), "checks": checks })
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut about = None;
        let width = |column: fn(&Check) -> &str| {
            let widths = self
                .checks
                .iter()
                .map(|check| column(check).chars().count());
            widths.max().unwrap_or_default()
        };
        let (names, expected) = (width(|one| &one.name), width(|one| &one.expected));
        for check in &self.checks {
            if about != Some((&check.connection, check.part)) {
                about = Some((&check.connection, check.part));
                let heading = match check.part {
                    Part::Server => "this server, asked as the broker asks",
                    Part::Broker => "the broker, tried as a client does",
                };
                text.push_str(&format!("\n{}: {heading}\n", check.connection));
            }
            let line = format!(
                "  {:11}  {:names$}  expected {:expected$}  seen: {}",
                check.verdict.text(),
                check.name,
                check.expected,
                check.seen
            );
            text.push_str(line.trim_end());
            text.push('\n');
            for cure in check.cure.iter().flat_map(|cure| cure.lines()) {
                text.push_str(&format!("               -> {cure}\n"));
            }
        }
        let count = |verdict| {
            self.checks
                .iter()
                .filter(|one| one.verdict == verdict)
                .count()
        };
        text.push_str(&format!(
            "\n{} ok, {} wrong, {} not checked",
            count(Verdict::Ok),
            count(Verdict::Fail),
            count(Verdict::NotChecked)
        ));
        text.trim_start().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_makes_it_bad_and_is_shown_with_its_cure() {
        let mut report = Report::new();
        report.about("main", Part::Broker);
        report.ok("login", "accepted", "accepted");
        report.not_checked("will", "not delivered", "nobody may listen there");
        assert!(report.is_good());
        report.fail(
            "anonymous",
            "refused",
            "accepted",
            "allow_anonymous = off".into(),
        );
        assert!(!report.is_good());
        assert_eq!(report.json()["checks"][2]["verdict"], "fail");
        assert!(report.text().contains("-> allow_anonymous = off"));
        assert!(report.text().ends_with("1 ok, 1 wrong, 1 not checked"));
    }
}
