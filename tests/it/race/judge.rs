//! Says which answers were wrong.

use std::fmt;
use std::time::{Duration, Instant};

use crate::support::nodes::client::{Answered, Verdict};

/// Judges every answer by what was known when it was asked for.
pub struct Judge {
    credentials: Vec<Life>,
    nodes: Vec<Tally>,
    /// What was wrong, in words.
    wrong: Vec<String>,
    slowest_revoke: Duration,
    revokes: usize,
}

#[derive(Clone, Copy, Default)]
struct Life {
    /// When its revoke was first asked for.
    asked: Option<Instant>,
    /// When that had returned success.
    over: Option<Instant>,
}

/// What one node answered.
#[derive(Clone, Default)]
struct Tally {
    /// Whether it may say that it is unavailable: a fault concerns it.
    is_faulty: bool,
    allowed: usize,
    denied: usize,
    unavailable: usize,
    gone: usize,
    /// The longest that it took for an answer.
    slowest: Duration,
}

impl Judge {
    /// Of so many nodes and credentials, all of them live.
    pub fn of(nodes: usize, credentials: usize) -> Self {
        Self {
            credentials: vec![Life::default(); credentials],
            nodes: vec![Tally::default(); nodes],
            wrong: Vec::new(),
            slowest_revoke: Duration::ZERO,
            revokes: 0,
        }
    }

    /// A fault concerns this node.
    pub fn expect_fault(&mut self, node: usize) {
        self.nodes[node].is_faulty = true;
    }

    /// A revoke is about to be asked for.
    pub fn revoke_asked(&mut self, credential: usize) {
        self.credentials[credential].asked = Some(Instant::now());
    }

    /// A revoke has returned success.
    pub fn revoke_returned(&mut self, credential: usize, took: Duration) {
        self.credentials[credential].over = Some(Instant::now());
        self.slowest_revoke = self.slowest_revoke.max(took);
        self.revokes += 1;
    }

    /// Whether its revoke has been asked for.
    pub fn is_ending(&self, credential: usize) -> bool {
        self.credentials[credential].asked.is_some()
    }

    /// A node has answered.
    pub fn take(&mut self, node: usize, credential: usize, answered: Answered) {
        let (life, tally) = (self.credentials[credential], &mut self.nodes[node]);
        let count = match answered.verdict {
            Verdict::Allow => &mut tally.allowed,
            Verdict::Deny => &mut tally.denied,
            Verdict::Unavailable | Verdict::Overloaded => &mut tally.unavailable,
            Verdict::Gone => &mut tally.gone,
        };
        *count += 1;
        tally.slowest = tally.slowest.max(answered.received - answered.sent);
        let wrong = match answered.verdict {
            Verdict::Allow => {
                let since = life.over.filter(|over| answered.sent > *over);
                since.map(|over| format!("allowed {:?} after its revoke", answered.sent - over))
            }
            Verdict::Deny if life.asked.is_none() => Some("denied while it was live".into()),
            Verdict::Deny => None,
            Verdict::Unavailable | Verdict::Overloaded if tally.is_faulty => None,
            other => Some(format!("{other:?}")),
        };
        if let Some(wrong) = wrong {
            let wrong = format!("credential {credential} on node {node}: {wrong}");
            self.wrong.push(wrong);
        }
    }

    /// What was wrong.
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// How many revokes have returned success.
    pub fn revokes(&self) -> usize {
        self.revokes
    }

    /// How many questions were answered.
    pub fn answers(&self) -> usize {
        let sum = |tally: &Tally| tally.allowed + tally.denied + tally.unavailable;
        self.nodes.iter().map(sum).sum()
    }
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, answers, revokes) = (self.nodes.len(), self.answers(), self.revokes);
        let slowest = self.slowest_revoke.as_millis();
        write!(
            f,
            "{nodes} nodes, {answers} CONNECTs, {revokes} revokes, slowest revoke {slowest} ms, \
             {} wrong",
            self.wrong.len()
        )?;
        for (number, tally) in self.nodes.iter().enumerate() {
            let Tally {
                allowed,
                denied,
                unavailable,
                slowest,
                ..
            } = tally;
            let slowest = slowest.as_millis();
            write!(
                f,
                "; node {number}: {allowed} allow, {denied} deny, {unavailable} unavailable, \
                 slowest {slowest} ms"
            )?;
        }
        Ok(())
    }
}

fn answered(verdict: Verdict, sent: Instant) -> Answered {
    let received = Instant::now();
    Answered {
        verdict,
        sent,
        received,
    }
}

#[test]
fn a_stale_allow_and_a_wrong_deny_are_told_from_right_answers() {
    let mut judge = Judge::of(2, 2);
    judge.expect_fault(1);
    let before = Instant::now();
    judge.take(0, 0, answered(Verdict::Allow, before));
    judge.take(1, 0, answered(Verdict::Unavailable, before));
    judge.revoke_asked(0);
    judge.take(0, 0, answered(Verdict::Deny, before));
    judge.revoke_returned(0, Duration::ZERO);
    // Asked for before the revoke had returned.
    judge.take(0, 0, answered(Verdict::Allow, before));
    judge.take(0, 0, answered(Verdict::Deny, Instant::now()));
    assert_eq!(judge.wrong(), [""; 0]);

    let after = before + Duration::from_secs(60);
    judge.take(1, 0, answered(Verdict::Allow, after));
    judge.take(0, 1, answered(Verdict::Deny, after));
    judge.take(0, 1, answered(Verdict::Unavailable, after));
    let wrong = judge.wrong().join("\n");
    assert!(
        wrong.contains("credential 0 on node 1: allowed 5"),
        "{wrong}"
    );
    assert!(wrong.contains("credential 1 on node 0: denied"), "{wrong}");
    assert!(
        wrong.contains("credential 1 on node 0: Unavailable"),
        "{wrong}"
    );
    assert_eq!(judge.wrong().len(), 3);
}
