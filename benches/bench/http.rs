//! As much of HTTP as asking a server takes: one connection that stays open, one request at a time.

use std::io::{Read, Write};

use anyhow::{Context as _, ensure};

/// A connection.
pub struct Client<S> {
    stream: S,
    read: Vec<u8>,
}

/// A whole reply.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// What stands below the headers.
    pub body: String,
}

impl<S: Read + Write> Client<S> {
    /// Over a stream that is connected.
    pub fn over(stream: S) -> Self {
        let read = Vec::new();
        Self { stream, read }
    }

    /// Sends a request and waits for the reply.
    pub fn ask(&mut self, request: &[u8]) -> anyhow::Result<Reply> {
        self.read.clear();
        self.stream.write_all(request)?;
        let mut part = [0; 16 * 1024];
        loop {
            let length = self.stream.read(&mut part).context("no reply")?;
            ensure!(length > 0, "the server closed the connection");
            self.read.extend_from_slice(&part[..length]);
            if let Some(reply) = Reply::in_bytes(&self.read) {
                return Ok(reply);
            }
        }
    }
}

impl Reply {
    /// The reply in what has come so far, once all of it has.
    pub fn in_bytes(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = head.lines().find_map(content_length).unwrap_or(0);
        let body = body.to_owned();
        (body.len() >= length).then_some(Self { status, body })
    }
}

/// A whole request for a server on this machine.
pub fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: local\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn content_length(line: &str) -> Option<usize> {
    let (name, value) = line.split_once(':')?;
    let is_it = name.eq_ignore_ascii_case("content-length");
    value.trim().parse().ok().filter(|_| is_it)
}
