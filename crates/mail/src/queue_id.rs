use std::fmt;
use std::str::FromStr;

use crate::Timestamp;

/// The name of one message in the spool, in `Received`, in every log line.
///
/// 128 bits: 48 bits of milliseconds since 1970, then 80 random bits, so ids sort by time and two
/// nodes never make the same one. Printed as 26 characters of Crockford's base 32 in lower case;
/// reading accepts either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(u128);

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const PRINTED_LEN: usize = 26;

impl QueueId {
    /// Makes an id from the clock and 80 bits of `random` (the rest is ignored).
    pub fn new(now: Timestamp, random: u128) -> Self {
        let time = u128::from(now.as_millis()) << 80;
        Self(time | (random & ((1 << 80) - 1)))
    }

    /// The id as stored: big-endian, so that the order of bytes is the order of time.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Reads what [`QueueId::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// When the id was made.
    pub fn made(self) -> Timestamp {
        Timestamp::from_millis((self.0 >> 80) as u64)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; PRINTED_LEN];
        for (i, digit) in text.iter_mut().enumerate() {
            let shift = 5 * (PRINTED_LEN - 1 - i);
            *digit = ALPHABET[(self.0 >> shift) as usize & 31];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// Why a text is not a queue id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAQueueId;

impl fmt::Display for NotAQueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a queue id is 26 letters and digits")
    }
}

impl std::error::Error for NotAQueueId {}

impl FromStr for QueueId {
    type Err = NotAQueueId;
    fn from_str(text: &str) -> Result<Self, NotAQueueId> {
        if text.len() != PRINTED_LEN {
            return Err(NotAQueueId);
        }
        let mut value: u128 = 0;
        for (i, byte) in text.bytes().enumerate() {
            let digit = ALPHABET
                .iter()
                .position(|c| *c == byte.to_ascii_lowercase());
            let digit = digit.ok_or(NotAQueueId)? as u128;
            // 26 digits hold 130 bits: the first may only use three of its five.
            if i == 0 && digit > 7 {
                return Err(NotAQueueId);
            }
            value = value << 5 | digit;
        }
        Ok(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn print_and_parse_are_inverses_in_either_case() {
        for random in [0, 1, u128::MAX, 0x1234_5678_9abc_def0_1122] {
            let id = QueueId::new(Timestamp::from_millis(1_775_001_599_123), random);
            let text = id.to_string();
            assert_eq!(text.len(), 26);
            assert_eq!(text.parse(), Ok(id));
            assert_eq!(text.to_uppercase().parse(), Ok(id));
            assert_eq!(id.made().as_millis(), 1_775_001_599_123);
            assert_eq!(QueueId::from_bytes(id.to_bytes()), id);
        }
        assert_eq!("z".repeat(26).parse::<QueueId>(), Err(NotAQueueId));
        assert_eq!("0".parse::<QueueId>(), Err(NotAQueueId));
    }

    #[test]
    fn text_sorts_by_time() {
        let a = QueueId::new(Timestamp::from_millis(1000), u128::MAX);
        let b = QueueId::new(Timestamp::from_millis(1001), 0);
        assert!(a < b && a.to_string() < b.to_string());
    }
}
