//! Packets: four octets of length, an octet that says what it is, and its data.

use crate::Fault;

/// The longest packet that a milter may send, without its length. libmilter's hold 64 KiB of a body;
/// a field may be longer.
pub const PACKET_LEN_MAX: u32 = 1 << 20;

/// The most data of one packet that libmilter reads.
pub(crate) const DATA_MAX: usize = 65_535;

/// Writes a packet.
pub(crate) fn packet(out: &mut Vec<u8>, command: u8, data: &[&[u8]]) {
    let length = 1 + data.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.push(command);
    for part in data {
        out.extend_from_slice(part);
    }
}

/// Cuts what a milter sends into packets.
#[derive(Debug, Default)]
pub(crate) struct PacketReader {
    octets: Vec<u8>,
    /// How many of them were read already.
    at: usize,
}

impl PacketReader {
    pub(crate) fn push(&mut self, octets: &[u8]) {
        self.octets.drain(..self.at);
        self.at = 0;
        self.octets.extend_from_slice(octets);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.octets.len()
    }

    /// The next packet: what it is, and its data. `None` when it is not there as a whole.
    pub(crate) fn next(&mut self) -> Result<Option<(u8, &[u8])>, Fault> {
        let rest = &self.octets[self.at..];
        let Some((length, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length);
        if length == 0 || length > PACKET_LEN_MAX {
            return Err(Fault::Length(length));
        }
        let Some(packet) = rest.get(..length as usize) else {
            return Ok(None);
        };
        self.at += size_of::<u32>() + packet.len();
        Ok(packet.split_first().map(|(what, data)| (*what, data)))
    }
}

/// The data of a packet, field by field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// A text up to its NUL.
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(0, self.0)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        Some(text)
    }

    /// The one text that is left.
    pub(crate) fn last_text(mut self) -> Option<&'a [u8]> {
        let text = self.text()?;
        self.is_empty().then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_read_as_it_was_written_however_it_is_cut() {
        let mut octets = Vec::new();
        packet(&mut octets, b'H', &[b"mail.example", b"\0"]);
        packet(&mut octets, b'N', &[]);
        assert_eq!(&octets[..5], b"\0\0\0\x0eH");
        for cut in 1..octets.len() {
            let mut reader = PacketReader::default();
            let mut read = Vec::new();
            for piece in octets.chunks(cut) {
                reader.push(piece);
                while let Some((what, data)) = reader.next().unwrap() {
                    read.push((what, data.to_vec()));
                }
            }
            assert_eq!(read, [(b'H', b"mail.example\0".to_vec()), (b'N', vec![])]);
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn a_wrong_length_is_told_before_anything_is_kept() {
        for length in [0, PACKET_LEN_MAX + 1, u32::MAX] {
            let mut reader = PacketReader::default();
            reader.push(&length.to_be_bytes());
            assert_eq!(reader.next(), Err(Fault::Length(length)));
        }
    }

    #[test]
    fn data_is_read_field_by_field() {
        let mut fields = Fields(b"\0\0\0\x01name\0value\0");
        assert_eq!(fields.number(), Some(1));
        assert_eq!(fields.text(), Some(&b"name"[..]));
        assert_eq!(fields.last_text(), Some(&b"value"[..]));
        assert_eq!(Fields(b"a\0b\0").last_text(), None);
        assert_eq!(Fields(b"open").last_text(), None);
        assert_eq!(Fields(b"\0\0").number(), None);
    }
}
