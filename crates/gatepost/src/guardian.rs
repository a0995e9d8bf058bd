use std::process::ExitCode;

use daemon::api::{GuardianCleared, GuardianRow, GuardianSubject};

use crate::cli::{Cli, GuardianKind, GuardianVerb};
use crate::exit::Outcome;
use crate::output::say;
use crate::{output, status};

/// `gatepost guardian ...`
pub fn run(cli: &Cli, verb: &GuardianVerb) -> Outcome {
    match verb {
        GuardianVerb::List { limit } => list(cli, *limit),
        GuardianVerb::Clear { kind, name } => clear(cli, *kind, name),
    }
}

fn clear(cli: &Cli, kind: GuardianKind, name: &str) -> Outcome {
    let wanted = GuardianSubject {
        kind: kind.word().to_owned(),
        name: name.to_owned(),
    };
    let cleared: GuardianCleared = status::remote(cli).post("/v1/guardian/clear", &wanted)?;
    if cli.json {
        return output::json(&cleared);
    }
    say!(
        "{} {}: counted anew",
        cleared.kind,
        mail::escaped(&cleared.name)
    );
    Ok(ExitCode::SUCCESS)
}

fn list(cli: &Cli, limit: usize) -> Outcome {
    let path = format!("/v1/guardian?limit={limit}");
    let rows: Vec<GuardianRow> = status::remote(cli).get(&path)?;
    if cli.json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        say!("nobody has sent anything to other domains");
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    output::table(
        &[
            "WHO",
            "RECIPIENTS IN THE HOUR",
            "IN A DAY",
            "USUAL",
            "NEW",
            "MESSAGES",
            "FAILURES",
            "TOO MUCH SINCE",
        ],
        &cells,
    );
    for why in rows.iter().filter_map(|row| row.why.as_ref()) {
        say!("{}", mail::escaped(why));
    }
    Ok(ExitCode::SUCCESS)
}

fn cells(row: &GuardianRow) -> Vec<String> {
    vec![
        format!("{} {}", row.kind, row.name),
        row.hour.recipients.to_string(),
        row.day.recipients.to_string(),
        row.usual.map(|usual| usual.to_string()).unwrap_or_default(),
        row.day.new_recipients.to_string(),
        row.day.messages.to_string(),
        row.day.failures.to_string(),
        row.over_since.clone().unwrap_or_default(),
    ]
}
