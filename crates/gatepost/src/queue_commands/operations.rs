//! What becomes of a verb: it is begun, looked at, and stopped.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use daemon::Remote;
use daemon::api::{OperationRow, QueueChange, Verb};
use serde::Serialize;

use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::output::say;

/// How long the relay may wait with its answer for the end of an operation: so often progress is
/// shown.
const PROGRESS_SECONDS: u64 = 1;

/// Begins an operation and waits for its end, unless that is not wanted. Whoever goes away meanwhile
/// changes nothing.
pub(super) fn begin(
    cli: &Cli,
    remote: &Remote,
    verb: Verb,
    change: &QueueChange,
    waits: bool,
) -> Outcome {
    let ended = carry_out(remote, &format!("/v1/queue/{verb}"), change, waits)?;
    if cli.json {
        return output::json(&ended);
    }
    if !waits {
        say!("{verb}: operation {}", ended.number);
        return Ok(ExitCode::SUCCESS);
    }
    say!("{verb}: {} recipients", ended.changed);
    if ended.state == "stopped" {
        return Err(Failure::No(
            "it was stopped before it was through".to_owned(),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Begins an operation by what is posted, and gives it as it ended, or as it was begun where nobody
/// waits.
pub fn carry_out(
    remote: &Remote,
    path: &str,
    change: &impl Serialize,
    waits: bool,
) -> Result<OperationRow, Failure> {
    let begun = remote.post(path, change)?;
    match waits {
        true => wait(remote, begun),
        false => Ok(begun),
    }
}

fn wait(remote: &Remote, mut row: OperationRow) -> Result<OperationRow, Failure> {
    let path = format!(
        "/v1/queue/operations/{}?wait={PROGRESS_SECONDS}",
        row.number
    );
    let shows = std::io::stderr().is_terminal();
    let mut shown = false;
    while !row.is_over() {
        row = remote.get(&path)?;
        if shows && !row.is_over() {
            shown = true;
            let (number, state) = (row.number, &row.state);
            let (changed, looked_at) = (row.changed, row.looked_at);
            eprint!("\roperation {number} is {state}: {changed} recipients, {looked_at} looked at");
        }
    }
    if shown {
        eprintln!();
    }
    Ok(row)
}

pub(super) fn list(cli: &Cli, remote: &Remote) -> Outcome {
    let rows: Vec<OperationRow> = remote.get("/v1/queue/operations")?;
    if cli.json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        say!("nobody has changed the queue of late");
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let head = [
        "NUMBER",
        "STATE",
        "VERB",
        "CHANGED",
        "LOOKED AT",
        "BEGUN",
        "ENDED",
        "BY",
        "FILTER",
    ];
    output::table(&head, &cells);
    Ok(ExitCode::SUCCESS)
}

fn cells(row: &OperationRow) -> Vec<String> {
    vec![
        row.number.to_string(),
        row.state.clone(),
        row.verb.clone(),
        row.changed.to_string(),
        row.looked_at.to_string(),
        row.begun.clone(),
        row.ended.clone().unwrap_or_default(),
        row.by.clone(),
        match (&*row.verb, &row.route) {
            (_, Some(route)) => format!("{} {route}", row.filter),
            ("reroute", None) => format!("{} --back", row.filter),
            (_, None) => row.filter.clone(),
        },
    ]
}

pub(super) fn stop(cli: &Cli, remote: &Remote, number: u64) -> Outcome {
    let path = format!("/v1/queue/operations/{number}/stop");
    let stopped: OperationRow = remote.post(&path, &())?;
    if cli.json {
        return output::json(&stopped);
    }
    say!(
        "stopped; {}: {} recipients so far",
        stopped.verb,
        stopped.changed
    );
    Ok(ExitCode::SUCCESS)
}
