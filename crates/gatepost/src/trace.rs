//! `gatepost trace`

use std::process::ExitCode;

use daemon::api::{QueueRow, Trace, TracedMessage, TrackRow, TranscriptRow};
use daemon::{Remote, RemoteError};
use mail::Timestamp;

use crate::cli::Cli;
use crate::exit::Outcome;
use crate::output::say;
use crate::{output, status};

/// `gatepost trace ID`
pub fn trace(cli: &Cli, id: &str, with_transcripts: bool) -> Outcome {
    let remote = status::remote(cli);
    if with_transcripts && id.starts_with("in-") {
        return dialogues(cli, &transcripts(&remote, id)?);
    }
    let trace: Trace = remote.get(&format!("/v1/trace/{}", output::percent_encoded(id)))?;
    if cli.json && with_transcripts {
        let messages = trace.messages.iter();
        let found = messages.map(|message| transcripts(&remote, &message.id));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        return output::json(&found.concat());
    }
    if cli.json {
        return output::json(&trace);
    }
    for (at, message) in trace.messages.iter().enumerate() {
        if at > 0 {
            say!("");
        }
        head(message);
        let mut last = None;
        for row in &message.rows {
            line(row, last);
            last = moment(row);
        }
        let waiting: Vec<QueueRow> = remote.get(&format!("/v1/queue?filter=id:{}", message.id))?;
        for row in &waiting {
            now(row);
        }
        if with_transcripts {
            dialogues(cli, &transcripts(&remote, &message.id)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn transcripts(remote: &Remote, name: &str) -> Result<Vec<TranscriptRow>, RemoteError> {
    let name = output::percent_encoded(name);
    remote.get(&format!("/v1/transcripts/{name}"))
}

/// Dialogues, as they were kept.
fn dialogues(cli: &Cli, rows: &[TranscriptRow]) -> Outcome {
    if cli.json {
        return output::json(&rows);
    }
    for row in rows {
        let what = match row.session {
            Some(session) => format!("session in-{session}"),
            None => "an attempt".to_owned(),
        };
        say!("");
        say!("{what}, which ended at {}", row.at);
        for line in row.text.lines() {
            say!("{}", mail::escaped(line));
        }
    }
    if rows.is_empty() {
        say!("no dialogue was kept");
    }
    Ok(ExitCode::SUCCESS)
}

fn head(message: &TracedMessage) {
    let rows = &message.rows;
    let first = |of: fn(&TrackRow) -> Option<String>| rows.iter().find_map(of);
    let from = first(|row| row.from.clone()).unwrap_or_default();
    say!("message     {}", message.id);
    if let Some(about) = &message.about {
        say!("notice of   {about}");
    }
    say!("from        <{}>", mail::escaped(&from));
    if let Some(id) = first(|row| row.message_id.clone()) {
        say!("message-id  <{}>", mail::escaped(&id));
    }
    if let Some(subject) = first(|row| row.subject.clone()) {
        say!("subject     {}", mail::escaped(&subject));
    }
    if let Some(size) = rows.iter().find_map(|row| row.size) {
        say!("size        {size} octets");
    }
    if let Some(client) = first(|row| row.client.clone()) {
        say!(
            "client      {}",
            mail::escaped(&client_words(&client, rows))
        );
    }
}

/// All that is known of who handed it in.
fn client_words(client: &str, rows: &[TrackRow]) -> String {
    let first = |of: fn(&TrackRow) -> Option<String>| rows.iter().find_map(of);
    let mut words = client.to_owned();
    for (before, value) in [
        ("", first(|row| row.client_name.clone())),
        ("which says it is ", first(|row| row.hello.clone())),
        ("signed in as ", first(|row| row.user.clone())),
        ("through ", first(|row| row.listener.clone())),
    ] {
        if let Some(value) = value {
            words += &format!(", {before}{value}");
        }
    }
    let received = rows.iter().find(|row| row.stage != "delivery");
    match received.and_then(|row| row.tls.as_ref()) {
        Some(tls) => words + ", " + tls,
        None => words,
    }
}

/// One thing that happened, and how long after the one before.
fn line(row: &TrackRow, last: Option<Timestamp>) {
    let since = match (last, moment(row)) {
        (Some(last), Some(at)) => format!("+{:.3} s", at.since(last).as_secs_f64()),
        _ => String::new(),
    };
    let to = row.to.as_deref().unwrap_or_default();
    say!(
        "{}  {since:>12}  {:9}  {}",
        row.at,
        row.result,
        mail::escaped(to)
    );
    let mut told = Vec::new();
    if let Some(reply) = &row.reply {
        let host = row.host.as_ref().map(|host| format!("{host}: "));
        told.push(format!("{}{reply}", host.unwrap_or_default()));
    }
    told.extend(row.note.clone());
    if let Some(other) = &row.other {
        told.push(format!("see {other}"));
    }
    let mut how = Vec::new();
    how.extend(row.route.as_ref().map(|route| format!("to {route}")));
    how.extend(row.tries.map(|tries| format!("try {tries}")));
    how.extend(row.took_ms.map(|took| format!("took {took} ms")));
    how.extend(row.tls.clone().filter(|_| row.stage == "delivery"));
    if row.recovered {
        how.push("made again after a crash".to_owned());
    }
    if !how.is_empty() {
        told.push(how.join(", "));
    }
    told.extend(row.place.as_ref().map(|place| format!("by {place}")));
    for text in told {
        say!("{:42}{}", "", mail::escaped(&text));
    }
}

fn moment(row: &TrackRow) -> Option<Timestamp> {
    row.at.parse().ok()
}

/// Where a recipient is that is still in the queue.
fn now(row: &QueueRow) {
    let waits = row.waits_for.as_ref().map(|why| format!(", {why}"));
    let text = format!(
        "{} is {}, to {}, next at {}{}",
        row.to,
        row.state,
        row.site,
        row.due,
        waits.unwrap_or_default()
    );
    say!("now: {}", mail::escaped(&text));
}
