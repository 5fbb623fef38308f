//! What a decision is, and why it was a refusal.

use jiff::Timestamp;

use crate::acl::applied::AppliedRule;
use crate::mqtt::qos::QoS;
use crate::names::organization_id::OrganizationId;
use crate::names::token_id::TokenId;
use crate::names::username::Username;

/// An answer to a broker's question. That we could not decide is not an answer but an `Err`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<G> {
    /// Yes, with what goes along.
    Allow(G),
    /// No.
    Deny(DenyReason),
    /// Not ours: another authority of the broker may decide.
    Abstain,
}

/// What goes along with a successful CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who connected.
    pub username: Username,
    /// With which token, if with one.
    pub token: Option<TokenId>,
    /// When the login ends.
    pub expires_at: Option<Timestamp>,
    /// The mountpoint that the broker must put the session in.
    pub mountpoint: Option<OrganizationId>,
    /// The topic rules of the client, for a broker that applies them itself; `None` where it has to
    /// ask.
    pub rules: Option<Vec<AppliedRule>>,
    /// The stored digest was made with an old pepper and should be made anew.
    pub old_pepper: bool,
}

/// What goes along with an allowed PUBLISH or subscription: the level granted, where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicGrant {
    /// At most the level asked for.
    pub qos: Option<QoS>,
}

/// Why something was refused: for operators, as a metric label and in words. A client never sees
/// more than its broker's word for "no".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// CONNECT without a username.
    NoUsername,
    /// CONNECT without a password.
    NoPassword,
    /// The username is not `<name>@<organization>`.
    MalformedUsername,
    /// A password of ours by its looks that we did not make.
    ForgedPassword,
    /// Nobody has that username.
    UnknownUsername,
    /// The username has no such token or password.
    UnknownCredential,
    /// The password is wrong.
    WrongPassword,
    /// The credential was revoked.
    Revoked,
    /// The credential's time is up.
    Expired,
    /// The broker connection serves another organization.
    ForeignOrganization,
    /// The session lives in another mountpoint or vhost than it must.
    WrongCompartment,
    /// The client id belongs to another part of the broker, or the token to another client id.
    ForeignClientId,
    /// The question is about something that an MQTT client has no business with.
    NotMqtt,
    /// No login is above the rules.
    NoSuperuser,
    /// The topic or filter is not one.
    InvalidTopic,
    /// No rule allows it.
    NoRule,
    /// A rule denies it.
    DeniedByRule,
}

impl DenyReason {
    /// The words for operators.
    pub fn text(self) -> &'static str {
        match self {
            DenyReason::NoUsername => "the client sent no username",
            DenyReason::NoPassword => "the client sent no password",
            DenyReason::MalformedUsername => "the username is not <name>@<organization>",
            DenyReason::ForgedPassword => "the password was not made by this deployment",
            DenyReason::UnknownUsername => "nobody has this username",
            DenyReason::UnknownCredential => "the username has no such credential",
            DenyReason::WrongPassword => "the password is wrong",
            DenyReason::Revoked => "the credential was revoked",
            DenyReason::Expired => "the credential has expired",
            DenyReason::ForeignOrganization => "this broker connection serves another organization",
            DenyReason::WrongCompartment => "the session is in a foreign mountpoint or vhost",
            DenyReason::ForeignClientId => "the client id does not begin with the organization",
            DenyReason::NotMqtt => "an MQTT client has no business with this",
            DenyReason::NoSuperuser => "no login is above the topic rules",
            DenyReason::InvalidTopic => "the topic or filter is not valid",
            DenyReason::NoRule => "no rule allows it",
            DenyReason::DeniedByRule => "a rule denies it",
        }
    }
}
