//! This server, asked as the broker asks: every question in the broker's own form, and every way to
//! ask it wrongly. Each reply has to be one that the broker reads as what was meant.

use std::time::Duration;

use crate::cli::doctor::Subject;
use crate::cli::doctor::brokers::{self, Ask, Reading, Reply, Request, Session};
use crate::cli::doctor::report::Report;
use crate::engine::isolation::Isolation;
use crate::hooks::dialect::Dialect;
use crate::http::wire::BeginReply;
use crate::names::base62;

/// Brokers give up after 3 to 5 seconds.
const DEADLINE: Duration = Duration::from_secs(5);

/// Its checks. A broker that never asks one of the questions has no such check.
pub const CHECKS: [&str; 15] = [
    "server answers",
    "right login",
    "wrong password",
    "made-up password",
    "allowed publish",
    "forbidden publish",
    "allowed subscribe",
    "wider subscribe",
    "garbage body",
    "empty body",
    "unknown hook",
    "no secret",
    "wrong secret",
    "unknown connection",
    "login after a revoke",
];

/// How a request is to be sent.
#[derive(Clone, Copy)]
enum Proof {
    /// With the connection's secret.
    Right,
    /// Without any.
    Missing,
    /// With another one.
    Wrong,
    /// With the secret, for a connection that does not exist.
    OtherConnection,
}

/// What was replied to a question that may take several requests.
struct Heard {
    reading: Reading,
    text: String,
}

/// Sends the probes of one connection.
pub struct Prober<'a> {
    subject: &'a Subject<'a>,
    login: &'a BeginReply,
    http: reqwest::Client,
}

impl<'a> Prober<'a> {
    /// With a login to ask about.
    pub fn new(subject: &'a Subject<'a>, login: &'a BeginReply) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            subject,
            login,
            http,
        })
    }

    /// Sends them all. Returns whether there is a server at the URL.
    pub async fn run(&self, report: &mut Report) -> bool {
        let url = format!("{}/health/live", self.subject.url);
        let live = self.http.get(&url).send().await;
        let seen = match live {
            Ok(reply) if reply.status() == 200 => None,
            Ok(reply) => Some(format!("status {} at {url}", reply.status().as_u16())),
            Err(error) => Some(plain(&error)),
        };
        if let Some(seen) = seen {
            let cure = "run the server, or say with --url where the broker reaches it; what is \
                        behind that URL has to be ticketgate";
            report.fail("server answers", "alive", &seen, cure.into());
            return false;
        }
        report.ok("server answers", "alive", "alive");
        self.logins(report).await;
        self.topics(report).await;
        self.wrong_ways(report).await;
        true
    }

    /// The login once more, after it was revoked.
    pub async fn after_revoke(&self, report: &mut Report) {
        let right = self.connect(true, Some(&self.login.password));
        self.expect(
            report,
            "login after a revoke",
            Reading::No,
            right,
            Proof::Right,
        )
        .await;
    }

    async fn logins(&self, report: &mut Report) {
        let password = &self.login.password;
        let right = self.connect(true, Some(password));
        self.expect(report, "right login", Reading::Yes, right, Proof::Right)
            .await;
        let wrong = altered(password);
        for (name, named, password) in [
            ("wrong password", true, Some(&*wrong)),
            ("made-up password", true, Some("hunter2")),
            ("no password", true, None),
            ("no username", false, None),
        ] {
            let requests = self.connect(named, password);
            if !requests.is_empty() {
                self.expect(report, name, Reading::No, requests, Proof::Right)
                    .await;
            }
        }
    }

    async fn topics(&self, report: &mut Report) {
        let login = self.login;
        let none = "the rules name no such topic for this login";
        let publish = |topic: &Option<String>| {
            let topic = topic.as_deref()?;
            Some(self.requests(&Ask::Publish(topic)))
        };
        let subscribe = |filter: Option<&String>| {
            let filter = filter?;
            Some(self.requests(&Ask::Subscribe(filter)))
        };
        let wider = login.wider.first().map(|wider| &wider.asked);
        for (name, expected, requests) in [
            ("allowed publish", Reading::Yes, publish(&login.publish)),
            ("forbidden publish", Reading::No, publish(&login.forbidden)),
            (
                "allowed subscribe",
                Reading::Yes,
                subscribe(login.subscribe.as_ref()),
            ),
            ("wider subscribe", Reading::No, subscribe(wider)),
        ] {
            match requests {
                Some(requests) if requests.is_empty() => {
                    let why = "this broker does not ask about topics";
                    report.not_checked(name, expected.text(), why);
                }
                Some(requests) => {
                    self.expect(report, name, expected, requests, Proof::Right)
                        .await;
                }
                None => report.not_checked(name, expected.text(), none),
            }
        }
    }

    async fn wrong_ways(&self, report: &mut Report) {
        let right = || self.connect(true, Some(&self.login.password));
        let garbage = |body: &'static [u8]| -> Vec<Request> {
            let first = right().into_iter().next();
            first.map(|one| one.with_body(body)).into_iter().collect()
        };
        let unknown = (self.subject.broker.unknown_hook)(&self.session());
        for (name, requests, proof) in [
            ("garbage body", garbage(b"{\"\xff%zz&&=\0"), Proof::Right),
            ("empty body", garbage(b""), Proof::Right),
            ("unknown hook", vec![unknown], Proof::Right),
            ("no secret", right(), Proof::Missing),
            ("wrong secret", right(), Proof::Wrong),
            ("unknown connection", right(), Proof::OtherConnection),
        ] {
            self.expect(report, name, Reading::No, requests, proof)
                .await;
        }
    }

    async fn expect(
        &self,
        report: &mut Report,
        name: &str,
        expected: Reading,
        requests: Vec<Request>,
        proof: Proof,
    ) {
        let heard = self.send(requests, proof).await;
        if heard.reading == expected {
            report.ok(name, expected.text(), &heard.text);
            return;
        }
        let connection = &self.subject.connection.name;
        let cure = match expected {
            Reading::Yes => format!(
                "restart the server, so that it has [brokers.{connection}] as this settings file \
                 says it (secret, organization, isolation, home); what stands between --url and the \
                 server must pass path, headers and body on unchanged"
            ),
            _ => {
                "take out what stands between --url and the server and changes replies; if nothing \
                  does, this is a defect of ticketgate: please report it"
                    .to_owned()
            }
        };
        report.fail(name, expected.text(), &heard.text, cure);
    }

    /// Yes only where every request is answered with yes; otherwise the first other reply.
    async fn send(&self, requests: Vec<Request>, proof: Proof) -> Heard {
        let mut last = Heard {
            reading: Reading::Unclear,
            text: "nothing was sent".into(),
        };
        for request in requests {
            last = self.send_one(request, proof).await;
            if last.reading != Reading::Yes {
                break;
            }
        }
        last
    }

    async fn send_one(&self, request: Request, proof: Proof) -> Heard {
        let (url, secret) = self.place(request.path, proof);
        let mut call = self
            .http
            .post(url)
            .header("content-type", request.content_type)
            .body(request.body);
        if let Some(secret) = secret {
            call = call.bearer_auth(secret);
        }
        for (name, value) in request.headers {
            call = call.header(name, value);
        }
        match receive(call).await {
            Ok(reply) => {
                let reading = (self.subject.broker.read)(&reply);
                let (status, kind) = (reply.status, &reply.content_type);
                let text = match reading {
                    Reading::Unclear => format!("status {status}, {kind}, {}", reading.text()),
                    _ => reading.text().to_owned(),
                };
                Heard { reading, text }
            }
            Err(error) => Heard {
                reading: Reading::Unclear,
                text: plain(&error),
            },
        }
    }

    /// The URL, and the secret that goes into a header: there or into the path, as the broker's own
    /// settings have it.
    fn place(&self, hook: &str, proof: Proof) -> (String, Option<String>) {
        let connection = &self.subject.connection;
        let dialect = connection.dialect.name();
        let secret = connection.secrets.first().map(|secret| secret.expose());
        let secret = secret.unwrap_or_default();
        let wrong = base62::random(secret.len());
        let (name, secret) = match proof {
            Proof::Right => (&*connection.name, secret),
            Proof::Missing => (&*connection.name, ""),
            Proof::Wrong => (&*connection.name, &*wrong),
            Proof::OtherConnection => ("no_such_connection", secret),
        };
        let (in_path, in_header) = match brokers::shows_secret_in_header(dialect) {
            true => ("", Some(secret).filter(|secret| !secret.is_empty())),
            false => (secret, None),
        };
        let url = self.subject.url;
        let parts = [url, "hooks", dialect.as_str(), name, in_path, hook];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        let url = parts.collect::<Vec<_>>().join("/");
        (url, in_header.map(str::to_owned))
    }

    fn connect(&self, named: bool, password: Option<&str>) -> Vec<Request> {
        self.requests(&Ask::Connect { named, password })
    }

    fn requests(&self, ask: &Ask<'_>) -> Vec<Request> {
        (self.subject.broker.ask)(&self.session(), ask)
    }

    fn session(&self) -> Session<'_> {
        let connection = self.subject.connection;
        let login = self.login;
        let organization = login.username.rsplit_once('@').map_or("", |(_, org)| org);
        let (home, compartment) = match connection.isolation {
            Isolation::Vhost => (organization, organization),
            Isolation::Mountpoint => (&*connection.home, organization),
            Isolation::Dedicated(_) | Isolation::Prefix => (&*connection.home, &*connection.home),
        };
        let exchange = match &connection.dialect {
            Dialect::RabbitMq(settings) => &settings.exchange,
            _ => "",
        };
        Session {
            username: &login.username,
            client_id: &login.client_id,
            home,
            compartment,
            exchange,
        }
    }
}

async fn receive(call: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
    let reply = call.send().await?;
    let kind = reply.headers().get("content-type");
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let content_type = kind.split(';').next().unwrap_or_default().trim().to_owned();
    Ok(Reply {
        status: reply.status().as_u16(),
        content_type,
        body: reply.bytes().await?.to_vec(),
    })
}

/// An error in words. The library's own would repeat the URL, which holds the secret.
fn plain(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        format!("no answer within {} s", DEADLINE.as_secs())
    } else if error.is_connect() {
        "nobody answers at that address".into()
    } else {
        "the connection broke".into()
    }
}

/// A password of the same shape that was never made.
pub fn altered(password: &str) -> String {
    let mut altered = password.to_owned();
    let last = altered.pop();
    altered.push(if last == Some('0') { '1' } else { '0' });
    altered
}
