use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Two letters of five bits each.
const CYCLE: u16 = 1 << 10;
/// RFC 4648 section 6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A day as two letters tell it: the days since 1970, which begin anew after 1,024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(u16);

impl Day {
    /// The day in which a moment lies, which is given as the time since 1970 began (UTC).
    pub fn of(since_1970: Duration) -> Self {
        let days = since_1970.as_secs() / DAY.as_secs();
        Self((days % u64::from(CYCLE)) as u16)
    }

    /// So many days earlier.
    pub fn before(self, days: u16) -> Self {
        Self((self.0 + CYCLE - days % CYCLE) % CYCLE)
    }

    /// How many days have passed since `earlier`, from 0 to 1,023.
    pub(crate) fn since(self, earlier: Self) -> u16 {
        self.before(earlier.0).0
    }

    /// The two letters.
    pub(crate) fn stamp(self) -> String {
        let letter = |bits: u16| char::from(BASE32[usize::from(bits % 32)]);
        [letter(self.0 / 32), letter(self.0)].into_iter().collect()
    }

    /// Reads the two letters, in either case.
    pub(crate) fn read(stamp: &str) -> Option<Self> {
        let value = |letter: &u8| {
            let known = |one: &u8| one.eq_ignore_ascii_case(letter);
            BASE32.iter().position(known)
        };
        match stamp.as_bytes() {
            [high, low] => Some(Self((value(high)? * 32 + value(low)?) as u16)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_as_they_are_written_in_either_case() {
        for days in 0..CYCLE {
            let day = Day(days);
            assert_eq!(Day::read(&day.stamp()), Some(day));
            assert_eq!(Day::read(&day.stamp().to_lowercase()), Some(day));
        }
        for wrong in ["", "A", "AAA", "A1", "\u{e9}"] {
            assert_eq!(Day::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn days_are_cut_and_begin_anew() {
        let hours = |hours: u64| Day::of(Duration::from_secs(hours * 3600));
        assert_eq!(hours(23), Day(0));
        assert_eq!(hours(24), Day(1));
        assert_eq!(hours(1023 * 24), Day(1023));
        assert_eq!(hours(1024 * 24), Day(0));
        assert_eq!(Day(3).since(Day(1020)), 7);
        assert_eq!(Day(3).before(7), Day(1020));
        assert_eq!(Day(3).before(CYCLE), Day(3));
    }
}
