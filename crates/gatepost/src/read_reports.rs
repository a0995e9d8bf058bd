//! `gatepost reports`

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mail::Timestamp;
use reports::{DmarcRow, FILE_MAX, FailureRow, Found, Period, Report, Sum, TlsRow, read};
use serde_json::{Value, json};

use crate::cli::Cli;
use crate::exit::Outcome;
use crate::output;
use crate::output::say;

/// Letters of a name in the table; strangers may make one very long.
const SHOWN_MAX: usize = 60;

/// What all files say.
#[derive(Default)]
struct Reading {
    sum: Sum,
    /// Reports that are counted.
    reports: u64,
    /// Reports that had been counted before.
    repeated: u64,
    reporters: BTreeSet<String>,
    unread: Vec<Value>,
}

/// `gatepost reports`
pub fn command(cli: &Cli, files: &[PathBuf]) -> Outcome {
    let mut reading = Reading::default();
    for file in files {
        let name = file.display().to_string();
        match octets(file) {
            Ok(octets) => reading.file(&name, &octets),
            Err(error) => reading.fault(&name, "", &error.to_string()),
        }
    }
    let (dmarc, tls) = (reading.sum.dmarc(), reading.sum.tls());
    let is_whole = reading.unread.is_empty();
    if cli.json {
        output::json(&json!({
            "reports": reading.reports,
            "repeated": reading.repeated,
            "dmarc": dmarc.iter().map(of_dmarc).collect::<Vec<_>>(),
            "tls": tls.iter().map(of_tls).collect::<Vec<_>>(),
            "unread": reading.unread,
        }))?;
    } else if reading.reports > 0 {
        reading.print(&dmarc, &tls);
    }
    Ok(ExitCode::from(u8::from(!is_whole)))
}

/// What is in a file, and one octet more than may be.
fn octets(file: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let most = FILE_MAX as u64 + 1;
    if file == Path::new("-") {
        io::stdin().take(most).read_to_end(&mut octets)?;
    } else {
        File::open(file)?.take(most).read_to_end(&mut octets)?;
    }
    Ok(octets)
}

impl Reading {
    fn file(&mut self, file: &str, octets: &[u8]) {
        let name = Path::new(file).file_name();
        let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let Found { reports, unread } = read(octets, &name);
        for fault in unread {
            self.fault(file, &fault.place, &fault.why.to_string());
        }
        for report in &reports {
            let (reporter, left_out) = match report {
                Report::Dmarc(report) => (&report.reporter, report.unread),
                Report::Tls(report) => (&report.reporter, 0),
            };
            let id = mail::escaped(&reporter.id).to_string();
            let file = mail::escaped(file);
            if left_out > 0 {
                let what = "records without a count or an address are left out";
                eprintln!("warning: {file}: report {id}: {left_out} {what}");
            }
            self.reporters.insert(reporter.organization.clone());
            if self.sum.add(report) {
                self.reports += 1;
            } else {
                self.repeated += 1;
                eprintln!("warning: {file}: report {id} is counted once: it was there before");
            }
        }
    }

    /// Tells at once what cannot be read.
    fn fault(&mut self, file: &str, place: &str, why: &str) {
        let of_place = if place.is_empty() {
            String::new()
        } else {
            format!("{place}: ")
        };
        let line = format!("{file}: {of_place}{why}");
        eprintln!("error: {}", mail::escaped(&line));
        self.unread
            .push(json!({ "file": file, "place": place, "why": why }));
    }

    fn print(&self, dmarc: &[DmarcRow], tls: &[TlsRow]) {
        let (reports, reporters) = (self.reports, self.reporters.len());
        say!("{reports} reports by {reporters} organizations");
        if !dmarc.is_empty() {
            let count = |rows: &mut dyn Iterator<Item = &DmarcRow>| -> u64 {
                rows.fold(0, |sum: u64, row| sum.saturating_add(row.count))
            };
            let all = count(&mut dmarc.iter());
            let passed = count(&mut dmarc.iter().filter(|row| passes(row)));
            say!("DMARC: {all} messages, {passed} of them pass");
            say!("");
            let head = [
                "PERIOD",
                "REPORTER",
                "DOMAIN",
                "SOURCE",
                "COUNT",
                "DISPOSITION",
                "SPF",
                "DKIM",
                "OVERRIDES",
            ];
            output::table(&head, &dmarc.iter().map(cells_of_dmarc).collect::<Vec<_>>());
        }
        if !tls.is_empty() {
            if !dmarc.is_empty() {
                say!("");
            }
            let total = |count: fn(&TlsRow) -> u64| {
                let counts = tls.iter().map(count);
                counts.fold(0, u64::saturating_add)
            };
            let (good, bad) = (total(|row| row.successful), total(|row| row.failed));
            say!("TLS: {good} connections as they should be, {bad} not");
            say!("");
            let head = [
                "PERIOD",
                "REPORTER",
                "DOMAIN",
                "POLICY",
                "SUCCESSFUL",
                "FAILED",
                "FAILURES",
            ];
            output::table(&head, &tls.iter().map(cells_of_tls).collect::<Vec<_>>());
        }
    }
}

/// RFC 9989 section 5.4: one of both is enough.
fn passes(row: &DmarcRow) -> bool {
    row.dkim == Some(true) || row.spf == Some(true)
}

fn cells_of_dmarc(row: &DmarcRow) -> Vec<String> {
    vec![
        period(row.period),
        shown(&row.reporter),
        shown(&row.domain),
        row.source.to_string(),
        row.count.to_string(),
        shown(row.disposition.as_str()),
        aligned(row.spf).unwrap_or("?").to_owned(),
        aligned(row.dkim).unwrap_or("?").to_owned(),
        row.overrides.join(", "),
    ]
}

fn cells_of_tls(row: &TlsRow) -> Vec<String> {
    // One figure for each kind; the hosts are in the JSON.
    let mut kinds: Vec<(&str, u64)> = Vec::new();
    for failure in &row.failures {
        match kinds.iter_mut().find(|(kind, _)| *kind == failure.kind) {
            Some((_, count)) => *count = count.saturating_add(failure.count),
            None => kinds.push((&failure.kind, failure.count)),
        }
    }
    let kinds = kinds
        .iter()
        .map(|(kind, count)| format!("{count} {}", shown(kind)));
    vec![
        period(row.period),
        shown(&row.reporter),
        shown(&row.domain),
        shown(row.policy.as_str()),
        row.successful.to_string(),
        row.failed.to_string(),
        kinds.collect::<Vec<_>>().join(", "),
    ]
}

/// A name as it is shown: a question mark for none, the beginning of a long one.
fn shown(name: &str) -> String {
    if name.is_empty() {
        return "?".to_owned();
    }
    let end = name.char_indices().nth(SHOWN_MAX);
    match end {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    }
}

fn aligned(passed: Option<bool>) -> Option<&'static str> {
    passed.map(|passed| if passed { "pass" } else { "fail" })
}

/// The first day and the last. The last second of a day and the first of the next end the same day.
fn period(period: Period) -> String {
    if period == Period::default() {
        return "?".to_owned();
    }
    let last = period.end.saturating_sub(1).max(period.begin);
    let last = Period {
        end: last,
        ..period
    }
    .end();
    let day = |at: Timestamp| at.to_string().chars().take(10).collect::<String>();
    let (first, last) = (day(period.begin()), day(last));
    if first == last {
        first
    } else {
        format!("{first} to {last}")
    }
}

fn of_period(period: Period) -> Value {
    let moment = |seconds: u64, at: Timestamp| (seconds > 0).then(|| at.to_string());
    json!({
        "begin": moment(period.begin, period.begin()),
        "end": moment(period.end, period.end()),
    })
}

fn of_dmarc(row: &DmarcRow) -> Value {
    let said = row.disposition.as_str();
    json!({
        "period": of_period(row.period),
        "reporter": row.reporter,
        "domain": row.domain,
        "source": row.source.to_string(),
        "count": row.count,
        "disposition": (!said.is_empty()).then_some(said),
        "spf": aligned(row.spf),
        "dkim": aligned(row.dkim),
        "overrides": row.overrides,
    })
}

fn of_tls(row: &TlsRow) -> Value {
    let failure = |failure: &FailureRow| {
        json!({
            "type": failure.kind,
            "host": failure.host,
            "reason": failure.reason,
            "count": failure.count,
        })
    };
    let said = row.policy.as_str();
    json!({
        "period": of_period(row.period),
        "reporter": row.reporter,
        "domain": row.domain,
        "policy": (!said.is_empty()).then_some(said),
        "successful": row.successful,
        "failed": row.failed,
        "failures": row.failures.iter().map(failure).collect::<Vec<_>>(),
    })
}
