use std::process::ExitCode;

use daemon::api::SessionRow;

use crate::cli::{Cli, SessionVerb};
use crate::exit::Outcome;
use crate::output::say;
use crate::{output, status};

/// `gatepost session ...`
pub fn run(cli: &Cli, verb: &SessionVerb) -> Outcome {
    match verb {
        SessionVerb::List => list(cli),
        SessionVerb::Kill { id } => kill(cli, id),
    }
}

fn list(cli: &Cli) -> Outcome {
    let sessions: Vec<SessionRow> = status::remote(cli).get("/v1/sessions")?;
    if cli.json {
        return output::json(&sessions);
    }
    if sessions.is_empty() {
        say!("nobody is connected");
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = sessions.iter().map(cells).collect();
    output::table(
        &[
            "ID",
            "LISTENER OR SITE",
            "PEER",
            "USER",
            "SINCE",
            "RECEIVED",
            "SENT",
            "STATE",
        ],
        &cells,
    );
    Ok(ExitCode::SUCCESS)
}

fn cells(row: &SessionRow) -> Vec<String> {
    let message = row.message.as_ref();
    let message = message.map(|id| format!(" {id}")).unwrap_or_default();
    vec![
        row.id.clone(),
        row.way.clone(),
        row.peer.clone(),
        row.user.clone().unwrap_or_default(),
        row.since.clone(),
        row.received.to_string(),
        row.sent.to_string(),
        format!("{}{message}", row.state),
    ]
}

fn kill(cli: &Cli, id: &str) -> Outcome {
    let path = format!("/v1/sessions/{}/kill", output::percent_encoded(id));
    let row: SessionRow = status::remote(cli).post(&path, &serde_json::json!({}))?;
    if cli.json {
        return output::json(&row);
    }
    say!("ended {} {} {}", row.id, row.way, mail::escaped(&row.peer));
    Ok(ExitCode::SUCCESS)
}
