use std::io::Read;

use crate::archive::{self, Entry, Packed};
use crate::sight::Sight;
use crate::{Limits, Why};

/// A file of an archive, or what of it could be unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Its name as it is written, with folders; without one, that of the archive less its extension.
    pub name: String,
    /// What is in it, as far as it unpacks within the limits.
    pub octets: Vec<u8>,
    /// Why there is more that does not.
    pub end: Result<(), Why>,
}

/// Unpacks an archive that lies in no message, one file after the other, each handed to `visit`.
/// `name` is the archive's own.
///
/// Of the limits those for entries and octets count, and the one for the ratio. None when the octets
/// are no archive that is opened here. The error says why the rest of the archive was left.
pub fn unpack(
    octets: &[u8],
    name: &str,
    limits: &Limits,
    visit: &mut dyn FnMut(Unpacked),
) -> Option<Result<(), Why>> {
    let mut sight = Sight::default();
    sight.see(octets);
    sight.end();
    let kind = sight.kind(&octets);
    if !archive::is_opened(kind) {
        return None;
    }
    let of_ratio = limits.room_of_archive(octets.len());
    let (mut room, mut entries) = (limits.octets.min(of_ratio), limits.entries);
    let packed = Packed {
        octets: &octets,
        sight: &sight,
        kind,
        name,
    };
    Some(archive::walk(packed, &mut |entry| {
        entries = entries.checked_sub(1).ok_or(Why::TooMany)?;
        let unpacked = unpacked(entry, room);
        room -= unpacked.octets.len() as u64;
        let is_full = unpacked.end == Err(Why::TooLarge);
        visit(unpacked);
        if is_full { Err(Why::TooLarge) } else { Ok(()) }
    }))
}

/// An entry, and `room` octets of what is in it at most.
fn unpacked(entry: Entry<'_>, room: u64) -> Unpacked {
    let name = entry.names.into_iter().next().unwrap_or_default();
    let mut octets = Vec::new();
    let end = entry.content.and_then(|content| {
        // One octet more than there is room for tells that there is more.
        let mut content = content.take(room.saturating_add(1));
        let read = content.read_to_end(&mut octets);
        if octets.len() as u64 > room {
            octets.pop();
            return Err(Why::TooLarge);
        }
        read.map(|_| ())
            .map_err(|_| Why::Broken("it does not unpack"))
    });
    Unpacked { name, octets, end }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn packed(octets: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        writer.write_all(octets).unwrap();
        writer.finish().unwrap()
    }

    fn all(octets: &[u8], limits: &Limits) -> (Vec<Unpacked>, Option<Result<(), Why>>) {
        let mut files = Vec::new();
        let end = unpack(octets, "a.xml.gz", limits, &mut |file| files.push(file));
        (files, end)
    }

    #[test]
    fn a_file_unpacks_within_the_limits() {
        let (files, end) = all(&packed(b"hello"), &Limits::default());
        assert_eq!(end, Some(Ok(())));
        let expected = Unpacked {
            name: "a.xml".to_owned(),
            octets: b"hello".to_vec(),
            end: Ok(()),
        };
        assert_eq!(files, [expected]);

        let few = Limits {
            octets: 4,
            ..Limits::default()
        };
        let (files, end) = all(&packed(b"hello"), &few);
        assert_eq!(end, Some(Err(Why::TooLarge)));
        assert_eq!(
            (files[0].octets.as_slice(), files[0].end),
            (&b"hell"[..], Err(Why::TooLarge))
        );

        let none = Limits {
            entries: 0,
            ..Limits::default()
        };
        assert_eq!(
            all(&packed(b"hello"), &none),
            (Vec::new(), Some(Err(Why::TooMany)))
        );
    }

    #[test]
    fn what_stands_behind_a_file_takes_nothing_of_it() {
        let mut octets = packed(b"hello");
        octets.extend_from_slice(b"\r\n");
        let (files, _) = all(&octets, &Limits::default());
        assert_eq!(files[0].octets, b"hello");
    }

    #[test]
    fn what_is_no_archive_is_left() {
        assert_eq!(all(b"<feedback/>", &Limits::default()), (Vec::new(), None));
        assert_eq!(all(b"", &Limits::default()), (Vec::new(), None));
    }
}
