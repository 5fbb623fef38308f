//! `kill -9` at each step of a revoke and of a mint. What was answered is complete; what was not is
//! complete or has not happened; and nothing that is left behind stands in the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::race::scene::Scene;
use crate::support::nodes::Node;
use crate::support::nodes::client::{Login, Verdict};
use crate::support::proxy::hold::Hold;
use crate::support::proxy::{Mode, Proxy, contains};
use crate::support::redis::wait::{check, until};

/// Short, because every revoke waits for the node that was killed.
const SHORT: [(&str, &str); 2] = [("STORE__LEASE_MS", "400"), ("STORE__TIMEOUT_MS", "200")];

/// How every record begins that a node writes.
const CHANGE: &str = "{\"rev\":";

/// At which point of the protocol the node is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Redis has not got what was sent, and never will.
    Lost,
    /// Redis gets it when the node is dead.
    Late,
    /// Redis has done it, and the node does not know.
    Unanswered,
}

/// Catches what a node sends.
enum Trap {
    /// In front of Redis.
    Before(Hold),
    /// On the way back.
    Behind(Hold),
}

impl Trap {
    fn set(proxy: &Proxy, at: At, matches: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        if at == At::Unanswered {
            return Trap::Behind(proxy.hold_after(matches));
        }
        let sprung = Arc::new(AtomicBool::new(false));
        let is_sprung = Arc::clone(&sprung);
        // The connections that scripts go through; a moment ago they passed.
        let scripts = contains(":nodes");
        proxy.set_where(
            move |bytes| is_sprung.load(Ordering::SeqCst) && scripts(bytes),
            Mode::Stall,
        );
        Trap::Before(proxy.hold_after(move |bytes| {
            let matches = matches(bytes);
            if matches {
                sprung.store(true, Ordering::SeqCst);
            }
            matches
        }))
    }

    /// Waits until it has caught something.
    async fn caught(&self) {
        match self {
            Trap::Before(hold) => hold.reached().await,
            Trap::Behind(hold) => hold.answered().await,
        }
    }

    /// The network is as it was. What was caught gets through or does not.
    fn open(self, proxy: &Proxy, at: At) {
        if at == At::Lost {
            proxy.set(Mode::Cut);
        }
        proxy.set(Mode::Pass);
    }
}

/// Runs `call` on the first node and kills that as soon as the trap has caught something. Then the
/// node is started again.
async fn killed_at<T>(
    scene: &Scene,
    at: At,
    matches: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
    call: impl Future<Output = Result<T, String>>,
) {
    let node = &scene.nodes[0];
    let trap = Trap::set(&scene.proxy, at, matches);
    let killing = async {
        trap.caught().await;
        node.kill();
    };
    let (outcome, ()) = tokio::join!(call, killing);
    assert!(
        outcome.is_err(),
        "it was answered before the node was killed"
    );
    trap.open(&scene.proxy, at);
    node.start().await;
}

async fn verdict(node: &Node, login: &Login) -> Verdict {
    node.client().connect(login).await.verdict
}

async fn mint(node: &Node, subject: &str) -> Login {
    node.mint(subject).await.unwrap()
}

/// Whether a holder of that name is written.
fn is_change_of(username: &str) -> impl Fn(&[u8]) -> bool + Send + Sync + use<> {
    let holder = format!(":holder:{username}");
    move |bytes| contains(&holder)(bytes) && contains(CHANGE)(bytes)
}

/// The keys in Redis that match.
async fn keys(scene: &Scene, pattern: &str) -> Vec<String> {
    let keys = scene.redis.cli(&["KEYS", pattern]).await;
    keys.lines()
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether this is what a node asks all others when a record is changed: on a connection of its own.
fn is_question(bytes: &[u8]) -> bool {
    contains(":nodes")(bytes) && contains(":changes")(bytes) && !contains(CHANGE)(bytes)
}

#[tokio::test]
async fn a_revoke_that_is_killed_at_any_step_is_done_or_not_done_and_can_be_called_again() {
    let scene = Scene::with(2, &SHORT).await;
    let (node, other) = (&scene.nodes[0], &scene.nodes[1]);
    let mut told = Vec::new();
    for (step, at) in [
        ("change", At::Lost),
        ("change", At::Late),
        ("change", At::Unanswered),
        ("question", At::Lost),
        ("question", At::Late),
        ("question", At::Unanswered),
    ] {
        let login = mint(other, &format!("{step}-{at:?}")).await;
        assert_eq!(verdict(node, &login).await, Verdict::Allow);
        let call = async { node.revoke(&login.token).await.outcome };
        match step {
            "change" => killed_at(&scene, at, contains(CHANGE), call).await,
            _ => killed_at(&scene, at, is_question, call).await,
        }
        let expected = match (step, at) {
            ("change", At::Lost) => Verdict::Allow,
            _ => Verdict::Deny,
        };
        let now = verdict(node, &login).await;
        assert_eq!(now, expected, "{step} {at:?}");
        told.push(format!("{step} {at:?}: {now:?}"));
        node.revoke(&login.token).await.outcome.unwrap();
        for node in &scene.nodes {
            assert_eq!(verdict(node, &login).await, Verdict::Deny, "{step} {at:?}");
        }
    }
    println!("a revoke that was killed: {}", told.join(", "));
}

#[tokio::test]
async fn a_revoke_that_was_answered_survives_a_kill_right_after_it() {
    let scene = Scene::with(2, &SHORT).await;
    let (node, other) = (&scene.nodes[0], &scene.nodes[1]);
    for round in 0..5 {
        let login = mint(node, &format!("subject-{round}")).await;
        for node in &scene.nodes {
            assert_eq!(verdict(node, &login).await, Verdict::Allow);
        }
        node.revoke(&login.username).await.outcome.unwrap();
        node.kill();
        assert_eq!(verdict(other, &login).await, Verdict::Deny);
        node.start().await;
        assert_eq!(verdict(node, &login).await, Verdict::Deny);
    }
    println!("5 revokes, each followed by kill -9: all complete");
}

#[tokio::test]
async fn a_mint_that_was_answered_survives_a_kill_right_after_it() {
    let scene = Scene::with(2, &SHORT).await;
    let (node, other) = (&scene.nodes[0], &scene.nodes[1]);
    let mut logins = Vec::new();
    for round in 0..5 {
        let login = mint(node, &format!("subject-{round}")).await;
        node.kill();
        assert_eq!(verdict(other, &login).await, Verdict::Allow);
        node.start().await;
        logins.push(login);
    }
    for login in &logins {
        assert_eq!(verdict(node, login).await, Verdict::Allow);
        node.revoke(&login.token).await.outcome.unwrap();
    }
    println!("5 mints, each followed by kill -9: all complete, all can be revoked by token");
}

#[tokio::test]
async fn a_mint_that_is_killed_at_any_step_leaves_nothing_half() {
    let scene = Scene::with(2, &SHORT).await;
    let node = &scene.nodes[0];
    let before = keys(&scene, "*:token:*").await.len();
    assert_eq!(before, 0);
    for (step, at, left) in [
        ("index", At::Lost, &[(0, 0)][..]),
        // Both go through one connection, and the second may have been sent as well.
        ("index", At::Late, &[(1, 0), (1, 1)]),
        // The holder is read before it is written.
        ("holder-read", At::Unanswered, &[(1, 0)]),
        ("holder", At::Unanswered, &[(1, 1)]),
    ] {
        let subject = format!("{step}-{at:?}");
        let username = format!("user_{subject}@");
        let call = async { node.mint(&subject).await.map(drop) };
        match step {
            "index" => killed_at(&scene, at, contains(":token:"), call).await,
            "holder-read" => killed_at(&scene, at, contains(&username), call).await,
            _ => killed_at(&scene, at, is_change_of(&username), call).await,
        }
        let pattern = format!("*:holder:{username}*");
        let found = async || {
            let tokens = keys(&scene, "*:token:*").await;
            let found = (tokens.len(), keys(&scene, &pattern).await.len());
            check(left.contains(&found), || format!("{subject}: {found:?}"))?;
            Ok((tokens, found.1))
        };
        let (tokens, holders) = until(String::new, found).await;
        for token in &tokens {
            check_orphan(node, token, holders).await;
        }
        let login = mint(node, &subject).await;
        for node in &scene.nodes {
            assert_eq!(verdict(node, &login).await, Verdict::Allow, "{subject}");
        }
        node.revoke(&login.username).await.outcome.unwrap();
        for node in &scene.nodes {
            assert_eq!(verdict(node, &login).await, Verdict::Deny, "{subject}");
        }
        for key in keys(&scene, "*:token:*").await {
            scene.redis.cli(&["DEL", &key]).await;
        }
    }
    println!(
        "a mint killed before the index, between index and holder, and after both: all in order"
    );
}

/// An index whose credential was never written names nothing; one whose credential was can be
/// revoked. Neither is an error of the server.
async fn check_orphan(node: &Node, key: &str, holders: usize) {
    let (_, token) = key.rsplit_once(':').unwrap();
    let outcome = node.revoke(token).await.outcome;
    match holders {
        0 => assert!(
            outcome
                .as_ref()
                .is_err_and(|error| error.starts_with("404"))
        ),
        _ => assert!(outcome.is_ok(), "{outcome:?}"),
    }
}

#[tokio::test]
async fn a_login_without_its_token_index_works_and_can_be_revoked_by_name() {
    let scene = Scene::set_up(2).await;
    let node = &scene.nodes[0];
    let login = mint(node, "alice").await;
    for key in keys(&scene, "*:token:*").await {
        scene.redis.cli(&["DEL", &key]).await;
    }
    assert_eq!(verdict(node, &login).await, Verdict::Allow);
    let by_token = scene.nodes[1]
        .revoke(&login.token)
        .await
        .outcome
        .unwrap_err();
    assert!(by_token.starts_with("404"), "{by_token}");
    let second = mint(node, "alice").await;
    let said = node.revoke_by_command(&login.username).await;
    assert!(
        said.contains("\"revoked\":2") || said.contains("\"revoked\": 2"),
        "{said}"
    );
    for login in [&login, &second] {
        for node in &scene.nodes {
            assert_eq!(verdict(node, login).await, Verdict::Deny);
        }
    }
    println!("a login without token index: revoked by name");
}
