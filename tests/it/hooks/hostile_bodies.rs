//! Bodies that no broker sends. Each is made from a question that is answered with yes, by breaking
//! one thing, so that nothing but the break can be the reason for the no.

use serde_json::{Value, json};

use crate::hooks::questions::{Broker, Question, allowed, forged};
use crate::hooks::wire::Connection;
use crate::support::world::World;

const DEPTH: usize = 10_000;
const MINTED: &str = "tkn_";

/// What is wrong with it, and the body.
type Hostile = (String, Vec<u8>);

#[tokio::test]
async fn every_hostile_body_is_answered_with_no_on_a_connection_that_stays() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let mut connection = Connection::open(&world);
    let mut count = 0;
    for question in allowed(&login) {
        for (about, body) in hostile(&question) {
            let about = format!("{} {}: {about}", question.hook, count);
            let reply = connection.ask(&question.with_body(body));
            question.broker.assert_no(&reply, &about);
            assert_eq!(reply.header("connection"), None, "{about}");
            count += 1;
        }
        let reply = connection.ask(&question.request());
        assert_eq!(reply.text(), question.broker.yes(), "{}", question.hook);
    }
    assert!(count > 2_500, "{count}");
}

fn hostile(question: &Question) -> Vec<Hostile> {
    let mut all = of_any_hook(question);
    all.extend(truncated(question));
    for (name, value) in &question.fields {
        all.extend(broken_text(question, name, value));
        all.extend(match question.broker {
            Broker::RabbitMq => broken_form(question, name, value),
            Broker::VerneMq => broken_json(question, name, value),
        });
    }
    all.extend(match question.broker {
        Broker::RabbitMq => many_fields(question),
        Broker::VerneMq => bad_subscriptions(question),
    });
    all
}

fn named(about: &str, body: impl Into<Vec<u8>>) -> Hostile {
    (about.to_owned(), body.into())
}

fn of_any_hook(question: &Question) -> Vec<Hostile> {
    let deep = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
    let whole = question.body();
    vec![
        named("empty", ""),
        named("blank", " \r\n\t"),
        named("NUL", "\0"),
        named("not UTF-8", b"\xff\xfe\x80".as_slice()),
        named(
            "a byte order mark",
            [b"\xef\xbb\xbf".as_slice(), &whole].concat(),
        ),
        named(
            "UTF-16",
            String::from_utf8(whole.clone()).unwrap().replace("", "\0"),
        ),
        named("NUL behind it", [&whole, b"\0".as_slice()].concat()),
        named("twice", [&*whole, &*whole].concat()),
        named("a word", "allow"),
        named("a yes of RabbitMQ with tags", "allow administrator"),
        named("a yes of VerneMQ", r#"{"result":"ok"}"#),
        named("a yes of EMQX", r#"{"result":"allow","is_superuser":true}"#),
        named("HTML", "<html><body>allow</body></html>"),
        named("null", "null"),
        named("true", "true"),
        named("a number", "1e999"),
        named("an empty list", "[]"),
        named(
            "a list with it",
            format!("[{}]", String::from_utf8_lossy(&whole)),
        ),
        named("an empty object", "{}"),
        named("a list of the values", question.body_as_list()),
        named("deep nesting", deep.clone()),
        named("deep nesting without an end", "{\"a\":".repeat(DEPTH)),
        named("a deep value", format!("{{\"client_id\":{deep}}}")),
        named("a long text", "a".repeat(512 * 1024)),
    ]
}

/// The body without its last bytes, for every number of them. RabbitMQ's have `password`, `vhost`
/// or `name` last, so that every cut is missed.
fn truncated(question: &Question) -> Vec<Hostile> {
    let (whole, last) = (question.body(), question.last_value_length());
    let shortest = match question.broker {
        Broker::RabbitMq if question.hook == "user" => whole.len() - last + MINTED.len(),
        Broker::RabbitMq => whole.len() - last,
        Broker::VerneMq => 1,
    };
    let cut = |end: usize| (format!("cut at {end}"), whole[..end].to_vec());
    (shortest..whole.len()).map(cut).collect()
}

/// Texts that mean something else somewhere, in the place of one that is checked.
fn broken_text(question: &Question, name: &str, value: &Value) -> Vec<Hostile> {
    let (true, Some(text)) = (is_checked(name), value.as_str()) else {
        return Vec::new();
    };
    let texts = [
        String::new(),
        format!("{text}\0"),
        format!("\0{text}"),
        format!("{text} "),
        format!("{text}\n"),
        format!("{text}\u{fffd}"),
        format!("{text}\u{200b}"),
        text.to_uppercase() + "É",
        forged(&format!("{text}x")),
        "undefined".into(),
        "null".into(),
        "allow".into(),
        "a".repeat(100_000),
    ];
    let body = |text: String| {
        let about = format!("{name}={text:.40?}");
        (about, question.with(name, json!(text)).body())
    };
    let mut texts = texts.to_vec();
    texts.retain(|other| other != text && !(name == "password" && is_slow(other)));
    texts.into_iter().map(body).collect()
}

/// Whether a password is compared by the slow hash, which is not what these tests are about.
fn is_slow(password: &str) -> bool {
    !password.starts_with(MINTED)
}

/// Whether another text in this field must be the reason for a no. (Any text is a client id, and
/// topics below the client's own are its own as well.)
fn is_checked(name: &str) -> bool {
    let checked = [
        "username",
        "password",
        "vhost",
        "mountpoint",
        "resource",
        "name",
        "permission",
    ];
    checked.contains(&name)
}

fn broken_form(question: &Question, name: &str, value: &Value) -> Vec<Hostile> {
    let whole = String::from_utf8(question.body()).unwrap();
    let field = question.field(name, value);
    let replaced = |with: String| whole.replace(&field, &with);
    let mut all = vec![
        named(
            "bytes that are not UTF-8, escaped",
            replaced(format!("{field}%FF")),
        ),
        named("half a character, escaped", replaced(format!("{field}%C3"))),
        named("an overlong slash", replaced(format!("{field}%C0%AF"))),
        named("a surrogate", replaced(format!("{field}%ED%A0%80"))),
        named("left out", question.without(name).body()),
        named("as a list", replaced(field.replacen('=', "[]=", 1))),
        named("twice the same", format!("{whole}&{field}")),
        named("twice, empty first", format!("{name}=&{whole}")),
        named(
            "twice, once escaped",
            format!("{whole}&{}=x", escaped_name(name)),
        ),
        named("a stray byte", [whole.as_bytes(), b"&x=\xff"].concat()),
    ];
    if is_checked(name) && name != "password" {
        all.push(named("without a value", replaced(name.to_owned())));
    }
    all.into_iter()
        .map(|(about, body)| (format!("{name}: {about}"), body))
        .collect()
}

/// The name with its first letter escaped.
fn escaped_name(name: &str) -> String {
    format!("%{:02x}{}", name.as_bytes()[0], &name[1..])
}

fn broken_json(question: &Question, name: &str, value: &Value) -> Vec<Hostile> {
    let whole = String::from_utf8(question.body()).unwrap();
    let field = question.field(name, value);
    let replaced = |with: String| whole.replace(&field, &format!("{}:{with}", json!(name)));
    let deep = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
    let more_fields: String = (0..20_000).map(|n| format!("\"f{n}\":{{}},")).collect();
    let mut all = vec![
        named("left out", question.without(name).body()),
        named("twice the same", format!("{{{field},{}", &whole[1..])),
        named(
            "twice, null first",
            format!("{{{}:null,{}", json!(name), &whole[1..]),
        ),
        named(
            "twice, once escaped",
            format!("{{{}:{value},{}", escaped_key(name), &whole[1..]),
        ),
        named("deep nesting", replaced(deep)),
        named("a lone surrogate", replaced(r#""\ud800""#.into())),
        named("no value", replaced(String::new())),
        named("a raw control character", replaced("\"\u{1}\"".into())),
        named(
            "left out among many",
            question.without(name).body_after(&more_fields),
        ),
    ];
    let others = [
        json!(null),
        json!(7),
        json!(-1),
        json!(1.5),
        json!([]),
        json!({}),
    ];
    let lists = [
        json!([value]),
        json!({"value": value}),
        json!({ "0": value }),
    ];
    let texts = [
        json!(value.to_string() + "x"),
        json!({"$ne": ""}),
        json!([[[]]]),
    ];
    for other in others.into_iter().chain(lists).chain(texts) {
        let free_text = other.is_string() && !is_checked(name) && value.is_string();
        if !free_text {
            all.push((format!("{other}"), question.with(name, other).body()));
        }
    }
    if let Some(at) = value
        .is_string()
        .then(|| whole.find(&field).unwrap() + field.len() - 1)
    {
        let mut bytes = whole.into_bytes();
        bytes.insert(at, 0xff);
        all.push(named("bytes that are not UTF-8", bytes));
    }
    all.into_iter()
        .map(|(about, body)| (format!("{name}: {about:.40}"), body))
        .collect()
}

/// The name as a JSON text with its first letter escaped.
fn escaped_key(name: &str) -> String {
    format!("\"\\u{:04x}{}\"", name.as_bytes()[0], &name[1..])
}

fn many_fields(question: &Question) -> Vec<Hostile> {
    let whole = String::from_utf8(question.body()).unwrap();
    let more = |count: usize| (0..count).map(|n| format!("&f{n}=")).collect::<String>();
    vec![
        named("65 more fields", whole.clone() + &more(65)),
        named(
            "65 more fields first",
            more(65)[1..].to_owned() + "&" + &whole,
        ),
        named("50,000 more fields", whole + &more(50_000)),
    ]
}

fn bad_subscriptions(question: &Question) -> Vec<Hostile> {
    if !question.fields.iter().any(|(name, _)| *name == "topics") {
        return Vec::new();
    }
    let good = &question.fields[question.position("topics")].1[0];
    let broken = |name: &str, value: Value| {
        let mut one = good.clone();
        one[name] = value;
        one
    };
    let mut lists = vec![
        json!([]),
        json!([good["topic"]]),
        json!([[good["topic"], 1]]),
        json!({"topic": good["topic"], "qos": 1}),
        json!(vec![good; 1_025]),
        json!([{"topic": good["topic"]}]),
        json!([{"qos": 1}]),
    ];
    let qos = [
        json!(3),
        json!(-1),
        json!(128),
        json!(256),
        json!("1"),
        json!(1.5),
        json!(null),
    ];
    lists.extend(qos.map(|qos| json!([broken("qos", qos)])));
    let topics = [
        "",
        "#",
        "+",
        "users/#",
        "users/+/x",
        "$share/g",
        "$share/g/",
        "a\0",
        "$SYS/#",
    ];
    lists.extend(topics.map(|topic| json!([broken("topic", json!(topic))])));
    let options = [
        ("no_local", json!("yes")),
        ("rap", json!(1)),
        ("retain_handling", json!("x")),
    ];
    lists.extend(options.map(|(name, value)| json!([good, broken(name, value)])));
    let body = |list: Value| (format!("{list:.40}"), question.with("topics", list).body());
    lists.into_iter().map(body).collect()
}
