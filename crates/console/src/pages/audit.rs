//! Who did what.

use askama::Template;
use daemon::api::AuditRow;

use crate::cx::{Cx, address};
use crate::page::{Page, Section};
use crate::trouble::Trouble;
use crate::words::{self, Mark};

/// Acts on a page.
const ROWS: usize = 100;

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    rows: Vec<(AuditRow, Mark)>,
    next: Option<String>,
    is_first: bool,
}

/// `GET /audit`
pub(crate) async fn audit(cx: Cx) -> Result<Page, Trouble> {
    let before = cx.query.get("before");
    let limit = ROWS.to_string();
    let mut fields = vec![("limit", &*limit)];
    if !before.is_empty() {
        fields.push(("before", before));
    }
    let rows: Vec<AuditRow> = cx.api.get(&address("/v1/audit", &fields)).await?;
    let last = rows.last().filter(|_| rows.len() >= ROWS);
    let page = Audit {
        next: last.map(|row| cx.with("before", &row.number.to_string())),
        is_first: before.is_empty(),
        rows: (rows.into_iter())
            .map(|row| (row.clone(), words::mark(&row.result)))
            .collect(),
    };
    match page.is_first {
        true => Page::live(Section::Audit, "Audit log", &page),
        false => Page::still(Section::Audit, "Audit log", &page),
    }
}
