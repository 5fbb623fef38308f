//! What a broker can be told and what it tells, as one constant for each dialect.
//!
//! The decision is made in `engine/` without a broker in mind. What a broker cannot say of it is
//! taken away here, in one place, and only ever towards no: [`Expresses::narrow`] makes the only
//! thing that a dialect encodes.

use crate::engine::decision::{Decision, DenyReason, Grant, TopicGrant};
use crate::engine::isolation::Isolation;
use crate::hooks::call::{Answer, Call, Method};

/// What a broker can be told and what it tells (broker-hooks sections 0.1 and 0.2).
#[derive(Debug, Clone, Copy)]
pub struct Expresses {
    /// The methods that it asks with; another one is no hook.
    pub methods: &'static [Method],
    /// How a request says which hook it is.
    pub hooks: Hooks,
    /// Whether a client learns that the server is unavailable rather than that it may not.
    pub unavailable: Unavailable,
    /// Whether there is a word for "not mine", after which the broker asks its next authority.
    pub abstains: bool,
    /// Whether the broker can be told when a login ends, and then ends the session itself.
    pub expiry: bool,
    /// Whether topic rules can travel with a CONNECT's yes.
    pub acl: AclReply,
    /// Where the broker can keep the sessions of an organization apart.
    pub places: Places,
    /// What the broker does to `$share/<group>/` before it asks.
    pub shared: SharedPrefix,
    /// What stands for the topic of a PUBLISH that came with an alias alone.
    pub aliased: AliasedTopic,
    /// When a will is asked about.
    pub will: WillAsked,
    /// How the filters of one SUBSCRIBE arrive.
    pub filters: Filters,
    /// Whether the quality of service is told.
    pub qos: bool,
    /// Whether the retain flag is told.
    pub retain: bool,
    /// Whether a subscription can be granted at a lower quality of service than it asked for.
    pub lowers_qos: bool,
}

/// How a request says which hook it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hooks {
    /// By the last segment of the path, which is one of these.
    InPath(&'static [&'static str]),
    /// By a header; the path ends with the connection or its secret.
    InHeader(&'static str),
}

/// What becomes of "we could not decide".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// The broker has a word for it, and the client hears it.
    Distinct,
    /// It is a no like any other to the client.
    AsNo,
}

/// Whether topic rules can travel with a CONNECT's yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclReply {
    /// No: the broker asks about every topic.
    None,
    /// They may: the broker asks about what they do not decide.
    Optional,
    /// They must: the broker never asks about a topic.
    Required,
    /// Topics are the broker's own affair: it neither asks nor takes rules.
    Elsewhere,
}

/// Where the broker can keep the sessions of an organization apart (`docs/architecture.md`,
/// "Tenants").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// One topic tree for all.
    One,
    /// The answer to a CONNECT names the place of the session.
    Named,
    /// The client says where it is, and the broker asks whether it may be there.
    Chosen,
}

/// What the broker does to `$share/<group>/` before it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedPrefix {
    /// It stays, and is taken off here.
    Kept,
    /// It is gone: what still begins with it is not a filter.
    Stripped,
    /// It is not asked about topics.
    NotAsked,
}

/// What stands for the topic of a PUBLISH that came with an alias alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AliasedTopic {
    /// The topic.
    Resolved,
    /// Nothing. It is denied, as every empty topic is.
    Empty,
    /// It is not asked about topics, or knows no aliases.
    NotAsked,
}

/// When a will is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WillAsked {
    /// Before the CONNECT is accepted.
    AtConnect,
    /// When it is sent; the login may be over by then.
    WhenSent,
    /// Never: the broker publishes whatever the client left.
    Never,
}

/// How the filters of one SUBSCRIBE arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filters {
    /// In a list, with a verdict for each.
    Listed,
    /// One question for each.
    OneByOne,
    /// All in one text with commas, and one verdict for all of them.
    Joined,
    /// It is not asked about topics.
    NotAsked,
}

/// An answer from which everything is gone that its broker cannot say. Nothing else can be encoded.
#[derive(Debug)]
pub struct Narrowed(Answer);

impl Narrowed {
    /// What is left.
    pub fn answer(&self) -> &Answer {
        &self.0
    }
}

impl Expresses {
    /// Whether the broker can keep organizations apart in this way.
    pub fn supports(&self, isolation: &Isolation) -> bool {
        match isolation {
            Isolation::Dedicated(_) => true,
            // Somebody has to look at the prefix of every topic.
            Isolation::Prefix => matches!(self.acl, AclReply::None | AclReply::Optional),
            Isolation::Vhost => self.places == Places::Chosen,
            Isolation::Mountpoint => self.places == Places::Named,
        }
    }

    /// Takes away what the broker cannot have meant: a question that is left is one that it asks.
    pub fn hear<'a>(&self, call: Call<'a>) -> Call<'a> {
        match call {
            Call::Subscribe(request)
                if self.shared == SharedPrefix::Stripped
                    && request.filters.iter().any(|one| is_shared(&one.filter)) =>
            {
                Call::Refused(DenyReason::InvalidTopic)
            }
            Call::Subscribe(mut request) if !self.qos => {
                request.filters.iter_mut().for_each(|one| one.qos = None);
                Call::Subscribe(request)
            }
            Call::Publish(mut request) => {
                request.qos = request.qos.filter(|_| self.qos);
                request.retain = request.retain.filter(|_| self.retain);
                Call::Publish(request)
            }
            call => call,
        }
    }

    /// Takes away what the broker cannot say, towards no.
    pub fn narrow(&self, call: &Call<'_>, answer: Answer) -> Narrowed {
        Narrowed(match answer {
            Answer::Connect(decision) => Answer::Connect(self.narrow_connect(decision)),
            Answer::Session(decision) => Answer::Session(self.without_abstaining(decision)),
            Answer::Publish(decision) => Answer::Publish(self.without_abstaining(decision)),
            Answer::Subscribe(decisions) => {
                Answer::Subscribe(self.narrow_subscribe(call, decisions))
            }
            Answer::Event => Answer::Event,
        })
    }

    fn narrow_connect(&self, decision: Decision<Grant>) -> Decision<Grant> {
        let mut grant = match self.without_abstaining(decision) {
            Decision::Allow(grant) => grant,
            no => return no,
        };
        // A session that cannot be put where it belongs would see others' topics.
        if grant.mountpoint.is_some() && self.places != Places::Named {
            return Decision::Deny(DenyReason::WrongCompartment);
        }
        if !self.expiry {
            grant.expires_at = None;
        }
        match self.acl {
            AclReply::Optional => {}
            AclReply::None | AclReply::Elsewhere => grant.rules = None,
            // Without rules the broker would let the client do everything.
            AclReply::Required if grant.rules.is_none() => {
                return Decision::Deny(DenyReason::NoRule);
            }
            AclReply::Required => {}
        }
        Decision::Allow(grant)
    }

    fn narrow_subscribe(
        &self,
        call: &Call<'_>,
        decisions: Vec<Decision<TopicGrant>>,
    ) -> Vec<Decision<TopicGrant>> {
        let Call::Subscribe(request) = call else {
            return vec![Decision::Deny(DenyReason::NotMqtt); decisions.len()];
        };
        let asked = request.filters.iter().map(|filter| filter.qos);
        let mut narrowed: Vec<_> = decisions
            .into_iter()
            .map(|decision| self.without_abstaining(decision))
            .collect();
        if !self.lowers_qos {
            for (decision, asked) in narrowed.iter_mut().zip(asked) {
                if matches!(decision, Decision::Allow(grant) if grant.qos < asked) {
                    *decision = Decision::Deny(DenyReason::NoRule);
                }
            }
        }
        let refused = narrowed
            .iter()
            .find(|one| !matches!(one, Decision::Allow(_)));
        match refused {
            // One verdict has to do for all.
            Some(no) if self.filters == Filters::Joined => vec![no.clone(); narrowed.len()],
            _ => narrowed,
        }
    }

    fn without_abstaining<G>(&self, decision: Decision<G>) -> Decision<G> {
        match decision {
            Decision::Abstain if !self.abstains => Decision::Deny(DenyReason::MalformedUsername),
            decision => decision,
        }
    }
}

fn is_shared(filter: &str) -> bool {
    filter == "$share" || filter.starts_with("$share/")
}

#[cfg(test)]
mod tests;
