use crate::evaluation::{Ended, Evaluation};
use crate::stop::Stop;
use crate::{Answers, Facts, Outcome, Question, SpfResult, Why};

/// How far a check has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Find these out (side by side), add them to the answers, and check again.
    Ask(Vec<Question>),
    /// It is done.
    Done(Outcome),
}

/// Whether the client may send for the sender's domain, as far as `answers` show it (RFC 7208).
///
/// Pure: call it with no answers first, and again with the answers to all that it asked for. It asks
/// for at most 123 things in at most 24 rounds, whatever the answers are.
pub fn check(facts: &Facts<'_>, answers: &Answers) -> Step {
    let facts = &Facts {
        client: facts.client.to_canonical(),
        ..*facts
    };
    let mut outcome = Outcome {
        result: SpfResult::None,
        identity: facts.identity(),
        domain: None,
        why: Why::NoDomain,
        explanation: None,
    };
    let Some(sender) = facts.sender() else {
        return Step::Done(outcome);
    };
    outcome.domain = Some(sender.domain.clone());
    match Evaluation::new(facts, &sender, answers).run() {
        Ok(Ended {
            result,
            why,
            explanation,
        }) => Step::Done(Outcome {
            result,
            why,
            explanation,
            ..outcome
        }),
        Err(Stop::Ask(questions)) => Step::Ask(questions),
        Err(Stop::Error(why)) => {
            outcome.result = match why {
                Why::Dns { .. } => SpfResult::TempError,
                _ => SpfResult::PermError,
            };
            Step::Done(Outcome { why, ..outcome })
        }
    }
}
