//! Answers by HTTP/1.1 (RFC 9112), and those by ICAP, whose heads and chunks are the same; and the
//! heads of requests.

use std::fmt::Write as _;

use crate::Fault;
use crate::chunks::Chunks;

const ICAP: &[u8] = b"ICAP/1.0";
/// Octets of a head.
const HEAD_MAX: usize = 64 * 1024;
/// Fields of a head.
const FIELDS_MAX: usize = 128;
/// Answers before the final one (1xx) that are passed over.
const INTERIM_MAX: usize = 8;

/// What has not been written yet. It may hold a password.
pub(crate) struct Unsent(Vec<u8>);

impl std::fmt::Debug for Unsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unsent({} octets)", self.0.len())
    }
}

impl Unsent {
    pub(crate) fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// Puts out what there is, once.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.0);
    }
}

/// The head of a request under construction.
pub(crate) struct RequestHead(String);

impl RequestHead {
    /// One with this line as its first, and `Host`.
    pub(crate) fn new(method: &str, target: &str, protocol: &str, host: &str) -> Self {
        let mut head = Self::of_line(format_args!("{method} {target} {protocol}"));
        head.field("Host", host);
        head
    }

    /// One with this line alone, which holds nothing of a stranger.
    pub(crate) fn of_line(line: std::fmt::Arguments<'_>) -> Self {
        Self(format!("{line}\r\n"))
    }

    /// Adds a field; one whose value could end its line is left out.
    pub(crate) fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        let value = value.to_string();
        if !value.chars().any(char::is_control) {
            let _ = write!(self.0, "{name}: {value}\r\n");
        }
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.push_str("\r\n");
        self.0.into_bytes()
    }
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// The minor version: 1 of HTTP/1.1.
    version: u8,
    /// Names, and the lines of each value.
    fields: Vec<(String, Vec<String>)>,
}

impl Head {
    /// Where the head ends in octets that begin with one, behind its blank line; looked for from an
    /// octet on before which there is no such line.
    pub(crate) fn end(octets: &[u8], from: usize) -> Result<Option<usize>, Fault> {
        // The blank line may have begun before.
        let from = from.saturating_sub(3);
        let rest = octets.get(from..).unwrap_or_default();
        for at in memchr::memchr_iter(b'\n', rest) {
            let behind = &rest[at + 1..];
            let blank = match behind {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                _ => continue,
            };
            let end = from + at + 1 + blank;
            return if end > HEAD_MAX {
                Err(too_long())
            } else {
                Ok(Some(end))
            };
        }
        if octets.len() > HEAD_MAX {
            Err(too_long())
        } else {
            Ok(None)
        }
    }

    /// Reads a head that is whole, of HTTP, and of ICAP where that word is in its place.
    pub(crate) fn read(octets: &[u8]) -> Result<Self, Fault> {
        let malformed = || Fault::malformed("the head of an answer", octets);
        let mut head = octets.to_vec();
        // RFC 3507 section 4.3.2: ICAP has the grammar of HTTP/1.1, with a word of its own in the
        // first line.
        if let Some(start) = head.get_mut(..ICAP.len())
            && start == ICAP
        {
            start.copy_from_slice(b"HTTP/1.1");
        }
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = httparse::ParserConfig::default()
            .allow_obsolete_multiline_headers_in_responses(true)
            .parse_response(&mut response, &head);
        match parsed {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) | Err(_) => return Err(malformed()),
        }
        let field = |field: &httparse::Header<'_>| (field.name.to_owned(), lines(field.value));
        Ok(Self {
            status: response.code.ok_or_else(malformed)?,
            reason: response.reason.unwrap_or_default().to_owned(),
            version: response.version.ok_or_else(malformed)?,
            fields: response.headers.iter().map(field).collect(),
        })
    }

    /// The lines of the first value of a field, whatever the case of its name; none where there is
    /// no such field.
    pub(crate) fn lines(&self, name: &str) -> &[String] {
        let is_it = |(known, _): &&(String, Vec<String>)| known.eq_ignore_ascii_case(name);
        let field = self.fields.iter().find(is_it);
        field.map_or(&[], |(_, lines)| lines)
    }

    /// The same on one line: each fold is one blank.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.lines(name) {
            [] => None,
            lines => Some(lines.join(" ")),
        }
    }

    /// Whether a field with a list of words has this one.
    pub(crate) fn has_word(&self, name: &str, word: &str) -> bool {
        let list = self.lines(name).join(" ");
        list.split(',')
            .any(|one| one.trim().eq_ignore_ascii_case(word))
    }

    /// Whether the connection stays open behind the answer.
    pub(crate) fn keeps_open(&self) -> bool {
        match self.version {
            0 => self.has_word("Connection", "keep-alive"),
            _ => !self.has_word("Connection", "close"),
        }
    }

    fn body(&self) -> Result<Body, Fault> {
        // RFC 9112 section 6.3: where both are there, the chunks count.
        if let Some(coding) = self.text("Transfer-Encoding") {
            if !self.has_word("Transfer-Encoding", "chunked") {
                let what = "a transfer coding that we asked for";
                return Err(Fault::malformed(what, coding.as_bytes()));
            }
            return Ok(Body::Chunked(Chunks::default()));
        }
        match self.text("Content-Length") {
            _ if matches!(self.status, 204 | 304) => Ok(Body::Sized(0)),
            Some(length) => match length.parse() {
                Ok(length) => Ok(Body::Sized(length)),
                Err(_) => Err(Fault::malformed("a length", length.as_bytes())),
            },
            None => Ok(Body::UntilClosed),
        }
    }
}

fn too_long() -> Fault {
    Fault::TooLong("the head of an answer", HEAD_MAX)
}

/// The lines of a value, which is folded where there are several.
fn lines(value: &[u8]) -> Vec<String> {
    let lines = value.split(|&c| c == b'\n');
    let line = |line: &[u8]| String::from_utf8_lossy(line).trim().to_owned();
    lines.map(line).collect()
}

/// How a body ends.
#[derive(Debug)]
enum Body {
    Sized(u64),
    Chunked(Chunks),
    UntilClosed,
}

/// An answer as far as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    /// What came of the head.
    raw: Vec<u8>,
    interim: usize,
    head: Option<(Head, Body)>,
    body: Vec<u8>,
    body_max: usize,
    has_surplus: bool,
}

impl Reply {
    /// One whose body has at most so many octets.
    pub(crate) fn new(body_max: usize) -> Self {
        Self {
            raw: Vec::new(),
            interim: 0,
            head: None,
            body: Vec::new(),
            body_max,
            has_surplus: false,
        }
    }

    /// Takes what came; whether the answer is whole.
    pub(crate) fn read(&mut self, octets: &[u8]) -> Result<bool, Fault> {
        if self.head.is_some() {
            return self.read_body(octets);
        }
        let before = self.raw.len();
        self.raw.extend_from_slice(octets);
        let mut looked = before;
        while let Some(end) = Head::end(&self.raw, looked)? {
            let rest = self.raw.split_off(end);
            let head = Head::read(&std::mem::replace(&mut self.raw, rest))?;
            if (100..200).contains(&head.status) {
                self.interim += 1;
                if self.interim > INTERIM_MAX {
                    return Err(Fault::TooLong("answers before the answer", INTERIM_MAX));
                }
                looked = 0;
                continue;
            }
            let body = head.body()?;
            self.head = Some((head, body));
            let rest = std::mem::take(&mut self.raw);
            return self.read_body(&rest);
        }
        Ok(false)
    }

    fn read_body(&mut self, octets: &[u8]) -> Result<bool, Fault> {
        let Some((_, body)) = &mut self.head else {
            return Ok(false);
        };
        let (kept, body_max) = (&mut self.body, self.body_max);
        let mut keep = |piece: &[u8]| {
            if kept.len() + piece.len() > body_max {
                return Err(Fault::TooLong("an answer", body_max));
            }
            kept.extend_from_slice(piece);
            Ok(())
        };
        let (taken, is_whole) = match body {
            Body::Sized(left) => {
                let count =
                    usize::try_from(*left).map_or(octets.len(), |left| left.min(octets.len()));
                keep(&octets[..count])?;
                *left -= count as u64;
                (count, *left == 0)
            }
            Body::Chunked(chunks) => {
                let taken = chunks.read(octets, &mut keep)?;
                (taken, chunks.are_over())
            }
            Body::UntilClosed => {
                keep(octets)?;
                (octets.len(), false)
            }
        };
        self.has_surplus |= taken < octets.len();
        Ok(is_whole)
    }

    /// The connection was closed; whether the answer is whole now.
    pub(crate) fn is_whole_when_closed(&self) -> bool {
        matches!(self.head, Some((_, Body::UntilClosed)))
    }

    /// Whether another request may follow, once the answer is whole.
    pub(crate) fn is_reusable(&self) -> bool {
        match &self.head {
            Some((head, Body::Sized(0))) => !self.has_surplus && head.keeps_open(),
            Some((head, Body::Chunked(chunks))) => {
                // RFC 9112 section 6.3: where there is a length as well, somebody may be deceived
                // about where the answer ends.
                let is_plain = head.lines("Content-Length").is_empty();
                !self.has_surplus && is_plain && chunks.are_over() && head.keeps_open()
            }
            Some(_) | None => false,
        }
    }

    pub(crate) fn head(&self) -> Option<&Head> {
        self.head.as_ref().map(|(head, _)| head)
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY_MAX: usize = 100;

    /// The same answer, whole and octet by octet, is read alike.
    fn read(answer: &str) -> Result<(u16, String, bool), Fault> {
        let mut whole = Reply::new(BODY_MAX);
        let is_whole = whole.read(answer.as_bytes());
        let mut bits = Reply::new(BODY_MAX);
        let mut last = Ok(false);
        for octet in answer.as_bytes() {
            last = bits.read(std::slice::from_ref(octet));
            if !matches!(last, Ok(false)) {
                break;
            }
        }
        assert_eq!(is_whole, last, "{answer:?}");
        if !is_whole? && !whole.is_whole_when_closed() {
            return Err(Fault::Closed);
        }
        assert_eq!(whole.body(), bits.body());
        let body = String::from_utf8(whole.body().to_vec()).expect("text");
        let head = whole.head().expect("a head");
        Ok((head.status, body, whole.is_reusable()))
    }

    fn good(status: u16, body: &str, is_reusable: bool) -> Result<(u16, String, bool), Fault> {
        Ok((status, body.to_owned(), is_reusable))
    }

    #[test]
    fn an_answer_ends_by_its_length_its_chunks_or_with_the_connection() {
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
            good(200, "abc", true)
        );
        let chunks = "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
        assert_eq!(
            read(&format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
            )),
            good(200, "abc0123456789", true)
        );
        assert_eq!(read("HTTP/1.1 200\r\n\r\nabc"), good(200, "abc", false));
        assert_eq!(read("HTTP/1.1 204 No\r\n\r\n"), good(204, "", true));
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\nContent-length: 0\n\n";
        assert_eq!(read(interim), good(403, "", true));
    }

    #[test]
    fn a_connection_is_kept_where_that_is_certain() {
        for (fields, expected) in [
            ("Connection: close\r\n", false),
            ("Connection: foo, Close\r\n", false),
            ("Connection: keep-alive\r\n", true),
        ] {
            let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
            assert_eq!(read(&answer), good(200, "", expected), "{fields}");
        }
        assert_eq!(
            read("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
            good(200, "", false)
        );
        let mut more = Reply::new(BODY_MAX);
        assert_eq!(
            more.read(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"),
            Ok(true)
        );
        assert!(!more.is_reusable(), "what came behind it answers nothing");
        let both =
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        assert_eq!(read(both), good(200, "", false));
    }

    #[test]
    fn hostile_answers_are_faults() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(HEAD_MAX));
        let many = format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "X: y\r\n".repeat(FIELDS_MAX + 1)
        );
        let endless = "HTTP/1.1 100 Go\r\n\r\n".repeat(INTERIM_MAX + 1);
        let body = format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(BODY_MAX + 1));
        let chunked =
            |chunks: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        for answer in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            &chunked("ffffffffffffffffff\r\n"),
            &chunked("x\r\n"),
            &chunked("1\r\nabc\r\n"),
            &chunked(&format!("0\r\n{}", "a: b\r\n".repeat(10_000))),
            &chunked(&"1;".repeat(10_000)),
            &chunked(&format!(
                "{:x}\r\n{}",
                BODY_MAX + 1,
                "a".repeat(BODY_MAX + 1)
            )),
            &long,
            &many,
            &endless,
            &body,
        ] {
            let fault = read(answer).expect_err(answer);
            assert_ne!(fault, Fault::Closed, "{answer}");
        }
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"),
            Err(Fault::Closed)
        );
    }

    #[test]
    fn folded_fields_are_one_line() {
        let head =
            Head::read(b"ICAP/1.0 200 OK\r\nX-Found: 1\r\n\ta b\r\n  c\r\nB: d\r\n\r\n").unwrap();
        assert_eq!(head.lines("x-found"), ["1", "a b", "c"]);
        assert_eq!(head.text("X-Found").as_deref(), Some("1 a b c"));
        assert_eq!(
            (head.text("b").as_deref(), head.text("c")),
            (Some("d"), None)
        );
    }

    #[test]
    fn no_field_of_a_request_ends_its_line() {
        let mut head = RequestHead::new("GET", "/", "HTTP/1.1", "h");
        head.field("Helo", "a\r\nPassword: x");
        head.field("User", "ann");
        assert_eq!(
            head.end(),
            b"GET / HTTP/1.1\r\nHost: h\r\nUser: ann\r\n\r\n"
        );
    }
}
