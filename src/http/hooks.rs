//! `/hooks/<dialect>/<connection>[/<secret>][/<hook>]`: brokers ask here.
//!
//! Whatever goes wrong from here on, the dialect writes the reply, and it is one that its broker
//! reads as no. The secret travels in the path or as `Authorization: Bearer`.
//!
//! One reply is not the dialect's: what is held back for `ticketgate doctor` is answered by a bare 503,
//! as by a server that is down (decision 12).

use std::panic::AssertUnwindSafe;

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::FutureExt as _;
use tokio::time::timeout;

use crate::clock::Stopwatch;
use crate::engine::decision::Decision;
use crate::hooks::call::{Answer, Call, Headers, Method, RawRequest, Refusal, Reply, Unreadable};
use crate::hooks::connection::BrokerConnection;
use crate::hooks::dialect::DialectName;
use crate::hooks::expresses::Hooks;
use crate::http::Edge;
use crate::http::watch::{Sighting, Stray};
use crate::metrics::{OutcomeLabel, QuestionLabel};
use crate::store::port::StoreError;

/// A hook path in its parts.
struct Target<'a> {
    dialect: DialectName,
    broker: &'a BrokerConnection,
    /// The secret, where the path has one.
    secret: Option<&'a str>,
    hook: &'a str,
}

/// The headers of a request, for those dialects that read one.
struct HttpHeaders<'a>(&'a HeaderMap);

/// What the broker is sent.
enum Sent {
    /// Something that it has a meaning for.
    Reply(Reply),
    /// A failure without a verdict, as a server that is down would give. Only for what is held back.
    Failure,
}

/// What is sent, and what goes into the metrics beside it.
struct Outcome {
    sent: Sent,
    /// Whether the reply lets anything happen.
    allows: bool,
    question: QuestionLabel,
    label: OutcomeLabel,
}

/// Answers a broker.
pub async fn answer(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    let watch = Stopwatch::start();
    let path = request.path().strip_prefix("/hooks/").unwrap_or_default();
    let Some((dialect, rest)) = split_dialect(path) else {
        edge.watch.stray(Stray::Nothing);
        return nobodys_dialect();
    };
    let deadline = edge.settings.hook_deadline;
    let answering = AssertUnwindSafe(answer_in(dialect, rest, &request, body, &edge));
    let outcome = match timeout(deadline, answering.catch_unwind()).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            tracing::error!("a hook panicked; the broker was told no");
            Outcome::refused(dialect, Refusal::Panicked)
        }
        Err(_) => Outcome::refused(dialect, Refusal::Unavailable),
    };
    let outcome = if outcome.allows && !edge.app.may_answer(watch) {
        Outcome {
            question: outcome.question,
            ..Outcome::refused(dialect, Refusal::Unavailable)
        }
    } else {
        outcome
    };
    let metrics = edge.app.metrics();
    metrics.hook(
        dialect.label(),
        outcome.question,
        outcome.label,
        watch.seconds(),
    );
    match outcome.sent {
        Sent::Reply(reply) => to_http(reply),
        Sent::Failure => HttpResponse::ServiceUnavailable().finish(),
    }
}

async fn answer_in(
    dialect: DialectName,
    rest: &str,
    request: &HttpRequest,
    body: web::Payload,
    edge: &Edge,
) -> Outcome {
    let target = match Target::find(dialect, rest, edge) {
        Ok(target) if target.is_authorized(request) => target,
        // Left unread, the body makes actix-web close the connection: right for a stranger.
        Ok(_) => {
            edge.watch.stray(Stray::Secret);
            return Outcome::refused(dialect, Refusal::Unauthorized);
        }
        Err(refusal) => {
            edge.watch.stray(match refusal {
                Refusal::UnknownHook => Stray::Hook,
                _ => Stray::Connection,
            });
            return Outcome::refused(dialect, refusal);
        }
    };
    let body = match body.to_bytes_limited(edge.settings.hook_body_limit).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) | Err(_) => return Outcome::refused(dialect, Refusal::Malformed),
    };
    let Some(_place) = edge.app.metrics().enter_hook(edge.settings.hooks_in_flight) else {
        return Outcome::refused(dialect, Refusal::Overloaded);
    };
    let method = match request.method().as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        _ => return Outcome::refused(dialect, Refusal::UnknownHook),
    };
    let raw = RawRequest {
        method,
        path: target.hook,
        query: request.query_string(),
        headers: &HttpHeaders(request.headers()),
        body: &body,
    };
    decide(target.broker, &raw, edge).await
}

async fn decide(broker: &BrokerConnection, raw: &RawRequest<'_>, edge: &Edge) -> Outcome {
    let dialect = broker.dialect.name();
    let question = match broker.dialect.decode(raw) {
        Ok(question) => question,
        Err(unreadable) => {
            edge.watch.stray(match unreadable {
                Unreadable::UnknownHook => Stray::Hook,
                Unreadable::Malformed => Stray::Malformed,
            });
            return Outcome::refused(dialect, unreadable.into());
        }
    };
    let label = question.call.label();
    if edge.watch.holds_back(&question.call) {
        edge.app.metrics().held_back();
        edge.watch
            .note(&question.call, Sighting::held_back(broker, raw));
        return Outcome::held_back(label);
    }
    match ask(broker, &question.call, edge).await {
        Ok(answer) => {
            if let Some(reason) = answer.deny_reason() {
                tracing::debug!(broker = broker.name, question = ?label, ?reason, "denied");
            }
            let narrowed = broker.dialect.narrow(&question, answer);
            let told = narrowed.answer();
            if edge.app.audits_decision(told.is_yes()) {
                edge.app.audit_decision(broker, &question.call, Some(told));
            }
            edge.watch
                .note(&question.call, Sighting::of(broker, raw, told));
            Outcome {
                sent: Sent::Reply(broker.dialect.encode(&question, &narrowed)),
                allows: narrowed.answer().allows(),
                question: label,
                label: narrowed.answer().label(),
            }
        }
        Err(error) => {
            tracing::debug!(broker = broker.name, question = ?label, %error, "unavailable");
            if edge.app.audits_decision(false) {
                edge.app.audit_decision(broker, &question.call, None);
            }
            Outcome {
                question: label,
                ..Outcome::refused(dialect, refusal(&error))
            }
        }
    }
}

async fn ask(
    broker: &BrokerConnection,
    call: &Call<'_>,
    edge: &Edge,
) -> Result<Answer, StoreError> {
    let app = &edge.app;
    Ok(match call {
        Call::Connect(request) => Answer::Connect(app.connect(broker, request).await?),
        Call::Session(request) => Answer::Session(app.session(broker, request).await?),
        Call::Publish(request) => Answer::Publish(app.authorize_publish(broker, request).await?),
        Call::Subscribe(request) => {
            Answer::Subscribe(app.authorize_subscribe(broker, request).await?)
        }
        Call::Event(_) => Answer::Event,
        Call::Refused(reason) => Answer::Session(Decision::Deny(*reason)),
    })
}

fn refusal(error: &StoreError) -> Refusal {
    match error {
        StoreError::Overloaded => Refusal::Overloaded,
        StoreError::Conflict | StoreError::Unavailable(_) | StoreError::Bad { .. } => {
            Refusal::Unavailable
        }
    }
}

impl<'a> Target<'a> {
    fn find(dialect: DialectName, rest: &'a str, edge: &'a Edge) -> Result<Self, Refusal> {
        let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let (secret, hook) = match (dialect.expresses().hooks, rest.split_once('/')) {
            (Hooks::InPath(_), Some((secret, hook))) => (Some(secret), hook),
            (Hooks::InPath(_), None) => (None, rest),
            (Hooks::InHeader(_), Some(_)) => return Err(Refusal::UnknownHook),
            (Hooks::InHeader(_), None) => (Some(rest).filter(|one| !one.is_empty()), ""),
        };
        // A connection that does not exist is refused like one with another secret.
        let broker = edge
            .brokers
            .get(name)
            .filter(|one| one.dialect.name() == dialect);
        let broker = broker.ok_or(Refusal::Unauthorized)?;
        Ok(Self {
            dialect,
            broker,
            secret,
            hook,
        })
    }

    fn is_authorized(&self, request: &HttpRequest) -> bool {
        debug_assert_eq!(self.broker.dialect.name(), self.dialect);
        let header = request.headers().get(AUTHORIZATION);
        let bearer = header.and_then(|text| text.to_str().ok()?.strip_prefix("Bearer "));
        self.secret
            .or(bearer)
            .is_some_and(|secret| self.broker.accepts(secret))
    }
}

impl Headers for HttpHeaders<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        // Of two that are equal nobody knows which one the broker meant.
        let mut values = self.0.get_all(name);
        let only = values.next().filter(|_| values.next().is_none());
        only.and_then(|value| value.to_str().ok())
    }
}

impl Outcome {
    fn refused(dialect: DialectName, refusal: Refusal) -> Self {
        Self {
            sent: Sent::Reply(dialect.refuse(refusal)),
            allows: false,
            question: QuestionLabel::Unreadable,
            label: refusal.label(),
        }
    }

    /// Of a question about a login of the doctor, while it has them held back. A refusal would prove
    /// nothing: every broker obeys one.
    fn held_back(question: QuestionLabel) -> Self {
        Self {
            sent: Sent::Failure,
            allows: false,
            question,
            label: Refusal::Unavailable.label(),
        }
    }
}

fn split_dialect(path: &str) -> Option<(DialectName, &str)> {
    let (dialect, rest) = path.split_once('/').unwrap_or((path, ""));
    Some((dialect.parse().ok()?, rest))
}

/// Nobody can say which reply such a broker would read as no; 403 and `deny` come closest.
fn nobodys_dialect() -> HttpResponse {
    HttpResponse::Forbidden()
        .content_type("text/plain")
        .body("deny")
}

fn to_http(reply: Reply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::FORBIDDEN);
    let content_type = HeaderValue::from_static(reply.content_type);
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, content_type))
        .body(reply.body)
}
