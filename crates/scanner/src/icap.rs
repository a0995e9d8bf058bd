use std::fmt::Write as _;

use crate::chunks::{Chunks, chunk};
use crate::digest::Digest;
use crate::fault::shown;
use crate::http::{Head, RequestHead, Unsent};
use crate::icap_options::{IcapOptions, Method};
use crate::icap_verdict::{found_in, other_answer};
use crate::protocol::Protocol;
use crate::{Answer, Class, Fault, Finding, PIECE_MAX, Subject, Wants, Wish};

/// The largest preview that is sent, whatever a service asks for.
const PREVIEW_MAX: u64 = PIECE_MAX as u64;
/// Octets of the heads of HTTP in an answer.
const ENCAPSULATED_MAX: usize = 64 * 1024;
/// So many octets may a content have more when it is given back.
const GROWTH_MAX: u64 = 64 * 1024;

/// An ICAP service, and how it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Host and port, as they stand in its address.
    pub host: String,
    /// What stands behind them: `avscan`.
    pub path: String,
    /// As what the message is given.
    pub method: Method,
    /// How many octets it wants to see first, as its options say.
    pub preview: Option<u64>,
}

/// One message shown to an ICAP service (RFC 3507).
///
/// That it answers by 200 means nothing: what it found stands in fields of its own, or is told by
/// another answer than the one that was shown to it, or by another content.
#[derive(Debug)]
pub struct Icap {
    unsent: Unsent,
    method: Method,
    size: u64,
    step: Step,
    sent: Digest,
    came: Vec<u8>,
    looked: usize,
    answer: AnswerStep,
    is_reusable: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The preview: so many octets of it are left. It is not the whole content.
    Preview(u64),
    /// All of the preview: whether the rest is wanted, the service says.
    Previewed,
    /// A content that is its own preview.
    Whole,
    /// What is behind the preview, or all where there is none.
    Rest,
    Over,
}

/// What was read.
#[derive(Debug)]
enum AnswerStep {
    Head,
    /// The heads of HTTP, so long in all, then a body or none.
    Encapsulated {
        length: usize,
        has_body: bool,
    },
    Body {
        chunks: Chunks,
        digest: Digest,
    },
}

impl Icap {
    /// One that asks this service about the message.
    pub fn new(service: &Service, subject: &Subject) -> Self {
        let preview = service.preview.map(|preview| preview.min(PREVIEW_MAX));
        let step = match preview {
            Some(preview) if subject.size <= preview => Step::Whole,
            Some(0) => Step::Previewed,
            Some(preview) => Step::Preview(preview),
            None => Step::Rest,
        };
        let mut unsent = request(service, preview, subject);
        if step == Step::Previewed {
            unsent.extend_from_slice(b"0\r\n\r\n");
        }
        Self {
            unsent: Unsent::new(unsent),
            method: service.method,
            size: subject.size,
            step,
            sent: Digest::new(),
            came: Vec::new(),
            looked: 0,
            answer: AnswerStep::Head,
            is_reusable: false,
        }
    }
}

/// The head of the request, and the heads of HTTP in it.
fn request(service: &Service, preview: Option<u64>, subject: &Subject) -> Vec<u8> {
    let Service { host, path, .. } = service;
    let method = service.method.word();
    let uri = format!("icap://{host}/{}", path.trim_start_matches('/'));
    let mut head = RequestHead::new(method, &uri, "ICAP/1.0", host);
    head.field("User-Agent", "Gatepost");
    // Not 206: that spares a server what it did not change of a content, and no content is taken back
    // from it, only a verdict. None sends it that was not offered it.
    head.field("Allow", "204");
    if let Some(preview) = preview {
        head.field("Preview", preview);
    }
    if let Some(client) = subject.client {
        head.field("X-Client-IP", client);
    }
    let name = &subject.queue_id;
    let (size, server) = (subject.size, &subject.server);
    let entity = format!("Content-Type: message/rfc822\r\nContent-Length: {size}\r\n\r\n");
    let http = match service.method {
        Method::Response => {
            let asked =
                format!("GET http://{server}/{name}.eml HTTP/1.1\r\nHost: {server}\r\n\r\n");
            let list = format!("req-hdr=0, res-hdr={0}, res-body=", asked.len());
            (list, format!("{asked}HTTP/1.1 200 OK\r\n{entity}"))
        }
        Method::Request => {
            let asked = format!("POST http://{server}/{name}.eml HTTP/1.1\r\nHost: {server}\r\n");
            (
                "req-hdr=0, req-body=".to_owned(),
                format!("{asked}{entity}"),
            )
        }
    };
    let (mut list, http) = http;
    let _ = write!(list, "{}", http.len());
    head.field("Encapsulated", list);
    let mut request = head.end();
    request.extend_from_slice(http.as_bytes());
    request
}

impl Protocol for Icap {
    fn told(&self) -> Option<u64> {
        Some(self.size)
    }

    fn write(&mut self, out: &mut Vec<u8>) -> Wants {
        self.unsent.write(out);
        match self.step {
            Step::Preview(left) => Wants::Content(usize::try_from(left).unwrap_or(PIECE_MAX)),
            Step::Whole | Step::Rest => Wants::Content(PIECE_MAX),
            Step::Previewed | Step::Over => Wants::Answer,
        }
    }

    fn content(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.sent.update(piece);
        chunk(piece, out);
        if let Step::Preview(left) = self.step {
            let left = left.saturating_sub(piece.len() as u64);
            self.step = match left {
                0 => {
                    out.extend_from_slice(b"0\r\n\r\n");
                    Step::Previewed
                }
                left => Step::Preview(left),
            };
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        // RFC 3507 section 4.5: "ieof" tells that the preview was all.
        out.extend_from_slice(match self.step {
            Step::Whole => b"0; ieof\r\n\r\n",
            _ => b"0\r\n\r\n",
        });
        self.step = Step::Over;
    }

    fn read(&mut self, octets: &[u8]) -> Result<Option<Answer>, Fault> {
        if matches!(self.answer, AnswerStep::Body { .. }) {
            return self.read_body(octets);
        }
        self.came.extend_from_slice(octets);
        if matches!(self.answer, AnswerStep::Head)
            && let Some(answer) = self.read_head()?
        {
            return Ok(Some(answer));
        }
        self.read_encapsulated()
    }

    fn is_reusable(&self) -> bool {
        self.is_reusable && matches!(self.step, Step::Over | Step::Previewed)
    }
}

impl Icap {
    /// The answer, where it is one without a body.
    fn read_head(&mut self) -> Result<Option<Answer>, Fault> {
        let Some(end) = Head::end(&self.came, self.looked)? else {
            self.looked = self.came.len();
            return Ok(None);
        };
        self.looked = 0;
        let rest = self.came.split_off(end);
        let head = Head::read(&std::mem::replace(&mut self.came, rest))?;
        if head.status == 100 && self.step == Step::Previewed {
            self.step = Step::Rest;
            // Nothing can follow before the rest was sent.
            return match self.came.is_empty() {
                true => Ok(None),
                false => Err(Fault::malformed("nothing until the rest came", &self.came)),
            };
        }
        let found = found_in(&head);
        match head.status {
            204 => {
                self.is_reusable = head.keeps_open() && self.came.is_empty();
                Ok(Some(found.unwrap_or_else(|| Finding::of(Class::Clean))))
            }
            200 | 201 => {
                let (length, has_body) = encapsulated(&head)?;
                self.is_reusable = head.keeps_open();
                self.answer = AnswerStep::Encapsulated { length, has_body };
                // What follows is a page for people.
                self.is_reusable &= found.is_none();
                Ok(found)
            }
            status => {
                let said = format!("ICAP {status} {}", head.reason);
                Err(Fault::Failed(shown(said.as_bytes())))
            }
        }
        .map(|found| found.map(Answer::Finding))
    }

    /// The head of the HTTP answer that the service would have instead of ours.
    fn read_encapsulated(&mut self) -> Result<Option<Answer>, Fault> {
        let AnswerStep::Encapsulated { length, has_body } = self.answer else {
            return Ok(None);
        };
        if self.came.len() < length {
            return Ok(None);
        }
        let body = self.came.split_off(length);
        let http = std::mem::replace(&mut self.came, body);
        if let Some(found) = other_answer(self.method, &http)? {
            self.is_reusable = false;
            return Ok(Some(Answer::Finding(found)));
        }
        if !has_body {
            self.is_reusable &= self.came.is_empty();
            return Ok(Some(Answer::Finding(changed())));
        }
        self.answer = AnswerStep::Body {
            chunks: Chunks::default(),
            digest: Digest::new(),
        };
        let body = std::mem::take(&mut self.came);
        self.read_body(&body)
    }

    /// The content as the service gives it back.
    fn read_body(&mut self, octets: &[u8]) -> Result<Option<Answer>, Fault> {
        let AnswerStep::Body { chunks, digest } = &mut self.answer else {
            return Ok(None);
        };
        let most = self.size.saturating_add(GROWTH_MAX);
        let taken = chunks.read(octets, &mut |piece| {
            if digest.update(piece) > most {
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                return Err(Fault::TooLong("the content", most));
            }
            Ok(())
        })?;
        if !chunks.are_over() {
            return Ok(None);
        }
        self.is_reusable &= taken == octets.len();
        // What it gives back of a part of the message says nothing of the rest.
        let is_whole = matches!(self.step, Step::Over);
        let found = match is_whole && digest.is_of_the_same_as(&self.sent) {
            true => Finding::of(Class::Clean),
            false => changed(),
        };
        Ok(Some(Answer::Finding(found)))
    }
}

/// It gave back something else, which we do not deliver in place of the message.
fn changed() -> Finding {
    Finding {
        wish: Wish::Refuse,
        names: vec!["content was changed".to_owned()],
        ..Finding::of(Class::Rejected)
    }
}

/// How long the heads of HTTP in an answer are, and whether there is a body behind them
/// (RFC 3507 section 4.4.1).
fn encapsulated(head: &Head) -> Result<(usize, bool), Fault> {
    let list = head.text("Encapsulated").unwrap_or_default();
    let malformed = || Fault::malformed("a list of what is in an answer", list.as_bytes());
    // The last one is the body, or says that there is none.
    let last = list.rsplit(',').next().unwrap_or_default();
    let (name, offset) = last.split_once('=').ok_or_else(malformed)?;
    let length = offset.trim().parse().map_err(|_| malformed())?;
    if length > ENCAPSULATED_MAX {
        return Err(Fault::TooLong("the head of an answer", ENCAPSULATED_MAX));
    }
    match name.trim() {
        "res-body" | "req-body" => Ok((length, true)),
        "null-body" => Ok((length, false)),
        _ => Err(malformed()),
    }
}

/// Asks an ICAP service for its options.
#[derive(Debug)]
pub struct AskOptions {
    unsent: Unsent,
    came: Vec<u8>,
    looked: usize,
    is_reusable: bool,
}

impl AskOptions {
    /// Of this service.
    pub fn new(service: &Service) -> Self {
        let Service { host, path, .. } = service;
        let uri = format!("icap://{host}/{}", path.trim_start_matches('/'));
        let mut head = RequestHead::new("OPTIONS", &uri, "ICAP/1.0", host);
        head.field("User-Agent", "Gatepost");
        Self {
            unsent: Unsent::new(head.end()),
            came: Vec::new(),
            looked: 0,
            is_reusable: false,
        }
    }
}

impl Protocol for AskOptions {
    fn told(&self) -> Option<u64> {
        None
    }

    fn write(&mut self, out: &mut Vec<u8>) -> Wants {
        self.unsent.write(out);
        Wants::Answer
    }

    fn end(&mut self, _: &mut Vec<u8>) {}

    fn read(&mut self, octets: &[u8]) -> Result<Option<Answer>, Fault> {
        self.came.extend_from_slice(octets);
        let Some(end) = Head::end(&self.came, self.looked)? else {
            self.looked = self.came.len();
            return Ok(None);
        };
        let head = Head::read(self.came.get(..end).unwrap_or_default())?;
        if head.status != 200 {
            let said = format!("ICAP {} {}", head.status, head.reason);
            return Err(Fault::Failed(shown(said.as_bytes())));
        }
        let has_body = head.text("Opt-body-type").is_some();
        self.is_reusable = !has_body && end == self.came.len() && head.keeps_open();
        IcapOptions::read(&head).map(|options| Some(Answer::Options(options)))
    }

    fn is_reusable(&self) -> bool {
        self.is_reusable
    }
}

#[cfg(test)]
mod tests;
