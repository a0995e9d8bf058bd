//! Whether the system's clock may be believed in what must not be taken back: files that are given
//! up for their age are gone, though the clock was ahead for a minute only.

use std::time::Duration;

use mail::Timestamp;

/// So long the clock has to have gone on evenly.
const TRIAL: Duration = Duration::from_secs(3600);
/// By so many milliseconds it may go otherwise than evenly between two looks: so much it is pulled
/// gently, what is more was set.
const SLACK: i128 = 60_000;

/// The system's clock beside one that nobody sets.
#[derive(Debug, Clone)]
pub struct EvenClock {
    /// What both showed when they were looked at last.
    last: (Duration, Timestamp),
    /// Since when they have gone alike.
    even_since: Duration,
}

impl EvenClock {
    /// Begins with what they show now: `running` is the time since any one moment, `wall` the
    /// system's clock.
    pub fn new(running: Duration, wall: Timestamp) -> Self {
        Self {
            last: (running, wall),
            even_since: running,
        }
    }

    /// Whether the system's clock was set neither within the last hour nor since this began, which
    /// is an hour ago at least. To be asked every few minutes.
    pub fn is_believed(&mut self, running: Duration, wall: Timestamp) -> bool {
        let (last_running, last_wall) = std::mem::replace(&mut self.last, (running, wall));
        let passed = running.saturating_sub(last_running).as_millis();
        let shown = i128::from(wall.as_millis()) - i128::from(last_wall.as_millis());
        let gone_astray = shown - i128::try_from(passed).unwrap_or(i128::MAX);
        if gone_astray.abs() > SLACK {
            self.even_since = running;
        }
        running.saturating_sub(self.even_since) >= TRIAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks every ten minutes of an hour and a half, and gives what was said at the end of each
    /// half hour.
    fn asked(clock: &mut EvenClock, from: u64, ahead: u64) -> [bool; 3] {
        let mut said = [false; 3];
        for step in 1..=9 {
            let now = from + step * 600;
            let wall = Timestamp::from_millis((now + ahead) * 1000);
            let is_believed = clock.is_believed(Duration::from_secs(now), wall);
            said[(step as usize - 1) / 3] = is_believed;
        }
        said
    }

    #[test]
    fn a_clock_that_was_set_is_believed_once_that_has_lasted() {
        let year = 365 * 86_400;
        let mut clock = EvenClock::new(Duration::ZERO, Timestamp::from_millis(year * 1000));
        assert_eq!(asked(&mut clock, 0, year), [false, true, true]);
        assert_eq!(asked(&mut clock, 5400, year + 50), [true; 3]);
        // Forward, and back, which it goes on from.
        assert_eq!(asked(&mut clock, 10_800, 2 * year), [false, false, true]);
        assert_eq!(asked(&mut clock, 16_200, year), [false, false, true]);
    }
}
