use std::process::ExitCode;

use daemon::api::RelayProbe;
use mail::Reply;
use relay_audit::prove::{Finding, Judgement, Meaning, judgement};

use crate::output::{self, say};

/// What did not go as it should, or everything, and how many there were.
pub(super) fn print(findings: &[Finding], all: bool) {
    let sees = judgement(findings) == Judgement::Closed;
    let told = findings.iter().filter(|f| all || matters(f, sees));
    let rows: Vec<Vec<String>> = told.map(row).collect();
    if !rows.is_empty() {
        output::table(&["", "PROBE", "MAIL FROM", "RCPT TO", "ANSWER"], &rows);
    }
    let is_control = |f: &&Finding| f.probe.meaning == Meaning::Control;
    let (controls, probes): (Vec<_>, Vec<_>) = findings.iter().partition(is_control);
    say!(
        "  {} probes, {} accepted; {} of {} controls accepted",
        probes.len(),
        accepted(&probes),
        accepted(&controls),
        controls.len()
    );
}

fn accepted(findings: &[&Finding]) -> usize {
    let accepted = |f: &&&Finding| f.answer.as_ref().is_ok_and(Reply::is_positive);
    findings.iter().filter(accepted).count()
}

/// Whether a finding keeps the judgement from being closed. What could not be played does not, nor
/// does a control when another was accepted.
fn matters(finding: &Finding, sees: bool) -> bool {
    match finding.judgement {
        Judgement::Closed => false,
        Judgement::Open => true,
        Judgement::Unknown if finding.probe.meaning == Meaning::Control => !sees,
        Judgement::Unknown => !finding.is_unplayed(),
    }
}

fn row(finding: &Finding) -> Vec<String> {
    let probe = &finding.probe;
    let what = match (finding.judgement, probe.meaning) {
        (Judgement::Closed, Meaning::Control) => "accepted",
        (Judgement::Closed, Meaning::Open | Meaning::Suspect) => "refused",
        (Judgement::Open, _) => "OPEN",
        (Judgement::Unknown, _) => "?",
    };
    vec![
        what.to_owned(),
        probe.name.clone(),
        shortened(&probe.mail),
        shortened(&probe.rcpt),
        RelayProbe::from(finding).answer,
    ]
}

/// Long enough for every address but the one that is there for its length.
const SHOWN_MAX: usize = 64;

/// One line of a table or dialogue.
pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= SHOWN_MAX {
        return text.to_owned();
    }
    let head: String = text.chars().take(SHOWN_MAX / 2).collect();
    format!("{head}... ({} octets)", text.len())
}

/// The last line.
pub fn conclude(judgement: Judgement) {
    match judgement {
        Judgement::Closed => say!("CLOSED: no stranger can relay"),
        Judgement::Open => say!("OPEN: strangers can relay"),
        Judgement::Unknown => say!("UNKNOWN: could not tell"),
    }
}

/// 0: closed, 1: open, 75: nobody can tell.
pub fn exit_code(judgement: Judgement) -> ExitCode {
    ExitCode::from(match judgement {
        Judgement::Closed => 0,
        Judgement::Open => 1,
        Judgement::Unknown => 75,
    })
}
