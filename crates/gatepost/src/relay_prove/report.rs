use std::process::ExitCode;

use engine::prove::{Finding, Meaning, Proof, Verdict, verdict};
use mail::Reply;

use crate::output::{self, say};

/// What did not go as it should, or everything, and how many there were.
pub(super) fn print(findings: &[Finding], all: bool) {
    let sees = verdict(findings) == Verdict::Closed;
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

/// Whether a finding keeps the verdict from being closed. What could not be played does not, nor does a control when another was accepted.
fn matters(finding: &Finding, sees: bool) -> bool {
    match finding.verdict {
        Verdict::Closed => false,
        Verdict::Open => true,
        Verdict::Unknown if finding.probe.meaning == Meaning::Control => !sees,
        Verdict::Unknown => !finding.is_unplayed(),
    }
}

fn row(finding: &Finding) -> Vec<String> {
    let probe = &finding.probe;
    let what = match (finding.verdict, probe.meaning) {
        (Verdict::Closed, Meaning::Control) => "accepted",
        (Verdict::Closed, Meaning::Open | Meaning::Suspect) => "refused",
        (Verdict::Open, _) => "OPEN",
        (Verdict::Unknown, _) => "?",
    };
    vec![
        what.to_owned(),
        probe.name.clone(),
        shortened(&probe.mail),
        shortened(&probe.rcpt),
        answer(finding),
    ]
}

fn answer(finding: &Finding) -> String {
    match &finding.answer {
        Ok(reply) => reply.to_string(),
        Err(lost) => lost.0.clone(),
    }
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

/// One open listener is enough, and one of which nobody can tell is not closed.
pub(super) fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let weight = |verdict: &Verdict| match verdict {
        Verdict::Closed => 0,
        Verdict::Unknown => 1,
        Verdict::Open => 2,
    };
    verdicts.max_by_key(weight).unwrap_or(Verdict::Closed)
}

/// The last line.
pub(super) fn conclude(verdict: Verdict) {
    match verdict {
        Verdict::Closed => say!("CLOSED: no stranger can relay"),
        Verdict::Open => say!("OPEN: strangers can relay"),
        Verdict::Unknown => say!("UNKNOWN: could not tell"),
    }
}

pub(super) fn exit_code(verdict: Verdict) -> ExitCode {
    ExitCode::from(match verdict {
        Verdict::Closed => 0,
        Verdict::Open => 1,
        Verdict::Unknown => 75,
    })
}

pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Closed => "closed",
        Verdict::Open => "open",
        Verdict::Unknown => "unknown",
    }
}

pub(super) fn proof_as_json(proof: &Proof) -> serde_json::Value {
    serde_json::json!({
        "listener": &*proof.listener,
        "stranger": proof.stranger.map(|address| address.to_string()),
        "verdict": word(proof.verdict),
        "probes": proof.findings.iter().map(finding_as_json).collect::<Vec<_>>(),
    })
}

pub(super) fn finding_as_json(finding: &Finding) -> serde_json::Value {
    serde_json::json!({
        "name": finding.probe.name,
        "mail": finding.probe.mail,
        "rcpt": finding.probe.rcpt,
        "control": finding.probe.meaning == Meaning::Control,
        "verdict": word(finding.verdict),
        "answer": answer(finding),
    })
}
