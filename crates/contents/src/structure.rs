//! Where the parts of a message lie among its octets (RFC 2046 section 5.1).
//!
//! One walk over the lines serves both those who look into a message and those who change it, so what
//! is removed is what was looked at. It keeps its own stack: depth costs memory within the limit of
//! parts, and nothing else. The library for mail has a walk too, but neither limits nor all ranges,
//! and takes a boundary for one wherever it stands in a line.
//!
//! Where clients read a message in different ways the walk takes the reading with more parts, and
//! says that there are others.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use crate::encoding::{Decoded, TransferEncoding};
use crate::field::{self, RawField, Which};
use crate::octets::{Lines, Octets, Shared};
use crate::parameters::Value;
use crate::{Limits, Why};

/// Which of the parts of a message, as [`parts`] numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartNumber(pub u32);

/// Who has sealed what a part is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// A signature covers it: a change breaks that.
    Signed,
    /// It is encrypted.
    Encrypted,
}

/// A MIME part: where it is, and what its header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number.
    pub number: PartNumber,
    /// Its place as IMAP names it (RFC 9051 section 6.4.5): `2.1`; empty for a multipart that is the
    /// whole message.
    pub place: String,
    /// The multipart or message that it is in.
    pub parent: Option<PartNumber>,
    /// The octets of its header, up to and with the empty line.
    pub header: Range<usize>,
    /// The octets of its body, without the line end that belongs to the boundary.
    pub body: Range<usize>,
    /// Content type, in lower case: `text/plain`. What is meant where the header has none.
    pub content_type: String,
    /// Whether the header has a content type.
    pub has_content_type: bool,
    /// How its body is written.
    pub encoding: TransferEncoding,
    /// Charset of a text.
    pub charset: Option<String>,
    /// Whether it is to be shown as an attachment.
    pub is_attachment: bool,
    /// Names, as they are written, encoded words decoded.
    pub names: Vec<String>,
    /// Whether other parts are in it, which follow in the list.
    pub is_container: bool,
    /// Whether it lies in, or is, something signed or encrypted.
    pub seal: Option<Seal>,
    /// Why clients may read it differently.
    pub fault: Option<Why>,
    /// Its header fields.
    pub(crate) fields: Vec<RawField>,
}

impl Part {
    /// What its body in `message` stands for, decoded; `most` octets of it at most.
    pub fn content(&self, message: &dyn Octets, most: usize) -> Vec<u8> {
        let message: Shared<'_> = Rc::new(message);
        let decoded = Decoded::new(&message, self.body.clone(), self.encoding, &mut |_| false);
        decoded.copy(0..most)
    }

    /// All its octets.
    pub fn whole(&self) -> Range<usize> {
        self.header.start..self.body.end
    }
}

/// The parts of a message in the order in which they stand, the message itself first.
///
/// Parts of nested messages are among them unless the nested message is encoded. There is always
/// one part at least, and never more than the limits allow: what follows is left in the part before.
pub fn parts(message: &dyn Octets, limits: &Limits) -> Vec<Part> {
    let most = limits.parts.max(1) as usize;
    let mut walk = Walk {
        message,
        lines: Lines::new(message),
        most,
        fields_left: FIELDS_MAX,
        words_left: WORDS_MAX,
        depth_max: limits.depth,
        parts: Vec::new(),
        open: Vec::new(),
        boundaries: HashMap::new(),
        bounded: Vec::new(),
        leaf: None,
    };
    walk.run();
    walk.parts
}

/// How deep parts may lie in each other. Clients open no message that needs more.
const NESTED_MAX: usize = 100;

/// So many fields are kept that tell what parts are, and so many others of the message's own header.
const FIELDS_MAX: usize = 10_000;

/// So many octets of names are kept of all parts.
const WORDS_MAX: usize = 1 << 20;
/// What a name takes beside its octets.
const WORD_OCTETS: usize = 64;
/// So much is kept of a type or charset in any case. None that has a meaning is longer.
const TOKEN_MAX: usize = 127;

/// A header that is longer ends there.
const HEADER_MAX: usize = 2 << 20;

/// A part whose end has not come.
struct Open {
    part: usize,
    /// None for a nested message, and for a multipart whose closing boundary has come.
    boundary: Option<Vec<u8>>,
    is_digest: bool,
    children: u32,
}

struct Walk<'a> {
    message: &'a dyn Octets,
    lines: Lines<'a>,
    most: usize,
    fields_left: usize,
    words_left: usize,
    depth_max: u8,
    parts: Vec<Part>,
    open: Vec<Open>,
    /// The places in `open` that have each boundary, innermost last.
    boundaries: HashMap<Vec<u8>, Vec<usize>>,
    /// The places in `open` that have any boundary, innermost last.
    bounded: Vec<usize>,
    leaf: Option<usize>,
}

/// What a line that is a boundary does.
struct Delimiter {
    /// Whose boundary it is: its place in `open`.
    level: usize,
    is_last: bool,
}

impl Walk<'_> {
    fn run(&mut self) {
        let mut at = self.begin(0);
        while !self.boundaries.is_empty() && at < self.message.size() {
            let line = self.lines.at(at);
            at = line.end;
            let text = self.lines.seen(&line);
            if !text.starts_with(b"--") {
                continue;
            }
            let Some(delimiter) = self.delimiter(text, line.len()) else {
                self.doubt(&line);
                continue;
            };
            if !self.pass(&delimiter, line.start) {
                break;
            }
            if !delimiter.is_last {
                at = self.begin(at);
            }
        }
        self.close(0, self.message.size());
    }

    /// Whether a line of a length that begins so is a boundary of a part that is open: nothing but
    /// blanks may follow it.
    fn delimiter(&self, line: &[u8], length: usize) -> Option<Delimiter> {
        let is_seen = line.len() == length;
        let text = line.strip_prefix(b"--").filter(|_| is_seen)?;
        let text = text.trim_ascii_end();
        let level = |boundary: &[u8]| self.boundaries.get(boundary)?.last().copied();
        if let Some(level) = level(text) {
            return Some(Delimiter {
                level,
                is_last: false,
            });
        }
        let level = level(text.strip_suffix(b"--")?)?;
        Some(Delimiter {
            level,
            is_last: true,
        })
    }

    /// A line that begins as a boundary does and goes on is one to careless clients.
    fn doubt(&mut self, line: &Range<usize>) {
        let text = self.lines.seen(line);
        let Some(open) = self.bounded.last().and_then(|&level| self.open.get(level)) else {
            return;
        };
        let boundary = open.boundary.as_deref().unwrap_or_default();
        if text
            .strip_prefix(b"--")
            .is_some_and(|text| text.starts_with(boundary))
        {
            self.parts[open.part].fault = Some(Why::Broken("a line that is nearly a boundary"));
        }
    }

    /// Ends what a boundary ends. False when there may be no more parts.
    fn pass(&mut self, delimiter: &Delimiter, line_start: usize) -> bool {
        self.close(delimiter.level + 1, self.before_line_end(line_start));
        let open = &mut self.open[delimiter.level];
        if delimiter.is_last {
            self.forget_boundary(delimiter.level);
            return true;
        }
        open.children += 1;
        let has_room = self.parts.len() < self.most;
        if !has_room {
            self.parts[open.part].fault = Some(Why::TooMany);
        }
        has_room
    }

    /// Where what stands before a boundary's line ends: the line end before it is its own.
    fn before_line_end(&self, start: usize) -> usize {
        let before = self.message.copy(start.saturating_sub(2)..start);
        let end = if before.ends_with(b"\r\n") {
            2
        } else {
            usize::from(before.ends_with(b"\n"))
        };
        start - end
    }

    /// Ends the leaf, and what is open from a level on.
    fn close(&mut self, level: usize, end: usize) {
        let leaf = self.leaf.take();
        let mut ended: Vec<usize> = leaf.into_iter().collect();
        while self.open.len() > level {
            self.forget_boundary(self.open.len() - 1);
            if let Some(open) = self.open.pop() {
                ended.push(open.part);
                let part = &mut self.parts[open.part];
                if open.children == 0 {
                    part.is_container = false;
                    part.fault = Some(Why::Broken("its boundary never comes"));
                }
            }
        }
        // A boundary right behind a header takes the line end of its last line, or of the empty one.
        let mut end = end;
        for part in ended {
            let part = &mut self.parts[part];
            end = end.max(part.header.start);
            part.body.end = end;
            part.body.start = part.body.start.min(end);
            part.header.end = part.header.end.min(end);
        }
    }

    fn forget_boundary(&mut self, level: usize) {
        let Some(boundary) = self.open[level].boundary.take() else {
            return;
        };
        self.bounded.pop();
        if let Some(levels) = self.boundaries.get_mut(&boundary) {
            levels.pop();
            if levels.is_empty() {
                self.boundaries.remove(&boundary);
            }
        }
    }

    /// Begins a part, and the messages that begin with it. Returns where its body begins.
    fn begin(&mut self, mut at: usize) -> usize {
        loop {
            let number = self.parts.len();
            let part = self.read_part(at);
            at = part.body.start;
            let is_message = is_message(&part.content_type);
            self.parts.push(part);
            if self.open.len() >= NESTED_MAX {
                self.parts[number].fault = Some(Why::TooDeep);
                self.leaf = Some(number);
                return at;
            }
            if let Some(boundary) = self.multipart(number) {
                self.boundaries
                    .entry(boundary.clone())
                    .or_default()
                    .push(self.open.len());
                self.bounded.push(self.open.len());
                self.enter(number, Some(boundary), 0);
                return at;
            }
            if !is_message || !self.may_enter_message(number) {
                self.leaf = Some(number);
                return at;
            }
            self.enter(number, None, 1);
        }
    }

    fn enter(&mut self, number: usize, boundary: Option<Vec<u8>>, children: u32) {
        let part = &mut self.parts[number];
        part.is_container = true;
        let is_digest = part.content_type == "multipart/digest";
        self.open.push(Open {
            part: number,
            boundary,
            is_digest,
            children,
        });
    }

    /// The boundary of a part that is a multipart.
    fn multipart(&mut self, number: usize) -> Option<Vec<u8>> {
        let part = &mut self.parts[number];
        if !part.content_type.starts_with("multipart/") {
            return None;
        }
        let boundary = content_types(self.message, &part.fields).find_map(|value| {
            let boundary = value.parameter("boundary")?.trim_end().as_bytes().to_vec();
            (!boundary.is_empty()).then_some(boundary)
        });
        if boundary.is_none() {
            part.fault = Some(Why::Broken("a multipart without a boundary"));
        } else if part.encoding != TransferEncoding::Identity {
            // RFC 2045 section 6.4 forbids that, and some clients decode it.
            part.fault = Some(Why::Broken("an encoded multipart"));
        }
        boundary
    }

    /// A nested message is walked where it stands unless it is encoded, or too deep.
    fn may_enter_message(&mut self, number: usize) -> bool {
        let depth = self
            .open
            .iter()
            .filter(|open| is_message(&self.parts[open.part].content_type));
        let depth = depth.count();
        let (most, has_room) = (usize::from(self.depth_max), self.parts.len() < self.most);
        let part = &mut self.parts[number];
        if part.encoding != TransferEncoding::Identity {
            return false;
        }
        if depth >= most {
            part.fault = Some(Why::TooDeep);
        } else if !has_room {
            part.fault = Some(Why::TooMany);
        }
        depth < most && has_room
    }

    fn read_part(&mut self, at: usize) -> Part {
        let header = self.read_header(at);
        let parent = self.open.last();
        let default = match parent {
            Some(parent) if parent.is_digest => "message/rfc822",
            _ => "text/plain",
        };
        let types: Vec<Value> = content_types(self.message, &header.fields).collect();
        // Where there are several, the one that has parts in it.
        let chosen = types
            .iter()
            .find(|value| {
                value.main.starts_with("multipart/") && value.parameter("boundary").is_some()
            })
            .or(types.first());
        let content_type = match chosen {
            Some(value) if value.main.contains('/') => token(&value.main),
            _ => default.to_owned(),
        };
        let parent = parent.map(|open| &self.parts[open.part]);
        let place = self.place(&content_type);
        let seal = seal_of(&content_type, chosen).or(parent.and_then(|part| part.seal));
        let parent = parent.map(|part| part.number);
        let encodings: Vec<TransferEncoding> = self
            .values(&header.fields, Which::TransferEncoding)
            .map(|value| TransferEncoding::named(&String::from_utf8_lossy(&value)))
            .collect();
        let dispositions: Vec<Value> = self
            .values(&header.fields, Which::Disposition)
            .map(|value| Value::read(&value))
            .collect();
        let several = types.len() > 1 || encodings.len() > 1;
        let long = header
            .fields
            .iter()
            .any(|field| field.is_of_mime() && field.value.len() > Value::OCTETS_MAX);
        let long = long.then_some(Why::Broken("a MIME field is too long"));
        let names = types.iter().flat_map(|value| value.parameters("name"));
        let names = names.chain(
            dispositions
                .iter()
                .flat_map(|value| value.parameters("filename")),
        );
        let (names, is_whole) = self.names(names);
        Part {
            number: PartNumber(self.parts.len() as u32),
            place,
            parent,
            header: header.range.clone(),
            body: header.range.end..self.message.size(),
            charset: chosen
                .and_then(|value| value.parameter("charset"))
                .map(token),
            has_content_type: !types.is_empty(),
            encoding: encodings
                .first()
                .copied()
                .unwrap_or(TransferEncoding::Identity),
            is_attachment: dispositions.iter().any(|value| value.main == "attachment"),
            names,
            is_container: false,
            seal,
            fault: several
                .then_some(Why::Broken("a MIME field stands twice"))
                .or((!is_whole).then_some(Why::TooLarge))
                .or(long)
                .or(header.fault),
            fields: header.fields,
            content_type,
        }
    }

    /// Names as they are read, as far as there is room for them, and whether there was for all.
    fn names<'b>(&mut self, written: impl Iterator<Item = &'b str>) -> (Vec<String>, bool) {
        let (mut names, mut is_whole) = (Vec::new(), true);
        for name in written {
            match self.words_left.checked_sub(name.len() + WORD_OCTETS) {
                Some(left) => {
                    self.words_left = left;
                    names.push(field::decoded(name.as_bytes()));
                }
                None => is_whole = false,
            }
        }
        (names, is_whole)
    }

    /// As IMAP counts: parts of a multipart by their order, the only part of a message as 1.
    fn place(&self, content_type: &str) -> String {
        let is_multipart = content_type.starts_with("multipart/");
        let Some(parent) = self.open.last() else {
            return if is_multipart {
                String::new()
            } else {
                "1".to_owned()
            };
        };
        let outer = self.parts[parent.part].place.as_str();
        match parent.boundary {
            None if is_multipart => outer.to_owned(),
            _ if outer.is_empty() => parent.children.to_string(),
            _ => format!("{outer}.{}", parent.children),
        }
    }

    fn values<'b>(
        &'b self,
        fields: &'b [RawField],
        which: Which,
    ) -> impl Iterator<Item = Vec<u8>> + 'b {
        values(self.message, fields, which)
    }

    /// A header ends at its empty line, or where a boundary stands; lines in it that are no fields
    /// are passed over, as many clients do.
    ///
    /// A part that begins with such a line has no header, unless it says after all what the part is.
    /// The top message always has one: fields of ours go before it, and then its first line is not.
    fn read_header(&mut self, start: usize) -> Header {
        let mut header = Header {
            range: start..start,
            fields: Vec::new(),
            fault: None,
            is_foreign: false,
            has_field: false,
            is_kept: false,
            of_mime_left: self.fields_left,
            others_left: (start == 0).then_some(FIELDS_MAX),
        };
        let mut at = start;
        while at < self.message.size() {
            let line = self.lines.at(at);
            let text = self.lines.seen(&line);
            let is_folded = text.starts_with(b" ") || text.starts_with(b"\t");
            let is_empty = !is_folded && text.trim_ascii_end().is_empty();
            if !is_empty && self.delimiter(text, line.len()).is_some() {
                break;
            }
            if line.end - start > HEADER_MAX {
                header.fault = Some(Why::TooLarge);
                break;
            }
            at = line.end;
            if is_empty {
                break;
            }
            header.take(text, line, is_folded);
        }
        header.range.end = at;
        let is_told = header.fields.iter().any(RawField::is_of_mime);
        if header.is_foreign && start > 0 && !is_told {
            header.range.end = start;
            header.fields.clear();
        }
        self.fields_left = header.of_mime_left;
        header
    }
}

struct Header {
    range: Range<usize>,
    fields: Vec<RawField>,
    fault: Option<Why>,
    /// Whether its first line is no field.
    is_foreign: bool,
    /// Whether there was a field, and whether the last one was kept.
    has_field: bool,
    is_kept: bool,
    of_mime_left: usize,
    /// None where no other fields are kept.
    others_left: Option<usize>,
}

impl Header {
    fn take(&mut self, text: &[u8], line: Range<usize>, is_folded: bool) {
        if memchr::memchr(b'\r', text.trim_ascii_end()).is_some() {
            // To some clients that is the end of a line.
            self.fault = Some(Why::Broken("a bare CR in a header"));
        }
        match RawField::at(text, line.clone()) {
            _ if is_folded && self.has_field => {
                if let Some(last) = self.fields.last_mut().filter(|_| self.is_kept) {
                    last.value.end = line.end;
                }
            }
            Some(field) if !is_folded => self.field(field),
            // The first line of a mailbox file.
            _ if line.start == 0 && text.starts_with(b"From ") => {}
            _ if !self.has_field => {
                self.is_foreign = true;
                self.fault = Some(Why::Broken("a part without a header"));
            }
            _ => self.fault = Some(Why::Broken("a line in a header that is no field")),
        }
    }

    fn field(&mut self, field: RawField) {
        self.has_field = true;
        let left = match field.is_of_mime() {
            true => Some(&mut self.of_mime_left),
            false => self.others_left.as_mut(),
        };
        self.is_kept = left.as_ref().is_some_and(|left| **left > 0);
        match left {
            Some(0) => self.fault = Some(Why::TooMany),
            Some(left) => {
                *left -= 1;
                self.fields.push(field);
            }
            None => {}
        }
    }
}

pub(crate) fn content_types<'a>(
    message: &'a dyn Octets,
    fields: &'a [RawField],
) -> impl Iterator<Item = Value> + 'a {
    values(message, fields, Which::ContentType).map(|value| Value::read(&value))
}

/// The values of some fields, as much of each as is ever read.
fn values<'a>(
    message: &'a dyn Octets,
    fields: &'a [RawField],
    which: Which,
) -> impl Iterator<Item = Vec<u8>> + 'a {
    let own = fields.iter().filter(move |field| field.which == which);
    own.map(|field| {
        let Range { start, end } = field.value;
        message.copy(start..end.min(start + Value::OCTETS_MAX))
    })
}

fn token(text: &str) -> String {
    text[..text.floor_char_boundary(TOKEN_MAX)].to_owned()
}

/// Whether a content type is that of a whole message.
pub(crate) fn is_message(content_type: &str) -> bool {
    matches!(
        content_type,
        "message/rfc822" | "message/global" | "message/news"
    )
}

fn seal_of(content_type: &str, value: Option<&Value>) -> Option<Seal> {
    match content_type {
        "multipart/signed" => Some(Seal::Signed),
        "multipart/encrypted" => Some(Seal::Encrypted),
        // RFC 8551 section 3.2.2: what is signed, packed or a certificate has its type named, and what
        // has none may be anything.
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => {
            match value.and_then(|value| value.parameter("smime-type")) {
                Some("signed-data" | "certs-only" | "compressed-data") => Some(Seal::Signed),
                _ => Some(Seal::Encrypted),
            }
        }
        _ => None,
    }
}
