use std::borrow::Cow;

use contents::{Limits, Why, parts, unpack};

use crate::{Aggregate, Flaw, TlsReport};

/// Octets of a file that is read.
pub const FILE_MAX: usize = 64 << 20;

/// Octets that are unpacked of one file, in all.
const UNPACKED_MAX: u64 = 64 << 20;

/// How deep archives and messages may lie in each other: a forwarded message with a packed report is
/// three.
const DEPTH_MAX: u8 = 4;

/// Parts of a message, and files of an archive. Some keep the reports of a year in one.
const FILES_MAX: u32 = 2000;

/// Reports are packed tightly, being all alike; nothing that gzip unpacks is larger than this.
const RATIO_MAX: u32 = 1100;

/// A report of one kind or the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// What came of DMARC.
    Dmarc(Aggregate),
    /// What came of TLS.
    Tls(TlsReport),
}

/// What is in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The reports, in their order.
    pub reports: Vec<Report>,
    /// What looks like a report and is none, and why; never empty when there are no reports.
    pub unread: Vec<Unread>,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its name in the file, with those that it is in; empty for the file itself.
    pub place: String,
    /// Why.
    pub why: Flaw,
}

/// Finds the reports in a file: XML or JSON, packed in any way that [`contents::unpack`] opens, or a
/// message with such things attached. `name` is the file's own, for what has no other.
///
/// What a file is, is told by its octets: names and content types of reports are often wrong.
pub fn read(octets: &[u8], name: &str) -> Found {
    let mut reading = Reading {
        found: Found::default(),
        room: UNPACKED_MAX,
        waiting: vec![Item {
            place: String::new(),
            name: name.to_owned(),
            octets: Cow::Borrowed(octets),
            depth: 0,
            end: Ok(()),
        }],
    };
    if octets.len() > FILE_MAX {
        reading.waiting.clear();
        reading.unread(String::new(), Flaw::TooLarge);
    }
    while let Some(item) = reading.waiting.pop() {
        reading.item(item);
    }
    let mut found = reading.found;
    if found.reports.is_empty() && found.unread.is_empty() {
        found.unread.push(Unread {
            place: String::new(),
            why: Flaw::NoReport,
        });
    }
    found
}

/// Octets that are to be looked at when their turn comes, so that nothing here calls itself.
struct Item<'a> {
    place: String,
    name: String,
    octets: Cow<'a, [u8]>,
    depth: u8,
    /// Why there is less of it than there should be.
    end: Result<(), Why>,
}

/// What octets are by their beginning.
enum Shape {
    Xml,
    Json,
    /// An archive, a message, or anything else.
    Other,
}

impl Shape {
    fn of(octets: &[u8]) -> Self {
        let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
        match octets.trim_ascii_start().first() {
            Some(b'<') => Self::Xml,
            Some(b'{') => Self::Json,
            _ => Self::Other,
        }
    }
}

struct Reading<'a> {
    found: Found,
    room: u64,
    /// The last is looked at first.
    waiting: Vec<Item<'a>>,
}

impl<'a> Reading<'a> {
    fn unread(&mut self, place: String, why: Flaw) {
        self.found.unread.push(Unread { place, why });
    }

    fn item(&mut self, item: Item<'a>) {
        let report = match Shape::of(&item.octets) {
            Shape::Xml => Aggregate::read(&item.octets).map(Report::Dmarc),
            Shape::Json => TlsReport::read(&item.octets).map(Report::Tls),
            Shape::Other => return self.container(item),
        };
        match (report, item.end) {
            // A whole report counts, whatever is wrong with the archive behind it.
            (Ok(report), _) => self.found.reports.push(report),
            (Err(_), Err(why)) => self.unread(item.place, Flaw::Packed(why)),
            (Err(why), Ok(())) => self.unread(item.place, why),
        }
    }

    fn container(&mut self, item: Item<'a>) {
        let first = self.waiting.len();
        let limits = Limits {
            parts: FILES_MAX,
            entries: FILES_MAX,
            octets: self.room,
            ratio: RATIO_MAX,
            ..Limits::default()
        };
        let mut inner = Vec::new();
        let ended = unpack(&item.octets, &item.name, &limits, &mut |file| {
            inner.push(file)
        });
        let depth = item.depth + 1;
        for file in inner {
            self.room = self.room.saturating_sub(file.octets.len() as u64);
            self.waiting.push(Item {
                place: within(&item.place, &file.name),
                name: file.name,
                octets: Cow::Owned(file.octets),
                depth,
                end: file.end,
            });
        }
        match ended {
            None => self.message(&item, &limits),
            Some(Err(why)) => self.unread(item.place, Flaw::Packed(why)),
            Some(Ok(())) => {}
        }
        if depth > DEPTH_MAX {
            for inner in self.waiting.split_off(first) {
                self.unread(inner.place, Flaw::TooDeep);
            }
        }
        self.waiting[first..].reverse();
    }

    /// What in a message may be a report. Anything may be a message, so nothing is said where there is
    /// none.
    fn message(&mut self, item: &Item<'a>, limits: &Limits) {
        let message: &[u8] = &item.octets;
        for part in parts(&message, limits) {
            let is_read = matches!(part.content_type.as_str(), "text/plain" | "text/html")
                && !part.is_attachment
                && part.names.is_empty();
            if part.is_container || is_read {
                continue;
            }
            let octets = part.content(&message, FILE_MAX);
            let is_report = !matches!(Shape::of(&octets), Shape::Other);
            // The walk left a message as it is that is encoded.
            let is_message = part.content_type == "message/rfc822";
            if is_report || is_message || is_packed(&octets) {
                let name = part.names.first().cloned().unwrap_or(part.place);
                self.waiting.push(Item {
                    place: within(&item.place, &name),
                    name,
                    octets: Cow::Owned(octets),
                    depth: item.depth + 1,
                    end: Ok(()),
                });
            }
        }
    }
}

/// ZIP and gzip: nobody sends reports in anything else.
fn is_packed(octets: &[u8]) -> bool {
    octets.starts_with(b"PK") || octets.starts_with(b"\x1f\x8b")
}

fn within(place: &str, name: &str) -> String {
    match place.is_empty() {
        true => name.to_owned(),
        false => format!("{place}/{name}"),
    }
}
