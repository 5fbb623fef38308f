//! The broker, tried as a client does: what must work, what must not, and what becomes of it while
//! this server cannot answer.
//!
//! What the client sees is half of a finding. The other half is what the broker asked meanwhile,
//! which tells a broker that was told no from one that decided by itself, and names the cure.

use std::path::Path;
use std::time::Duration;

use crate::cli::doctor::Subject;
use crate::cli::doctor::brokers::Ill;
use crate::cli::doctor::mqtt::{Client, Login, Refused, Step, Target};
use crate::cli::doctor::probes::altered;
use crate::cli::doctor::report::Report;
use crate::cli::local;
use crate::engine::decision::DenyReason;
use crate::engine::isolation::Isolation;
use crate::hooks::expresses::{Filters, WillAsked};
use crate::http::wire::{BeginReply, PauseBody, SeenQuestion, SeenReply, WatchedBody};
use crate::names::base62;

/// How long a message that must come is waited for.
const SOON: Duration = Duration::from_secs(4);
/// How long a message that must not come is waited for.
const A_WHILE: Duration = Duration::from_millis(1_500);
/// How long questions about the login are held back at most.
const PAUSE_SECONDS: u32 = 10;

/// A broker on trial.
pub struct Trial<'a> {
    subject: &'a Subject<'a>,
    target: &'a Target,
    login: &'a BeginReply,
    socket: &'a Path,
    /// The username as the broker has to be told it.
    username: String,
}

/// What became of a will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Will {
    /// Nobody could have seen it.
    NobodyListens,
    /// The client was not let in with it.
    LoginRefused,
    /// Nothing came.
    Silence,
    /// It came.
    Delivered,
}

impl<'a> Trial<'a> {
    /// With a login to try it with.
    pub fn new(
        subject: &'a Subject<'a>,
        target: &'a Target,
        login: &'a BeginReply,
        socket: &'a Path,
    ) -> Self {
        let organization = login.username.rsplit_once('@').map_or("", |(_, org)| org);
        let username = match subject.connection.isolation {
            // RabbitMQ's form of choosing a vhost.
            Isolation::Vhost => format!("{organization}:{}", login.username),
            _ => login.username.clone(),
        };
        Self {
            subject,
            target,
            login,
            socket,
            username,
        }
    }

    /// Everything but the end of the login.
    ///
    /// # Errors
    /// When the server or the broker cannot be talked to.
    pub async fn run(&self, report: &mut Report) -> anyhow::Result<()> {
        self.target.reach().await?;
        report.doing("logins");
        self.seen().await?;
        let works = self.allowed_login(report).await?;
        self.refused_logins(report).await?;
        if !works {
            for (name, expected) in REST {
                report.not_checked(name, expected, "the login does not work");
            }
            by_hand(report);
            return Ok(());
        }
        report.doing("topics");
        self.messages(report).await?;
        self.forbidden_publish(report).await?;
        self.wider_filters(report).await?;
        self.shared_filters(report).await?;
        report.doing("wills");
        self.wills(report).await?;
        report.doing("what happens while this server does not answer");
        self.outage(report).await?;
        by_hand(report);
        Ok(())
    }

    /// The login once more, after it was revoked.
    ///
    /// # Errors
    /// When the server cannot be talked to.
    pub async fn after_revoke(&self, report: &mut Report) -> anyhow::Result<()> {
        self.seen().await?;
        let (name, expected) = ("login after a revoke", "refused");
        match self.connect(self.right()).await {
            Err(Refused(how)) => report.ok(name, expected, &how),
            Ok(_) => {
                let ill = match self.seen().await?.asked("connect") {
                    None => Ill::Cache,
                    Some(_) => Ill::FailsOpen,
                };
                report.fail(name, expected, "accepted", self.subject.cure(ill));
            }
        }
        Ok(())
    }

    async fn allowed_login(&self, report: &mut Report) -> anyhow::Result<bool> {
        let (name, expected) = ("right login", "accepted");
        let connected = self.connect(self.right()).await;
        let seen = self.seen().await?;
        let asked = seen.asked("connect");
        match connected {
            Ok(_) => match asked {
                None if self.login.nodes == 1 => {
                    let what = "accepted, but this server was not asked";
                    let cure = self.subject.cure(Ill::OwnUsers);
                    report.fail(name, "accepted after asking", what, cure);
                }
                _ => report.ok(name, expected, "accepted"),
            },
            Err(Refused(how)) => {
                let (why, ill) = self.diagnosis(&seen);
                let what = format!("{how}; {why}");
                report.fail(name, expected, &what, self.subject.cure(ill));
                return Ok(false);
            }
        }
        self.method(report, asked);
        Ok(true)
    }

    fn method(&self, report: &mut Report, asked: Option<&SeenQuestion>) {
        let (name, expected) = ("password in the body", "POST");
        match asked.map(|asked| &*asked.method) {
            Some("GET") => {
                let what = "GET: passwords are in URLs, and so in logs";
                report.fail(name, expected, what, self.subject.cure(Ill::Method));
            }
            Some(method) => report.ok(name, expected, method),
            None => report.not_checked(name, expected, "another node was asked"),
        }
    }

    async fn refused_logins(&self, report: &mut Report) -> anyhow::Result<()> {
        let wrong = altered(&self.login.password);
        let with = |credentials| Login {
            credentials,
            ..self.right()
        };
        let ours = |password| with(Some((&*self.username, password)));
        for (name, login, ill) in [
            ("no username and password", with(None), Ill::Anonymous),
            ("wrong password", ours(&*wrong), Ill::OwnUsers),
            ("made-up password", ours("hunter2"), Ill::OwnUsers),
        ] {
            self.must_be_refused(report, name, login, ill).await;
        }
        for (username, password) in self.subject.broker.habits.shipped_logins {
            let name = format!("shipped login {username}");
            let login = with(Some((username, password)));
            self.must_be_refused(report, &name, login, Ill::OwnUsers)
                .await;
        }
        Ok(())
    }

    async fn must_be_refused(&self, report: &mut Report, name: &str, login: Login<'_>, ill: Ill) {
        match self.connect(login).await {
            Err(Refused(how)) => report.ok(name, "refused", &how),
            Ok(_) => report.fail(name, "refused", "accepted", self.subject.cure(ill)),
        }
    }

    async fn messages(&self, report: &mut Report) -> anyhow::Result<()> {
        let login = self.login;
        let none = "the rules name no such topic for this login";
        self.seen().await?;
        match &login.subscribe {
            None => report.not_checked("allowed subscribe", "granted", none),
            Some(filter) => {
                let step = self.subscribe_once(filter).await.unwrap_or(Step::Closed);
                self.must_work(report, "allowed subscribe", "granted", step, "subscribe")
                    .await?;
            }
        }
        let Some(topic) = login.round_trip.as_ref().or(login.publish.as_ref()) else {
            report.not_checked("allowed publish", "arrives", none);
            return Ok(());
        };
        let payload = fresh("allowed");
        let Ok(mut writer) = self.connect(self.right()).await else {
            report.not_checked("allowed publish", "arrives", LOGIN_REFUSED);
            return Ok(());
        };
        if login.round_trip.is_none() {
            let step = writer.publish(topic, &payload).await;
            return self
                .must_work(report, "allowed publish", "acknowledged", step, "publish")
                .await;
        }
        // With rules about the client id, the writer has to listen itself.
        let mut listener = match &login.listener_id {
            Some(id) => self.connect(self.right_as(id)).await.ok(),
            None => None,
        };
        let ears = listener.as_mut().unwrap_or(&mut writer);
        let step = ears.subscribe(topic).await;
        if step != Step::Done {
            return self
                .must_work(report, "allowed publish", "arrives", step, "subscribe")
                .await;
        }
        let step = writer.publish(topic, &payload).await;
        let arrived = listener
            .as_mut()
            .unwrap_or(&mut writer)
            .hears(&payload, SOON)
            .await;
        if arrived {
            report.ok("allowed publish", "arrives", "arrives");
            return Ok(());
        }
        let step = if step == Step::Done {
            Step::Silence
        } else {
            step
        };
        self.must_work(report, "allowed publish", "arrives", step, "publish")
            .await
    }

    async fn must_work(
        &self,
        report: &mut Report,
        name: &str,
        expected: &str,
        step: Step,
        question: &str,
    ) -> anyhow::Result<()> {
        let seen = self.seen().await?;
        if step == Step::Done {
            report.ok(name, expected, step.text());
            return Ok(());
        }
        let (why, ill) = match seen.asked(question) {
            None if !seen.has("not_mqtt") && self.asks_about_topics() => {
                (NOT_ASKED.to_owned(), Ill::Topics)
            }
            _ => self.diagnosis(&seen),
        };
        let what = format!("{}; {why}", step.text());
        report.fail(name, expected, &what, self.subject.cure(ill));
        Ok(())
    }

    async fn forbidden_publish(&self, report: &mut Report) -> anyhow::Result<()> {
        let (name, expected) = ("forbidden publish", "not delivered");
        let Some(topic) = &self.login.forbidden else {
            report.not_checked(
                name,
                expected,
                "the rules let this login publish everything",
            );
            return Ok(());
        };
        let mut listener = self.listener(self.login.listen.as_deref()).await;
        let Ok(mut writer) = self.connect(self.right()).await else {
            report.not_checked(name, expected, LOGIN_REFUSED);
            return Ok(());
        };
        self.seen().await?;
        let payload = fresh("forbidden");
        let step = writer.publish(topic, &payload).await;
        let heard = match &mut listener {
            Some(listener) => Some(listener.hears(&payload, A_WHILE).await),
            None => None,
        };
        let seen = self.seen().await?;
        let unasked = seen.asked("publish").is_none() && self.login.nodes == 1;
        let cure = self.subject.cure(Ill::Topics);
        match (step, heard) {
            (_, Some(true)) => report.fail(name, expected, "delivered", cure),
            (Step::Done, _) if unasked && self.asks_about_topics() => {
                report.fail(
                    name,
                    expected,
                    "acknowledged, and this server was not asked",
                    cure,
                );
            }
            (Step::Done, None) if self.subject.broker.habits.tells_of_refused_publish => {
                report.fail(name, expected, "acknowledged", cure);
            }
            (Step::Done, None) => {
                let why = "acknowledged; the rules let nobody listen there to see more";
                report.not_checked(name, expected, why);
            }
            (Step::Done, Some(false)) => report.ok(name, expected, "acknowledged and dropped"),
            (step, _) => report.ok(name, expected, step.text()),
        }
        Ok(())
    }

    async fn wider_filters(&self, report: &mut Report) -> anyhow::Result<()> {
        let (name, expected) = ("wildcard escalation", "refused");
        if self.login.wider.is_empty() {
            let why = "the rules grant no filter that could be widened";
            report.not_checked(name, expected, why);
        }
        for wider in &self.login.wider {
            let step = self.subscribe_once(&wider.asked).await;
            let what = format!(
                "{} asked, {} granted by the rules",
                wider.asked, wider.granted
            );
            self.must_not_subscribe(report, name, &what, step);
        }
        Ok(())
    }

    async fn shared_filters(&self, report: &mut Report) -> anyhow::Result<()> {
        let group = fresh("group");
        let name = "$share around a forbidden filter";
        match self.login.wider.first() {
            None => report.not_checked(name, "refused", "no forbidden filter is known"),
            Some(wider) => {
                let filter = format!("$share/{group}/{}", wider.asked);
                let step = self.subscribe_once(&filter).await;
                self.must_not_subscribe(report, name, &filter, step);
            }
        }
        let (name, expected) = ("$share around an allowed filter", "granted");
        match &self.login.subscribe {
            _ if !self.subject.broker.habits.shares => {
                let why = "this broker has no shared subscriptions";
                report.not_checked(name, expected, why);
            }
            None => report.not_checked(name, expected, "no allowed filter is known"),
            Some(filter) => {
                let shared = format!("$share/{group}/{filter}");
                let step = self.subscribe_once(&shared).await.unwrap_or(Step::Closed);
                self.must_work(report, name, expected, step, "subscribe")
                    .await?;
            }
        }
        Ok(())
    }

    fn must_not_subscribe(&self, report: &mut Report, name: &str, what: &str, step: Option<Step>) {
        let Some(step) = step else {
            report.not_checked(name, "refused", LOGIN_REFUSED);
            return;
        };
        let seen = format!("{what}: {}", step.text());
        if step == Step::Done {
            let cure = self.subject.cure(Ill::Topics);
            report.fail(name, "refused", &seen, cure);
        } else {
            report.ok(name, "refused", &seen);
        }
    }

    async fn wills(&self, report: &mut Report) -> anyhow::Result<()> {
        let (name, expected) = ("will outside the rules", "not delivered");
        let expresses = self.subject.connection.dialect.name().expresses();
        if expresses.will == WillAsked::Never {
            let why = "this broker never asks about wills: a client may leave one for any topic";
            report.not_checked(name, expected, why);
            return Ok(());
        }
        let Some(topic) = &self.login.listen else {
            let why = "the rules name no topic that may be read and not written";
            report.not_checked(name, expected, why);
            return Ok(());
        };
        // That nothing comes says something only where an allowed will does come.
        let Some(allowed) = &self.login.round_trip else {
            let why = "the rules name no topic to compare with, that may be both read and written";
            report.not_checked(name, expected, why);
            return Ok(());
        };
        if self.send_will(allowed).await != Will::Delivered {
            let why = "an allowed will did not arrive either, so nothing can be said";
            report.not_checked(name, expected, why);
            return Ok(());
        }
        match self.send_will(topic).await {
            Will::NobodyListens => {
                let why = "the subscription that would show it was refused";
                report.not_checked(name, expected, why);
            }
            Will::LoginRefused => report.ok(name, expected, "the login with it was refused"),
            Will::Silence => report.ok(name, expected, "not delivered"),
            Will::Delivered => {
                let cure = self.subject.cure(Ill::Topics);
                report.fail(name, expected, "delivered", cure);
            }
        }
        Ok(())
    }

    /// A client with a will goes away without a word.
    async fn send_will(&self, topic: &str) -> Will {
        let Some(mut listener) = self.listener(Some(topic)).await else {
            return Will::NobodyListens;
        };
        let payload = fresh("will");
        let login = Login {
            will: Some((topic, &payload)),
            ..self.right()
        };
        match self.connect(login).await {
            Err(_) => return Will::LoginRefused,
            Ok(dying) => drop(dying),
        }
        if listener.hears(&payload, A_WHILE).await {
            Will::Delivered
        } else {
            Will::Silence
        }
    }

    async fn outage(&self, report: &mut Report) -> anyhow::Result<()> {
        let publish = "publish while unavailable";
        let login = "login while unavailable";
        let topic = self
            .login
            .round_trip
            .as_ref()
            .or(self.login.publish.as_ref());
        let mut open = self.connect(self.right()).await.ok();
        let mut listener = self.listener(self.login.round_trip.as_deref()).await;
        self.seen().await?;
        self.pause(PAUSE_SECONDS).await?;

        let payload = fresh("unavailable");
        match (topic, &mut open) {
            (Some(topic), Some(open)) if self.asks_about_topics() => {
                let step = open.publish(topic, &payload).await;
                let heard = match &mut listener {
                    Some(listener) => listener.hears(&payload, A_WHILE).await,
                    None => false,
                };
                let told = self.subject.broker.habits.tells_of_refused_publish;
                let through = heard || (step == Step::Done && told);
                if through && self.was_asked_elsewhere("publish").await? {
                    report.not_checked(publish, "not delivered", ANOTHER_NODE);
                } else if through {
                    let seen = if heard { "delivered" } else { step.text() };
                    let cure = self.subject.cure(Ill::FailsOpen);
                    report.fail(publish, "not delivered", seen, cure);
                } else {
                    report.ok(publish, "not delivered", step.text());
                }
            }
            _ if !self.asks_about_topics() => {
                let why = "this broker has the rules of an open session already";
                report.not_checked(publish, "not delivered", why);
            }
            _ => report.not_checked(publish, "not delivered", "no topic to try it with"),
        }
        drop((open, listener));
        self.seen().await?;
        self.login_in_outage(report, login).await?;
        self.pause(0).await
    }

    async fn login_in_outage(&self, report: &mut Report, name: &str) -> anyhow::Result<()> {
        if let Err(Refused(how)) = self.connect(self.right()).await {
            report.ok(name, "refused", &how);
            return Ok(());
        }
        let asked_here = self.seen().await?.asked("connect").is_some();
        let (what, ill) = match asked_here {
            true => ("accepted, though this server failed", Ill::FailsOpen),
            false if self.login.nodes > 1 => {
                report.not_checked(name, "refused", ANOTHER_NODE);
                return Ok(());
            }
            false => ("accepted without asking: from a cache", Ill::Cache),
        };
        report.fail(name, "refused", what, self.subject.cure(ill));
        Ok(())
    }

    /// Whether another node may have been asked in place of this one.
    async fn was_asked_elsewhere(&self, question: &str) -> anyhow::Result<bool> {
        Ok(self.login.nodes > 1 && self.seen().await?.asked(question).is_none())
    }

    /// A second client that listens to this topic, where the rules let there be one.
    async fn listener(&self, topic: Option<&str>) -> Option<Client> {
        let id = self.login.listener_id.as_deref()?;
        let mut listener = self.connect(self.right_as(id)).await.ok()?;
        let step = listener.subscribe(topic?).await;
        (step == Step::Done).then_some(listener)
    }

    /// Subscribes with a client of its own: some brokers close the connection on a refusal.
    /// `None`: it was not let in.
    async fn subscribe_once(&self, filter: &str) -> Option<Step> {
        let mut client = self.connect(self.right()).await.ok()?;
        Some(client.subscribe(filter).await)
    }

    /// Why something that must work does not.
    fn diagnosis(&self, seen: &SeenReply) -> (String, Ill) {
        let (mut why, mut ill) = seen.diagnosis();
        // RabbitMQ refuses a vhost that it does not have without asking anybody.
        if ill == Ill::DoesNotAsk && self.subject.connection.isolation == Isolation::Vhost {
            why.push_str("; the organization's vhost may be missing");
            ill = Ill::Compartment;
        }
        if self.login.nodes > 1 {
            why.push_str(" (other nodes may have been asked)");
        }
        (why, ill)
    }

    /// Where the rules go along with the login, the broker need not ask.
    fn asks_about_topics(&self) -> bool {
        let dialect = &self.subject.connection.dialect;
        !dialect.takes_rules() && dialect.name().expresses().filters != Filters::NotAsked
    }

    fn right(&self) -> Login<'_> {
        self.right_as(&self.login.client_id)
    }

    fn right_as<'b>(&'b self, client_id: &'b str) -> Login<'b> {
        Login {
            client_id,
            credentials: Some((&self.username, &self.login.password)),
            will: None,
        }
    }

    async fn connect(&self, login: Login<'_>) -> Result<Client, Refused> {
        Client::connect(self.target, login).await
    }

    /// What was asked since the last time.
    async fn seen(&self) -> anyhow::Result<SeenReply> {
        let body = WatchedBody {
            username: self.login.username.clone(),
        };
        local::ask(self.socket, "/doctor/seen", &body).await
    }

    async fn pause(&self, seconds: u32) -> anyhow::Result<()> {
        let body = PauseBody {
            username: self.login.username.clone(),
            seconds,
        };
        let _: serde_json::Value = local::ask(self.socket, "/doctor/pause", &body).await?;
        Ok(())
    }
}

const LOGIN_REFUSED: &str = "the login was refused this time";
const ANOTHER_NODE: &str = "another node answered; let the broker ask this one alone and try again";
const NOT_ASKED: &str = "this server was not asked about the topic";

/// All checks of a broker, apart from the logins that it is shipped with.
pub const CHECKS: [&str; 15] = [
    "right login",
    "password in the body",
    "no username and password",
    "wrong password",
    "made-up password",
    "allowed subscribe",
    "allowed publish",
    "forbidden publish",
    "wildcard escalation",
    "$share around a forbidden filter",
    "$share around an allowed filter",
    "will outside the rules",
    "publish while unavailable",
    "login while unavailable",
    "login after a revoke",
];

/// What is left out when the login does not work.
const REST: [(&str, &str); 10] = [
    ("password in the body", "POST"),
    ("allowed subscribe", "granted"),
    ("allowed publish", "arrives"),
    ("forbidden publish", "not delivered"),
    ("wildcard escalation", "refused"),
    ("$share around a forbidden filter", "refused"),
    ("$share around an allowed filter", "granted"),
    ("will outside the rules", "not delivered"),
    ("publish while unavailable", "not delivered"),
    ("login while unavailable", "refused"),
];

/// What cannot be tried from here: some brokers take a failure for a no, and a server that is not
/// there for nobody's business.
fn by_hand(report: &mut Report) {
    let why = "only you can stop this server: do it for a moment and connect with a good login and \
               with none; nobody may get in";
    report.not_checked("login while this server is gone", "refused", why);
}

impl SeenReply {
    /// The last question of a kind.
    fn asked(&self, question: &str) -> Option<&SeenQuestion> {
        let mut questions = self.questions.iter().rev();
        questions.find(|one| one.question == question)
    }

    fn has(&self, stray: &str) -> bool {
        self.strays.iter().any(|one| one.what == stray)
    }

    /// Why something that must work does not, as far as the broker's questions tell.
    fn diagnosis(&self) -> (String, Ill) {
        let denied = self
            .questions
            .iter()
            .rev()
            .find(|one| one.outcome != "allow");
        if let Some(denied) = denied {
            let reason = denied.reason.as_deref().unwrap_or(&denied.outcome);
            let ill = if reason == DenyReason::WrongCompartment.text() {
                Ill::Compartment
            } else {
                Ill::Form
            };
            let text = format!("this server said no to \"{}\": {reason}", denied.question);
            return (text, ill);
        }
        for (stray, text, ill) in [
            (
                "not_mqtt",
                "this server was asked about something that is not MQTT's",
                Ill::NotMqtt,
            ),
            (
                "connection",
                "the broker asks for a connection or dialect that this server does not have",
                Ill::Connection,
            ),
            ("secret", "the broker shows a wrong secret", Ill::Secret),
            ("hook", "the broker asks at a wrong path", Ill::Path),
            ("nothing", "the broker asks at a wrong path", Ill::Path),
            (
                "malformed",
                "the broker asks in a form that cannot be read",
                Ill::Form,
            ),
        ] {
            if self.has(stray) {
                return (text.to_owned(), ill);
            }
        }
        let all_allowed = !self.questions.is_empty();
        if all_allowed {
            let text = "this server said yes to all that it was asked";
            return (text.to_owned(), Ill::DoesNotAsk);
        }
        ("this server was not asked".to_owned(), Ill::DoesNotAsk)
    }
}

fn fresh(what: &str) -> String {
    format!("doctor-{what}-{}", base62::random(8))
}
