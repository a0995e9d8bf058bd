//! Who is connected.

use askama::Template;
use daemon::api::SessionRow;

use crate::cx::{Cx, address};
use crate::page::{Page, Section, may_act};
use crate::trouble::Trouble;
use crate::words;

/// Of each kind on a page.
const ROWS: usize = 200;

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
    is_first: bool,
    next: Option<String>,
}

struct Line {
    row: SessionRow,
    kill: Option<String>,
}

/// `GET /sessions`
pub(crate) async fn sessions(cx: Cx) -> Result<Page, Trouble> {
    let page = Sessions {
        tables: [
            table(&cx, "in", "Clients", "No client is connected").await?,
            table(&cx, "out", "To next hops", "No connection goes out").await?,
        ],
    };
    Page::live(Section::Sessions, "Sessions", &page)
}

/// Those of one kind, a page of them; `kind` is the field of the address that says where it begins.
async fn table(
    cx: &Cx,
    kind: &'static str,
    title: &'static str,
    nobody: &'static str,
) -> Result<Table, Trouble> {
    let (after, limit) = (cx.query.get(kind), (ROWS + 1).to_string());
    let mut fields = vec![("only", kind), ("limit", &*limit)];
    if !after.is_empty() {
        fields.push(("after", after));
    }
    let mut rows: Vec<SessionRow> = cx.api.get(&address("/v1/sessions", &fields)).await?;
    let is_more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let last = rows.last().filter(|_| is_more);
    let may_act = may_act(cx);
    let line = |row: SessionRow| Line {
        kill: may_act.then(|| address("/act", &[("do", "kill"), ("session", &row.id)])),
        row,
    };
    Ok(Table {
        title,
        nobody,
        is_first: after.is_empty(),
        next: last.map(|row| cx.with(kind, &row.id)),
        lines: rows.into_iter().map(line).collect(),
    })
}
