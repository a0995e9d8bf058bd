mod operations;

pub use self::operations::carry_out;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use daemon::Remote;
use daemon::api::{Counted, PauseChange, PauseRow, QueueRow, ResumeChange, Resumed, SiteRow, Verb};

use crate::cli::{Cli, OperationVerb, QueueVerb};
use crate::exit::{Failure, Outcome};
use crate::output::say;
use crate::{held_message, machine, output, status};

/// Rows shown before a destructive verb asks.
const SAMPLE_ROWS: usize = 5;

/// `gatepost queue ...`
pub fn run(cli: &Cli, verb: &QueueVerb) -> Outcome {
    let remote = status::remote(cli);
    match verb {
        QueueVerb::List { selection, limit } => list(cli, &remote, &selection.text(), *limit),
        QueueVerb::Count(selection) => count(cli, &remote, &selection.text()),
        QueueVerb::Show { id } => show(cli, &remote, id),
        QueueVerb::View { id } => held_message::show(cli, &remote, "badmail", id),
        QueueVerb::Shape => shape(cli, &remote),
        QueueVerb::Pause {
            site,
            reason,
            lasting,
        } => {
            let change = PauseChange {
                site: site.clone(),
                by: machine::caller(),
                reason: reason.clone(),
                lasting: lasting.clone(),
            };
            pause(cli, &remote, &change)
        }
        QueueVerb::Resume { site } => resume(cli, &remote, site.clone()),
        QueueVerb::Operations { verb: None } => operations::list(cli, &remote),
        QueueVerb::Operations {
            verb: Some(OperationVerb::Stop { number }),
        } => operations::stop(cli, &remote, *number),
        QueueVerb::Change(verb) => {
            let (change, waits) = verb.change(machine::caller());
            if verb.asks() {
                confirm(&remote, verb.verb(), &change.filter)?;
            }
            operations::begin(cli, &remote, verb.verb(), &change, waits)
        }
    }
}

/// The rows of the first messages that match, page after page, and whether there are more.
fn rows(remote: &Remote, filter: &str, limit: usize) -> Result<(Vec<QueueRow>, bool), Failure> {
    let filter = output::percent_encoded(filter);
    let page = |after: Option<&QueueRow>, wanted: usize| {
        let mut path = format!("/v1/queue?filter={filter}&limit={wanted}");
        if let Some(last) = after {
            path += &format!("&after={}", last.id);
        }
        Ok(remote.get(&path)?)
    };
    output::pages(limit, page, |row| &row.id)
}

fn counted(remote: &Remote, filter: &str) -> Result<Counted, Failure> {
    let path = format!("/v1/queue/count?filter={}", output::percent_encoded(filter));
    Ok(remote.get(&path)?)
}

fn count(cli: &Cli, remote: &Remote, filter: &str) -> Outcome {
    let counted = counted(remote, filter)?;
    if cli.json {
        return output::json(&counted);
    }
    let unscreened = match counted.unscreened {
        0 => String::new(),
        some => format!(", {some} of them yet to be screened"),
    };
    say!(
        "{} messages: {} recipients wait, {} are held{unscreened}",
        counted.messages,
        counted.waiting,
        counted.held
    );
    Ok(ExitCode::SUCCESS)
}

fn list(cli: &Cli, remote: &Remote, filter: &str, limit: usize) -> Outcome {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let (rows, has_more) = rows(remote, filter, limit)?;
    if has_more {
        eprintln!("the first {limit} messages; --limit 0 lists all, `gatepost queue count` counts");
    }
    if cli.json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        say!("nothing in the queue matches");
        return Ok(ExitCode::SUCCESS);
    }
    print_rows(&rows);
    Ok(ExitCode::SUCCESS)
}

fn print_rows(rows: &[QueueRow]) {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.id.clone(),
                row.state.clone(),
                row.tries.to_string(),
                row.due.clone(),
                format!("<{}>", row.from),
                row.to.clone(),
                row.site.clone(),
                row.last_reply.clone().unwrap_or_default(),
            ]
        })
        .collect();
    output::table(
        &[
            "ID",
            "STATE",
            "TRIES",
            "DUE",
            "FROM",
            "TO",
            "SITE",
            "LAST REPLY",
        ],
        &cells,
    );
}

fn show(cli: &Cli, remote: &Remote, id: &str) -> Outcome {
    let (rows, _) = rows(remote, &format!("id:{id}"), 1)?;
    if cli.json {
        return output::json(&rows);
    }
    let Some(first) = rows.first() else {
        return Err(Failure::No(format!(
            "there is no message {id} in the queue"
        )));
    };
    say!("id        {}", first.id);
    say!("from      <{}>", mail::escaped(&first.from));
    say!("client    {}", first.client);
    if let Some(user) = &first.user {
        say!("user      {}", mail::escaped(user));
    }
    say!("arrived   {}", first.arrived);
    say!("size      {} octets", first.size);
    for row in &rows {
        say!("");
        say!("to        {} ({})", mail::escaped(&row.to), row.grounds);
        say!(
            "state     {}, {} tries, due {}",
            row.state,
            row.tries,
            row.due
        );
        let led = if row.rerouted { "rerouted; " } else { "" };
        say!("next hop  {} ({led}{})", row.site, row.place);
        if let Some(why) = &row.waits_for {
            say!("waits     {}", mail::escaped(why));
        }
        if let Some(last) = &row.last_reply {
            say!("last      {}", mail::escaped(last));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn shape(cli: &Cli, remote: &Remote) -> Outcome {
    let sites: Vec<SiteRow> = remote.get("/v1/queue/shape")?;
    if cli.json {
        return output::json(&sites);
    }
    let pauses: Vec<PauseRow> = remote.get("/v1/queue/pauses")?;
    for pause in pauses.iter().filter(|pause| pause.site.is_none()) {
        say!("the whole queue is {}", mail::escaped(&pause.words()));
    }
    if sites.is_empty() {
        say!("no mail goes or waits anywhere");
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = sites.iter().flat_map(shape_cells).collect();
    output::table(
        &["SITE", "CONNECTIONS", "READY", "STATE", "SLOWED DOWN TO"],
        &cells,
    );
    Ok(ExitCode::SUCCESS)
}

/// A site, and under it which messages are too large for now, and those of its hosts that rest.
fn shape_cells(row: &SiteRow) -> Vec<Vec<String>> {
    let mut cells = vec![vec![
        row.site.clone(),
        format!("{} of {}", row.connections, row.connections_max),
        row.ready.to_string(),
        row.waits_for().unwrap_or_else(|| row.state.clone()),
        row.slowed.clone().unwrap_or_default(),
    ]];
    cells.extend(row.large.iter().map(|large| {
        let state = format!("outside their hours, next at {}", large.until);
        let which = format!("  over {} octets", large.over);
        vec![which, String::new(), String::new(), state, String::new()]
    }));
    cells.extend(row.resting.iter().map(|resting| {
        let state = format!("rests until {}: {}", resting.until, resting.why);
        let host = format!("  {}", resting.host);
        vec![host, String::new(), String::new(), state, String::new()]
    }));
    cells
}

fn pause(cli: &Cli, remote: &Remote, change: &PauseChange) -> Outcome {
    if let Some(site) = &change.site {
        let sites: Vec<SiteRow> = remote.get("/v1/queue/shape")?;
        if !sites.iter().any(|row| row.site == *site) {
            eprintln!("no mail goes there just now; `queue shape` and `queue list` name the sites");
        }
    }
    let pause: PauseRow = remote.post("/v1/queue/pause", change)?;
    if cli.json {
        return output::json(&pause);
    }
    say!("{}", mail::escaped(&status::pause_line(&pause)));
    Ok(ExitCode::SUCCESS)
}

fn resume(cli: &Cli, remote: &Remote, site: Option<String>) -> Outcome {
    let resumed: Resumed = remote.post("/v1/queue/resume", &ResumeChange { site })?;
    if cli.json {
        return output::json(&resumed);
    }
    say!("resumed");
    Ok(ExitCode::SUCCESS)
}

/// Shows what would go, and asks on a terminal; without one, `--yes` is needed.
pub fn confirm(remote: &Remote, verb: Verb, filter: &str) -> Result<(), Failure> {
    let how = match verb {
        Verb::Bounce => "and tells their senders",
        _ => "without telling anybody",
    };
    let (rows, _) = rows(remote, filter, SAMPLE_ROWS)?;
    print_rows(&rows[..rows.len().min(SAMPLE_ROWS)]);
    let counted = counted(remote, filter)?;
    let count = counted.waiting + counted.held;
    if !std::io::stdin().is_terminal() {
        let text = format!("{verb} ends {count} recipients for good, {how}: say --yes");
        return Err(Failure::Usage(text));
    }
    print!("{verb} ends {count} recipients for good, {how}. Type yes: ");
    let mut answer = String::new();
    let asked = std::io::stdout()
        .flush()
        .and_then(|()| std::io::stdin().read_line(&mut answer));
    if asked.is_ok() && answer.trim() == "yes" {
        return Ok(());
    }
    Err(Failure::No("nothing was changed".to_owned()))
}
