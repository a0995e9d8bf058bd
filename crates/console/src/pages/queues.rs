//! What waits: by message, or by where it goes.

use askama::Template;
use daemon::api::{Counted, OperationRow, PauseRow, QueueRow, SiteRow};

use crate::cx::{Cx, address};
use crate::page::{Page, Section, may_act};
use crate::trouble::Trouble;
use crate::words::{self, Mark};

/// Messages on a page.
const MESSAGES: usize = 100;

/// What is asked for most: words, filter.
const STARTS: [(&str, &str); 4] = [
    ("all", ""),
    ("waiting", "state:waiting"),
    ("held", "state:held"),
    ("older than an hour", "age:>1h"),
];

/// What can be done with all that match.
const VERBS: [&str; 6] = ["retry", "hold", "release", "reroute", "bounce", "delete"];

#[derive(Template)]
#[template(path = "queues.html")]
struct Queues {
    filter: String,
    starts: Vec<(&'static str, String, bool)>,
    counted: Counted,
    rows: Vec<Line>,
    next: Option<String>,
    is_first: bool,
    verbs: Vec<(&'static str, String)>,
    command: String,
    operations: Vec<OperationRow>,
}

/// A recipient as it is shown.
struct Line {
    row: QueueRow,
    mark: Mark,
    why: String,
}

/// `GET /queues`
pub(crate) async fn queues(cx: Cx) -> Result<Page, Trouble> {
    match cx.query.get("view") {
        "sites" => sites(cx).await,
        _ => messages(cx).await,
    }
}

async fn messages(cx: Cx) -> Result<Page, Trouble> {
    let filter = cx.query.get("filter").to_owned();
    let after = cx.query.get("after");
    let limit = MESSAGES.to_string();
    let mut fields = vec![("filter", &*filter), ("limit", &*limit)];
    if !after.is_empty() {
        fields.push(("after", after));
    }
    let rows: Vec<QueueRow> = cx.api.get(&address("/v1/queue", &fields)).await?;
    let counted: Counted = cx
        .api
        .get(&address("/v1/queue/count", &[("filter", &filter)]))
        .await?;
    let mut operations: Vec<OperationRow> = cx.api.get("/v1/queue/operations").await?;
    operations.retain(|operation| !operation.is_over());
    let messages: std::collections::BTreeSet<&str> = rows.iter().map(|row| &*row.id).collect();
    // A full page may be the last one; the next one says so then.
    let is_full = messages.len() >= MESSAGES;
    let last = rows.last().filter(|_| is_full);
    let act = |verb: &'static str| (verb, address("/act", &[("do", verb), ("filter", &filter)]));
    let is_any = counted.waiting + counted.held > 0;
    let page = Queues {
        starts: (STARTS.iter())
            .map(|(word, meant)| (*word, start(meant), *meant == filter))
            .collect(),
        next: last.map(|row| cx.with("after", &row.id)),
        is_first: after.is_empty(),
        verbs: match may_act(&cx) && is_any {
            true => VERBS.map(act).to_vec(),
            false => Vec::new(),
        },
        command: match filter.as_str() {
            "" => "gatepost queue list".to_owned(),
            filter => format!("gatepost queue list {}", words::quoted(filter)),
        },
        rows: rows.into_iter().map(line).collect(),
        counted,
        operations,
        filter,
    };
    Page::live(Section::Queues, "Queues", &page)
}

fn start(filter: &str) -> String {
    match filter {
        "" => "/queues".to_owned(),
        filter => address("/queues", &[("filter", filter)]),
    }
}

fn line(row: QueueRow) -> Line {
    let said = [row.last_reply.clone(), row.waits_for.clone()];
    Line {
        mark: words::mark(&row.state),
        why: said.into_iter().flatten().collect::<Vec<_>>().join(" - "),
        row,
    }
}

#[derive(Template)]
#[template(path = "sites.html")]
struct Sites {
    sites: Vec<Site>,
    pauses: Vec<(PauseRow, String)>,
    /// To the act that pauses everything.
    pause_all: Option<String>,
    may_act: bool,
}

/// Where mail goes.
struct Site {
    row: SiteRow,
    mark: Mark,
    why: String,
    pause: String,
}

async fn sites(cx: Cx) -> Result<Page, Trouble> {
    let sites: Vec<SiteRow> = cx.api.get("/v1/queue/shape").await?;
    let pauses: Vec<PauseRow> = cx.api.get("/v1/queue/pauses").await?;
    let wanted = cx.query.get("site");
    let may_act = may_act(&cx);
    let page = Sites {
        sites: (sites.into_iter())
            .filter(|site| wanted.is_empty() || site.site == wanted)
            .map(site)
            .collect(),
        pause_all: may_act.then(|| address("/act", &[("do", "pause")])),
        pauses: (pauses.into_iter())
            .map(|pause| {
                let name = pause.site.clone().unwrap_or_default();
                (pause, address("/act", &[("do", "resume"), ("site", &name)]))
            })
            .collect(),
        may_act,
    };
    Page::live(Section::Queues, "Destinations", &page)
}

fn site(row: SiteRow) -> Site {
    let resting = (row.resting.iter())
        .map(|host| format!("{} rests until {}: {}", host.host, host.until, host.why));
    let said = [row.waits_for(), row.slowed.clone()];
    let said: Vec<String> = said.into_iter().flatten().chain(resting).collect();
    Site {
        mark: words::mark(&row.state),
        why: said.join(" - "),
        pause: address("/act", &[("do", "pause"), ("site", &row.site)]),
        row,
    }
}
