//! HTTP/1.1 as bytes: what was sent is exactly what was written here, what came back is kept whole.
//!
//! Blocking sockets: the server runs in a thread of its own. No wait is longer than [`PATIENCE`].

use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::world::World;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A raw connection to a world's server.
pub struct Connection(BufReader<TcpStream>);

/// An HTTP request: the lines of its head and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub head: Vec<String>,
    pub body: Vec<u8>,
}

/// A whole reply. The headers are sorted and in lower case; `date` is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status_line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Connection {
    pub fn open(world: &World) -> Self {
        let address = world.url.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Sends from another thread, for what the server may stop reading half way.
    pub fn send_aside(&self, bytes: Vec<u8>) {
        let mut stream = self.0.get_ref().try_clone().unwrap();
        std::thread::spawn(move || stream.write_all(&bytes));
    }

    /// The next reply; `None`: the server closed the connection without one.
    pub fn reply(&mut self) -> Option<Reply> {
        let mut reply = self.head()?;
        let length = reply.header("content-length").unwrap_or("0");
        reply.body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut reply.body).ok()?;
        Some(reply)
    }

    /// The head of the next reply, to a HEAD.
    pub fn head(&mut self) -> Option<Reply> {
        let mut lines = Vec::new();
        loop {
            match self.line() {
                None => return None,
                Some(line) if line.is_empty() => break,
                Some(line) => lines.push(line),
            }
        }
        let mut lines = lines.into_iter();
        let status_line = lines.next()?;
        let mut headers: Vec<_> = lines.map(|line| header(&line)).collect();
        headers.retain(|(name, _)| name != "date");
        headers.sort();
        Some(Reply {
            status_line,
            headers,
            body: Vec::new(),
        })
    }

    /// Sends a request and takes the reply, which has to come.
    pub fn ask(&mut self, request: &Request) -> Reply {
        self.send(&request.to_bytes());
        self.reply().expect("the server closed the connection")
    }

    /// Waits until the server closes the connection, which must come without another byte.
    pub fn expect_closed(&mut self) {
        let mut rest = Vec::new();
        // A reset closes as well: the server had not read everything.
        let _ = self.0.read_to_end(&mut rest).map_err(|error| {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        });
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    /// A line without its end; `None`: there is no more.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no reply: {error}"),
        }
    }
}

impl Request {
    /// A request as a broker's client makes it, with the length of its body.
    pub fn new(method: &str, path: &str, headers: &[&str], body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let mut head = vec![format!("{method} {path} HTTP/1.1"), "host: broker".into()];
        head.extend(headers.iter().map(|&header| header.to_owned()));
        head.push(format!("content-length: {}", body.len()));
        Self { head, body }
    }

    /// Takes the first request off the front of `bytes`. The body is as long as the head says.
    pub fn take(bytes: &mut &[u8]) -> Self {
        const END: &[u8] = b"\r\n\r\n";
        let end = bytes.windows(END.len()).position(|four| four == END);
        let (head, rest) = bytes.split_at(end.expect("a head has an end"));
        let head: Vec<String> = String::from_utf8(head.to_vec())
            .unwrap()
            .split("\r\n")
            .map(str::to_owned)
            .collect();
        let length = head
            .iter()
            .map(|line| header(line))
            .find(|(name, _)| name == "content-length");
        let length = length.map_or(0, |(_, value)| value.parse().unwrap());
        let (body, rest) = rest[END.len()..].split_at(length);
        *bytes = rest;
        Self {
            head,
            body: body.to_vec(),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = (self.head.join("\r\n") + "\r\n\r\n").into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Method and target.
    pub fn first_line(&self) -> (&str, &str) {
        let mut words = self.head[0].split(' ');
        (words.next().unwrap(), words.next().unwrap())
    }

    /// The value of a header, as it was sent.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head[1..].iter();
        lines
            .filter_map(|line| line.split_once(':'))
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// The same request for another target.
    pub fn with_target(mut self, target: &str) -> Self {
        let (method, _) = self.first_line();
        self.head[0] = format!("{method} {target} HTTP/1.1");
        self
    }

    /// The same head with another body and its length.
    pub fn with_body(mut self, body: Vec<u8>) -> Self {
        for line in &mut self.head[1..] {
            if let (name, "content-length") = (line.clone(), &*header(line).0) {
                let name = &name[.."content-length".len()];
                *line = format!("{name}: {}", body.len());
            }
        }
        self.body = body;
        self
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn status(&self) -> u16 {
        self.status_line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// The form of the golden files.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status_line)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{}", self.text())
    }
}

fn header(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_ascii_lowercase(), value.trim().to_owned())
}
