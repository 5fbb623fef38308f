//! What brokers were answered, where the settings ask for it. Hooks do not wait for it.

use std::borrow::Cow;

use crate::app::App;
use crate::app::audit::Note;
use crate::engine::isolation::Isolation;
use crate::hooks::call::{Answer, Call};
use crate::hooks::connection::BrokerConnection;
use crate::metrics::OutcomeLabel;
use crate::mqtt::request::Peer;
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::names::username::PresentedUsername;
use crate::org::audit::text::Text;
use crate::org::audit::{Action, Actor, Outcome};
use crate::org::organization::Organization;
use crate::store::record::{Alias, Kept};

impl App {
    /// Leaves an answer to be written; `None`: we could not decide.
    pub fn audit_decision(
        &self,
        broker: &BrokerConnection,
        call: &Call<'_>,
        told: Option<&Answer>,
    ) {
        let Some(peer) = peer(call) else {
            return;
        };
        let organization = self.decided_for(broker, peer);
        let asker = Actor::Broker(broker.name.clone());
        let mut note = self.note_of(Action::Decision, organization);
        // Nobody was told an id; under this one it can be found.
        note.0.entry.request_id = Some(note.0.entry.id);
        note.0.entry.actor = Text::of(&asker);
        let username = peer.username.as_deref().unwrap_or_default();
        let note = note
            .on(&username)
            .with("question", &call.label().as_str())
            .with("client_id", &peer.client_id);
        let note = match topics(call) {
            Some(topics) => note.with("topic", &topics),
            None => note,
        };
        self.write_later(ended(note, told));
    }

    /// Whose decision it is. A name that somebody made up must not begin a log, so it is an
    /// organization that is known without asking the store, or none.
    fn decided_for(&self, broker: &BrokerConnection, peer: &Peer<'_>) -> Option<OrganizationId> {
        if let Isolation::Dedicated(served) = &broker.isolation {
            return Some(served.clone());
        }
        let username: PresentedUsername = peer.username.as_deref()?.parse().ok()?;
        let id = match username.organization {
            OrganizationName::Id(id) => id,
            OrganizationName::Alias(alias) => {
                let alias = self.peek::<Alias>(&alias)?;
                alias.organization.clone()
            }
        };
        self.peek::<Organization>(&id).map(|_| id)
    }

    fn peek<T: Kept>(&self, key: &T::Key) -> Option<std::sync::Arc<T>> {
        T::from_record(self.store.peek(&T::key(key))??.record)
    }
}

fn ended(note: Note, told: Option<&Answer>) -> Note {
    let Some(told) = told else {
        let label = OutcomeLabel::Unavailable;
        return note.ended(Outcome::Failed, Some(label.as_str()));
    };
    let label = told.label();
    if label == OutcomeLabel::Allow {
        return note;
    }
    let note = match told.deny_reason() {
        Some(reason) => note.with("reason", &reason.text()),
        None => note,
    };
    note.ended(Outcome::Refused, Some(label.as_str()))
}

fn peer<'a>(call: &'a Call<'a>) -> Option<&'a Peer<'a>> {
    match call {
        Call::Connect(request) => Some(&request.peer),
        Call::Session(request) => Some(&request.peer),
        Call::Publish(request) => Some(&request.peer),
        Call::Subscribe(request) => Some(&request.peer),
        Call::Event(_) | Call::Refused(_) => None,
    }
}

fn topics<'a>(call: &'a Call<'a>) -> Option<Cow<'a, str>> {
    match call {
        Call::Publish(request) => Some(Cow::Borrowed(&*request.topic)),
        Call::Subscribe(request) => {
            let filters = request.filters.iter().take(16);
            let filters: Vec<&str> = filters.map(|one| &*one.filter).collect();
            Some(Cow::Owned(filters.join(" ")))
        }
        _ => None,
    }
}
