//! The entries of archives, within the limits of a message.

use std::io::{ErrorKind, Read};

use super::{Look, Place, is_encrypted_document, is_message_by_name};
use crate::archive::{self, Entry};
use crate::attachment::{extensions, normalised_names};
use crate::kind::HEAD;
use crate::{Attachment, Kind, Why};

/// How much of a name is shown as part of a place.
const SHOWN_MAX: usize = 200;

/// What was read of an entry.
struct Pulled {
    /// All of it where its kind needs that, else its beginning.
    octets: Vec<u8>,
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

impl Look<'_> {
    /// Tells the entries of an archive, and why those that could not be read were not.
    pub(super) fn archive(&mut self, octets: &[u8], kind: Kind, name: &str, place: Place<'_>) {
        let mut allowance = self.limits.room_of_archive(octets.len());
        let is_archive = |attachment: &&mut Attachment| attachment.place == place.name;
        let mut is_encrypted = false;
        let ended = archive::walk(kind, octets, name, &mut |entry| {
            is_encrypted |= matches!(entry.content, Err(Why::Encrypted));
            self.entry(entry, Outer { kind, place }, &mut allowance)
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
        let place = Place {
            name: &name,
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
                in_archive: true,
            });
            let is_encrypted = kind == Kind::Ole && is_encrypted_document(&pulled.octets);
            self.mark_encrypted(is_encrypted, place);
        }
        self.closed_kind(kind, place);
        match pulled.end {
            Ok(()) if self.opens(pulled.kind) => {
                let own = names.into_iter().next().unwrap_or_default();
                self.wait(pulled.octets, pulled.kind, own, place);
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
        let (mut is_kept, mut is_decided) = (true, false);
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
            if is_kept {
                pulled.octets.extend_from_slice(&buffer[..taken as usize]);
                if pulled.octets.len() >= HEAD && !is_decided {
                    (is_kept, is_decided) = (self.is_kept(&pulled.octets, names), true);
                }
            }
            if pulled.is_cut {
                break;
            }
        }
        let kind = Kind::of_head(&pulled.octets).of_all(&pulled.octets);
        pulled.kind = if is_message_by_name(kind, names) {
            Kind::Message
        } else {
            kind
        };
        pulled
    }

    /// Whether all octets of an entry are needed that begins so.
    fn is_kept(&self, octets: &[u8], names: &[String]) -> bool {
        let kind = Kind::of_head(&octets[..HEAD]);
        kind.needs_all() || self.opens(kind) || is_message_by_name(kind, names)
    }
}

impl Pulled {
    fn nothing() -> Self {
        let (octets, kind) = (Vec::new(), Kind::Unknown);
        Self {
            octets,
            size: 0,
            kind,
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
