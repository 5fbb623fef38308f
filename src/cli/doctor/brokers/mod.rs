//! What the doctor knows of each broker: how it asks, how it reads a reply, what it does with a
//! client that it refuses, and which lines of its settings cure what.
//!
//! The requests are the brokers' own, as recorded from them, and made here without the code that
//! reads them: the two must not share a mistake. A new dialect needs a file here and a row in
//! [`of`], which the compiler asks for.

mod azure_event_grid;
mod bifromq;
mod emqx;
mod emqx4;
mod mosquitto;
mod nanomq;
mod rabbitmq;
mod rmqtt;
mod tbmq;
mod vernemq;

use crate::cli::broker::files;
use crate::hooks::dialect::DialectName;

/// A kind of broker.
pub struct Broker {
    /// The requests with which it asks a question; none, if it never asks that.
    pub ask: fn(&Session<'_>, &Ask<'_>) -> Vec<Request>,
    /// How it reads a reply.
    pub read: fn(&Reply) -> Reading,
    /// A request for a hook that does not exist.
    pub unknown_hook: fn(&Session<'_>) -> Request,
    /// What it does with clients.
    pub habits: Habits,
    /// What cures something.
    pub cure: fn(Ill) -> &'static [Line],
}

/// A line of a cure.
pub enum Line {
    /// Settings, as they stand in this file below `broker-configs/<broker>/`, placeholders and all.
    Set(&'static str, &'static [&'static str]),
    /// What stands in none of these files: to do, or to leave out.
    Do(&'static str),
}

/// Whose questions are sent.
pub struct Session<'a> {
    /// The MQTT username.
    pub username: &'a str,
    /// The client id.
    pub client_id: &'a str,
    /// The mountpoint or vhost at CONNECT.
    pub home: &'a str,
    /// The same after it.
    pub compartment: &'a str,
    /// RabbitMQ's exchange for MQTT.
    pub exchange: &'a str,
}

/// What is asked.
pub enum Ask<'a> {
    /// May it connect with this password, and with its username or without?
    Connect {
        /// Whether the client sent its username.
        named: bool,
        /// The password, where the client sent one.
        password: Option<&'a str>,
    },
    /// May it publish, at quality of service 1?
    Publish(&'a str),
    /// May it subscribe, at quality of service 1?
    Subscribe(&'a str),
}

/// A request, apart from scheme, host and what stands in front of the hook's name.
pub struct Request {
    /// The hook's name in the path.
    pub path: &'static str,
    /// The headers beside the content type.
    pub headers: Vec<(&'static str, String)>,
    /// The content type.
    pub content_type: &'static str,
    /// The body. It may hold a password.
    pub body: Vec<u8>,
}

/// A reply.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The content type without parameters.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What a broker takes a reply for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Yes.
    Yes,
    /// No.
    No,
    /// "Not mine": it asks its next authority.
    NotMine,
    /// Nothing that is defined.
    Unclear,
}

/// What a broker does with clients.
pub struct Habits {
    /// Whether it cuts off a client whose PUBLISH is refused, or tells it; otherwise it
    /// acknowledges and drops.
    pub tells_of_refused_publish: bool,
    /// Whether it has shared subscriptions.
    pub shares: bool,
    /// Logins that it is shipped with.
    pub shipped_logins: &'static [(&'static str, &'static str)],
}

/// What can be wrong with a broker's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ill {
    /// Its questions do not arrive.
    DoesNotAsk,
    /// It asks for another connection or dialect.
    Connection,
    /// It shows a wrong secret.
    Secret,
    /// It asks at a wrong path.
    Path,
    /// It asks in a form that this server does not read.
    Form,
    /// It lives in another mountpoint or vhost than this server thinks.
    Compartment,
    /// It asks about something that this server does not take for MQTT.
    NotMqtt,
    /// It puts passwords into URLs.
    Method,
    /// It lets clients without a password in.
    Anonymous,
    /// It lets a wrong password, or a login that it was shipped with, in.
    OwnUsers,
    /// It does not ask about topics.
    Topics,
    /// It answers from its memory.
    Cache,
    /// It says yes when this server cannot.
    FailsOpen,
}

/// What is known of this dialect's brokers.
pub fn of(dialect: DialectName) -> &'static Broker {
    match dialect {
        DialectName::AzureEventGrid => &azure_event_grid::BROKER,
        DialectName::BifroMq => &bifromq::BROKER,
        DialectName::Emqx => &emqx::BROKER,
        DialectName::Emqx4 => &emqx4::BROKER,
        DialectName::MosquittoAuthPlug => &mosquitto::AUTH_PLUG,
        DialectName::MosquittoGoAuth => &mosquitto::GO_AUTH,
        DialectName::NanoMq => &nanomq::BROKER,
        DialectName::RabbitMq => &rabbitmq::BROKER,
        DialectName::Rmqtt => &rmqtt::BROKER,
        DialectName::Tbmq => &tbmq::BROKER,
        DialectName::VerneMq => &vernemq::BROKER,
    }
}

impl Line {
    /// For people, with its placeholders still in it.
    pub fn text(&self) -> String {
        match self {
            Line::Set(file, settings) => format!("{file}: {}", settings.join("; ")),
            Line::Do(text) => (*text).to_owned(),
        }
    }
}

/// Whether a broker with our settings shows the secret in a header, and not in the path.
pub fn shows_secret_in_header(dialect: DialectName) -> bool {
    let files = files::find(dialect.as_str()).map_or(&[][..], |broker| broker.files);
    files
        .iter()
        .any(|file| file.text.contains("@HOOK_BARE_URL@"))
}

impl Request {
    /// A POST of a form.
    pub fn form(path: &'static str, fields: &[(&str, &str)]) -> Self {
        use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let fields = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)));
        Self {
            path,
            headers: Vec::new(),
            content_type: "application/x-www-form-urlencoded",
            body: fields.collect::<Vec<_>>().join("&").into_bytes(),
        }
    }

    /// A POST of JSON.
    pub fn json(path: &'static str, body: &serde_json::Value) -> Self {
        Self {
            path,
            headers: Vec::new(),
            content_type: "application/json",
            body: body.to_string().into_bytes(),
        }
    }

    /// The same with another body.
    pub fn with_body(self, body: &[u8]) -> Self {
        Self {
            body: body.to_owned(),
            ..self
        }
    }
}

impl Reply {
    /// The member `name` of a JSON object that was sent as such with status 200.
    pub fn member(&self, name: &str) -> Option<serde_json::Value> {
        let is_json = (self.status, &*self.content_type) == (200, "application/json");
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        is_json.then(|| body.get(name).cloned())?
    }
}

impl Reading {
    /// What one of these words in a JSON member means.
    pub fn of_word(word: Option<&serde_json::Value>, [yes, no, not_mine]: [&str; 3]) -> Self {
        match word.and_then(serde_json::Value::as_str) {
            Some(word) if word == yes => Reading::Yes,
            Some(word) if word == no => Reading::No,
            Some(word) if word == not_mine => Reading::NotMine,
            _ => Reading::Unclear,
        }
    }

    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Reading::Yes => "yes",
            Reading::No => "no",
            Reading::NotMine => "not mine",
            Reading::Unclear => "nothing that the broker has a meaning for",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ILLS: [Ill; 13] = [
        Ill::DoesNotAsk,
        Ill::Connection,
        Ill::Secret,
        Ill::Path,
        Ill::Form,
        Ill::Compartment,
        Ill::NotMqtt,
        Ill::Method,
        Ill::Anonymous,
        Ill::OwnUsers,
        Ill::Topics,
        Ill::Cache,
        Ill::FailsOpen,
    ];

    fn lines(dialect: DialectName) -> impl Iterator<Item = &'static Line> {
        let cures = ILLS.map(|ill| (of(dialect).cure)(ill));
        cures.into_iter().flatten()
    }

    fn cure_text(dialect: DialectName, ill: Ill) -> String {
        let lines = (of(dialect).cure)(ill).iter().map(Line::text);
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The settings of a file, one a line and without blanks.
    fn settings(text: &str) -> Vec<String> {
        let comment = |line: &&str| !line.trim_start().starts_with(['#', '%']);
        let lines: Vec<&str> = text.lines().filter(comment).collect();
        let text = lines.join("\n").replace([' ', '\t'], "");
        // A list on several lines is one setting.
        let text = text.replace("[\n", "[").replace(",\n]", "]");
        let line = |line: &str| line.trim_end_matches(',').to_owned();
        text.lines().map(line).collect()
    }

    #[test]
    fn every_ill_has_a_cure_and_its_settings_are_those_of_the_committed_files() {
        for dialect in DialectName::ALL {
            let files = files::find(dialect.as_str()).unwrap().files;
            for ill in ILLS {
                assert!(!(of(dialect).cure)(ill).is_empty(), "{dialect}: {ill:?}");
            }
            for line in lines(dialect) {
                match line {
                    Line::Set(name, wanted) => {
                        let file = files.iter().find(|file| file.name == *name);
                        let file = file.unwrap_or_else(|| panic!("{dialect} has no {name}"));
                        let found = settings(file.text);
                        for setting in *wanted {
                            let plain = setting.replace(' ', "");
                            assert!(found.contains(&plain), "{dialect}: {name}: {setting}");
                        }
                    }
                    // A setting that is hidden in words would not be looked up.
                    Line::Do(text) => assert!(
                        text.starts_with("ticketgate.toml: ") || !text.contains(" = "),
                        "{dialect}: {text}"
                    ),
                }
            }
        }
    }

    #[test]
    fn a_broker_that_keeps_the_secret_out_of_the_url_is_not_told_to_put_it_there() {
        use DialectName::{Emqx, Emqx4, NanoMq, Rmqtt, Tbmq};
        let in_header = DialectName::ALL
            .into_iter()
            .filter(|one| shows_secret_in_header(*one));
        let mut in_header: Vec<_> = in_header.map(DialectName::as_str).collect();
        in_header.sort_unstable();
        let expected = [Emqx, Emqx4, NanoMq, Rmqtt, Tbmq].map(DialectName::as_str);
        assert_eq!(in_header, expected);
        for dialect in DialectName::ALL {
            let told: Vec<String> = lines(dialect).map(Line::text).collect();
            let has = |mark: &str| told.iter().any(|one| one.contains(mark));
            let header = shows_secret_in_header(dialect);
            assert_eq!(
                has("@HOOK_BARE_URL@") && has("Bearer @HOOK_SECRET@"),
                header
            );
            assert_eq!(
                has("@HOOK_URL@") || has("@HOOK_PATH@"),
                !header,
                "{dialect}"
            );
        }
    }

    #[test]
    fn what_decides_when_nobody_did_is_named() {
        use DialectName::{BifroMq, Emqx, Emqx4, MosquittoGoAuth, NanoMq, Rmqtt};
        for (dialect, ill, setting) in [
            (Rmqtt, Ill::OwnUsers, "rules = [[\"deny\", \"all\"]]"),
            (Rmqtt, Ill::Topics, "rules = [[\"deny\", \"all\"]]"),
            (Rmqtt, Ill::FailsOpen, "rules = [[\"deny\", \"all\"]]"),
            (Emqx, Ill::FailsOpen, "no_match = deny"),
            (Emqx4, Ill::Topics, "acl_nomatch = deny"),
            (Emqx4, Ill::Topics, "acl.conf: {deny, all}."),
            (Emqx4, Ill::FailsOpen, "acl_nomatch = deny"),
            (Emqx4, Ill::FailsOpen, "acl.conf: {deny, all}."),
            (NanoMq, Ill::FailsOpen, "no_match = deny"),
            (BifroMq, Ill::Topics, "ByPassPermCheckError=false"),
            (BifroMq, Ill::FailsOpen, "ByPassPermCheckError=false"),
            (MosquittoGoAuth, Ill::Form, "response_mode text"),
        ] {
            let cure = cure_text(dialect, ill);
            assert!(cure.contains(setting), "{dialect} {ill:?}: {cure}");
        }
    }

    /// broker-hooks 0.1: what a reply means.
    #[test]
    fn replies_mean_what_the_broker_makes_of_them() {
        use DialectName::{
            AzureEventGrid, BifroMq, Emqx, Emqx4, MosquittoAuthPlug, MosquittoGoAuth, NanoMq,
            RabbitMq, Rmqtt, Tbmq, VerneMq,
        };
        use Reading::{No, NotMine, Unclear, Yes};
        let (json, text) = ("application/json", "text/plain");
        for (dialect, status, kind, body, expected) in [
            (VerneMq, 200, json, r#"{"result":"ok"}"#, Yes),
            (VerneMq, 200, json, r#"{"result":{"error":"x"}}"#, No),
            (VerneMq, 200, json, r#"{"result":"next"}"#, NotMine),
            (VerneMq, 204, json, "", Unclear),
            (
                VerneMq,
                200,
                json,
                r#"{"result":"ok","topics":[]}"#,
                Unclear,
            ),
            (
                VerneMq,
                200,
                json,
                r#"{"result":"ok","topics":[{"topic":"a","qos":128}]}"#,
                No,
            ),
            (Emqx, 200, json, r#"{"result":"allow"}"#, Yes),
            (Emqx, 200, json, r#"{"result":"deny"}"#, No),
            (Emqx, 200, json, r#"{"result":"ignore"}"#, NotMine),
            (Emqx, 403, json, r#"{"result":"deny"}"#, Unclear),
            (Emqx, 200, text, r#"{"result":"deny"}"#, Unclear),
            (Emqx4, 200, text, "anything", Yes),
            (Emqx4, 200, text, "ignore", NotMine),
            (Emqx4, 503, text, "", No),
            (NanoMq, 200, text, "deny", Yes),
            (NanoMq, 204, text, "", No),
            (RabbitMq, 200, text, "allow", Yes),
            (RabbitMq, 200, text, "deny", No),
            (RabbitMq, 200, text, "deny\n", Unclear),
            (RabbitMq, 200, text, "allowed", Unclear),
            (RabbitMq, 403, text, "deny", Unclear),
            (MosquittoGoAuth, 200, text, "ok", Yes),
            (MosquittoGoAuth, 200, json, r#"{"ok":true,"error":""}"#, Yes),
            (MosquittoGoAuth, 403, text, "", No),
            (MosquittoGoAuth, 500, text, "", Unclear),
            (MosquittoAuthPlug, 200, text, "", Yes),
            (MosquittoAuthPlug, 403, text, "", No),
            (Rmqtt, 200, json, r#"{"result":"deny"}"#, No),
            (Rmqtt, 200, text, "sorry", Yes),
            (Rmqtt, 200, text, "", Yes),
            (Rmqtt, 500, json, "", Unclear),
            (
                BifroMq,
                200,
                json,
                r#"{"ok":{"tenantId":"t","userId":"u"}}"#,
                Yes,
            ),
            (BifroMq, 200, json, r#"{"reject":{"code":"Error"}}"#, No),
            (BifroMq, 200, text, "true", Yes),
            (BifroMq, 500, text, "true", Unclear),
            (Tbmq, 200, json, r#"{"result":"success"}"#, Unclear),
            (Tbmq, 200, json, r#"{"result":"failure"}"#, No),
            (Tbmq, 200, json, r#"{"result":"skipped"}"#, NotMine),
            (AzureEventGrid, 200, json, r#"{"decision":"allow"}"#, Yes),
            (AzureEventGrid, 200, json, r#"{"decision":"deny"}"#, No),
            (AzureEventGrid, 503, json, "", No),
        ] {
            let reply = Reply {
                status,
                content_type: kind.to_owned(),
                body: body.as_bytes().to_owned(),
            };
            let reading = (of(dialect).read)(&reply);
            assert_eq!(reading, expected, "{dialect} {status} {kind} {body}");
        }
    }
}
