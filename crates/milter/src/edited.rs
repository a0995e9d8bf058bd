//! A message as milters make it: what came, and changes on top.

use std::ops::Range;

use mail::{MailParameters, Mailbox, RcptParameters};

use crate::answer::Answer;
use crate::envelope::{Envelope, Recipient};
use crate::modification::{Field, Modification, Parameter, is_name};

/// Octets that take the place of others; an empty range inserts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What goes.
    pub range: Range<usize>,
    /// What comes.
    pub with: Vec<u8>,
}

/// A message as the milters of a chain have made it so far. Each of them is told what those before it
/// have changed; what none of them touches stays where it is, octet for octet.
///
/// Above what came stands our own trace, the head: milters are not shown it, and count it as the
/// first field where they say behind how many others a field goes, as under Sendmail and Postfix.
#[derive(Debug, Clone)]
pub struct Edited<'m> {
    /// The header as it came, without the empty line behind it.
    header: &'m [u8],
    /// What came does not begin with the body.
    has_header: bool,
    /// Where the body begins in what came: behind an empty line, or at once.
    body_start: usize,
    /// The length of all that came.
    len: usize,
    slots: Vec<Slot>,
    body: Option<Vec<u8>>,
    envelope: Envelope,
}

/// A piece of the header.
#[derive(Debug, Clone)]
enum Slot {
    /// Our own trace.
    Head,
    /// A field as it came, or a line that is none, as mailbox files have it before each message: who
    /// writes our trace makes a field of that.
    Came {
        octets: Range<usize>,
        name_len: usize,
    },
    /// A field of a milter.
    Made(Field),
}

/// A field as a milter is shown it: its name, and all that follows the colon but for the last line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
}

impl<'m> Edited<'m> {
    /// A message as it came: `start` is all of it, or its beginning with the header and the empty line
    /// behind that; `header_len` and `len` are the lengths of its header, without that line, and of
    /// all of it, in octets.
    pub fn new(start: &'m [u8], header_len: usize, len: usize, envelope: Envelope) -> Self {
        let (header, rest) = start.split_at(header_len.min(start.len()));
        let empty_line_len = match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => 0,
        };
        let mut slots = vec![Slot::Head];
        let mut at = 0;
        while at < header.len() {
            let end = at + line_len(&header[at..]);
            let line = &header[at..end];
            match slots.last_mut() {
                Some(Slot::Came { octets, .. })
                    if line.starts_with(b" ") || line.starts_with(b"\t") =>
                {
                    octets.end = end;
                }
                _ => slots.push(Slot::Came {
                    octets: at..end,
                    name_len: name_len(line).unwrap_or(0),
                }),
            }
            at = end;
        }
        Self {
            header,
            has_header: !header.is_empty() || empty_line_len > 0 || start.is_empty(),
            len: len.max(start.len()),
            body_start: header.len() + empty_line_len,
            slots,
            body: None,
            envelope,
        }
    }

    /// From whom it is now, and to whom it goes. Without a recipient it goes to nobody.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Where the body begins in what came.
    pub fn body_start(&self) -> usize {
        self.body_start
    }

    /// The body that milters put in the place of the one that came, if any did.
    pub fn new_body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }

    /// The fields that go above our own trace.
    pub fn top(&self) -> Vec<u8> {
        let above = self.slots.iter().map_while(|slot| match slot {
            Slot::Head => None,
            Slot::Came { .. } => Some(&b""[..]),
            Slot::Made(field) => Some(field.octets()),
        });
        above.collect::<Vec<_>>().concat()
    }

    /// What has to be done to what came, below our own trace: from its beginning to its end, and no
    /// two edits touch. Nothing is edited that no milter asked for.
    pub fn edits(&self) -> Vec<Edit> {
        let mut edits: Vec<Edit> = Vec::new();
        let mut put = |range: Range<usize>, with: Vec<u8>| {
            if !range.is_empty() || !with.is_empty() {
                edits.push(Edit { range, with });
            }
        };
        let below = self
            .slots
            .iter()
            .skip_while(|slot| !matches!(slot, Slot::Head));
        let (mut at, mut with) = (0, Vec::new());
        for slot in below {
            match slot {
                Slot::Head => {}
                Slot::Came { octets, .. } => {
                    put(at..octets.start, std::mem::take(&mut with));
                    at = octets.end;
                }
                Slot::Made(field) => {
                    if with.is_empty() && at > 0 && self.header.get(at - 1) != Some(&b'\n') {
                        with.extend_from_slice(b"\r\n");
                    }
                    with.extend_from_slice(field.octets());
                }
            }
        }
        let Some(body) = &self.body else {
            put(at..self.header.len(), with);
            return edits;
        };
        if self.has_header && self.header.len() == self.body_start {
            // There was no body, and so no empty line either.
            with.extend_from_slice(b"\r\n");
            with.extend_from_slice(body);
            put(at..self.len, with);
        } else {
            put(at..self.header.len(), with);
            put(self.body_start..self.len, body.clone());
        }
        edits
    }

    /// Makes the changes of an answer, in their order: all of them, as each was looked at when it
    /// came. Recipients that it refuses go too.
    pub fn apply(&mut self, answer: &Answer) {
        for modification in &answer.modifications {
            self.modify(modification);
        }
        let is_refused = |mailbox: &Mailbox| answer.refused.iter().any(|(by, _)| by == mailbox);
        let recipients = &mut self.envelope.recipients;
        recipients.retain(|recipient| !is_refused(&recipient.mailbox));
    }

    fn modify(&mut self, modification: &Modification) {
        match modification {
            Modification::AddField(field) => self.insert(usize::MAX, field),
            Modification::InsertField(behind, field) => {
                self.insert(usize::try_from(*behind).unwrap_or(usize::MAX), field);
            }
            Modification::ChangeField(number, field) => {
                let at = self.find(*number, field.name());
                match at.and_then(|at| self.slots.get_mut(at)) {
                    Some(slot) => *slot = Slot::Made(field.clone()),
                    None => self.insert(usize::MAX, field),
                }
            }
            Modification::DeleteField(number, name) => {
                if let Some(at) = self.find(*number, name.as_bytes()) {
                    self.slots.remove(at);
                }
            }
            Modification::ReplaceBody(body) => self.body = Some(with_line_ends(body)),
            Modification::ChangeSender(sender, parameters) => {
                self.envelope.sender = sender.clone();
                set_of_mail(&mut self.envelope.parameters, parameters);
            }
            Modification::AddRecipient(mailbox, parameters) => self.add(mailbox, parameters),
            Modification::DeleteRecipient(mailbox) => {
                let recipients = &mut self.envelope.recipients;
                recipients.retain(|recipient| recipient.mailbox != *mailbox);
            }
        }
    }

    /// Somebody who gets the message already does not get it twice.
    fn add(&mut self, mailbox: &Mailbox, parameters: &[Parameter]) {
        let recipients = &mut self.envelope.recipients;
        if recipients
            .iter()
            .any(|recipient| recipient.mailbox == *mailbox)
        {
            return;
        }
        let mut recipient = Recipient {
            mailbox: mailbox.clone(),
            parameters: RcptParameters::default(),
            is_added: true,
        };
        for parameter in parameters {
            let (keyword, value) = parameter.parts();
            // Looked at when it came in.
            let _ = recipient.parameters.set(keyword, value);
        }
        recipients.push(recipient);
    }

    /// Puts a field behind as many others, our trace among them.
    fn insert(&mut self, behind: usize, field: &Field) {
        let counted = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| match slot {
                Slot::Came { name_len, .. } => *name_len > 0,
                Slot::Head | Slot::Made(_) => true,
            });
        let at = match counted.clone().nth(behind) {
            Some((at, _)) => at,
            None => self.slots.len(),
        };
        let head = self
            .slots
            .iter()
            .position(|slot| matches!(slot, Slot::Head));
        // The head ends in an empty line where no header follows, so nothing but its top is left.
        let at = if self.has_header {
            at
        } else {
            at.min(head.unwrap_or(0))
        };
        self.slots.insert(at, Slot::Made(field.clone()));
    }

    /// Where the nth field of a name is, from one.
    fn find(&self, number: u32, name: &[u8]) -> Option<usize> {
        let before = usize::try_from(number).ok()?.checked_sub(1)?;
        let same = self.slots.iter().enumerate().filter(|(_, slot)| {
            let shown = slot.shown(self.header);
            shown.is_some_and(|shown| shown.name.eq_ignore_ascii_case(name))
        });
        same.map(|(at, _)| at).nth(before)
    }

    /// The first field from a place on, and the place behind it.
    pub(crate) fn field_from(&self, place: usize) -> Option<(Shown<'_>, usize)> {
        let rest = self.slots.iter().enumerate().skip(place);
        rest.filter_map(|(at, slot)| Some((slot.shown(self.header)?, at + 1)))
            .next()
    }
}

impl Slot {
    /// As milters are shown it; none for what they are not.
    fn shown<'a>(&'a self, header: &'a [u8]) -> Option<Shown<'a>> {
        let (octets, name_len) = match self {
            Self::Head => return None,
            Self::Came { octets, name_len } => (header.get(octets.clone())?, *name_len),
            Self::Made(field) => (field.octets(), field.name().len()),
        };
        if name_len == 0 {
            return None;
        }
        let (name, rest) = octets.split_at_checked(name_len)?;
        let colon = memchr::memchr(b':', rest)?;
        let value = &rest[colon + 1..];
        let value = value.strip_suffix(b"\n").unwrap_or(value);
        let value = value.strip_suffix(b"\r").unwrap_or(value);
        Some(Shown { name, value })
    }
}

fn set_of_mail(into: &mut MailParameters, parameters: &[Parameter]) {
    for parameter in parameters {
        let (keyword, value) = parameter.parts();
        // Looked at when it came in.
        let _ = into.set(keyword, value);
    }
}

fn line_len(octets: &[u8]) -> usize {
    memchr::memchr(b'\n', octets).map_or(octets.len(), |end| end + 1)
}

/// The length of the name of the field that begins at a line, if one does. Blanks between name and
/// colon are obsolete (RFC 5322 section 4.5), and still read by all.
fn name_len(line: &[u8]) -> Option<usize> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    is_name(name).then_some(name.len())
}

/// A body whose lines end as ours do, the last one too: a line that ends otherwise would be refused
/// by whoever gets it, or taken for something else.
fn with_line_ends(body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(body.len() + 2);
    let mut rest = body;
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(line_len(rest));
        rest = behind;
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        whole.extend_from_slice(text.strip_suffix(b"\r").unwrap_or(text));
        whole.extend_from_slice(b"\r\n");
    }
    whole
}
