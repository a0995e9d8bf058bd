//! The last lines of the log.

use askama::Template;
use daemon::api::LogLine;

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

/// `GET /logs`
pub(crate) async fn logs(cx: Cx) -> Result<Page, Trouble> {
    let (word, level) = (cx.query.get("word"), cx.query.get("level"));
    let lines = LINES.to_string();
    let mut fields = vec![("lines", &*lines)];
    let asked = [("word", word), ("level", level)];
    fields.extend(asked.into_iter().filter(|(_, value)| !value.is_empty()));
    let mut lines: Vec<LogLine> = cx.api.get(&address("/v1/log/tail", &fields)).await?;
    lines.reverse();
    let page = Logs {
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
