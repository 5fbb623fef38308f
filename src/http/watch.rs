//! What brokers ask about the logins of `ticketgate doctor`, and whether those are answered at all.
//!
//! The doctor tries a broker out as a client. That shows what the broker does, but not why: whether
//! it asked here at all, with which method, and what it was told. So while a probe login lives, the
//! questions about it are noted here, and those that were refused before anybody could say whom
//! they are about. On the doctor's request they are answered by a failure for some seconds: a broker
//! that lets the login in then would do so if this server failed.
//!
//! Only probe logins, which this server minted a minute ago, are noted or held back. While there is
//! none, all of this is one load of an atomic.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Moment, Monotonic};
use crate::engine::decision::DenyReason;
use crate::hooks::call::{Answer, Call, Method, RawRequest};
use crate::hooks::connection::BrokerConnection;
use crate::http::wire::{SeenQuestion, SeenReply, SeenStray};

/// The most probe logins that are watched at a time.
const MAX_WATCHED: usize = 8;
/// The most questions that are kept of one.
const MAX_QUESTIONS: usize = 256;
/// The longest that questions are held back.
pub const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Longer than a probe login lives.
const WATCH_LIFE: Duration = Duration::from_secs(90);

/// Watches probe logins.
pub struct Watch {
    /// Whether there is any.
    any: AtomicBool,
    watched: Mutex<Vec<Watched>>,
    time: Monotonic,
}

struct Watched {
    username: String,
    until: Moment,
    paused_until: Option<Moment>,
    questions: Vec<SeenQuestion>,
    strays: [u32; Stray::ALL.len()],
}

/// Why a request was refused before it was known whom it was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// There is no such connection, or it is of another dialect.
    Connection,
    /// The secret is wrong or missing.
    Secret,
    /// There is no such hook.
    Hook,
    /// The body or query is not what the hook sends.
    Malformed,
    /// It is no question that an MQTT client gives rise to.
    NotMqtt,
    /// Nothing is at that path.
    Nothing,
}

/// How a question was answered.
pub struct Sighting {
    connection: String,
    method: &'static str,
    outcome: &'static str,
    reason: Option<&'static str>,
}

/// Nothing of that name is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotWatched;

impl Stray {
    const ALL: [Stray; 6] = [
        Stray::Connection,
        Stray::Secret,
        Stray::Hook,
        Stray::Malformed,
        Stray::NotMqtt,
        Stray::Nothing,
    ];

    fn text(self) -> &'static str {
        match self {
            Stray::Connection => "connection",
            Stray::Secret => "secret",
            Stray::Hook => "hook",
            Stray::Malformed => "malformed",
            Stray::NotMqtt => "not_mqtt",
            Stray::Nothing => "nothing",
        }
    }
}

impl Sighting {
    /// Of a question that was decided.
    pub fn of(broker: &BrokerConnection, raw: &RawRequest<'_>, answer: &Answer) -> Self {
        Self {
            connection: broker.name.clone(),
            method: method(raw),
            outcome: answer.label().as_str(),
            reason: answer.deny_reason().map(DenyReason::text),
        }
    }

    /// Of a question that was not.
    pub fn held_back(broker: &BrokerConnection, raw: &RawRequest<'_>) -> Self {
        Self {
            connection: broker.name.clone(),
            method: method(raw),
            outcome: "unavailable",
            reason: None,
        }
    }
}

impl Default for Watch {
    /// Watches nobody.
    fn default() -> Self {
        Self {
            any: AtomicBool::new(false),
            watched: Mutex::new(Vec::new()),
            time: Monotonic::start(),
        }
    }
}

impl Watch {
    /// Watches a probe login from now on. Where there are too many, the oldest is forgotten.
    pub fn begin(&self, username: &str) {
        let mut watched = self.watched();
        if watched.len() >= MAX_WATCHED {
            watched.remove(0);
        }
        watched.push(Watched {
            username: username.to_owned(),
            until: self.time.now().plus(WATCH_LIFE),
            paused_until: None,
            questions: Vec::new(),
            strays: [0; Stray::ALL.len()],
        });
        self.any.store(true, Ordering::Release);
    }

    /// Watches it no longer.
    pub fn end(&self, username: &str) {
        let mut watched = self.watched();
        watched.retain(|one| one.username != username);
        self.any.store(!watched.is_empty(), Ordering::Release);
    }

    /// Takes what was noted since the last time.
    ///
    /// # Errors
    /// [`NotWatched`].
    pub fn take(&self, username: &str) -> Result<SeenReply, NotWatched> {
        let mut watched = self.watched();
        let one = find(&mut watched, username).ok_or(NotWatched)?;
        let counts = std::mem::take(&mut one.strays);
        let strays = Stray::ALL.into_iter().zip(counts);
        let strays = strays.filter(|(_, count)| *count > 0);
        Ok(SeenReply {
            questions: std::mem::take(&mut one.questions),
            strays: strays
                .map(|(stray, count)| SeenStray {
                    what: stray.text().to_owned(),
                    count,
                })
                .collect(),
        })
    }

    /// Questions about it are answered by a failure from now on, for at most [`MAX_PAUSE`]; zero
    /// ends that.
    ///
    /// # Errors
    /// [`NotWatched`].
    pub fn pause(&self, username: &str, time: Duration) -> Result<(), NotWatched> {
        let mut watched = self.watched();
        let one = find(&mut watched, username).ok_or(NotWatched)?;
        let time = time.min(MAX_PAUSE);
        one.paused_until = (!time.is_zero()).then(|| self.time.now().plus(time));
        Ok(())
    }

    /// Whether a question has to be answered by a failure.
    pub fn holds_back(&self, call: &Call<'_>) -> bool {
        let Some(username) = self.asked_about(call) else {
            return false;
        };
        let mut watched = self.watched();
        let now = self.time.now();
        find(&mut watched, username)
            .and_then(|one| one.paused_until)
            .is_some_and(|until| now < until)
    }

    /// Notes a question that was answered.
    pub fn note(&self, call: &Call<'_>, sighting: Sighting) {
        if matches!(call, Call::Refused(DenyReason::NotMqtt)) {
            self.stray(Stray::NotMqtt);
        }
        let Some(username) = self.asked_about(call) else {
            return;
        };
        let mut watched = self.watched();
        if let Some(one) = find(&mut watched, username)
            && one.questions.len() < MAX_QUESTIONS
        {
            one.questions.push(SeenQuestion {
                connection: sighting.connection,
                question: call.label().as_str().to_owned(),
                method: sighting.method.to_owned(),
                outcome: sighting.outcome.to_owned(),
                reason: sighting.reason.map(str::to_owned),
            });
        }
    }

    /// Notes a request that was refused before it was known whom it was about.
    pub fn stray(&self, stray: Stray) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let at = Stray::ALL.iter().position(|one| *one == stray);
        for one in self.watched().iter_mut() {
            if let Some(count) = at.and_then(|at| one.strays.get_mut(at)) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// The username of a question, if anybody is watched at all.
    fn asked_about<'a>(&self, call: &'a Call<'_>) -> Option<&'a str> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let peer = match call {
            Call::Connect(request) => &request.peer,
            Call::Session(request) => &request.peer,
            Call::Publish(request) => &request.peer,
            Call::Subscribe(request) => &request.peer,
            Call::Event(_) | Call::Refused(_) => return None,
        };
        peer.username.as_deref()
    }

    /// Those that are watched still.
    fn watched(&self) -> MutexGuard<'_, Vec<Watched>> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.time.now();
        watched.retain(|one| now < one.until);
        self.any.store(!watched.is_empty(), Ordering::Release);
        watched
    }
}

fn find<'a>(watched: &'a mut [Watched], username: &str) -> Option<&'a mut Watched> {
    watched.iter_mut().find(|one| one.username == username)
}

fn method(raw: &RawRequest<'_>) -> &'static str {
    match raw.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::mqtt::request::{Peer, SessionRequest};

    fn session(username: &str) -> Call<'_> {
        Call::Session(SessionRequest {
            peer: Peer {
                username: Some(Cow::Borrowed(username)),
                client_id: Cow::Borrowed("c"),
                compartment: None,
            },
        })
    }

    #[test]
    fn only_who_is_watched_is_held_back_and_only_while_it_lasts() {
        let watch = Watch::default();
        assert_eq!(watch.pause("probe", MAX_PAUSE), Err(NotWatched));
        watch.begin("probe");
        assert!(!watch.holds_back(&session("probe")));
        watch.pause("probe", Duration::MAX).unwrap();
        assert!(watch.holds_back(&session("probe")));
        assert!(!watch.holds_back(&session("somebody else")));
        watch.pause("probe", Duration::ZERO).unwrap();
        assert!(!watch.holds_back(&session("probe")));
        watch.pause("probe", MAX_PAUSE).unwrap();
        watch.end("probe");
        assert!(!watch.holds_back(&session("probe")));
    }

    #[test]
    fn strays_are_counted_and_taken_once() {
        let watch = Watch::default();
        watch.stray(Stray::Secret);
        watch.begin("probe");
        watch.stray(Stray::Secret);
        watch.stray(Stray::Secret);
        let (what, count) = ("secret".to_owned(), 2);
        let strays = watch.take("probe").unwrap().strays;
        assert_eq!(strays, [SeenStray { what, count }]);
        assert!(watch.take("probe").unwrap().strays.is_empty());
    }

    #[test]
    fn there_is_room_for_a_few_only() {
        let watch = Watch::default();
        for number in 0..=MAX_WATCHED {
            watch.begin(&number.to_string());
        }
        assert!(watch.take("0").is_err());
        assert!(watch.take("1").is_ok());
    }
}
