mod notes;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub use notes::ProxyNotes;

/// What a proxy in front of us says about a connection, before all else: the PROXY protocol,
/// versions 1 and 2, as HAProxy defines it (proxy-protocol.txt). To be read only from peers that
/// are known to be proxies, for it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Somebody else connects through the proxy.
    Proxied {
        /// The client's address and port.
        source: SocketAddr,
        /// The address and port to which the client connected.
        destination: SocketAddr,
        /// What else is said; nothing in version 1.
        notes: ProxyNotes,
    },
    /// The proxy itself connects, or it does not say who: the connection's own addresses hold.
    Local,
}

/// Why what came is no header that we take. The connection is closed without a word: nobody reads
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyFault {
    /// It begins as no PROXY header does.
    Missing,
    /// It is longer than it may be.
    TooLong,
    /// It begins as one and is none.
    Malformed,
    /// Its checksum is another: something between the proxy and us changed it.
    Damaged,
    /// A version, command or family that mail does not use: only TCP over IPv4 and IPv6.
    NotSupported,
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no PROXY header",
            Self::TooLong => "PROXY header too long",
            Self::Malformed => "malformed PROXY header",
            Self::Damaged => "PROXY header with a wrong checksum",
            Self::NotSupported => "PROXY header of a kind that is not supported",
        })
    }
}

impl std::error::Error for ProxyFault {}

/// No header is longer, in octets: whoever has read so many has read all of it.
pub const PROXY_LEN_MAX: usize = V2_HEAD_LEN + V2_REST_LEN_MAX;

/// Section 2.1: "a 108-byte buffer is always enough to store all the line and a trailing zero".
const V1_LEN_MAX: usize = 107;
const V1_START: &[u8] = b"PROXY ";
/// What version 2 of the protocol begins with (its section 2.2).
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD_LEN: usize = 16;
/// A proxy sends its header in one piece, which fits into the smallest TCP segment of IPv4: 536
/// octets. Real ones have 12 to 36 octets and some short notes.
const V2_REST_LEN_MAX: usize = 536;

impl ProxyHeader {
    /// Reads the header at the start of `input`. Gives it with its length in octets, or `None` when
    /// more of it must come first.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, ProxyFault> {
        if agree(input, V1_START) {
            v1(input)
        } else if agree(input, V2_SIGNATURE) {
            v2(input)
        } else {
            Err(ProxyFault::Missing)
        }
    }
}

/// Whether one is the start of the other.
fn agree(input: &[u8], start: &[u8]) -> bool {
    let both = input.len().min(start.len());
    input[..both] == start[..both]
}

fn v1(input: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyFault> {
    let seen = &input[..input.len().min(V1_LEN_MAX)];
    let Some(end) = seen.windows(2).position(|pair| pair == b"\r\n") else {
        return if seen.len() == V1_LEN_MAX {
            Err(ProxyFault::TooLong)
        } else {
            Ok(None)
        };
    };
    let line =
        std::str::from_utf8(&seen[V1_START.len()..end]).map_err(|_| ProxyFault::Malformed)?;
    Ok(Some((v1_line(line)?, end + 2)))
}

fn v1_line(line: &str) -> Result<ProxyHeader, ProxyFault> {
    let mut words = line.split(' ');
    let v4 = match words.next() {
        Some("TCP4") => true,
        Some("TCP6") => false,
        // Section 2.1: "the receiver must ignore anything presented before the CRLF is found".
        Some("UNKNOWN") => return Ok(ProxyHeader::Local),
        Some(_) | None => return Err(ProxyFault::NotSupported),
    };
    let mut address = || words.next().and_then(|word| v1_address(word, v4));
    let (source, destination) = (address(), address());
    let mut port = || words.next().and_then(v1_port);
    let (source_port, destination_port) = (port(), port());
    let whole = words.next().is_none();
    match (source, destination, source_port, destination_port) {
        (Some(source), Some(destination), Some(from), Some(to)) if whole => {
            Ok(ProxyHeader::Proxied {
                source: SocketAddr::new(source, from),
                destination: SocketAddr::new(destination, to),
                notes: ProxyNotes::default(),
            })
        }
        (_, _, _, _) => Err(ProxyFault::Malformed),
    }
}

fn v1_address(word: &str, v4: bool) -> Option<IpAddr> {
    if v4 {
        word.parse().ok().map(IpAddr::V4)
    } else {
        word.parse().ok().map(IpAddr::V6)
    }
}

/// Section 2.1: decimal, and "leading zeroes are not permitted".
fn v1_port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|b| b.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if plain { word.parse().ok() } else { None }
}

fn v2(input: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyFault> {
    let Some((head, rest)) = input.split_first_chunk::<V2_HEAD_LEN>() else {
        return Ok(None);
    };
    let [.., command, family, high, low] = *head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_REST_LEN_MAX {
        return Err(ProxyFault::TooLong);
    }
    let Some(rest) = rest.get(..length) else {
        return Ok(None);
    };
    let whole = &input[..V2_HEAD_LEN + length];
    let header = match (command, family) {
        // Section 2.2: for LOCAL "the receiver must use the real connection endpoints" and discard
        // the rest.
        (0x20, _) => ProxyHeader::Local,
        (0x21, 0x11) => v2_addresses::<4>(rest, whole)?,
        (0x21, 0x21) => v2_addresses::<16>(rest, whole)?,
        (_, _) => return Err(ProxyFault::NotSupported),
    };
    Ok(Some((header, V2_HEAD_LEN + length)))
}

/// Two addresses of `N` octets and two ports, then notes.
fn v2_addresses<const N: usize>(rest: &[u8], whole: &[u8]) -> Result<ProxyHeader, ProxyFault> {
    let read = || {
        let (source, rest) = rest.split_first_chunk::<N>()?;
        let (destination, rest) = rest.split_first_chunk::<N>()?;
        let (ports, _notes) = rest.split_first_chunk::<4>()?;
        let [a, b, c, d] = *ports;
        let source = SocketAddr::new(v2_address(source)?, u16::from_be_bytes([a, b]));
        let destination = SocketAddr::new(v2_address(destination)?, u16::from_be_bytes([c, d]));
        Some((source, destination))
    };
    let (source, destination) = read().ok_or(ProxyFault::Malformed)?;
    Ok(ProxyHeader::Proxied {
        source,
        destination,
        notes: ProxyNotes::read(whole, V2_HEAD_LEN + 2 * N + 4)?,
    })
}

fn v2_address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = |o: [u8; 4]| IpAddr::V4(Ipv4Addr::from(o));
    let v6 = |o: [u8; 16]| IpAddr::V6(Ipv6Addr::from(o));
    let as_v4 = || octets.try_into().ok().map(v4);
    octets.try_into().ok().map(v6).or_else(as_v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(source: &str, destination: &str) -> ProxyHeader {
        ProxyHeader::Proxied {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            notes: ProxyNotes::default(),
        }
    }

    fn v2_header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2_SIGNATURE, &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 192, 0, 2, 1, 0x30, 0x39, 0, 25];

    const NOTED_CRC32C: [u8; 4] = [0x1e, 0xb1, 0xcf, 0x78];

    fn v6() -> Vec<u8> {
        let (source, destination) = ("2001:db8::7", "2001:db8::1");
        let octets = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
        [&octets(source)[..], &octets(destination), &[0, 1, 0, 25]].concat()
    }

    #[test]
    fn headers_of_both_versions_are_read() {
        let (four, six) = (
            proxied("192.0.2.7:12345", "192.0.2.1:25"),
            proxied("[2001:db8::7]:1", "[2001:db8::1]:25"),
        );
        let cases: [(Vec<u8>, ProxyHeader); 9] = [
            (
                b"PROXY TCP4 192.0.2.7 192.0.2.1 12345 25\r\n".to_vec(),
                four.clone(),
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 1 25\r\n".to_vec(),
                six.clone(),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), ProxyHeader::Local),
            (
                b"PROXY UNKNOWN ff:: x \xc3\xbc 1\r\n".to_vec(),
                ProxyHeader::Local,
            ),
            (v2_header(0x21, 0x11, &V4), four.clone()),
            (v2_header(0x21, 0x21, &v6()), six),
            (
                v2_header(0x21, 0x11, &[&V4[..], &[4, 0, 2, 9, 9]].concat()),
                four,
            ),
            (v2_header(0x20, 0, &[]), ProxyHeader::Local),
            (v2_header(0x20, 0x31, &[7; 536]), ProxyHeader::Local),
        ];
        for (octets, header) in cases {
            let followed = [&octets, &b"EHLO x\r\n"[..]].concat();
            assert_eq!(
                ProxyHeader::parse(&followed),
                Ok(Some((header.clone(), octets.len())))
            );
            for cut in 0..octets.len() {
                assert_eq!(ProxyHeader::parse(&octets[..cut]), Ok(None), "{cut}");
            }
        }
    }

    /// As HAProxy 2.6 sends them with `send-proxy-v2 proxy-v2-options crc32c,unique-id,ssl`, a
    /// client over TLS behind it.
    fn noted() -> Vec<u8> {
        let ssl = [&[1, 0, 0, 0, 0, 0x21, 0, 7][..], b"TLSv1.3"].concat();
        let ssl_len = u8::try_from(ssl.len()).unwrap();
        let notes = [
            &[0x03, 0, 4, 0, 0, 0, 0][..],
            &[0x05, 0, 3],
            b"a\r1",
            &[0x20, 0, ssl_len],
            &ssl,
        ]
        .concat();
        v2_header(0x21, 0x11, &[&V4[..], &notes].concat())
    }

    #[test]
    fn notes_behind_the_addresses_are_read_and_their_checksum_is_checked() {
        let mut header = noted();
        let sum_at = V2_HEAD_LEN + V4.len() + 3;
        assert_eq!(ProxyHeader::parse(&header), Err(ProxyFault::Damaged));
        // Worked out by another program over these very octets.
        header[sum_at..sum_at + 4].copy_from_slice(&NOTED_CRC32C);
        let read = ProxyHeader::parse(&header);
        let Ok(Some((ProxyHeader::Proxied { notes, .. }, _))) = read else {
            panic!("{read:?}")
        };
        assert_eq!(notes.unique_id.as_deref(), Some("a\\r1"));
        assert_eq!(notes.tls_version.as_deref(), Some("TLSv1.3"));
        for place in [V2_HEAD_LEN, sum_at, header.len() - 1] {
            let mut damaged = header.clone();
            damaged[place] ^= 1;
            assert_eq!(ProxyHeader::parse(&damaged), Err(ProxyFault::Damaged));
        }
    }

    /// What a proxy appends that is no note takes nothing away from what it says about the
    /// addresses.
    #[test]
    fn what_is_no_note_is_passed_over() {
        for tail in [&[0u8][..], &[0x05, 0, 9, 1], &[0x20, 0, 1, 1], &[0; 5]] {
            let header = v2_header(0x21, 0x11, &[&V4[..], tail].concat());
            let plain = proxied("192.0.2.7:12345", "192.0.2.1:25");
            assert_eq!(ProxyHeader::parse(&header), Ok(Some((plain, header.len()))));
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        use ProxyFault::*;
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat();
        let cases: [(&[u8], ProxyFault); 17] = [
            (b"EHLO client.example\r\n", Missing),
            (b"PROXYTCP4", Missing),
            (b"\r\n\r\n\0\r\nQUIT\r", Missing),
            (b"PROXY \r\n", NotSupported),
            (b"PROXY UDP4 192.0.2.7 192.0.2.1 1 25\r\n", NotSupported),
            (b"PROXY TCP4 2001:db8::7 2001:db8::1 1 25\r\n", Malformed),
            (b"PROXY TCP6 192.0.2.7 192.0.2.1 1 25\r\n", Malformed),
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n", Malformed),
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 25 9\r\n", Malformed),
            (b"PROXY TCP4  192.0.2.7 192.0.2.1 1 25\r\n", Malformed),
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 01 25\r\n", Malformed),
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 +1 25\r\n", Malformed),
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 65536 25\r\n", Malformed),
            (b"PROXY TCP4 192.0.2.07 192.0.2.1 1 25\r\n", Malformed),
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 25\n\r\n", Malformed),
            (b"PROXY \xff\r\n", Malformed),
            (&long, TooLong),
        ];
        for (octets, fault) in cases {
            assert_eq!(
                ProxyHeader::parse(octets),
                Err(fault),
                "{}",
                octets.escape_ascii()
            );
        }
        let v2 = [
            (v2_header(0x21, 0x11, &V4[..11]), Malformed),
            (v2_header(0x21, 0x21, &V4), Malformed),
            (v2_header(0x21, 0x12, &V4), NotSupported),
            (v2_header(0x21, 0x31, &[0; 216]), NotSupported),
            (v2_header(0x21, 0x00, &[]), NotSupported),
            (v2_header(0x22, 0x11, &V4), NotSupported),
            (v2_header(0x11, 0x11, &V4), NotSupported),
            (v2_header(0x20, 0x00, &[0; 537]), TooLong),
        ];
        for (octets, fault) in v2 {
            assert_eq!(
                ProxyHeader::parse(&octets),
                Err(fault),
                "{}",
                octets.escape_ascii()
            );
        }
    }
}
