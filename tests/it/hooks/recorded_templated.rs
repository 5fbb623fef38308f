//! Every request that a real EMQX 5.3.2, NanoMQ 0.25.3 and RMQTT 0.24.0 sent to a recording server,
//! asked again. RMQTT's are in `tests/golden`; the others may not be published.

use std::collections::BTreeMap;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::json;
use ticketgate::hooks::call::{Call, Method, RawRequest};
use ticketgate::hooks::dialect::DialectName::{self, Emqx, NanoMq, Rmqtt};
use ticketgate::mqtt::request::Peer;

use crate::hooks::questions::rule;
use crate::hooks::recordings::{Recorded, beside, committed};
use crate::hooks::wire::{Connection, Request};
use crate::support::world::{HOOK_SECRET, Login, Plan, World};

/// What the policy says to every topic that was recorded, by EMQX's number for the action.
const TOPICS: [(&str, &str, bool); 28] = [
    ("1", "t/plain", true),
    ("1", "t/qos1", true),
    ("1", "t/+/x", true),
    ("1", "t/#", true),
    ("1", "t/q", true),
    ("1", "t/shared/#", true),
    ("1", "$share/grp/t/shared/#", true),
    ("1", "sp ace/ü&=/%41/x", true),
    ("1", "m/a", true),
    ("1", "m/+", true),
    ("1", "m/#", false),
    ("1", "m/a,m/+,m/#", false),
    ("1", "v5/o", true),
    ("1", "#", false),
    ("1", "$SYS/#", false),
    ("1", "$queue/t/q", false),
    ("2", "t/plain", true),
    ("2", "t/qos1", true),
    ("2", "t/qos2", true),
    ("2", "t/retained", true),
    ("2", "t/bin", true),
    ("2", "will/dev-6", true),
    ("2", "v5/props", true),
    ("2", "v5/alias", true),
    ("2", "sp ace/ü&=/%41x", false),
    ("2", "$SYS/x", false),
    ("2", "will/other", false),
    ("2", "", false),
];

/// How many requests there are, and how many of them a minted login is allowed.
const COUNTS: [(DialectName, usize, usize); 3] =
    [(Emqx, 141, 106), (NanoMq, 368, 82), (Rmqtt, 186, 134)];

/// A request as another hand reads it.
struct Read {
    hook: String,
    fields: BTreeMap<String, String>,
}

#[test]
fn every_recorded_request_is_decoded_into_just_what_was_asked() {
    for (dialect, count, _) in COUNTS {
        let recorded = recorded(dialect);
        assert!([0, count].contains(&recorded.len()), "{dialect}");
        for one in &recorded {
            compare(dialect, one);
        }
    }
}

#[tokio::test]
async fn every_recorded_request_of_a_minted_login_gets_its_verdict() {
    let world = World::with(plan()).await;
    let login = world.login("alice").await;
    for (dialect, _, expected) in COUNTS {
        let recorded = recorded(dialect);
        let mut allowed = 0;
        let mut connections = Connections::new(&world);
        for one in &recorded {
            let connection = connections.of_run(one);
            let request = at_our_path(dialect, &with_login(&one.request, &login));
            let reply = connection.ask(&request);
            let yes = is_allowed(one);
            let hook = read(&one.request).hook;
            let whole = whole_reply(dialect, yes.then_some((&*hook, &login)));
            assert_eq!(reply.to_string(), whole, "{dialect} {}", one.name);
            allowed += usize::from(yes);
        }
        assert!(recorded.is_empty() || allowed == expected, "{allowed}");
    }
}

#[tokio::test]
async fn every_recorded_request_as_it_was_is_denied_because_its_users_are_not_ours() {
    let world = World::with(plan()).await;
    world.login("alice").await;
    for (dialect, ..) in COUNTS {
        let mut connections = Connections::new(&world);
        for one in recorded(dialect) {
            let connection = connections.of_run(&one);
            let reply = connection.ask(&at_our_path(dialect, &one.request));
            let whole = whole_reply(dialect, None);
            assert_eq!(reply.to_string(), whole, "{dialect} {}", one.name);
        }
    }
}

/// A connection for each run: no broker changes its method on one.
struct Connections<'a> {
    world: &'a World,
    open: BTreeMap<String, Connection>,
}

impl<'a> Connections<'a> {
    fn new(world: &'a World) -> Self {
        let open = BTreeMap::new();
        Self { world, open }
    }

    fn of_run(&mut self, recorded: &Recorded) -> &mut Connection {
        let (run, _) = recorded.name.split_once('/').unwrap();
        let open = || Connection::open(self.world);
        self.open.entry(run.to_owned()).or_insert_with(open)
    }
}

fn recorded(dialect: DialectName) -> Vec<Recorded> {
    match dialect {
        Rmqtt => committed("rmqtt"),
        other => beside(other.as_str(), &["form", "json", "get"]),
    }
}

fn plan() -> Plan {
    let policy = json!({"rules": [
        rule("publish", "t/+"),
        rule("publish", "will/{client_id}"),
        rule("subscribe", "t/#"),
        // EMQX and RMQTT would read more into it, so that no rule travels with the login.
        rule("subscribe", "m/+"),
        rule("subscribe", "sp ace/ü&=/#"),
        rule("both", "v5/+"),
    ]});
    Plan {
        policy,
        ..Plan::default()
    }
}

/// The hook and the fields, wherever the method puts them.
fn read(request: &Request) -> Read {
    let (method, target) = request.first_line();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = std::str::from_utf8(&request.body).unwrap();
    let text = if method == "GET" { query } else { body };
    let fields = if text.starts_with('{') {
        serde_json::from_str(text).unwrap()
    } else {
        let fields = text.split('&').map(|field| field.split_once('=').unwrap());
        fields
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect()
    };
    Read {
        hook: path.strip_prefix("/mqtt/").unwrap().to_owned(),
        fields,
    }
}

fn decoded(value: &str) -> String {
    let value = value.replace('+', " ");
    percent_decode_str(&value).decode_utf8().unwrap().into()
}

impl Read {
    /// A field with something in it.
    fn filled(&self, name: &str) -> Option<&str> {
        let value = self.fields.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// EMQX's number for the action.
    fn access(&self) -> &str {
        match self.filled("action") {
            Some("subscribe") => "1",
            Some("publish") => "2",
            Some(other) => panic!("{other}"),
            None => self.filled("access").unwrap(),
        }
    }
}

fn is_allowed(recorded: &Recorded) -> bool {
    let read = read(&recorded.request);
    if read.filled("username") != Some("alice") {
        return false;
    }
    match &*read.hook {
        "auth" => read.filled("password") == Some("s3cret"),
        "superuser" => false,
        "acl" => {
            let asked = (read.access(), &*read.fields["topic"]);
            // NanoMQ publishes it itself, in its clients' names.
            if asked.1.starts_with("$SYS/brokers/client_status/") {
                return false;
            }
            let known = TOPICS.iter().find(|one| (one.0, one.1) == asked);
            known
                .unwrap_or_else(|| panic!("{}: {asked:?}", recorded.name))
                .2
        }
        other => panic!("{other}"),
    }
}

/// The reply to a hook that is answered with yes, or to one that is not.
fn whole_reply(dialect: DialectName, yes: Option<(&str, &Login)>) -> String {
    let body = match (dialect, yes) {
        (NanoMq, Some(_)) => "allow".to_owned(),
        (NanoMq, None) => "deny".to_owned(),
        (_, None) => r#"{"result":"deny"}"#.to_owned(),
        (_, Some(("acl", _))) => r#"{"result":"allow"}"#.to_owned(),
        (_, Some((_, login))) => {
            let (_, organization) = login.username.split_once('@').unwrap();
            let end = login.reply["expires_at"].as_str().unwrap();
            let end = end.parse::<Timestamp>().unwrap().as_second();
            if dialect == Emqx {
                format!(
                    r#"{{"client_attrs":{{"organization":"{organization}"}},"expire_at":{end},"is_superuser":false,"result":"allow"}}"#
                )
            } else {
                format!(r#"{{"acl":[],"expire_at":{end},"result":"allow","superuser":false}}"#)
            }
        }
    };
    let status = if dialect == NanoMq && yes.is_none() {
        "403 Forbidden"
    } else {
        "200 OK"
    };
    let kind = if dialect == NanoMq {
        "text/plain"
    } else {
        "application/json"
    };
    let length = body.len();
    format!("HTTP/1.1 {status}\ncontent-length: {length}\ncontent-type: {kind}\n\n{body}")
}

/// Puts a minted login in the place of `alice` and her password, in the text as it is.
fn with_login(request: &Request, login: &Login) -> Request {
    let (name, password) = (&login.username, &login.password);
    let escaped = name.replace('@', "%40");
    let replaced = |text: &str| {
        text.replace(r#""username":"alice""#, &format!(r#""username":"{name}""#))
            .replace(
                r#""password":"s3cret""#,
                &format!(r#""password":"{password}""#),
            )
            .replace("username=alice", &format!("username={escaped}"))
            .replace("password=s3cret", &format!("password={password}"))
    };
    let (_, target) = request.first_line();
    let target = replaced(target);
    let body = replaced(std::str::from_utf8(&request.body).unwrap());
    request
        .clone()
        .with_target(&target)
        .with_body(body.into_bytes())
}

fn at_our_path(dialect: DialectName, request: &Request) -> Request {
    let (_, target) = request.first_line();
    let rest = target.strip_prefix("/mqtt/").unwrap();
    let target = format!("/hooks/{dialect}/{dialect}/{HOOK_SECRET}/{rest}");
    request.clone().with_target(&target)
}

/// Compares a decoded question with the fields.
fn compare(dialect: DialectName, recorded: &Recorded) {
    let Recorded { name, request } = recorded;
    let about = format!("{dialect} {name}");
    let read = read(request);
    let (method, target) = request.first_line();
    let raw = RawRequest {
        method: match method {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            other => panic!("{other}"),
        },
        path: &read.hook,
        query: target.split_once('?').map_or("", |(_, query)| query),
        headers: &[],
        body: &request.body,
    };
    let question = dialect.with_defaults().decode(&raw).unwrap();
    let number = |qos| read.filled("qos").map(|_| u8::from(qos).to_string());
    match question.call {
        Call::Connect(connect) => {
            let password = connect.password.as_ref().map(|password| password.expose());
            assert_eq!(
                (&*read.hook, password),
                ("auth", read.filled("password")),
                "{about}"
            );
            compare_peer(&read, &connect.peer, &about);
        }
        Call::Publish(publish) => {
            assert_eq!(
                (read.access(), &*publish.topic),
                ("2", &*read.fields["topic"]),
                "{about}"
            );
            let qos = publish.qos.and_then(number);
            assert_eq!(qos.as_deref(), read.filled("qos"), "{about}");
            let retain = publish.retain.map(|retain| retain.to_string());
            assert_eq!(retain.as_deref(), read.filled("retain"), "{about}");
            compare_peer(&read, &publish.peer, &about);
        }
        Call::Subscribe(subscribe) => {
            let filters: Vec<_> = subscribe.filters.iter().map(|one| &*one.filter).collect();
            let joined = filters.join(",");
            assert_eq!(
                (read.access(), &*joined),
                ("1", &*read.fields["topic"]),
                "{about}"
            );
            let several = dialect == NanoMq && joined.contains(',');
            assert_eq!(filters.len() > 1, several, "{about}");
            let qos = subscribe.filters[0].qos.and_then(number);
            assert_eq!(qos.as_deref(), read.filled("qos"), "{about}");
            compare_peer(&read, &subscribe.peer, &about);
        }
        Call::Refused(_) => assert_eq!(read.hook, "superuser", "{about}"),
        other => panic!("{about}: {other:?}"),
    }
}

fn compare_peer(read: &Read, peer: &Peer<'_>, about: &str) {
    assert_eq!(peer.username.as_deref(), read.filled("username"), "{about}");
    assert_eq!(Some(&*peer.client_id), read.filled("clientid"), "{about}");
}
