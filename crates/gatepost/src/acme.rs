use std::process::ExitCode;

use daemon::api::{AcmeRenew, AcmeRenewing, AcmeRow};

use crate::cli::{AcmeVerb, Cli};
use crate::exit::Outcome;
use crate::output::say;
use crate::{output, status};

/// `gatepost acme ...`
pub fn run(cli: &Cli, verb: &AcmeVerb) -> Outcome {
    match verb {
        AcmeVerb::Status => show(cli, &rows(cli)?),
        AcmeVerb::Renew { name } => renew(cli, name.as_deref()),
    }
}

fn rows(cli: &Cli) -> Result<Vec<AcmeRow>, daemon::RemoteError> {
    status::remote(cli).get("/v1/acme")
}

/// The relay orders one after the other, each within limits of time of its own.
fn renew(cli: &Cli, name: Option<&str>) -> Outcome {
    let before = rows(cli)?;
    let wanted = AcmeRenew {
        name: name.map(str::to_owned),
    };
    let renewing: AcmeRenewing = status::remote(cli).post("/v1/acme/renew", &wanted)?;
    let tries = |rows: &[AcmeRow], name: &str| {
        let row = rows.iter().find(|row| row.name == *name);
        row.map(|row| row.tries)
    };
    loop {
        let mut now: Vec<AcmeRow> = status::remote(cli).get("/v1/acme?wait=60")?;
        let is_over = |name: &String| match tries(&now, name) {
            // A reload has taken it out.
            None => true,
            Some(tries_now) => tries(&before, name).is_none_or(|tries| tries_now != tries),
        };
        if renewing.names.iter().all(is_over) {
            now.retain(|row| renewing.names.contains(&row.name));
            show(cli, &now)?;
            let has_failed = now.iter().any(|row| row.trouble.is_some());
            return Ok(ExitCode::from(u8::from(has_failed)));
        }
    }
}

fn show(cli: &Cli, rows: &[AcmeRow]) -> Outcome {
    if cli.json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        say!("no certificate is got by ACME: there is no [tls.acme]");
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let heads = ["NAME", "STATE", "ENDS", "RENEWED", "TLSA", "FAILED"];
    output::table(&heads, &cells);
    for row in rows {
        for what in row.trouble.iter().chain(&row.complaint) {
            say!("{}: {}", row.name, mail::escaped(what));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn cells(row: &AcmeRow) -> Vec<String> {
    vec![
        row.name.clone(),
        row.state.clone(),
        row.ends.clone().unwrap_or_default(),
        row.renewed.clone().unwrap_or_default(),
        row.tlsa.clone().unwrap_or_default(),
        row.failures.to_string(),
    ]
}
