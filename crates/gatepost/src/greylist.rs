use std::net::IpAddr;
use std::process::ExitCode;

use daemon::api::{
    GreylistAnswer, GreylistCleared, GreylistQuestion, GreylistRow, GreylistSubject,
    ReputationAnswer,
};
use mail::Domain;
use relay_policy::{Approach, Greylisted};

use crate::cli::{Cli, GreylistVerb};
use crate::exit::Outcome;
use crate::output::say;
use crate::{output, status};

/// `gatepost greylist ...`
pub fn run(cli: &Cli, verb: &GreylistVerb) -> Outcome {
    match verb {
        GreylistVerb::List { kind, limit } => list(cli, kind.map(|kind| kind.word()), *limit),
        GreylistVerb::Clear { kind, name } => clear(cli, kind.word(), name),
    }
}

fn clear(cli: &Cli, kind: &str, name: &str) -> Outcome {
    let wanted = GreylistSubject {
        kind: kind.to_owned(),
        name: name.to_owned(),
    };
    let cleared: GreylistCleared = status::remote(cli).post("/v1/greylist/clear", &wanted)?;
    if cli.json {
        return output::json(&cleared);
    }
    say!(
        "{} {}: forgotten",
        cleared.kind,
        mail::escaped(&cleared.name)
    );
    Ok(ExitCode::SUCCESS)
}

fn list(cli: &Cli, kind: Option<&str>, limit: usize) -> Outcome {
    let kind = kind.map_or_else(String::new, |kind| format!("&kind={kind}"));
    let path = format!("/v1/greylist?limit={limit}{kind}");
    let rows: Vec<GreylistRow> = status::remote(cli).get(&path)?;
    if cli.json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        say!("nothing is remembered of strangers");
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let heads = [
        "WHAT",
        "WHO",
        "SENDER",
        "RECIPIENT",
        "SEEN",
        "TAKEN",
        "SCORE",
    ];
    output::table(&heads, &cells);
    Ok(ExitCode::SUCCESS)
}

fn cells(row: &GreylistRow) -> Vec<String> {
    let is_triplet = row.recipient.is_some();
    let figure = |figure: String| if is_triplet { String::new() } else { figure };
    vec![
        row.kind.clone(),
        row.name.clone(),
        match &row.sender {
            Some(sender) if sender.is_empty() => "<>".to_owned(),
            Some(sender) => sender.clone(),
            None => String::new(),
        },
        row.recipient.clone().unwrap_or_default(),
        row.seen.clone(),
        figure(row.taken.to_string()),
        figure(row.score.to_string()),
    ]
}

/// What the running relay would make of this; `None` where none runs.
pub fn look(cli: &Cli, approach: &Approach) -> Option<Greylisted> {
    let question = GreylistQuestion {
        client: approach.client.to_string(),
        sender: approach.sender.as_str().to_owned(),
        recipient: approach.recipient.as_str().to_owned(),
    };
    let answer = status::remote(cli).post("/v1/greylist/check", &question);
    answer.ok().and_then(GreylistAnswer::greylisted)
}

/// What these are worth to the running relay; nothing where none runs.
pub fn reputation(cli: &Cli, client: IpAddr, domain: Option<&Domain>) -> ReputationAnswer {
    let domain = domain.map_or_else(String::new, |domain| format!("&domain={domain}"));
    let path = format!("/v1/reputation?client={client}{domain}");
    let unknown = ReputationAnswer {
        client: 0,
        domain: 0,
    };
    status::remote(cli).get(&path).unwrap_or(unknown)
}
