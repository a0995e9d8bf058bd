//! Who is connected.

use askama::Template;
use daemon::api::SessionRow;

use crate::cx::{Cx, address};
use crate::page::{Page, Section, may_act};
use crate::trouble::Trouble;
use crate::words;

#[derive(Template)]
#[template(path = "sessions.html")]
struct Sessions {
    tables: [Table; 2],
}

struct Table {
    title: &'static str,
    /// What stands there when it is empty.
    nobody: &'static str,
    lines: Vec<Line>,
}

struct Line {
    row: SessionRow,
    kill: Option<String>,
}

/// `GET /sessions`
pub(crate) async fn sessions(cx: Cx) -> Result<Page, Trouble> {
    let rows: Vec<SessionRow> = cx.api.get("/v1/sessions").await?;
    let may_act = may_act(&cx);
    let line = |row: SessionRow| Line {
        kill: may_act.then(|| address("/act", &[("do", "kill"), ("session", &row.id)])),
        row,
    };
    let lines = rows.into_iter().map(line);
    let (incoming, outgoing) = lines.partition(|line| line.row.id.starts_with("in-"));
    let page = Sessions {
        tables: [
            Table {
                title: "Clients",
                nobody: "No client is connected",
                lines: incoming,
            },
            Table {
                title: "To next hops",
                nobody: "No connection goes out",
                lines: outgoing,
            },
        ],
    };
    Page::live(Section::Sessions, "Sessions", &page)
}
