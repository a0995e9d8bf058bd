//! What waits: by message, or by where it goes.

use askama::Template;
use daemon::api::{Counted, OperationRow, PauseRow, QueuePage, QueueRow, SiteRow};

use crate::cx::{Cx, address};
use crate::page::{Page, Section, may_act};
use crate::trouble::Trouble;
use crate::words::{self, Mark};

/// Messages on a page.
const MESSAGES: usize = 100;

/// Sites on a page.
const SITES: usize = 100;
/// Recipients that are looked at for a page, and to count those that match: some hundredths of a second.
const LOOKS: usize = 20_000;

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
    /// When the last message came that was looked at, though the page is not full.
    reached: Option<String>,
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
    let (limit, looks) = (MESSAGES.to_string(), LOOKS.to_string());
    let mut fields = vec![("filter", &*filter), ("looks", &*looks)];
    let counted: Counted = cx.api.get(&address("/v1/queue/count", &fields)).await?;
    fields.push(("limit", &*limit));
    if !after.is_empty() {
        fields.push(("after", after));
    }
    let found: QueuePage = cx.api.get(&address("/v1/queue/page", &fields)).await?;
    let mut operations: Vec<OperationRow> = cx.api.get("/v1/queue/operations").await?;
    operations.retain(|operation| !operation.is_over());
    let act = |verb: &'static str| (verb, address("/act", &[("do", verb), ("filter", &filter)]));
    let is_any = counted.is_cut || counted.waiting + counted.held > 0;
    let page = Queues {
        starts: (STARTS.iter())
            .map(|(word, meant)| (*word, start(meant), *meant == filter))
            .collect(),
        next: found.next.map(|next| cx.with("after", &next)),
        reached: found.reached.map(|at| words::moment(&at)),
        is_first: after.is_empty(),
        verbs: match may_act(&cx) && is_any {
            true => VERBS.map(act).to_vec(),
            false => Vec::new(),
        },
        command: words::command("queue list", &filter),
        rows: found.rows.into_iter().map(line).collect(),
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
    next: Option<String>,
    is_first: bool,
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
    let (wanted, after) = (cx.query.get("site"), cx.query.get("after"));
    let limit = SITES.to_string();
    let fields = [("site", wanted), ("after", after), ("limit", &*limit)];
    let sites: Vec<SiteRow> = cx.api.get(&address("/v1/queue/shape", &fields)).await?;
    let pauses: Vec<PauseRow> = cx.api.get("/v1/queue/pauses").await?;
    let last = sites.last().filter(|_| sites.len() >= SITES);
    let may_act = may_act(&cx);
    let page = Sites {
        next: last.map(|last| cx.with("after", &last.site)),
        is_first: after.is_empty(),
        sites: sites.into_iter().map(site).collect(),
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
