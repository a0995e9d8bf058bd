use super::ProxyFault;

/// What a proxy says about a connection beside the addresses: the TLVs of the PROXY protocol's
/// version 2 (proxy-protocol.txt section 2.2). Only what we use is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxyNotes {
    /// The proxy's own name for the connection, printable, for the log.
    pub unique_id: Option<Box<str>>,
    /// The TLS version of a client that the proxy decrypts, for the log. It counts nowhere else:
    /// what comes to us is in clear.
    pub tls_version: Option<Box<str>>,
}

const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
/// Of the first octet of an SSL note: the client is connected over TLS.
const CLIENT_SSL: u8 = 0x01;
/// The flags, and the result of a certificate's verification.
const SSL_HEAD_LEN: usize = 5;

impl ProxyNotes {
    /// Reads the notes that begin at `start` of a whole `header`. What cannot be read as a note,
    /// and all behind it, is passed over.
    ///
    /// # Errors
    /// The header has a checksum, and it is not that of the header.
    pub(crate) fn read(header: &[u8], start: usize) -> Result<Self, ProxyFault> {
        let mut notes = Self::default();
        let mut at = start;
        while let Some((kind, value)) = header.get(at..).and_then(note) {
            let value_at = at + 3;
            match kind {
                CRC32C if crc32c_without(header, value_at) != value => {
                    return Err(ProxyFault::Damaged);
                }
                UNIQUE_ID => notes.unique_id = Some(printable(value)),
                SSL => notes.tls_version = tls_version(value),
                _ => {}
            }
            at = value_at + value.len();
        }
        Ok(notes)
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A kind, two octets of length, and so many octets.
fn note(input: &[u8]) -> Option<(u8, &[u8])> {
    let ([kind, high, low], rest) = input.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    Some((*kind, rest.get(..length)?))
}

fn tls_version(value: &[u8]) -> Option<Box<str>> {
    let (head, mut rest) = value.split_at_checked(SSL_HEAD_LEN)?;
    if head[0] & CLIENT_SSL == 0 {
        return None;
    }
    while let Some((kind, value)) = note(rest) {
        if kind == SSL_VERSION {
            return Some(printable(value));
        }
        rest = &rest[3 + value.len()..];
    }
    None
}

fn printable(octets: &[u8]) -> Box<str> {
    octets.escape_ascii().to_string().into()
}

/// Section 2.2.3: the checksum of the whole header, in which the checksum's own four octets are
/// zero.
fn crc32c_without(header: &[u8], at: usize) -> [u8; 4] {
    let octet = |(place, octet): (usize, &u8)| {
        let is_own = (at..at + 4).contains(&place);
        if is_own { 0 } else { *octet }
    };
    crc32c(header.iter().enumerate().map(octet)).to_be_bytes()
}

/// The checksum of RFC 3309 section 2, bit by bit: a header is short.
fn crc32c(octets: impl Iterator<Item = u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let bit = |crc: u32, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
    !octets.fold(!0, |crc, octet| (0..8).fold(crc ^ u32::from(octet), bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 3720 section B.4.
    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
        assert_eq!(crc32c([0xff; 32].into_iter()), 0x62a8_ab43);
        assert_eq!(crc32c(0..32), 0x46dd_794e);
        assert_eq!(crc32c((0..32).rev()), 0x113f_db5c);
    }
}
