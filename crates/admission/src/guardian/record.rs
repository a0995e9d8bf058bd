use serde::{Deserialize, Serialize};

use crate::{Measure, Tally};

/// What the counts of a day reach back.
pub(crate) const HOURS: u64 = 24;
/// After so many days on which a subject sent anything, its usual is known.
const DAYS_TO_LEARN: u8 = 7;
/// Older days count less and less from here on.
const DAYS_OF_WEIGHT: u8 = 14;
/// A day counts as so many usual ones at most, so that nobody makes a flood usual by one day of it;
const DAY_MAX: f32 = 3.0;
/// and as this much in any case, so that what was never done can become usual.
const DAY_MIN: f32 = 10.0;

/// What one subject sent of late, and what it sends usually.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The hour that is counted now: hours since the epoch of the line of time.
    hour: u64,
    /// Each hour of a day at its place in the day.
    hours: [Tally; HOURS as usize],
    /// The part of the present day, counted from midnight (UTC) on, that is to be learned.
    today: Tally,
    /// Means of the days on which it sent anything.
    usual: [f32; 4],
    /// How many days they are of.
    days: u8,
    /// The last while in which it sent too much.
    pub(crate) episode: Option<Episode>,
}

/// A while in which a subject sends too much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Episode {
    /// Its begin, in milliseconds on the line of time.
    pub(crate) began: u64,
    /// When it was over last.
    pub(crate) last: u64,
    /// What it was over then, in words.
    pub(crate) why: String,
}

impl Record {
    /// It is this hour now. A line of time that begins anew further back leaves what is usual.
    pub(crate) fn advance(&mut self, hour: u64) {
        if hour < self.hour {
            self.clear();
        } else {
            let passed = (hour - self.hour).min(HOURS);
            for past in 0..passed {
                *self.at(hour - past) = Tally::default();
            }
            if hour / HOURS > self.hour / HOURS {
                self.learn();
            }
        }
        self.hour = hour;
    }

    fn at(&mut self, hour: u64) -> &mut Tally {
        // Less than 24.
        &mut self.hours[(hour % HOURS) as usize]
    }

    /// Counts, in the hour that it is now.
    pub(crate) fn count(&mut self, more: &Tally) {
        let hour = self.hour;
        self.at(hour).add(more);
        self.today.add(more);
    }

    /// Forgets what was counted, and that it was too much.
    pub(crate) fn clear(&mut self) {
        self.hours = [Tally::default(); HOURS as usize];
        self.today = Tally::default();
        self.episode = None;
    }

    /// What was counted in this hour and those before it, so many together, 24 at most.
    pub(crate) fn within(&self, hours: u64) -> Tally {
        let mut sum = Tally::default();
        for past in 0..hours.clamp(1, HOURS).min(self.hour + 1) {
            sum.add(&self.hours[((self.hour - past) % HOURS) as usize]);
        }
        sum
    }

    /// How many a day are usual; nothing before that is known.
    pub(crate) fn usual(&self, measure: Measure) -> Option<f32> {
        let [messages, recipients, new_recipients, failures] = self.usual;
        (self.days >= DAYS_TO_LEARN).then_some(match measure {
            Measure::Messages => messages,
            Measure::Recipients => recipients,
            Measure::NewRecipients => new_recipients,
            Measure::Failures => failures,
        })
    }

    /// What is worth less is forgotten sooner: whether anything is known that takes long to learn, and
    /// the hour in which it did anything last.
    pub(crate) fn worth(&self) -> (bool, u64) {
        let is_known = self.days >= DAYS_TO_LEARN || self.episode.is_some();
        (is_known, self.hour)
    }

    fn learn(&mut self) {
        let today = std::mem::take(&mut self.today);
        if today.is_zero() {
            return;
        }
        let is_known = self.days >= DAYS_TO_LEARN;
        self.days = self.days.saturating_add(1).min(DAYS_OF_WEIGHT);
        for (usual, measure) in self.usual.iter_mut().zip(Measure::ALL) {
            let most = if is_known {
                usual.mul_add(DAY_MAX, DAY_MIN)
            } else {
                f32::INFINITY
            };
            let count = (today.of(measure) as f32).min(most);
            *usual += (count - *usual) / f32::from(self.days);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day_of(record: &mut Record, day: u64, recipients: u32) {
        record.advance(day * HOURS + 9);
        record.count(&Tally::message(recipients, 0));
    }

    #[test]
    fn hours_are_counted_apart_and_forgotten_after_a_day() {
        let mut record = Record::default();
        for hour in [1000, 1001, 1001, 1005] {
            record.advance(hour);
            record.count(&Tally::message(10, 1));
        }
        for (now, hours, expected) in [
            (1005, 1, 10),
            (1005, 5, 30),
            (1005, 24, 40),
            (1005, 99, 40),
            (1006, 1, 0),
            (1024, 24, 30),
            (1028, 24, 10),
            (1029, 24, 0),
            (2000, 24, 0),
        ] {
            record.advance(now);
            let sum = record.within(hours).of(Measure::Recipients);
            assert_eq!(sum, expected, "{hours} hours at {now}");
        }
    }

    #[test]
    fn the_usual_is_known_after_a_week_and_no_day_makes_a_flood_usual() {
        let mut record = Record::default();
        for day in 100..107 {
            assert_eq!(record.usual(Measure::Recipients), None, "{day}");
            day_of(&mut record, day, 20);
        }
        // A month without mail teaches nothing.
        record.advance(140 * HOURS);
        assert_eq!(record.usual(Measure::Recipients), Some(20.0));
        assert_eq!(record.usual(Measure::Failures), Some(0.0));
        day_of(&mut record, 140, 100_000);
        record.advance(141 * HOURS);
        let usual = record.usual(Measure::Recipients).unwrap_or_default();
        assert!((26.0..27.0).contains(&usual), "{usual}");
        // In the end what is done each day is usual.
        for day in 141..240 {
            day_of(&mut record, day, 500);
        }
        record.advance(240 * HOURS);
        let usual = record.usual(Measure::Recipients).unwrap_or_default();
        assert!((490.0..=500.0).contains(&usual), "{usual}");
    }

    #[test]
    fn a_line_of_time_that_begins_anew_costs_a_day() {
        let mut record = Record::default();
        day_of(&mut record, 100, 20);
        record.advance(50);
        assert_eq!(record.within(24), Tally::default());
        record.count(&Tally::failures(3));
        assert_eq!(record.within(24).of(Measure::Failures), 3);
    }
}
