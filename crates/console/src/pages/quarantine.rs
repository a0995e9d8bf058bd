//! What screening holds.

use askama::Template;
use daemon::api::{HeldMessage, HeldRow, QuarantineCount, QuarantinePage, QuarantineReport};

use crate::cx::{Cx, address};
use crate::page::{Page, Section, may_act};
use crate::trouble::Trouble;
use crate::words;

/// Messages on a page.
const MESSAGES: usize = 100;
/// Recipients that are looked at for a page.
const LISTED_LOOKS: usize = 20_000;
/// Messages that are counted for the figures, the oldest ones.
const LOOKS: usize = 1_000;
/// Rules, domains and recipients beside the list.
const COUNTS_MAX: usize = 6;

#[derive(Template)]
#[template(path = "quarantine.html")]
struct Quarantine {
    filter: String,
    report: QuarantineReport,
    /// By what there are how many.
    counts: [(&'static str, Vec<QuarantineCount>); 3],
    rows: Vec<HeldRow>,
    next: Option<String>,
    is_first: bool,
    acts: Vec<(&'static str, String)>,
    command: String,
}

/// `GET /quarantine`
pub(crate) async fn quarantine(cx: Cx) -> Result<Page, Trouble> {
    let filter = cx.query.get("filter").to_owned();
    let after = cx.query.get("after");
    let limit = MESSAGES.to_string();
    let looks = LISTED_LOOKS.to_string();
    let mut fields = vec![("filter", &*filter), ("limit", &*limit), ("looks", &*looks)];
    if !after.is_empty() {
        fields.push(("after", after));
    }
    let path = address("/v1/quarantine/page", &fields);
    let found: QuarantinePage = cx.api.get(&path).await?;
    let looks = LOOKS.to_string();
    let fields = [("filter", &*filter), ("looks", &*looks)];
    let path = address("/v1/quarantine/report", &fields);
    let mut report: QuarantineReport = cx.api.get(&path).await?;
    let most = |counts: &mut Vec<QuarantineCount>| {
        counts.truncate(COUNTS_MAX);
        std::mem::take(counts)
    };
    let counts = [
        ("By rule", most(&mut report.rules)),
        ("By the sender's domain", most(&mut report.sender_domains)),
        ("By recipient", most(&mut report.by_recipient)),
    ];
    let act = |word, verb| (verb, address("/act", &[("do", word), ("filter", &filter)]));
    let page = Quarantine {
        next: found.next.map(|next| cx.with("after", &next)),
        is_first: after.is_empty(),
        acts: match may_act(&cx) && report.recipients > 0 {
            true => vec![act("let-go", "release"), act("discard", "delete")],
            false => Vec::new(),
        },
        command: words::command("quarantine list", &filter),
        rows: found.rows,
        counts,
        report,
        filter,
    };
    Page::live(Section::Quarantine, "Quarantine", &page)
}

#[derive(Template)]
#[template(path = "held.html")]
struct Held {
    id: String,
    message: HeldMessage,
    subject: String,
    acts: Vec<(&'static str, String)>,
}

/// `GET /badmail/ID`
pub(crate) async fn badmail(cx: Cx) -> Result<Page, Trouble> {
    let id = cx.place("id").to_owned();
    let path = format!("/v1/badmail/{}", words::encoded(&id));
    let message: HeldMessage = cx.api.get(&path).await?;
    let filter = format!("id:{id} state:badmail");
    let act = |verb| (verb, address("/act", &[("do", verb), ("filter", &filter)]));
    let subject = message.recipients.first();
    let page = Held {
        acts: match may_act(&cx) {
            true => vec![act("release"), act("delete")],
            false => Vec::new(),
        },
        subject: subject.map_or_else(String::new, |row| row.subject.clone()),
        message,
        id,
    };
    Page::still(Section::Queues, "Badmail", &page)
}

/// `GET /quarantine/ID`
pub(crate) async fn held_message(cx: Cx) -> Result<Page, Trouble> {
    let id = cx.place("id").to_owned();
    let path = format!("/v1/quarantine/{}", words::encoded(&id));
    let message: HeldMessage = cx.api.get(&path).await?;
    let filter = format!("id:{id}");
    let all = |word, verb| (verb, address("/act", &[("do", word), ("filter", &filter)]));
    let one = |word, verb| (verb, address("/act", &[("do", word), ("id", &id)]));
    let subject = message.recipients.first();
    let page = Held {
        acts: match may_act(&cx) {
            true => vec![
                all("let-go", "release"),
                one("strip", "release without attachments"),
                all("discard", "delete"),
                one("learn-spam", "it is spam"),
                one("learn-ham", "it is no spam"),
            ],
            false => Vec::new(),
        },
        subject: subject.map_or_else(String::new, |row| row.subject.clone()),
        message,
        id,
    };
    Page::still(Section::Quarantine, "Held message", &page)
}
