//! The entries of archives, within the limits of a message.

use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::rc::Rc;

use super::{Look, Place, Waiting, is_message_by_name};
use crate::archive::{self, Entry, Packed};
use crate::attachment::{extensions, normalised_names};
use crate::octets::{Octets as _, Section, Shared};
use crate::sight::Sight;
use crate::{Attachment, Kind, Why};

/// How much of a name is shown as part of a place.
const SHOWN_MAX: usize = 200;

/// What was read of an entry.
struct Pulled {
    /// Where all of it is kept, if it is.
    kept: Range<usize>,
    sight: Sight,
    size: u64,
    kind: Kind,
    end: Result<(), Why>,
    /// Whether it ended because no more is allowed.
    is_cut: bool,
}

/// The archive that an entry is in.
#[derive(Clone, Copy)]
struct Outer<'a> {
    kind: Kind,
    place: Place<'a>,
}

impl<'a> Look<'a> {
    /// Tells the entries of an archive, and why those that could not be read were not.
    pub(super) fn archive(&mut self, waiting: &Waiting<'a>) {
        let Waiting {
            octets,
            sight,
            kind,
            ..
        } = waiting;
        let place = waiting.place();
        let mut allowance = self.limits.room_of_archive(octets.size());
        let is_archive = |attachment: &&mut Attachment| attachment.place == place.name;
        let mut is_encrypted = false;
        let packed = Packed {
            octets: &**octets,
            sight,
            kind: *kind,
            name: &waiting.name,
        };
        let ended = archive::walk(packed, &mut |entry| {
            is_encrypted |= matches!(entry.content, Err(Why::Encrypted));
            self.entry(entry, Outer { kind: *kind, place }, &mut allowance)
        });
        if let Err(why) = ended {
            is_encrypted |= why == Why::Encrypted;
            self.unread(place, why);
        }
        let mut attachments = self.contents.attachments.iter_mut().rev();
        if let Some(archive) = attachments.find(is_archive).filter(|_| is_encrypted) {
            archive.is_encrypted = true;
        }
    }

    fn entry(
        &mut self,
        entry: Entry<'_>,
        outer: Outer<'_>,
        allowance: &mut u64,
    ) -> Result<(), Why> {
        self.entries_left = self.entries_left.checked_sub(1).ok_or(Why::TooMany)?;
        let shown = entry
            .names
            .first()
            .map(|name| shown(name))
            .unwrap_or_default();
        let name = format!("{}/{shown}", outer.place.name);
        let is_document = matches!(outer.kind, Kind::Office | Kind::Macro);
        let place = Place {
            name: &name,
            archives: outer.place.archives.saturating_add(u8::from(!is_document)),
            ..outer.place
        };
        let names = normalised_names(&entry.names);
        let pulled = match entry.content {
            Ok(content) => self.pull(content, &names, allowance),
            Err(why) => Pulled {
                size: entry.size,
                end: Err(why),
                ..Pulled::nothing()
            },
        };
        let kind = pulled.kind.with_extensions(&extensions(&names));
        if pulled.end.is_err() || !is_ordinary(outer.kind, kind) {
            self.contents.attachments.push(Attachment {
                place: name.clone(),
                part: place.part,
                names: names.clone(),
                declared: String::new(),
                kind,
                size: pulled.size,
                is_encrypted: pulled.end == Err(Why::Encrypted),
                archives: place.archives,
            });
            let is_encrypted = kind == Kind::Ole && pulled.sight.is_encrypted_document();
            self.mark_encrypted(is_encrypted, place);
        }
        self.closed_kind(kind, place);
        match pulled.end {
            Ok(()) if self.opens(pulled.kind) => {
                let octets: Shared<'a> = Rc::new(Section::new(self.kept.shared(), pulled.kept));
                self.wait(octets, (pulled.kind, pulled.sight), names, place);
            }
            Err(why) if pulled.is_cut => return Err(why),
            Err(why) => self.unread(place, why),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Reads an entry to its end, or to the end of what is allowed.
    fn pull(&mut self, content: &mut dyn Read, names: &[String], allowance: &mut u64) -> Pulled {
        let mut buffer = [0; 8192];
        let mut pulled = Pulled::nothing();
        let start = self.kept.size();
        // Its beginning, until it is known whether it is kept.
        let (mut begun, mut is_kept) = (Vec::new(), None);
        loop {
            let room = self.octets_left.min(*allowance);
            // One octet more than there is room for tells that there is more.
            let most = usize::try_from(room.saturating_add(1)).unwrap_or(usize::MAX);
            let most = most.min(buffer.len());
            let read = match content.read(&mut buffer[..most]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => {
                    pulled.end = Err(Why::Broken("it does not unpack"));
                    break;
                }
            };
            let taken = (read as u64).min(room);
            pulled.is_cut = taken < read as u64;
            if pulled.is_cut {
                let is_ratio = *allowance < self.octets_left;
                pulled.end = Err(if is_ratio { Why::Ratio } else { Why::TooLarge });
            }
            self.octets_left -= taken;
            *allowance -= taken;
            pulled.size += taken;
            let piece = &buffer[..taken as usize];
            pulled.sight.see(piece);
            match is_kept {
                Some(true) => self.kept.append(piece),
                Some(false) => {}
                None => {
                    begun.extend_from_slice(piece);
                    is_kept = self.is_kept(&pulled.sight, &begun, names);
                }
            }
            if pulled.is_cut {
                break;
            }
        }
        pulled.sight.end();
        if is_kept.is_none() {
            self.is_kept(&pulled.sight, &begun, names);
        }
        pulled.kept = start..self.kept.size();
        let octets = Section::new(self.kept.shared(), pulled.kept.clone());
        let kind = pulled.sight.kind(&octets);
        pulled.kind = if is_message_by_name(kind, names) {
            Kind::Message
        } else {
            kind
        };
        pulled
    }

    /// Whether all octets of an entry are needed that has `begun` so; then these are kept. None when
    /// there are not enough to tell.
    fn is_kept(&self, sight: &Sight, begun: &[u8], names: &[String]) -> Option<bool> {
        let kind = sight.of_head()?;
        let is_kept = self.opens(kind) || is_message_by_name(kind, names);
        if is_kept {
            self.kept.append(begun);
        }
        Some(is_kept)
    }
}

impl Pulled {
    fn nothing() -> Self {
        Self {
            kept: 0..0,
            sight: Sight::default(),
            size: 0,
            kind: Kind::Unknown,
            end: Ok(()),
            is_cut: false,
        }
    }
}

/// What documents are made of, and nobody opens by itself.
fn is_ordinary(outer: Kind, kind: Kind) -> bool {
    use Kind::*;
    matches!(outer, Office | Macro) && matches!(kind, Text | Svg | Image | Font | Unknown)
}

/// A name with its folders, as part of a place.
fn shown(name: &str) -> String {
    name.chars()
        .filter(|letter| !letter.is_control())
        .take(SHOWN_MAX)
        .collect()
}
