//! Every dialect, every malformed input of one list: the reply is one that its broker reads as no.

use serde_json::json;

use crate::hooks::dialects::{Asked, Encoding, all};
use crate::hooks::wire::{Connection, Request};
use crate::support::world::World;

const DEPTH: usize = 10_000;
const TEN_MEGABYTES: usize = 10 * 1024 * 1024;

#[tokio::test]
async fn whatever_is_malformed_is_a_no_in_every_dialect() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let mut connection = Connection::open(&world);
    let mut count = 0;
    for asked in all(&login) {
        for (about, body) in malformed(&asked) {
            let reply = connection.ask(&asked.with_body(body));
            asked.assert_no(&reply, &about);
            count += 1;
        }
        asked.assert_yes(&connection.ask(&asked.request()), "as it is");
    }
    assert!(count > 4_000, "{count}");
}

#[tokio::test]
async fn ten_megabytes_are_a_no_in_every_dialect() {
    let world = World::start().await;
    let login = world.login("alice").await;
    for asked in all(&login) {
        let mut connection = Connection::open(&world);
        connection.send_aside(asked.with_body(vec![b'a'; TEN_MEGABYTES]).to_bytes());
        // The server need not read it all, so the reply may be lost with the connection.
        if let Some(reply) = connection.reply() {
            asked.assert_no(&reply, "10 MB");
        }
        let padded = padded(&asked, TEN_MEGABYTES);
        let mut connection = Connection::open(&world);
        connection.send_aside(padded.to_bytes());
        if let Some(reply) = connection.reply() {
            asked.assert_no(&reply, "a good question in 10 MB");
        }
    }
}

#[tokio::test]
async fn a_client_certificate_fits_in_every_dialect() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let mut connection = Connection::open(&world);
    for asked in all(&login) {
        // A chain of four certificates of 4,096 bit in base64 is less.
        let reply = connection.ask(&padded(&asked, 64 * 1024));
        asked.assert_yes(&reply, "with 64 KB of certificates");
    }
}

#[tokio::test]
async fn a_malformed_query_is_a_no_in_every_dialect_that_asks_by_get() {
    let world = World::start().await;
    let login = world.login("alice").await;
    let mut connection = Connection::open(&world);
    for asked in all(&login) {
        let Some(good) = asked.by_query() else {
            continue;
        };
        asked.assert_yes(&connection.ask(&good), "by query");
        let (_, target) = good.first_line();
        let (path, query) = target.split_once('?').unwrap();
        let first = query.split('&').next().unwrap();
        let bad = [
            String::new(),
            format!("{query}&{first}"),
            format!("{query}&x=%FF"),
            format!("%FF={query}"),
            query.replacen('=', "[]=", 1),
            query.replace("username=", "username=%00"),
            query.replace("username=", "username=%C0%AF"),
            query.replace("username=", "username=+"),
            String::from_utf8(asked.body())
                .unwrap()
                .replace(['{', '}', '"', ' '], ""),
        ];
        for query in bad.iter().filter(|bad| *bad != query) {
            let reply = connection.ask(&good.clone().with_target(&format!("{path}?{query}")));
            asked.assert_no(&reply, query);
        }
    }
}

/// The list.
fn malformed(asked: &Asked) -> Vec<(String, Vec<u8>)> {
    let whole = asked.body();
    let text = String::from_utf8(whole.clone()).unwrap();
    let deep = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
    let deep_object = "{\"a\":".repeat(DEPTH);
    let mut list: Vec<(String, Vec<u8>)> = [
        ("empty", String::new()),
        ("blank", " \r\n".into()),
        ("NUL", "\0".into()),
        ("NUL in front", format!("\0{text}")),
        ("NUL behind", format!("{text}\0")),
        ("null", "null".into()),
        ("true", "true".into()),
        ("a number", "1e999".into()),
        ("a word", "allow".into()),
        (
            "a yes",
            r#"{"result":"allow","ok":true,"decision":"allow"}"#.into(),
        ),
        ("HTML", "<html>allow</html>".into()),
        ("a list", format!("[{text}]")),
        ("an empty object", "{}".into()),
        ("deep lists", deep.clone()),
        ("deep objects", deep_object),
        ("twice", format!("{text}{text}")),
        ("UTF-16", text.replace("", "\0")),
    ]
    .map(|(about, body)| (about.to_owned(), body.into_bytes()))
    .into();
    list.push(("not UTF-8".into(), b"\xff\xfe\x80".into()));
    list.push((
        "not UTF-8 behind".into(),
        [&whole, b"&x=\xff".as_slice()].concat(),
    ));
    list.extend(match asked.encoding {
        Encoding::Json => malformed_json(asked, &text, &deep),
        Encoding::Form => malformed_form(asked, &text),
    });
    list
}

fn malformed_json(asked: &Asked, text: &str, deep: &str) -> Vec<(String, Vec<u8>)> {
    let cut = |end: usize| (format!("cut at {end}"), text.as_bytes()[..end].to_vec());
    let mut list: Vec<_> = (1..text.len()).step_by(3).map(cut).collect();
    for (at, (name, value)) in asked.fields.iter().enumerate() {
        let field = format!("{}:{value}", json!(name));
        assert!(text.contains(&field), "{text}: {field}");
        let mut with = |what: &str, value: &str| {
            let body = text.replace(&field, &format!("{}:{value}", json!(name)));
            list.push((format!("{name} {what}"), body.into_bytes()));
        };
        with("as a list", "[]");
        with("in a list", &format!("[{value}]"));
        with("as an object", &format!("{{\"a\":{value}}}"));
        with("deep", deep);
        with("missing", "");
        with("a lone surrogate", r#""\ud800""#);
        with("a raw control character", "\"\u{1}\"");
        let mut without = asked.clone();
        without.fields.remove(at);
        list.push((format!("{name} left out"), without.body()));
        for first in [value.to_string(), "null".to_owned(), "\"x\"".to_owned()] {
            let twice = format!("{{{}:{first},{}", json!(name), &text[1..]);
            list.push((format!("{name} twice, {first} first"), twice.into_bytes()));
        }
        let escaped = format!("\"\\u{:04x}{}\"", name.as_bytes()[0], &name[1..]);
        let twice = format!("{{{escaped}:{value},{}", &text[1..]);
        list.push((format!("{name} twice, once escaped"), twice.into_bytes()));
        if value.is_string() {
            let mut bytes = text.as_bytes().to_vec();
            bytes.insert(text.find(&field).unwrap() + field.len() - 1, 0xff);
            list.push((format!("{name} not UTF-8"), bytes));
        }
    }
    list
}

fn malformed_form(asked: &Asked, text: &str) -> Vec<(String, Vec<u8>)> {
    let mut list = Vec::new();
    for (at, (name, _)) in asked.fields.iter().enumerate() {
        let field = text
            .split('&')
            .find(|field| field.starts_with(&format!("{name}=")))
            .unwrap();
        let mut with = |what: &str, body: String| {
            list.push((format!("{name} {what}"), body.into_bytes()));
        };
        with("twice", format!("{text}&{field}"));
        with("twice, empty first", format!("{name}=&{text}"));
        let escaped = format!("%{:02x}{}", name.as_bytes()[0], &name[1..]);
        with("twice, once escaped", format!("{text}&{escaped}=x"));
        with(
            "as a list",
            text.replace(field, &field.replacen('=', "[]=", 1)),
        );
        for (what, bytes) in [("not UTF-8", "%FF"), ("half a character", "%C3")] {
            with(what, text.replace(field, &format!("{field}{bytes}")));
        }
        let mut without = asked.clone();
        without.fields.remove(at);
        list.push((format!("{name} left out"), without.body()));
    }
    let many: String = (0..65).map(|n| format!("&f{n}=")).collect();
    list.push((
        "too many fields".into(),
        format!("{text}{many}").into_bytes(),
    ));
    list
}

/// The question with a field beside it that nobody reads.
fn padded(asked: &Asked, length: usize) -> Request {
    let mut padded = asked.clone();
    padded.fields.push(("cert_pem", json!("A".repeat(length))));
    padded.request()
}
