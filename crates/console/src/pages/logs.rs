//! The last lines of the log, and of protocol logs.

use askama::Template;
use daemon::api::{LogLine, ProtocolLogRow, ProtocolLogTail};

use crate::cx::{Cx, address};
use crate::page::{Page, Section};
use crate::trouble::Trouble;
use crate::words;

/// Lines on a page.
const LINES: usize = 200;

const LEVELS: [(&str, &str); 4] = [
    ("", "everything"),
    ("info", "info and worse"),
    ("warn", "warnings and errors"),
    ("error", "errors"),
];

#[derive(Template)]
#[template(path = "logs.html")]
struct Logs {
    others: Vec<Other>,
    word: String,
    level: String,
    levels: [(&'static str, &'static str); 4],
    lines: Vec<Line>,
}

struct Line {
    line: LogLine,
    class: &'static str,
    fields: String,
}

/// A protocol log, and whether it is the one that is shown.
struct Other {
    name: String,
    link: String,
    is_shown: bool,
}

#[derive(Template)]
#[template(path = "protocol_log.html")]
struct ProtocolLog {
    others: Vec<Other>,
    name: String,
    word: String,
    tail: ProtocolLogTail,
}

/// `GET /logs`, `GET /logs?log=NAME`
pub(crate) async fn logs(cx: Cx) -> Result<Page, Trouble> {
    let shown = cx.query.get("log");
    let others: Vec<ProtocolLogRow> = cx.api.get("/v1/log/protocol").await?;
    let others = others.into_iter().map(|row| Other {
        link: address("/logs", &[("log", &row.name)]),
        is_shown: row.name == shown,
        name: row.name,
    });
    let others = others.collect();
    match shown {
        "" => own(&cx, others).await,
        name => protocol_log(&cx, name, others).await,
    }
}

async fn protocol_log(cx: &Cx, name: &str, others: Vec<Other>) -> Result<Page, Trouble> {
    let (word, lines) = (cx.query.get("word"), LINES.to_string());
    let path = format!("/v1/log/protocol/{}", words::encoded(name));
    let path = address(&path, &[("word", word), ("lines", &lines)]);
    let mut tail: ProtocolLogTail = cx.api.get(&path).await?;
    tail.lines.reverse();
    let page = ProtocolLog {
        others,
        name: name.to_owned(),
        word: word.to_owned(),
        tail,
    };
    Page::live(Section::Logs, format!("Log {name}"), &page)
}

async fn own(cx: &Cx, others: Vec<Other>) -> Result<Page, Trouble> {
    let (word, level) = (cx.query.get("word"), cx.query.get("level"));
    let lines = LINES.to_string();
    let mut fields = vec![("lines", &*lines)];
    let asked = [("word", word), ("level", level)];
    fields.extend(asked.into_iter().filter(|(_, value)| !value.is_empty()));
    let mut lines: Vec<LogLine> = cx.api.get(&address("/v1/log/tail", &fields)).await?;
    lines.reverse();
    let page = Logs {
        others,
        word: word.to_owned(),
        level: level.to_owned(),
        levels: LEVELS,
        lines: lines.into_iter().map(shown).collect(),
    };
    Page::live(Section::Logs, "Log", &page)
}

fn shown(line: LogLine) -> Line {
    let field =
        |field: &daemon::api::LogField| format!("{}={}", field.name, words::quoted(&field.value));
    Line {
        class: match line.level.as_str() {
            "error" => "bad",
            "warn" => "wait",
            _ => "dim",
        },
        fields: line.fields.iter().map(field).collect::<Vec<_>>().join(" "),
        line,
    }
}
