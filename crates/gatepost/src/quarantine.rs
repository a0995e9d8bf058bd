mod lessons;

use std::process::ExitCode;

use daemon::Remote;
use daemon::api::{
    HeldRow, OperationRow, QuarantineChange, QuarantineCount, QuarantineDigest, QuarantineReleased,
    QuarantineReport, TaughtAs, Verb,
};

use self::lessons::Lessons;

use crate::cli::{Cli, QuarantineVerb};
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{held_message, machine, output, queue_commands, status};

/// `gatepost quarantine ...`
pub fn run(cli: &Cli, verb: &QuarantineVerb) -> Outcome {
    let remote = status::remote(cli);
    match verb {
        QuarantineVerb::List { selection, limit } => list(cli, &remote, &selection.text(), *limit),
        QuarantineVerb::Show { id } => held_message::show(cli, &remote, "quarantine", id),
        QuarantineVerb::Report(selection) => report(cli, &remote, &selection.text()),
        QuarantineVerb::Digest => digest(cli, &remote),
        QuarantineVerb::Release {
            change,
            to,
            without_attachments,
            learn,
        } => {
            let filter = change.selection.text();
            let mut filters: Vec<String> =
                to.iter().map(|to| format!("{filter} to:{to}")).collect();
            if filters.is_empty() {
                filters.push(filter);
            }
            let lessons = taught(cli, &remote, &filters, learn.then_some(TaughtAs::Ham))?;
            if *without_attachments {
                release_without_attachments(cli, &remote, &filters)?;
            } else {
                let waits = !change.no_wait;
                carry_out(cli, &remote, Verb::Release, &filters, None, waits)?;
            }
            lessons.map_or(Ok(ExitCode::SUCCESS), |lessons| lessons.outcome())
        }
        QuarantineVerb::Delete {
            selection: one,
            learn,
        } => {
            let filters = [one.change.selection.text()];
            if !one.yes {
                let held = format!("{} state:quarantined", filters[0]);
                queue_commands::confirm(&remote, Verb::Delete, &held)?;
            }
            let lessons = taught(cli, &remote, &filters, learn.then_some(TaughtAs::Spam))?;
            let (reason, waits) = (one.reason.as_deref(), !one.change.no_wait);
            carry_out(cli, &remote, Verb::Delete, &filters, reason, waits)?;
            lessons.map_or(Ok(ExitCode::SUCCESS), |lessons| lessons.outcome())
        }
        QuarantineVerb::LearnSpam(selection) => {
            lessons::learn(cli, &remote, selection.text(), TaughtAs::Spam)
        }
        QuarantineVerb::LearnHam(selection) => {
            lessons::learn(cli, &remote, selection.text(), TaughtAs::Ham)
        }
    }
}

/// What scanners learned of messages before these go, where they are to.
fn taught(
    cli: &Cli,
    remote: &Remote,
    filters: &[String],
    lesson: Option<TaughtAs>,
) -> Result<Option<Lessons>, Failure> {
    let lessons = lesson.map(|lesson| Lessons::give(remote, filters, lesson));
    let lessons = lessons.transpose()?;
    if let Some(lessons) = lessons.as_ref().filter(|_| !cli.json) {
        lessons.say();
    }
    Ok(lessons)
}

fn digest(cli: &Cli, remote: &Remote) -> Outcome {
    let told: QuarantineDigest = remote.post("/v1/quarantine/digest", &())?;
    if cli.json {
        return output::json(&told);
    }
    match &told.to[..] {
        [] => say!("nothing was held since the last digest"),
        readers => readers.iter().for_each(|reader| say!("told {reader}")),
    }
    Ok(ExitCode::SUCCESS)
}

/// One operation for each filter.
fn carry_out(
    cli: &Cli,
    remote: &Remote,
    verb: Verb,
    filters: &[String],
    reason: Option<&str>,
    waits: bool,
) -> Outcome {
    let mut rows: Vec<OperationRow> = Vec::new();
    for filter in filters {
        let change = QuarantineChange {
            filter: filter.clone(),
            by: machine::caller(),
            reason: reason.map(str::to_owned),
        };
        let path = format!("/v1/quarantine/{verb}");
        rows.push(queue_commands::carry_out(remote, &path, &change, waits)?);
    }
    if cli.json {
        return output::json(&rows);
    }
    if !waits {
        for row in &rows {
            say!("{verb}: operation {}", row.number);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let changed: u64 = rows.iter().map(|row| row.changed).sum();
    say!("{verb}: {changed} recipients");
    if rows.iter().any(|row| row.state == "stopped") {
        let why = "it was stopped before it was through".to_owned();
        return Err(Failure::No(why));
    }
    Ok(ExitCode::SUCCESS)
}

/// Each message by itself: what cannot be done for one is told, and done for the others.
fn release_without_attachments(cli: &Cli, remote: &Remote, filters: &[String]) -> Outcome {
    let (mut released, mut failed) = (Vec::new(), 0);
    for filter in filters {
        let page = |after: Option<&HeldRow>, wanted| quarantined(remote, filter, after, wanted);
        let (mut rows, _) = output::pages(usize::MAX, page, |row| &row.id)?;
        rows.dedup_by(|one, next| one.id == next.id);
        for row in rows {
            let change = QuarantineChange {
                filter: filter.clone(),
                by: machine::caller(),
                reason: None,
            };
            let path = format!("/v1/quarantine/{}/release-without-attachments", row.id);
            match remote.post::<QuarantineReleased>(&path, &change) {
                Ok(one) => released.push(one),
                Err(why) => {
                    eprintln!("{why}");
                    failed += 1;
                }
            }
        }
    }
    if cli.json {
        output::json(&released)?;
    } else {
        for one in &released {
            let (recipients, removed) = (one.recipients.len(), one.removed.join(", "));
            say!(
                "{}: released as {} for {recipients} recipients, without {removed}",
                one.id,
                one.released_as
            );
        }
        say!("release: {} messages without attachments", released.len());
    }
    match failed {
        0 => Ok(ExitCode::SUCCESS),
        _ => Err(Failure::No(format!("{failed} messages stay as they are"))),
    }
}

fn list(cli: &Cli, remote: &Remote, filter: &str, limit: usize) -> Outcome {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let page = |after: Option<&HeldRow>, wanted| quarantined(remote, filter, after, wanted);
    let (rows, has_more) = output::pages(limit, page, |row| &row.id)?;
    if has_more {
        eprintln!("the first {limit} messages; --limit 0 lists all, `quarantine report` counts");
    }
    if cli.json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        say!("nothing in quarantine matches");
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let head = [
        "ID", "AGE", "SIZE", "RULE", "FROM", "TO", "SUBJECT", "REASON",
    ];
    output::table(&head, &cells);
    Ok(ExitCode::SUCCESS)
}

fn quarantined(
    remote: &Remote,
    filter: &str,
    after: Option<&HeldRow>,
    wanted: usize,
) -> Result<Vec<HeldRow>, Failure> {
    let filter = output::percent_encoded(filter);
    let mut path = format!("/v1/quarantine?filter={filter}&limit={wanted}");
    if let Some(last) = after {
        path += &format!("&after={}", last.id);
    }
    Ok(remote.get(&path)?)
}

fn cells(row: &HeldRow) -> Vec<String> {
    vec![
        row.id.clone(),
        age(row.age_seconds),
        row.size.to_string(),
        row.rule.clone().unwrap_or_default(),
        format!("<{}>", row.from),
        row.to.clone(),
        row.subject.clone(),
        row.reason.clone(),
    ]
}

/// In the largest unit that there is one of.
fn age(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(span, _)| seconds >= *span);
    let (span, unit) = unit.unwrap_or((1, "s"));
    format!("{}{unit}", seconds / span)
}

fn report(cli: &Cli, remote: &Remote, filter: &str) -> Outcome {
    let filter = output::percent_encoded(filter);
    let report: QuarantineReport = remote.get(&format!("/v1/quarantine/report?filter={filter}"))?;
    if cli.json {
        return output::json(&report);
    }
    let (messages, recipients, size) = (report.messages, report.recipients, report.size);
    say!("{messages} messages for {recipients} recipients, {size} octets");
    for (what, counts) in [
        ("RULE", &report.rules),
        ("SENDER DOMAIN", &report.sender_domains),
        ("RECIPIENT", &report.by_recipient),
    ] {
        if !counts.is_empty() {
            say!("");
            let cells = |one: &QuarantineCount| vec![one.count.to_string(), one.name.clone()];
            let cells: Vec<Vec<String>> = counts.iter().map(cells).collect();
            output::table(&["COUNT", what], &cells);
        }
    }
    Ok(ExitCode::SUCCESS)
}
