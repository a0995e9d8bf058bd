//! Acts on what screening holds.

use daemon::api::{
    HeldRow, LearnedResult, OperationRow, QuarantineChange, QuarantineLearned, QuarantineLesson,
    QuarantineReleased, QuarantineReport, TaughtAs,
};

use super::{Done, Plan, REASON, written};
use crate::cx::{Cx, Fields, address};
use crate::trouble::Trouble;
use crate::words;

/// Recipients that are shown before an act.
const SAMPLE: &str = "8";

/// All that match go on, or are deleted.
pub(super) async fn plan(cx: &Cx, word: &str) -> Result<Plan, Trouble> {
    let filter = cx.query.get("filter");
    let path = address("/v1/quarantine/report", &[("filter", filter)]);
    let report: QuarantineReport = cx.api.get(&path).await?;
    let path = address("/v1/quarantine", &[("filter", filter), ("limit", SAMPLE)]);
    let rows: Vec<HeldRow> = cx.api.get(&path).await?;
    let sample: Vec<String> = rows.iter().map(sampled).collect();
    let (verb, name, says) = match word {
        "let-go" => (
            "Release",
            "release",
            "They go on to where they would have gone, past the rules.",
        ),
        _ => ("Delete", "delete", "Nobody is told. This cannot be undone."),
    };
    let title = format!(
        "{verb} {} from quarantine",
        words::many(report.recipients, "recipient")
    );
    Ok(Plan {
        pinned: Vec::new(),
        button: title.clone(),
        title,
        says: says.to_owned(),
        more: report.recipients.saturating_sub(sample.len() as u64),
        sample,
        asks: vec![REASON],
        is_final: word != "let-go",
        command: words::command(&format!("quarantine {name}"), filter),
        nothing: (report.recipients == 0)
            .then(|| "Screening holds nothing that matches.".to_owned()),
    })
}

fn sampled(row: &HeldRow) -> String {
    let from = if row.from.is_empty() { "<>" } else { &row.from };
    format!("{from} to {}: {} ({})", row.to, row.subject, row.reason)
}

pub(super) async fn carry_out(cx: &Cx, word: &str, form: &Fields) -> Result<Done, Trouble> {
    let path = match word {
        "let-go" => "/v1/quarantine/release",
        _ => "/v1/quarantine/delete",
    };
    let begun: OperationRow = cx.api.post(path, &change(cx, form)).await?;
    Ok(Done::At(format!("/operations/{}", begun.number)))
}

fn change(cx: &Cx, form: &Fields) -> QuarantineChange {
    QuarantineChange {
        filter: form.get("filter").to_owned(),
        by: cx.visitor.name.clone(),
        reason: written(form, "reason"),
    }
}

/// One goes on as a new message, with a text in the place of each attachment.
pub(super) fn plan_strip(cx: &Cx) -> Plan {
    let id = cx.query.get("id");
    Plan {
        title: "Release without attachments".to_owned(),
        says: "It goes on to all of its held recipients as a new message, with a text in the place of each attachment. Signatures over it break.".to_owned(),
        asks: vec![REASON],
        button: "Release without attachments".to_owned(),
        command: words::command("quarantine release --without-attachments", &format!("id:{id}")),
        ..Plan::default()
    }
}

pub(super) async fn strip(cx: &Cx, form: &Fields) -> Result<Done, Trouble> {
    let id = words::encoded(form.get("id"));
    let path = format!("/v1/quarantine/{id}/release-without-attachments");
    let released: QuarantineReleased = cx.api.post(&path, &change(cx, form)).await?;
    let to = released.recipients.join(", ");
    let first = format!("It goes on to {to} as {}.", released.released_as);
    let removed = released
        .removed
        .iter()
        .map(|one| format!("Not in it any longer: {one}"));
    let lines = std::iter::once(first).chain(removed).collect();
    Ok(Done::Told(
        "Released without attachments".to_owned(),
        lines,
        "/quarantine",
    ))
}

/// Scanners are told what a message is.
pub(super) fn plan_learn(cx: &Cx, word: &str) -> Plan {
    let what = match word {
        "learn-spam" => "spam",
        _ => "no spam (ham)",
    };
    Plan {
        title: format!("Teach scanners that this is {what}"),
        says: "Each scanner that can learn is given the message. It stays where it is.".to_owned(),
        button: format!("Teach that it is {what}"),
        command: words::command(
            &format!("quarantine {word}"),
            &format!("id:{}", cx.query.get("id")),
        ),
        ..Plan::default()
    }
}

pub(super) async fn learn(cx: &Cx, word: &str, form: &Fields) -> Result<Done, Trouble> {
    let id = words::encoded(form.get("id"));
    let lesson = QuarantineLesson {
        lesson: match word {
            "learn-spam" => TaughtAs::Spam,
            _ => TaughtAs::Ham,
        },
        by: cx.visitor.name.clone(),
    };
    let path = format!("/v1/quarantine/{id}/learn");
    let learned: QuarantineLearned = cx.api.post(&path, &lesson).await?;
    let lines = learned.answers.iter().map(|one| {
        let what = match one.result {
            LearnedResult::Learned => "learned",
            LearnedResult::NotNeeded => "need not learn it",
            LearnedResult::Failed => "did not learn",
        };
        let why = one
            .why
            .as_deref()
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        format!("{} at {}: {what}{why}", one.scanner, one.address)
    });
    let mut lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        lines.push("No scanner is configured that can learn.".to_owned());
    }
    Ok(Done::Told(
        "What the scanners say".to_owned(),
        lines,
        "/quarantine",
    ))
}
