//! The last examination by the doctor, which goes on when nobody looks.

use std::sync::{Mutex, PoisonError};

use daemon::api::{DoctorFinding, DoctorQuestion};

/// The last examination, as far as it has come.
#[derive(Default)]
pub(crate) struct LastExamination(Mutex<Option<Examination>>);

/// One, as far as it has come.
#[derive(Clone)]
pub(crate) struct Examination {
    pub(crate) by: String,
    pub(crate) question: DoctorQuestion,
    /// Nothing while it goes on.
    pub(crate) came_to: Option<Result<Vec<DoctorFinding>, String>>,
}

impl LastExamination {
    fn with<T>(&self, act: impl FnOnce(&mut Option<Examination>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn last(&self) -> Option<Examination> {
        self.with(|last| last.clone())
    }

    /// Writes down that one begins; `false`: one is going on, and its answer is everybody's.
    pub(crate) fn begin(&self, by: &str, question: &DoctorQuestion) -> bool {
        self.with(|last| {
            let goes_on = last.as_ref().is_some_and(|one| one.came_to.is_none());
            if !goes_on {
                *last = Some(Examination {
                    by: by.to_owned(),
                    question: question.clone(),
                    came_to: None,
                });
            }
            !goes_on
        })
    }

    /// What it came to, or why nothing.
    pub(crate) fn end(&self, came_to: Result<Vec<DoctorFinding>, String>) {
        self.with(|last| {
            if let Some(last) = last {
                last.came_to = Some(came_to);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_examination_goes_on_at_a_time_and_its_answer_is_kept() {
        let last = LastExamination::default();
        let question = DoctorQuestion::default();
        assert!(last.begin("ann", &question));
        assert!(!last.begin("bob", &question));
        last.end(Ok(Vec::new()));
        let kept = last.last().unwrap();
        assert_eq!((&*kept.by, kept.came_to), ("ann", Some(Ok(Vec::new()))));
        assert!(last.begin("bob", &question));
    }
}
