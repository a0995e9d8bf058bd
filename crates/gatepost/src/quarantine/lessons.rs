use std::process::ExitCode;

use daemon::Remote;
use daemon::api::{
    HeldRow, LearnedResult, LearnedRow, QuarantineLearned, QuarantineLesson, TaughtAs,
};

use super::quarantined;
use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{machine, output};

/// What scanners made of messages.
pub(super) struct Lessons {
    told: Vec<QuarantineLearned>,
    /// Messages that one of them did not take.
    failed: usize,
}

impl Lessons {
    /// Has scanners learn each message that one of the filters names: what one does not take is told,
    /// and the others are taught.
    pub(super) fn give(
        remote: &Remote,
        filters: &[String],
        lesson: TaughtAs,
    ) -> Result<Self, Failure> {
        let mut ids: Vec<String> = Vec::new();
        for filter in filters {
            let page = |after: Option<&HeldRow>, wanted| quarantined(remote, filter, after, wanted);
            let (rows, _) = output::pages(usize::MAX, page, |row| &row.id)?;
            ids.extend(rows.into_iter().map(|row| row.id));
        }
        ids.sort();
        ids.dedup();
        let (mut told, mut failed) = (Vec::new(), 0);
        for id in ids {
            let by = machine::caller();
            let path = format!("/v1/quarantine/{id}/learn");
            match remote.post::<QuarantineLearned>(&path, &QuarantineLesson { lesson, by }) {
                Ok(learned) => {
                    let is_failure = |row: &LearnedRow| row.result == LearnedResult::Failed;
                    failed += usize::from(learned.answers.iter().any(is_failure));
                    told.push(learned);
                }
                Err(why) => {
                    eprintln!("{why}");
                    failed += 1;
                }
            }
        }
        Ok(Self { told, failed })
    }

    /// A line for each answer.
    pub(super) fn say(&self) {
        for learned in &self.told {
            for row in &learned.answers {
                say!("{}: {}", learned.id, line(row));
            }
        }
    }

    /// Whether all were taken.
    pub(super) fn outcome(&self) -> Outcome {
        match self.failed {
            0 => Ok(ExitCode::SUCCESS),
            _ => Err(Failure::No(format!(
                "{} messages were not learned",
                self.failed
            ))),
        }
    }
}

/// `gatepost quarantine learn-spam` and `learn-ham`.
pub(super) fn learn(cli: &Cli, remote: &Remote, filter: String, lesson: TaughtAs) -> Outcome {
    let lessons = Lessons::give(remote, &[filter], lesson)?;
    if cli.json {
        output::json(&lessons.told)?;
    } else {
        lessons.say();
        say!("{} messages were shown to scanners", lessons.told.len());
    }
    lessons.outcome()
}

fn line(row: &LearnedRow) -> String {
    let what = if row.fuzzy { "its fuzzy list" } else { "it" };
    let did = match row.result {
        LearnedResult::Learned => format!("{what} learned"),
        LearnedResult::NotNeeded => format!("{what} did not have to learn"),
        LearnedResult::Failed => format!("{what} did not learn"),
    };
    let why = row
        .why
        .as_deref()
        .map_or(String::new(), |why| format!(": {why}"));
    format!("{} at {}: {did}{why}", row.scanner, row.address)
}
