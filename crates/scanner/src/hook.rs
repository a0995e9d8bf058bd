use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::fault::text;
use crate::http::{Reply, RequestHead};
use crate::protocol::Protocol;
use crate::{Answer, Class, Fault, Finding, PIECE_MAX, Secret, Subject, Wants};

use self::verdict::finding;

mod verdict;

/// Octets of an answer.
const ANSWER_MAX: usize = 1024 * 1024;
/// Characters of what a hook says of a failure.
const WORDS_MAX: usize = 256;
/// The field with the signature.
const SIGNATURE: &str = "Gatepost-Signature";

/// The OpenAPI description (version 3.1) of what a hook is asked and answers, as JSON.
pub fn openapi() -> &'static str {
    include_str!("hook/openapi.json")
}

/// A hook: a program of the site's own that is asked by HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Host and port, as they stand in its address.
    pub host: String,
    /// The path there, with its query.
    pub path: String,
    /// By which the question is signed.
    pub key: Option<Secret>,
}

/// How a hook gets the content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Content {
    /// In the question, where it has so many octets at most; else not at all.
    Inline(u64),
    /// By the name of a file that it can read.
    File(String),
    /// Not at all.
    #[default]
    Omitted,
}

/// What a hook is told beside the subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The header of the message: names and values, in order.
    pub header: Vec<(String, String)>,
    /// The content.
    pub content: Content,
}

/// One question to a hook: a POST with JSON, which answers by JSON.
///
/// The question is signed as webhooks commonly are: `Gatepost-Signature: t=1700000000,v1=HEX`, where
/// `t` is the time of the question in seconds since 1970 and `HEX` the HMAC-SHA256 by the key of that
/// number, a dot and the body. A hook computes it anew, compares in constant time, and refuses what
/// is older than some minutes. [`openapi`] has the rest.
#[derive(Debug)]
pub struct Hook {
    settings: Settings,
    now: Duration,
    /// The body up to the content, and the content as far as it came.
    body: String,
    /// Octets that do not make three yet.
    odd: Vec<u8>,
    size: u64,
    step: Step,
    reply: Reply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Content,
    Whole,
    Sent,
}

impl Hook {
    /// One that asks about the message at this moment, told as the time since 1970.
    pub fn new(settings: &Settings, subject: &Subject, details: &Details, now: Duration) -> Self {
        let mut question = question(subject, details);
        let is_inline = matches!(details.content, Content::Inline(max) if subject.size <= max);
        let mut body = String::new();
        let step = match is_inline {
            true => {
                // The content stands last, as it comes.
                let mut start = question.to_string();
                start.truncate(start.len() - "}".len());
                body.push_str(&start);
                body.push_str(r#","content":{"base64":""#);
                Step::Content
            }
            false => {
                let content = match &details.content {
                    Content::File(file) => json!({ "file": file }),
                    Content::Inline(_) | Content::Omitted => json!({ "omitted": true }),
                };
                question["content"] = content;
                body.push_str(&question.to_string());
                Step::Whole
            }
        };
        Self {
            settings: settings.clone(),
            now,
            body,
            odd: Vec::new(),
            size: subject.size,
            step,
            reply: Reply::new(ANSWER_MAX),
        }
    }

    fn answer(&self) -> Result<Answer, Fault> {
        let body = self.reply.body();
        match self.reply.head().map_or(0, |head| head.status) {
            204 => Ok(Answer::Finding(Finding::of(Class::Clean))),
            200 => finding(body).map(Answer::Finding),
            status => {
                let said = text(body, WORDS_MAX);
                Err(Fault::Failed(format!("HTTP {status}: {said}")))
            }
        }
    }
}

/// All but the content.
fn question(subject: &Subject, details: &Details) -> Value {
    let facts = subject.facts.iter();
    let facts = facts.map(|(name, value)| ((*name).to_owned(), (*value).into()));
    let tls = subject.tls.as_ref();
    json!({
        "version": 1,
        "server": subject.server,
        "message": { "queue_id": subject.queue_id, "size": subject.size },
        "envelope": { "sender": subject.sender, "recipients": subject.recipients },
        "client": {
            "address": subject.client.map(|client| client.to_string()),
            "name": subject.client_name,
            "hello": subject.hello,
            "user": subject.user,
            "tls": tls.map(|tls| json!({ "version": tls.version, "cipher": tls.cipher })),
        },
        "facts": facts.collect::<Map<String, Value>>(),
        "header": details.header,
    })
}

impl Protocol for Hook {
    fn told(&self) -> Option<u64> {
        (self.step == Step::Content).then_some(self.size)
    }

    fn write(&mut self, out: &mut Vec<u8>) -> Wants {
        match self.step {
            Step::Content => return Wants::Content(PIECE_MAX),
            Step::Whole => {
                out.extend_from_slice(&self.head());
                out.extend_from_slice(std::mem::take(&mut self.body).as_bytes());
                self.step = Step::Sent;
            }
            Step::Sent => {}
        }
        Wants::Answer
    }

    /// The length and the signature stand before the body, so the content is gathered.
    fn content(&mut self, piece: &[u8], _: &mut Vec<u8>) {
        let mut piece = piece;
        if !self.odd.is_empty() {
            let missing = (3 - self.odd.len()).min(piece.len());
            let (first, rest) = piece.split_at(missing);
            self.odd.extend_from_slice(first);
            piece = rest;
            if self.odd.len() < 3 {
                return;
            }
            STANDARD.encode_string(&self.odd, &mut self.body);
            self.odd.clear();
        }
        let (even, odd) = piece.split_at(piece.len() - piece.len() % 3);
        STANDARD.encode_string(even, &mut self.body);
        self.odd.extend_from_slice(odd);
    }

    fn end(&mut self, _: &mut Vec<u8>) {
        STANDARD.encode_string(&self.odd, &mut self.body);
        self.body.push_str("\"}}");
        self.step = Step::Whole;
    }

    fn read(&mut self, octets: &[u8]) -> Result<Option<Answer>, Fault> {
        if !self.reply.read(octets)? {
            return Ok(None);
        }
        self.answer().map(Some)
    }

    fn closed(&mut self) -> Result<Answer, Fault> {
        if !self.reply.is_whole_when_closed() {
            return Err(Fault::Closed);
        }
        self.answer()
    }

    fn is_reusable(&self) -> bool {
        self.step == Step::Sent && self.reply.is_reusable()
    }
}

impl Hook {
    fn head(&self) -> Vec<u8> {
        let Settings { host, path, key } = &self.settings;
        let path = format!("/{}", path.trim_start_matches('/'));
        let mut head = RequestHead::new("POST", &path, "HTTP/1.1", host);
        head.field("User-Agent", "Gatepost");
        head.field("Content-Type", "application/json");
        head.field("Accept", "application/json");
        if let Some(key) = key {
            head.field(SIGNATURE, signature(key, self.now, &self.body));
        }
        head.field("Content-Length", self.body.len());
        head.end()
    }
}

fn signature(key: &Secret, now: Duration, body: &str) -> String {
    let now = now.as_secs();
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.reveal().as_bytes());
    let mut signed = hmac::Context::with_key(&key);
    signed.update(format!("{now}.").as_bytes());
    signed.update(body.as_bytes());
    format!("t={now},v1={}", mail::hex(signed.sign()))
}

#[cfg(test)]
mod tests;
