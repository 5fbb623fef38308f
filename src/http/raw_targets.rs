//! Raw bytes in the request line of a GET, and connections that say nothing.
//!
//! EMQX 5.3.2 escapes most of a query but leaves letters beyond ASCII as they are (seen on the wire).
//! The HTTP framework answers such a line with 400, which EMQX's authorizer takes for "ignore", and
//! EMQX 5 may allow what everybody ignores. So the bytes are escaped on their way in, where it is
//! certain that they belong to a request line: on connections that have carried nothing but GETs
//! without a body. From the first other request on, nothing is looked at. A line end belongs to the
//! line unless the version of HTTP stands before it: spaces are always escaped by brokers.
//!
//! A connection that never asks is closed without a word. The framework would send 408, and a
//! question that crosses it would have that for its answer.

use std::io::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How much is read at a time while request lines are looked at.
const CHUNK: usize = 4_096;
/// The names of the headers that announce a body are shorter.
const LONGEST_NAME: usize = 32;
/// What stands at the end of a request line.
const VERSIONS: [&[u8]; 2] = [b" HTTP/1.1", b" HTTP/1.0"];

/// A connection whose request lines are escaped.
pub struct RawTargets<C> {
    connection: C,
    heads: Heads,
    /// What is escaped and not yet read.
    escaped: Vec<u8>,
    taken: usize,
    /// Until the first byte: when the connection has said nothing for long enough.
    silence: Option<Pin<Box<Sleep>>>,
}

/// Where in a row of requests without bodies the next byte stands.
#[derive(Debug, Default)]
struct Heads {
    place: Place,
    /// The method, or the name of a header, as far as it is read; of a target, its end.
    word: Vec<u8>,
    /// A target has a carriage return here, if it does not belong to the end of the line.
    has_return: bool,
    announces_body: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Method,
    Target,
    HeaderName,
    HeaderValue,
    /// The value of `content-length`, of which only zeros are nothing.
    Length,
    /// Something else than a GET without a body has come: nothing is certain any more.
    Unknown,
}

impl Heads {
    /// Appends what the bytes become.
    fn escape(&mut self, bytes: &[u8], escaped: &mut Vec<u8>) {
        for byte in bytes {
            if self.place == Place::Target {
                self.pass_in_target(*byte, escaped);
                continue;
            }
            escaped.push(*byte);
            self.pass(*byte);
        }
    }

    fn pass_in_target(&mut self, byte: u8, escaped: &mut Vec<u8>) {
        let had_return = std::mem::take(&mut self.has_return);
        if byte == b'\n' && VERSIONS.contains(&self.word.as_slice()) {
            if had_return {
                escaped.push(b'\r');
            }
            escaped.push(b'\n');
            self.enter(Place::HeaderName);
            return;
        }
        if had_return {
            self.keep_end(b'\r');
            push_escaped(b'\r', escaped);
        }
        if byte == b'\r' {
            self.has_return = true;
            return;
        }
        self.keep_end(byte);
        if may_stand_in_target(byte) {
            escaped.push(byte);
        } else {
            push_escaped(byte, escaped);
        }
    }

    /// Keeps as much of a line's end as a version is long.
    fn keep_end(&mut self, byte: u8) {
        if self.word.len() == VERSIONS[0].len() {
            self.word.remove(0);
        }
        self.word.push(byte);
    }

    fn pass(&mut self, byte: u8) {
        match (self.place, byte) {
            (Place::Unknown, _) => {}
            // Empty lines may stand in front of a request.
            (Place::Method, b'\r' | b'\n') if self.word.is_empty() => {}
            (Place::Method, b' ') if self.word == b"GET" => self.enter(Place::Target),
            (Place::Method, b'G' | b'E' | b'T') if self.word.len() < 3 => self.word.push(byte),
            (Place::Method, _) => self.place = Place::Unknown,
            (Place::HeaderName, b'\r') if self.word.is_empty() => {}
            (Place::HeaderName, b'\n') if self.word.is_empty() => self.end_head(),
            (Place::HeaderName, b'\n') => self.enter(Place::HeaderName),
            (Place::HeaderName, b':') => self.begin_value(),
            (Place::HeaderName, _) if self.word.len() < LONGEST_NAME => {
                self.word.push(byte.to_ascii_lowercase());
            }
            (Place::HeaderValue | Place::Length, b'\n') => self.enter(Place::HeaderName),
            (Place::Length, b'0' | b' ' | b'\t' | b'\r') => {}
            (Place::Length, _) => self.announces_body = true,
            (Place::Target | Place::HeaderName | Place::HeaderValue, _) => {}
        }
    }

    fn enter(&mut self, place: Place) {
        self.word.clear();
        self.place = place;
    }

    fn begin_value(&mut self) {
        let place = match self.word.as_slice() {
            b"content-length" => Place::Length,
            b"transfer-encoding" | b"upgrade" => {
                self.announces_body = true;
                Place::HeaderValue
            }
            _ => Place::HeaderValue,
        };
        self.enter(place);
    }

    fn end_head(&mut self) {
        self.enter(if self.announces_body {
            Place::Unknown
        } else {
            Place::Method
        });
    }
}

/// Whether the framework reads it. Control characters, which a client's topic may have, are left as
/// they are by EMQX as well.
fn may_stand_in_target(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'<' | b'>')
}

fn push_escaped(byte: u8, escaped: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| DIGITS[usize::from(value)];
    escaped.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
}

impl<C> RawTargets<C> {
    /// Looks at a fresh connection, which ends if it says nothing for so long. Must be called on a
    /// Tokio runtime.
    pub fn new(connection: C, longest_silence: Duration) -> Self {
        Self {
            connection,
            heads: Heads::default(),
            escaped: Vec::new(),
            taken: 0,
            silence: Some(Box::pin(sleep(longest_silence))),
        }
    }
}

impl<C: AsyncRead + Unpin> RawTargets<C> {
    /// Reads the connection; its end, if it has never said anything.
    fn poll_connection(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        let polled = Pin::new(&mut self.connection).poll_read(context, buffer);
        if polled.is_ready() {
            self.silence = None;
        } else if let Some(silence) = &mut self.silence
            && silence.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Ok(()));
        }
        polled
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for RawTargets<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        // Nothing may come of a chunk: a carriage return waits for what is behind it.
        while this.taken == this.escaped.len() {
            if this.heads.place == Place::Unknown {
                return this.poll_connection(context, buffer);
            }
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(this.poll_connection(context, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.escaped.clear();
            this.taken = 0;
            this.heads.escape(chunk.filled(), &mut this.escaped);
        }
        let left = &this.escaped[this.taken..];
        let part = &left[..left.len().min(buffer.remaining())];
        buffer.put_slice(part);
        this.taken += part.len();
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for RawTargets<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        Pin::new(&mut self.get_mut().connection).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.get_mut().connection).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        Pin::new(&mut self.get_mut().connection).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of the text, however it is cut into pieces.
    fn escaped(text: &str) -> String {
        let in_pieces = |length: usize| {
            let (mut heads, mut escaped) = (Heads::default(), Vec::new());
            for piece in text.as_bytes().chunks(length) {
                heads.escape(piece, &mut escaped);
            }
            String::from_utf8(escaped).unwrap()
        };
        let whole = in_pieces(usize::MAX);
        for length in 1..8 {
            assert_eq!(in_pieces(length), whole);
        }
        whole
    }

    #[test]
    fn request_lines_of_gets_are_escaped_one_after_the_other() {
        let get = "GET /a?x=ü%20 HTTP/1.1\r\nhost: ü\r\ncontent-length: 0\r\n\r\n";
        let expected = "GET /a?x=%C3%BC%20 HTTP/1.1\r\nhost: ü\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(escaped(&get.repeat(3)), expected.repeat(3));
        assert_eq!(
            escaped("GET /?a\u{1}\t\u{7f}\"<>"),
            "GET /?a%01%09%7F%22%3C%3E"
        );
        assert_eq!(
            escaped("GET /?a\r\nb\nc\r\rHTTP/1.1\r\n HTTP/1.1\r\nhost: x\r\n\r\n"),
            "GET /?a%0D%0Ab%0Ac%0D%0DHTTP/1.1%0D%0A HTTP/1.1\r\nhost: x\r\n\r\n"
        );
        let bare = "\r\nGET /ü HTTP/1.1\n\nGET /ü HTTP/1.1\n\n";
        assert_eq!(escaped(bare), bare.replace('ü', "%C3%BC"));
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_ends_and_one_that_has_asked_does_not() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

        let limit = Duration::from_millis(50);
        let (_broker, ours) = duplex(64);
        let mut silent = RawTargets::new(ours, limit);
        assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0);

        let (mut broker, ours) = duplex(64);
        let mut asking = RawTargets::new(ours, limit);
        broker.write_all(b"G").await.unwrap();
        assert_eq!(asking.read(&mut [0; 8]).await.unwrap(), 1);
        let mut part = [0; 8];
        let longer = tokio::time::timeout(limit * 4, asking.read(&mut part));
        assert!(
            longer.await.is_err(),
            "it may think for as long as it likes"
        );
    }

    #[test]
    fn nothing_behind_another_request_is_touched() {
        let get = "GET /ü HTTP/1.1\r\n\r\n";
        for other in [
            "POST /ü HTTP/1.1\r\ncontent-length: 2\r\n\r\nü",
            "GETS /ü HTTP/1.1\r\n\r\n",
            "get /ü HTTP/1.1\r\n\r\n",
            " GET /ü HTTP/1.1\r\n\r\n",
        ] {
            let text = format!("{other}{get}");
            assert_eq!(escaped(&text), text);
        }
        for header in [
            "Content-Length: 20",
            "content-length:+0",
            "transfer-encoding: chunked",
            "Upgrade: h2c",
        ] {
            let text = format!("GET /x HTTP/1.1\r\n{header}\r\n\r\n{get}");
            assert_eq!(escaped(&text), text);
        }
    }
}
