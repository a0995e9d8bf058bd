use std::borrow::Cow;

use memchr::memchr;

use crate::TraceParent;

/// Reads the header of a message while it arrives, in pieces cut anywhere, without keeping it.
///
/// The header ends at the first empty line, or at the first line that is neither a field nor the
/// continuation of one: what follows is body to every reader, so nothing behind it counts.
#[derive(Debug, Clone, Default)]
pub struct HeaderScan {
    state: State,
    name: Name,
    /// Octets of the fields so far.
    fields: u64,
    /// Octets of a line of which it is not known yet whether it is a field.
    undecided: u64,
    received: u32,
    date: bool,
    message_id: bool,
    from: bool,
    /// The first line is `From ` and more, as mailboxes have it.
    mailbox_line: bool,
    /// The first line is empty.
    begins_empty: bool,
    /// Of which field the value is kept.
    keeping: Option<Kept>,
    message_id_value: Vec<u8>,
    subject_value: Vec<u8>,
    trace_parent_value: Vec<u8>,
}

/// A field whose value is kept, as long as it is reasonable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    MessageId,
    Subject,
    TraceParent,
}

/// Octets that are kept of one value: a Message-ID of one line, and a subject of some words.
const VALUE_OCTETS_MAX: usize = 320;

/// Where in a line the scan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Nothing of the line was seen.
    #[default]
    LineStart,
    /// In the field's name.
    Name,
    /// In the blanks that old mail has between name and colon (RFC 5322 section 4.5).
    Blanks,
    /// Behind the colon, or in a continuation: up to LF nothing matters.
    Value,
    /// In a first line that separates messages in a mailbox file.
    MailboxLine,
    /// The header has ended; nothing more is looked at.
    Ended,
}

/// The start of a field's name in lower case: as much as the longest name that matters.
#[derive(Debug, Clone, Copy, Default)]
struct Name {
    bytes: [u8; NAME_LEN_MAX],
    len: usize,
}

/// `traceparent`
const NAME_LEN_MAX: usize = 11;

impl Name {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte.to_ascii_lowercase();
        }
        self.len += 1;
    }

    /// The name, or nothing when it is longer than any that matters.
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl HeaderScan {
    /// A scan that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the message, cut anywhere. Costs nothing once the header has ended.
    pub fn push(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() && !self.has_ended() {
            rest = &rest[self.step(rest)..];
        }
    }

    /// Takes one octet, or in a value all up to the end of the line. Gives how many it took.
    pub(crate) fn step(&mut self, rest: &[u8]) -> usize {
        match (self.state, rest.first()) {
            (State::Ended, _) | (_, None) => rest.len(),
            (State::Value | State::MailboxLine, _) => self.rest_of_line(rest),
            (State::LineStart | State::Name | State::Blanks, Some(first)) => self.octet(*first),
        }
    }

    /// The name of the present field, in lower case, or of that which the line may become; nothing when
    /// it is longer than any that matters.
    pub(crate) fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    /// Whether the line may still become a field of one of these names.
    pub(crate) fn may_become(&self, names: &[&[u8]]) -> bool {
        match self.state {
            State::Name => {
                let name = self.name();
                !name.is_empty() && names.iter().any(|known| known.starts_with(name))
            }
            State::Blanks => names.contains(&self.name()),
            State::LineStart | State::Value | State::MailboxLine | State::Ended => false,
        }
    }

    /// The length of the header at the start of a whole message, without the empty line behind it.
    pub fn header_len(message: &[u8]) -> usize {
        let mut scan = Self::new();
        scan.push(message);
        usize::try_from(scan.octets()).map_or(message.len(), |len| len.min(message.len()))
    }

    /// How many `Received` fields there were so far: the relays that the message has passed (RFC
    /// 5321 section 6.3).
    pub fn received(&self) -> u32 {
        self.received
    }

    /// Whether there was a `Date` field so far.
    pub fn has_date(&self) -> bool {
        self.date
    }

    /// Whether there was a `Message-ID` field so far.
    pub fn has_message_id(&self) -> bool {
        self.message_id
    }

    /// What the first `Message-ID` field says, without brackets; empty when there was none. What is
    /// longer than is reasonable is cut off.
    pub fn message_id(&self) -> Box<str> {
        let value = one_line(&self.message_id_value);
        without_brackets(&value).into()
    }

    /// What the first `Subject` field says, as it is written but on one line; empty when there was
    /// none. What is longer than is reasonable is cut off.
    pub fn subject(&self) -> Box<str> {
        one_line(&self.subject_value).into()
    }

    /// The trace that the message belongs to, as its first `traceparent` field says.
    pub fn trace_parent(&self) -> Option<TraceParent> {
        TraceParent::parse(&one_line(&self.trace_parent_value))
    }

    /// Whether there was a `From` field so far.
    pub fn has_from(&self) -> bool {
        self.from
    }

    /// Octets of header so far, without the empty line that ends it.
    pub fn octets(&self) -> u64 {
        self.fields + self.undecided
    }

    /// Octets of what is certainly header: whole fields, and the present one from its colon on.
    /// However a message is cut, this never grows smaller, as [`HeaderScan::octets`] does where a
    /// line turns out to be none of the header.
    pub fn octets_of_fields(&self) -> u64 {
        self.fields
    }

    /// Whether the end of the header was seen.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// What has to stand between fields that are put before the message and the message itself,
    /// once the header has been seen whole.
    ///
    /// Nothing before a field or an empty line. An empty line before text, whose first line would
    /// else be taken for a field, or for the continuation of ours. The name of a field before the
    /// line with which messages begin in mailbox files, and which some programs send before the
    /// header: it is no field, and would else end the header before it began.
    pub fn separator(&self) -> &'static str {
        let is_empty = self.fields + self.undecided == 0 && !self.has_ended();
        if self.fields > 0 && self.mailbox_line {
            "X-Mailbox-Line: "
        } else if self.fields > 0 || self.begins_empty || is_empty {
            ""
        } else {
            "\r\n"
        }
    }

    /// Inside a field: takes all up to the end of the line.
    fn rest_of_line(&mut self, rest: &[u8]) -> usize {
        let end = memchr(b'\n', rest).map(|at| at + 1);
        let taken = end.unwrap_or(rest.len());
        match self.state {
            // Whether it belongs to a header shows in the next line.
            State::MailboxLine => self.undecided += taken as u64,
            _ => {
                self.fields += taken as u64;
                self.keep(&rest[..taken]);
            }
        }
        if end.is_some() {
            self.state = State::LineStart;
        }
        taken
    }

    /// At the start of a line, or before its colon: takes one octet.
    fn octet(&mut self, octet: u8) -> usize {
        self.undecided += 1;
        let at_start = self.state == State::LineStart;
        match octet {
            b':' if !at_start => self.field(),
            b' ' | b'\t' if at_start && self.fields > 0 => {
                self.keep(b" ");
                self.in_field();
            }
            b' ' | b'\t' if !at_start => self.state = State::Blanks,
            b if b.is_ascii_graphic() && b != b':' && self.state != State::Blanks => self.named(b),
            b if b.is_ascii_graphic() && self.is_mailbox_line() => {
                self.mailbox_line = true;
                self.state = State::MailboxLine;
            }
            _ => self.end(octet),
        }
        1
    }

    /// `From ` or `>From ` at the very beginning, and no colon behind it.
    fn is_mailbox_line(&self) -> bool {
        let name = self.name.as_bytes();
        let name = name.trim_ascii_start();
        let quoted = name.iter().take_while(|b| **b == b'>').count();
        self.state == State::Blanks
            && self.fields == 0
            && !self.mailbox_line
            && name[quoted..] == *b"from"
    }

    fn named(&mut self, octet: u8) {
        if self.state == State::LineStart {
            self.name = Name::default();
            self.state = State::Name;
        }
        self.name.push(octet);
    }

    /// Keeps a piece of the present value, if that is wanted.
    fn keep(&mut self, piece: &[u8]) {
        let value = match self.keeping {
            None => return,
            Some(Kept::MessageId) => &mut self.message_id_value,
            Some(Kept::Subject) => &mut self.subject_value,
            Some(Kept::TraceParent) => &mut self.trace_parent_value,
        };
        let room = VALUE_OCTETS_MAX - value.len();
        value.extend(&piece[..piece.len().min(room)]);
    }

    fn field(&mut self) {
        self.keeping = match self.name.as_bytes() {
            b"message-id" if self.message_id_value.is_empty() => Some(Kept::MessageId),
            b"subject" if self.subject_value.is_empty() => Some(Kept::Subject),
            b"traceparent" if self.trace_parent_value.is_empty() => Some(Kept::TraceParent),
            _ => None,
        };
        match self.name.as_bytes() {
            b"received" => self.received = self.received.saturating_add(1),
            b"date" => self.date = true,
            b"message-id" => self.message_id = true,
            b"from" => self.from = true,
            _ => {}
        }
        self.in_field();
    }

    fn in_field(&mut self) {
        self.fields += self.undecided;
        self.undecided = 0;
        self.state = State::Value;
    }

    fn end(&mut self, octet: u8) {
        self.begins_empty = self.fields == 0 && self.undecided == 1 && octet == b'\r';
        self.undecided = 0;
        self.state = State::Ended;
    }
}

/// A folded value on one line (RFC 5322 section 2.2.3): what ends lines goes, and what is not UTF-8
/// is marked.
fn one_line(value: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(value.trim_ascii());
    match text.contains(['\r', '\n']) {
        true => text.replace(['\r', '\n'], "").into(),
        false => text,
    }
}

/// RFC 5322 section 3.6.4: the brackets are no part of the identifier.
fn without_brackets(value: &str) -> &str {
    let inner = value.split_once('<').map_or(value, |(_, behind)| behind);
    inner.split_once('>').map_or(inner, |(inner, _)| inner)
}

/// The Message-ID in a head of ours ([`crate::message_id_field`]), without brackets; empty when there
/// is none in it.
pub fn written_message_id(head: &str) -> Box<str> {
    let mut scan = HeaderScan::new();
    scan.push(head.as_bytes());
    scan.message_id()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(message: &[u8]) -> HeaderScan {
        let mut scan = HeaderScan::new();
        scan.push(message);
        scan
    }

    #[test]
    fn fields_are_counted_whatever_their_case() {
        let s = scan(b"RECEIVED: a\r\n\tReceived: folded\r\nreceived : b\r\nX-Received: c\r\nDATE: d\r\n\r\nReceived: e\r\n");
        assert_eq!(s.received(), 2);
        assert!(s.has_date() && !s.has_message_id() && !s.has_from() && s.has_ended());
        let s = scan(b"Message-Id: <a@b>\r\nFrom: x\r\n");
        assert!(s.has_message_id() && s.has_from() && !s.has_date() && !s.has_ended());
    }

    #[test]
    fn the_header_ends_where_readers_see_its_end() {
        let cases: [(&[u8], usize); 8] = [
            (b"A: b\r\n\r\nbody", 6),
            (b"A: b\r\nno field here\r\nDate: x\r\n", 6),
            (b"\r\nA: b\r\n", 0),
            (b" continues nothing\r\nA: b\r\n", 0),
            (b": no name\r\n", 0),
            (b"A: b\r\n c\r\n\r\n", 10),
            (b"A: b", 4),
            (b"", 0),
        ];
        for (message, len) in cases {
            assert_eq!(
                HeaderScan::header_len(message),
                len,
                "{}",
                message.escape_ascii()
            );
        }
    }

    #[test]
    fn fields_are_told_from_what_must_not_follow_them() {
        let cases: [(&[u8], &str); 19] = [
            (b"A: b\r\n\r\nbody", ""),
            (b"A : b\r\n", ""),
            (b"From : x\r\n", ""),
            (b"\r\nbody\r\n", ""),
            (b"", ""),
            (b" body\r\n", "\r\n"),
            (b"\tbody: x\r\n", "\r\n"),
            (b"body\r\nA: b\r\n", "\r\n"),
            (b"body", "\r\n"),
            (b"two words: x\r\n", "\r\n"),
            (b": no name\r\n", "\r\n"),
            (b"\xc3\xa4: x\r\n", "\r\n"),
            (b"From ann Mon Jan 1\r\nA: b\r\n\r\n", "X-Mailbox-Line: "),
            (b">From ann Mon Jan 1\r\nA: b\r\n\r\n", "X-Mailbox-Line: "),
            // Not before a header: text.
            (b"From now on\r\nit is text\r\n", "\r\n"),
            (b"From now on\r\n\r\n", "\r\n"),
            (b"From now on\r\n it is text\r\n", "\r\n"),
            (b"From now on\r\n", "\r\n"),
            (b"A: b\r\nFrom ann\r\n", ""),
        ];
        for (message, separator) in cases {
            let found = scan(message).separator();
            assert_eq!(found, separator, "{}", message.escape_ascii());
        }
    }

    #[test]
    fn a_header_behind_a_mailbox_line_is_read_as_any_other() {
        let message = b"From ann Mon Jan 1\r\nReceived: a\r\nDate: b\r\n\r\nbody";
        let s = scan(message);
        assert!(s.received() == 1 && s.has_date());
        assert_eq!(HeaderScan::header_len(message), message.len() - 6);
        assert_eq!(HeaderScan::header_len(b"From now on\r\ntext\r\n"), 0);
    }

    #[test]
    fn an_endless_line_is_counted() {
        assert_eq!(scan(&[b'a'; 100_000]).octets(), 100_000);
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(message in "(Received|Date|From|>|x|[: \\r\\n\\t]|\r\n){0,40}", cut in 1usize..9) {
            let whole = scan(message.as_bytes());
            let mut cut_up = HeaderScan::new();
            message.as_bytes().chunks(cut).for_each(|piece| cut_up.push(piece));
            prop_assert_eq!(format!("{whole:?}"), format!("{cut_up:?}"));
        }
    }

    #[test]
    fn message_id_and_subject_are_kept() {
        let message = b"Subject: =?utf-8?q?caf=C3=A9?=\r\n and more\r\nMessage-Id:\r\n\t<a.1@b.example> (x)\r\n\
            Subject: again\r\nMESSAGE-ID: <second@b.example>\r\n\r\nSubject: body\r\n";
        for cut in 0..message.len() {
            let mut scan = scan(&message[..cut]);
            scan.push(&message[cut..]);
            assert_eq!(&*scan.message_id(), "a.1@b.example");
            assert_eq!(&*scan.subject(), "=?utf-8?q?caf=C3=A9?= and more");
        }
        let bare = scan(b"Message-ID: a@b.example\r\nSubject: \xff\x1b\r\n\r\n");
        assert_eq!(&*bare.message_id(), "a@b.example");
        assert_eq!(&*bare.subject(), "\u{fffd}\u{1b}");
        let long = [b"Subject: ", &[b'x'; 2000][..], b"\r\n\r\n"].concat();
        assert_eq!(scan(&long).subject().len(), VALUE_OCTETS_MAX - 1);
        assert_eq!(
            &*written_message_id("Received: x\r\nMessage-ID: <i@h>\r\n"),
            "i@h"
        );
        assert_eq!(&*written_message_id("Received: x\r\n"), "");
    }
}
