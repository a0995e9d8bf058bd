//! One message: its recipients, its life, what was said about it.

use askama::Template;
use daemon::api::{Counted, QueueRow, Trace, TracedMessage, TrackRow, TranscriptRow};

use crate::cx::{Cx, address};
use crate::page::{Page, Section};
use crate::sessions::Role;
use crate::trouble::Trouble;
use crate::words::{self, Mark};

/// Rows that are looked at for a Message-ID: a tenth of a second.
const LOOKS: usize = 100_000;

#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    messages: Vec<Life>,
    transcripts: Vec<Transcript>,
    command: String,
}

/// A message, and what happened to it.
struct Life {
    id: String,
    about: Option<String>,
    facts: Vec<(&'static str, String)>,
    /// What is in it can be looked at.
    is_badmail: bool,
    waiting: Vec<Recipient>,
    happened: Vec<Event>,
}

/// A recipient who is still in the queue.
struct Recipient {
    row: QueueRow,
    mark: Mark,
    acts: Vec<(&'static str, String)>,
}

struct Event {
    row: TrackRow,
    mark: Mark,
    spans: String,
}

/// An SMTP dialogue, line by line.
struct Transcript {
    row: TranscriptRow,
    lines: Vec<(&'static str, String)>,
}

/// `GET /message/ID`
pub(crate) async fn message(cx: Cx) -> Result<Page, Trouble> {
    let name = words::encoded(cx.place("id"));
    let looks = LOOKS.to_string();
    let path = address(&format!("/v1/trace/{name}"), &[("looks", &looks)]);
    let trace: Trace = cx.api.get(&path).await.map_err(|trouble| {
        let all = words::command("trace", cx.place("id"));
        match trouble.why.contains("not looked at") {
            true => Trouble::not_found(format!("{} here: {all} looks at everything", trouble.why)),
            false => trouble,
        }
    })?;
    let mut messages = Vec::new();
    for traced in trace.messages {
        messages.push(life(&cx, traced).await?);
    }
    let id = messages
        .first()
        .map_or_else(String::new, |life| life.id.clone());
    let page = Message {
        transcripts: kept(&cx, &id).await?,
        command: format!("gatepost trace {} --transcript", words::quoted(&id)),
        messages,
    };
    Page::live(Section::Tracking, "Message", &page)
}

async fn life(cx: &Cx, traced: TracedMessage) -> Result<Life, Trouble> {
    let filter = format!("id:{}", traced.id);
    let path = address("/v1/queue", &[("filter", &filter)]);
    let waiting: Vec<QueueRow> = cx.api.get(&path).await?;
    let is_held = waiting.iter().any(|row| row.state == "held");
    let may_act = cx.may(Role::Operator);
    Ok(Life {
        is_badmail: is_held && is_badmail(cx, &filter).await?,
        facts: facts(&traced.rows),
        waiting: (waiting.into_iter())
            .map(|row| recipient(row, may_act))
            .collect(),
        happened: traced.rows.into_iter().map(event).collect(),
        id: traced.id,
        about: traced.about,
    })
}

async fn is_badmail(cx: &Cx, filter: &str) -> Result<bool, Trouble> {
    let filter = format!("{filter} state:badmail");
    let path = address("/v1/queue/count", &[("filter", &filter)]);
    let counted: Counted = cx.api.get(&path).await?;
    Ok(counted.held > 0)
}

/// What is known of the message itself: each fact as the first row has it that knows it.
fn facts(rows: &[TrackRow]) -> Vec<(&'static str, String)> {
    let first = |of: fn(&TrackRow) -> Option<String>| rows.iter().find_map(of);
    let facts = [
        ("From", first(|row| row.from.clone())),
        ("Subject", first(|row| row.subject.clone())),
        ("Message-ID", first(|row| row.message_id.clone())),
        ("Size", first(|row| row.size.map(words::size))),
        ("Client", first(client)),
        ("HELO", first(|row| row.hello.clone())),
        ("User", first(|row| row.user.clone())),
        ("TLS", first(|row| row.tls.clone())),
        ("Listener", first(|row| row.listener.clone())),
    ];
    let known = facts.into_iter();
    let known = known.filter_map(|(name, value)| Some((name, value?)));
    known
        .map(|(name, value)| match value.is_empty() {
            true => (name, "<>".to_owned()),
            false => (name, value),
        })
        .collect()
}

fn client(row: &TrackRow) -> Option<String> {
    let address = row.client.as_ref()?;
    Some(match &row.client_name {
        Some(name) => format!("{name} [{address}]"),
        None => address.clone(),
    })
}

fn recipient(row: QueueRow, may_act: bool) -> Recipient {
    let verbs: &[&'static str] = match row.state.as_str() {
        _ if !may_act => &[],
        "held" => &["release", "bounce", "delete"],
        "unscreened" => &["bounce", "delete"],
        "waiting" | "active" => &["retry", "hold", "reroute", "bounce", "delete"],
        _ => &[],
    };
    let filter = format!("id:{} to:{}", row.id, row.to);
    let act = |verb: &&'static str| {
        let fields = [("do", *verb), ("filter", filter.as_str())];
        (*verb, address("/act", &fields))
    };
    Recipient {
        mark: words::mark(&row.state),
        acts: verbs.iter().map(act).collect(),
        row,
    }
}

fn event(row: TrackRow) -> Event {
    let spans = [
        row.took_ms
            .map(|span| format!("took {}", words::millis(span))),
        (row.replied_ms).map(|span| format!("final dot answered after {}", words::millis(span))),
        (row.queued_ms).map(|span| format!("{} with us", words::millis(span))),
        row.tries.map(|tries| format!("attempt {tries}")),
        row.recovered.then(|| "made again after a crash".to_owned()),
    ];
    Event {
        mark: words::mark(&row.result),
        spans: spans.into_iter().flatten().collect::<Vec<_>>().join(", "),
        row,
    }
}

/// The dialogues about a message, or of a session. That none is kept is no trouble.
async fn kept(cx: &Cx, name: &str) -> Result<Vec<Transcript>, Trouble> {
    let path = format!("/v1/transcripts/{}", words::encoded(name));
    match cx.api.get::<Vec<TranscriptRow>>(&path).await {
        Ok(rows) => Ok(rows.into_iter().map(transcript).collect()),
        Err(trouble) if trouble.status.is_client_error() => Ok(Vec::new()),
        Err(trouble) => Err(trouble),
    }
}

fn transcript(row: TranscriptRow) -> Transcript {
    let class = |line: &str| {
        let who = line.trim_start().split(' ').nth(1).unwrap_or_default();
        match who {
            "C:" => "c",
            "S:" => "s",
            _ => "r",
        }
    };
    Transcript {
        lines: (row.text.lines())
            .map(|line| (class(line), line.to_owned()))
            .collect(),
        row,
    }
}

#[derive(Template)]
#[template(path = "transcripts.html")]
struct Transcripts {
    name: String,
    transcripts: Vec<Transcript>,
}

/// `GET /transcripts/NAME`
pub(crate) async fn transcripts(cx: Cx) -> Result<Page, Trouble> {
    let name = cx.place("name").to_owned();
    let page = Transcripts {
        transcripts: kept(&cx, &name).await?,
        name,
    };
    Page::still(Section::Tracking, "SMTP dialogue", &page)
}
