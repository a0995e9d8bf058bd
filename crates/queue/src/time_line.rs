use std::time::Duration;

use mail::Timestamp;

/// The time by which the queue reckons: when something is due, how old it is, how long a pause
/// lasts.
///
/// It runs as the monotonic clock does, so a step of the system's clock expires nothing and holds
/// nothing up, and after a restart it goes on where it was, with the time in between as far as the
/// system's clock tells it. The spool holds moments of this line. What people and other machines
/// read (`Date`, notices, listings) is the system clock's: [`Moment`] turns the one into the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLine {
    start: Timestamp,
}

/// One moment, on the line and on the system's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// On the line: for all that the queue decides and the spool keeps.
    pub line: Timestamp,
    /// What the system's clock shows then: for all that others read.
    pub wall: Timestamp,
}

impl TimeLine {
    /// Goes on with the line that was at `last` when it was last written down; begins one at
    /// `wall`, what the system's clock shows now, when there is none. It never goes back: when the
    /// clock was set back while nobody looked, it goes on at `last`.
    pub fn resume(last: Option<Moment>, wall: Timestamp) -> Self {
        let start = last.map_or(wall, |last| last.line + wall.since(last.wall));
        Self { start }
    }

    /// The moment at which the monotonic clock has run for `elapsed` since the line was resumed,
    /// and the system's clock shows `wall`.
    pub fn moment(self, elapsed: Duration, wall: Timestamp) -> Moment {
        Moment {
            line: self.start + elapsed,
            wall,
        }
    }
}

impl Moment {
    /// For a world with one clock.
    pub fn of(now: Timestamp) -> Self {
        Self {
            line: now,
            wall: now,
        }
    }

    /// How far the system's clock is ahead of the line, in milliseconds.
    pub fn ahead(self) -> i64 {
        let (wall, line) = (self.wall.as_millis(), self.line.as_millis());
        let millis = i128::from(wall) - i128::from(line);
        i64::try_from(millis).unwrap_or(if millis < 0 { i64::MIN } else { i64::MAX })
    }

    /// A moment of the line, as the system's clock as it goes now would have shown it.
    pub fn shown(self, line: Timestamp) -> Timestamp {
        shifted(line, self.ahead())
    }

    /// The reverse: a moment that somebody has read from the system's clock.
    pub fn reckoned(self, wall: Timestamp) -> Timestamp {
        shifted(wall, self.ahead().saturating_neg())
    }
}

/// A moment so many milliseconds later.
pub(crate) fn shifted(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(at.as_millis().saturating_add_signed(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn a_step_of_the_clock_moves_what_is_shown_and_nothing_else() {
        let line = TimeLine::resume(None, NOON);
        for wall in [NOON + DAY + DAY, NOON, NOON - DAY] {
            let now = line.moment(DAY, wall);
            assert_eq!(now.line, NOON + DAY);
            assert_eq!(now.shown(now.line), wall);
            assert_eq!(now.shown(NOON), wall - DAY);
            assert_eq!(now.reckoned(wall - DAY), NOON);
        }
    }

    #[test]
    fn after_a_restart_the_line_goes_on_where_it_was() {
        let before = TimeLine::resume(None, NOON).moment(DAY, NOON + 20 * DAY);
        for (away, expected) in [
            // an hour, a clock set back by ten days, a clock set forward by three
            (Duration::from_secs(3600), Duration::from_secs(3600)),
            (3 * DAY, 3 * DAY),
        ] {
            let now = TimeLine::resume(Some(before), before.wall + away);
            assert_eq!(
                now.moment(Duration::ZERO, NOON).line,
                before.line + expected
            );
        }
        let set_back = TimeLine::resume(Some(before), before.wall - 10 * DAY);
        let now = set_back.moment(DAY, before.wall - 9 * DAY);
        assert_eq!(now.line, before.line + DAY);
        assert_eq!(now.shown(now.line), before.wall - 9 * DAY);
    }
}
