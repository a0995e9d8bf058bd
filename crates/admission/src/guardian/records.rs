use std::collections::HashMap;

use super::record::Record;
use crate::Subject;

/// Subjects of a kind that are remembered at most, 600 octets each.
const SUBJECTS_MAX: usize = 10_000;

/// What is known of many subjects; who was silent for longest is forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Records(HashMap<Subject, Record>);

impl Records {
    /// Its record, which is new when there was none.
    pub(crate) fn touch(&mut self, subject: &Subject) -> &mut Record {
        if self.0.len() >= SUBJECTS_MAX && !self.0.contains_key(subject) {
            self.forget();
        }
        self.0.entry(subject.clone()).or_default()
    }

    /// Its record, where there is one.
    pub(crate) fn known(&mut self, subject: &Subject) -> Option<&mut Record> {
        self.0.get_mut(subject)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Subject, &Record)> {
        self.0.iter()
    }

    /// Forgets half of them: first those of whom nothing is learned, so that a flood of new ones
    /// drives nobody out, and among equals those who were silent for longest.
    fn forget(&mut self) {
        let mut all: Vec<_> = self.0.iter().map(|(who, of)| (of.worth(), who)).collect();
        all.select_nth_unstable_by_key(SUBJECTS_MAX / 2, |(worth, _)| *worth);
        all.truncate(SUBJECTS_MAX / 2);
        let least: Vec<Subject> = all.into_iter().map(|(_, who)| who.clone()).collect();
        for subject in least {
            self.0.remove(&subject);
        }
    }
}

impl FromIterator<(Subject, Record)> for Records {
    fn from_iter<I: IntoIterator<Item = (Subject, Record)>>(all: I) -> Self {
        Self(all.into_iter().take(SUBJECTS_MAX).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::HOURS;
    use super::*;
    use crate::Tally;

    #[test]
    fn a_flood_of_subjects_drives_out_nobody_who_is_known() {
        let mut records = Records::default();
        let ann = Subject::User("ann".into());
        for day in 1..9 {
            let record = records.touch(&ann);
            record.advance(day * HOURS);
            record.count(&Tally::message(1, 1));
        }
        for number in 0..3 * SUBJECTS_MAX {
            let one = Subject::User(number.to_string().into());
            records.touch(&one).advance(8 * HOURS + 1);
            assert!(records.0.len() <= SUBJECTS_MAX);
        }
        assert!(records.0.contains_key(&ann));
    }
}
