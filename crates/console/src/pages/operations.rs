//! Verbs that the relay carries out: long work can be left and found again here.

use askama::Template;
use daemon::api::OperationRow;

use crate::cx::{Cx, address};
use crate::page::{Page, Section, may_act};
use crate::trouble::Trouble;
use crate::words::{self, Mark};

#[derive(Template)]
#[template(path = "operations.html")]
struct Operations {
    operations: Vec<(OperationRow, Mark)>,
}

/// `GET /operations`
pub(crate) async fn operations(cx: Cx) -> Result<Page, Trouble> {
    let mut operations: Vec<OperationRow> = cx.api.get("/v1/queue/operations").await?;
    operations.reverse();
    let operations = operations.into_iter();
    let page = Operations {
        operations: operations
            .map(|row| (row.clone(), words::mark(&row.state)))
            .collect(),
    };
    Page::live(Section::Queues, "Operations", &page)
}

#[derive(Template)]
#[template(path = "operation.html")]
struct One {
    row: OperationRow,
    mark: Mark,
    stop: Option<String>,
}

/// `GET /operations/NUMBER`
pub(crate) async fn operation(cx: Cx) -> Result<Page, Trouble> {
    let number = words::encoded(cx.place("number"));
    let path = format!("/v1/queue/operations/{number}");
    let row: OperationRow = cx.api.get(&path).await?;
    let is_open = !row.is_over() && may_act(&cx);
    let page = One {
        mark: words::mark(&row.state),
        stop: is_open.then(|| address("/act", &[("do", "stop"), ("operation", &number)])),
        row,
    };
    Page::live(Section::Queues, "Operation", &page)
}
