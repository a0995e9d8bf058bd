mod unpacking;

use std::borrow::Cow;
use std::rc::Rc;

use memchr::memmem;

use crate::archive;
use crate::attachment::{extensions, normalised_names};
use crate::encoding::{Decoded, TransferEncoding};
use crate::kept::Kept;
use crate::octets::Shared;
use crate::sight::Sight;
use crate::structure::is_message;
use crate::{
    Attachment, Field, Kind, Limits, Octets, Part, PartNumber, Scratch, Seal, Text, Unread, Wanted,
    Why, parts, text,
};

/// What is in a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The subject, decoded; empty without one.
    pub subject: String,
    /// All header fields of the message, in their order.
    pub fields: Vec<Field>,
    /// Its text and HTML parts, of nested messages too.
    pub texts: Vec<Text>,
    /// What can be opened: parts, and entries of archives.
    pub attachments: Vec<Attachment>,
    /// What could not be looked into.
    pub unread: Vec<Unread>,
}

/// Looks into a message that is in memory, from its header on; what is unpacked of it is in memory,
/// too.
///
/// Any octets are a message of some kind, so there is no error: what is out of order is among
/// [`Contents::unread`].
pub fn look_into(message: &[u8], wanted: Wanted, limits: &Limits) -> Contents {
    look_into_octets(&message, wanted, limits, &mut Vec::new())
}

/// The same for one that is not in memory, and will not be. Whoever made `message` and `scratch` is to
/// ask them whether they could be read and written ([`Octets`]).
///
/// However large they are, in memory there are a block of each thing that is looked at, texts within
/// [`Limits::text`], a MiB of what was unpacked, and what a packer needs: some KiB for ZIP, tens of MiB
/// at most for those with dictionaries of their own.
pub fn look_into_octets(
    message: &dyn Octets,
    wanted: Wanted,
    limits: &Limits,
    scratch: &mut dyn Scratch,
) -> Contents {
    let mut look = Look {
        wanted,
        limits,
        contents: Contents::default(),
        parts_left: limits.parts.max(1),
        text_left: limits.text,
        entries_left: limits.entries,
        octets_left: limits.octets,
        kept: Kept::new(scratch),
        waiting: Vec::new(),
    };
    let message: Shared<'_> = Rc::new(message);
    look.message(&message, None);
    look.contents
}

/// A message or an archive whose octets are not those of the message that it is in: it is looked into
/// when its turn comes, so that nothing here calls itself.
struct Waiting<'a> {
    octets: Shared<'a>,
    sight: Sight,
    kind: Kind,
    name: String,
    place: String,
    part: PartNumber,
    depth: u8,
    /// In how many archives it lies.
    archives: u8,
}

impl Waiting<'_> {
    fn place(&self) -> Place<'_> {
        Place {
            name: &self.place,
            part: self.part,
            depth: self.depth,
            archives: self.archives,
        }
    }
}

struct Look<'a> {
    wanted: Wanted,
    limits: &'a Limits,
    contents: Contents,
    parts_left: u32,
    text_left: usize,
    entries_left: u32,
    octets_left: u64,
    kept: Kept<'a>,
    waiting: Vec<Waiting<'a>>,
}

/// Where a part of some message is, seen from the top one.
#[derive(Clone, Copy)]
struct Place<'a> {
    name: &'a str,
    part: PartNumber,
    depth: u8,
    /// In how many archives it lies.
    archives: u8,
}

impl<'a> Look<'a> {
    /// `within` says of a message that was encoded where it came from.
    fn message(&mut self, message: &Shared<'a>, within: Option<Place<'_>>) {
        let part = within.map(|place| place.part);
        let place = within.map_or("", |place| place.name);
        let (depth, archives) = within.map_or((0, 0), |place| (place.depth, place.archives));
        let limits = Limits {
            parts: self.parts_left,
            depth: self.limits.depth.saturating_sub(depth),
            ..self.limits.clone()
        };
        let walked = parts(&**message, &limits);
        self.parts_left = self.parts_left.saturating_sub(walked.len() as u32);
        if part.is_none() {
            self.fields(&**message, &walked);
        }
        for own in &walked {
            let name = match (place.is_empty(), own.place.is_empty()) {
                (true, _) => Cow::Borrowed(own.place.as_str()),
                (_, true) => Cow::Borrowed(place),
                _ => Cow::Owned(format!("{place}.{}", own.place)),
            };
            let depth = depth.saturating_add(messages_around(&walked, own));
            let place = Place {
                name: &name,
                part: part.unwrap_or(own.number),
                depth,
                archives,
            };
            self.part(message, own, place);
            if part.is_none() {
                self.look_into_waiting();
            }
        }
    }

    /// All that a part of the top message has in it, so that no more than one is kept.
    fn look_into_waiting(&mut self) {
        while let Some(waiting) = self.waiting.pop() {
            let first = self.waiting.len();
            match waiting.kind {
                Kind::Message => {
                    self.message(&waiting.octets, Some(waiting.place()));
                }
                _ => self.archive(&waiting),
            }
            // They are taken from the end.
            self.waiting[first..].reverse();
        }
        self.kept.clear();
    }

    fn fields(&mut self, message: &dyn Octets, walked: &[Part]) {
        let Some(top) = walked.first() else { return };
        self.contents.fields = top.fields.iter().map(|field| field.read(message)).collect();
        let mut fields = self.contents.fields.iter();
        let subject = fields.find(|field| field.name.eq_ignore_ascii_case("subject"));
        self.contents.subject = subject.map(|field| field.value.clone()).unwrap_or_default();
    }

    fn unread(&mut self, place: Place<'_>, why: Why) {
        self.contents.unread.push(Unread {
            place: place.name.to_owned(),
            why,
        });
    }

    fn part(&mut self, message: &Shared<'a>, part: &Part, place: Place<'_>) {
        if let Some(why) = part.fault {
            self.unread(place, why);
        }
        if part.content_type == "multipart/encrypted" {
            self.unread(place, Why::Encrypted);
        }
        if part.is_container {
            if is_message(&part.content_type) {
                self.attach(part, place, Kind::Message, part.body.len() as u64);
            }
            return;
        }
        if part.encoding == TransferEncoding::Unknown {
            self.unread(place, Why::Broken("an unknown transfer encoding"));
        }
        let mut sight = Sight::default();
        let decoded = Decoded::new(message, part.body.clone(), part.encoding, &mut |piece| {
            sight.see(piece)
        });
        sight.end();
        let decoded = Rc::new(decoded);
        self.file(part, &decoded, sight, place);
        if part.content_type.starts_with("text/") || part.content_type.starts_with("multipart/") {
            self.text(part, &*decoded, place);
        }
        decoded.rest();
    }

    /// A part as something to open.
    fn file(&mut self, part: &Part, decoded: &Rc<Decoded<'a>>, sight: Sight, place: Place<'_>) {
        if decoded.is_broken() {
            self.unread(place, Why::Broken("its transfer encoding"));
        }
        let mut kind = sight.kind(&**decoded);
        let is_nested = is_message(&part.content_type);
        let names = normalised_names(&part.names);
        if is_nested || is_message_by_name(kind, &names) {
            kind = Kind::Message;
        }
        // The walk left a message as it is that is not encoded, and has said why.
        let may_open = !is_nested || part.encoding != TransferEncoding::Identity;
        self.closed(part, kind, place);
        if is_opened(part, kind) {
            let is_encrypted = kind == Kind::Ole && sight.is_encrypted_document();
            self.attach(part, place, kind, decoded.size() as u64);
            self.mark_encrypted(is_encrypted, place);
        }
        if may_open && self.opens(kind) {
            self.wait(
                Rc::clone(decoded) as Shared<'a>,
                (kind, sight),
                names,
                place,
            );
        }
    }

    /// Whether something of a kind is opened at all.
    fn opens(&self, kind: Kind) -> bool {
        kind == Kind::Message || self.wanted.archives && archive::is_opened(kind)
    }

    /// `names` are its own.
    fn wait(
        &mut self,
        octets: Shared<'a>,
        (kind, sight): (Kind, Sight),
        names: Vec<String>,
        place: Place<'_>,
    ) {
        let depth = place.depth.saturating_add(1);
        if depth > self.limits.depth {
            self.unread(place, Why::TooDeep);
        } else if kind == Kind::Message && self.parts_left == 0 {
            self.unread(place, Why::TooMany);
        } else {
            self.waiting.push(Waiting {
                octets,
                sight,
                kind,
                name: names.into_iter().next().unwrap_or_default(),
                place: place.name.to_owned(),
                part: place.part,
                depth,
                archives: place.archives,
            });
        }
    }

    /// Marks the attachment that was told last.
    fn mark_encrypted(&mut self, is_encrypted: bool, place: Place<'_>) {
        if is_encrypted {
            self.unread(place, Why::Encrypted);
            if let Some(last) = self.contents.attachments.last_mut() {
                last.is_encrypted = true;
            }
        }
    }

    /// What is in it stays unknown.
    fn closed(&mut self, part: &Part, kind: Kind, place: Place<'_>) {
        match part.content_type.as_str() {
            "message/partial" | "message/external-body" => {
                self.unread(place, Why::NotInspected(Kind::Partial));
            }
            "application/pkcs7-mime" | "application/x-pkcs7-mime" => {
                let is_encrypted = part.seal == Some(Seal::Encrypted);
                let why = if is_encrypted {
                    Why::Encrypted
                } else {
                    Why::NotInspected(Kind::Pkcs7)
                };
                self.unread(place, why);
            }
            _ => {}
        }
        if part.encoding == TransferEncoding::Uuencode {
            self.unread(place, Why::NotInspected(Kind::Uuencode));
        }
        self.closed_kind(kind, place);
    }

    fn closed_kind(&mut self, kind: Kind, place: Place<'_>) {
        use Kind::*;
        if matches!(kind, Rar | Ace | Arj | Lha | Tnef | Cab | Iso | Vhd) {
            self.unread(place, Why::NotInspected(kind));
        }
    }

    fn attach(&mut self, part: &Part, place: Place<'_>, kind: Kind, size: u64) {
        let names = normalised_names(&part.names);
        let kind = kind.with_extensions(&extensions(&names));
        let declared = if part.has_content_type {
            part.content_type.clone()
        } else {
            String::new()
        };
        self.contents.attachments.push(Attachment {
            place: place.name.to_owned(),
            part: place.part,
            names,
            declared,
            kind,
            size,
            is_encrypted: part.seal == Some(Seal::Encrypted),
            archives: place.archives,
        });
    }

    fn text(&mut self, part: &Part, decoded: &dyn Octets, place: Place<'_>) {
        // A decoder may need some octets behind the last that is kept.
        let octets = decoded.copy(0..self.text_left.saturating_add(4));
        self.packed_in_text(&octets, place);
        if !self.wanted.texts {
            return;
        }
        if decoded.size() > self.text_left {
            self.unread(place, Why::TooLarge);
        }
        self.text_left = self.text_left.saturating_sub(octets.len());
        let (mut readable, is_known) = text::of_octets(octets, part.charset.as_deref());
        if !is_known {
            self.unread(place, Why::Broken("an unknown charset"));
        }
        let is_html = part.content_type == "text/html";
        if is_html {
            readable = text::of_html(&readable);
        }
        self.contents.texts.push(Text {
            place: place.name.to_owned(),
            is_html,
            text: readable,
        });
    }

    /// Files that stand in a text as such: clients show them as attachments.
    fn packed_in_text(&mut self, text: &[u8], place: Place<'_>) {
        if memmem::find(text, b"-----BEGIN PGP MESSAGE-----").is_some() {
            self.unread(place, Why::Encrypted);
        }
        if memmem::find_iter(text, b"begin ").any(|at| is_uuencoded(text, at)) {
            self.unread(place, Why::NotInspected(Kind::Uuencode));
        }
    }
}

/// Messages that were saved as files: clients open them as messages.
fn is_message_by_name(kind: Kind, names: &[String]) -> bool {
    let is_of_message =
        |extension: &String| matches!(extension.as_str(), "eml" | "mht" | "mhtml" | "nws");
    matches!(kind, Kind::Text | Kind::Html) && extensions(names).iter().any(is_of_message)
}

/// How many messages a part of a walk lies in, the message of the walk aside.
fn messages_around(walked: &[Part], part: &Part) -> u8 {
    let mut depth = 0u8;
    let mut parent = part.parent;
    while let Some(PartNumber(number)) = parent {
        let Some(around) = walked.get(number as usize) else {
            break;
        };
        depth = depth.saturating_add(u8::from(is_message(&around.content_type)));
        parent = around.parent;
    }
    depth
}

/// Whether a part is more than text to read.
fn is_opened(part: &Part, kind: Kind) -> bool {
    let is_text = matches!(part.content_type.as_str(), "text/plain" | "text/html")
        || part.content_type.starts_with("multipart/");
    let is_as_it_says = matches!(kind, Kind::Text | Kind::Html | Kind::Svg | Kind::Unknown);
    !is_text || part.is_attachment || !part.names.is_empty() || !is_as_it_says
}

/// `begin 644 name` at the beginning of a line, with a line of the form that uuencode writes below.
fn is_uuencoded(text: &[u8], at: usize) -> bool {
    if at > 0 && text[at - 1] != b'\n' {
        return false;
    }
    let mut lines = text[at..]
        .splitn(3, |&octet| octet == b'\n')
        .map(<[u8]>::trim_ascii_end);
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else {
        return false;
    };
    let mut words = first.split(|&octet| octet == b' ').skip(1);
    let is_mode = words.next().is_some_and(|mode| {
        (3..=4).contains(&mode.len()) && mode.iter().all(|digit| (b'0'..=b'7').contains(digit))
    });
    // The first character of a line counts its octets, four characters for three.
    let is_counted = second.first().is_some_and(|&count| {
        let octets = usize::from(count.wrapping_sub(b' ') & 63);
        (b'!'..=b'M').contains(&count) && second.len() > octets.div_ceil(3) * 4
    });
    is_mode && words.next().is_some() && is_counted
}
