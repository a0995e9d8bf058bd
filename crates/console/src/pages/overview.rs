//! How the relay is, at one look.

use askama::Template;
use daemon::api::{LastRelayProof, Rates, RefusedWhy, SiteRow, Status};

use crate::chart;
use crate::cx::{Cx, address};
use crate::page::{Page, Section};
use crate::trouble::Trouble;
use crate::words::{self, Mark};

/// Sites on the overview; all of them are on the page of the queues.
const SITES_MAX: usize = 12;
/// Reasons of refusals there.
const REFUSALS_MAX: usize = 8;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    status: Status,
    spool: Mark,
    running: String,
    /// Clients.
    connected: String,
    /// What is still to do with a new relay; empty when all is done.
    steps: Vec<Step>,
    rates: Vec<Rate>,
    spans: Vec<(&'static str, String, bool)>,
    refusals: Vec<RefusedWhy>,
    sites: Vec<Destination>,
    has_more_sites: bool,
    matters: Vec<Matter>,
}

/// A step from a new relay to one that carries mail.
struct Step {
    is_done: bool,
    text: &'static str,
    link: &'static str,
    link_text: &'static str,
}

/// How much of something went on.
struct Rate {
    word: &'static str,
    /// In all that time.
    count: u64,
    /// As SVG.
    chart: String,
    /// To those that it was.
    link: String,
}

/// Where mail goes.
struct Destination {
    row: SiteRow,
    mark: Mark,
    trouble: Option<String>,
    link: String,
}

/// Something that somebody should look at, and where the cure is.
struct Matter {
    class: &'static str,
    sign: &'static str,
    text: String,
    link: &'static str,
    link_text: &'static str,
}

/// `GET /`
pub(crate) async fn overview(cx: Cx) -> Result<Page, Trouble> {
    let status: Status = cx.api.get("/v1/status").await?;
    let limit = (SITES_MAX + 1).to_string();
    let worst = address("/v1/queue/shape", &[("worst", "true"), ("limit", &limit)]);
    let mut sites: Vec<SiteRow> = cx.api.get(&worst).await?;
    let has_more_sites = sites.len() > SITES_MAX;
    sites.truncate(SITES_MAX);
    let wanted = match cx.query.get("for") {
        "24h" => "24h",
        _ => "1h",
    };
    let rates: Rates = cx
        .api
        .get(&address("/v1/rates", &[("for", wanted)]))
        .await?;
    let proof: LastRelayProof = cx.api.get("/v1/relay/prove").await?;
    let page = Overview {
        steps: steps(&status, &proof, &rates),
        rates: charts(&rates, wanted),
        spans: ["1h", "24h"]
            .map(|span| (span, cx.with("for", span), span == wanted))
            .to_vec(),
        refusals: rates.why_refused.into_iter().take(REFUSALS_MAX).collect(),
        spool: words::mark(&status.spool.state),
        running: words::span(status.uptime_seconds),
        connected: words::count(u64::from(status.sessions)),
        sites: sites.into_iter().map(destination).collect(),
        has_more_sites,
        matters: matters(&status),
        status,
    };
    Page::live(Section::Overview, "Overview", &page)
}

/// Those of a relay that is new, or was started anew and has carried nothing yet.
fn steps(status: &Status, proof: &LastRelayProof, rates: &Rates) -> Vec<Step> {
    let is_proven = (proof.last.as_ref())
        .is_some_and(|proved| proved.is_current && proved.proof.verdict == "closed");
    let any = |values: &[u64]| values.iter().any(|value| *value > 0);
    let step = |is_done, text, link, link_text| Step {
        is_done,
        text,
        link,
        link_text,
    };
    let steps = vec![
        step(
            status.posture.starts_with("closed"),
            "No stranger may relay, by what the configuration says",
            "/configuration?group=relay",
            "Relay restrictions",
        ),
        step(
            is_proven,
            "That is proven, by trying",
            "/diagnose/proof",
            "Prove it",
        ),
        step(
            any(&rates.received),
            "Mail has come in",
            "/diagnose/dns",
            "Look at DNS",
        ),
        step(
            any(&rates.delivered),
            "Mail has been handed on",
            "/diagnose/delivery",
            "Try a delivery",
        ),
    ];
    match steps.iter().all(|step| step.is_done) {
        true => Vec::new(),
        false => steps,
    }
}

fn charts(rates: &Rates, span: &str) -> Vec<Rate> {
    // Nobody counts in every step: it is as it was then.
    let mut last = 0;
    let queued = rates.queued.iter().map(|count| {
        last = count.unwrap_or(last);
        last
    });
    let queued: Vec<u64> = queued.collect();
    let rate = |word: &'static str, state: &str, values: &[u64]| Rate {
        word,
        count: values.iter().sum(),
        chart: chart::line(word, values),
        link: address(
            "/tracking",
            &[("filter", &format!("state:{state} age:<{span}"))],
        ),
    };
    let mut charts = vec![
        rate("Received", "received", &rates.received),
        rate("Refused", "refused", &rates.refused),
        rate("Delivered", "delivered", &rates.delivered),
        rate("Deferred", "deferred", &rates.deferred),
        rate("Failed", "failed", &rates.failed),
    ];
    charts.push(Rate {
        word: "In the queue",
        count: queued.last().copied().unwrap_or(0),
        chart: chart::line("In the queue", &queued),
        link: "/queues".to_owned(),
    });
    charts
}

fn destination(row: SiteRow) -> Destination {
    let resting = row.resting.first();
    let resting = resting.map(|host| format!("{} rests: {}", host.host, host.why));
    Destination {
        mark: words::mark(&row.state),
        trouble: row.waits_for().or(row.slowed.clone()).or(resting),
        link: address("/queues", &[("view", "sites"), ("site", &row.site)]),
        row,
    }
}

fn matters(status: &Status) -> Vec<Matter> {
    let stopped = status.spool.why.as_ref();
    let stopped = stopped.map(|why| format!("No mail is accepted: {why}"));
    let bad = stopped.into_iter().chain(status.alarms.iter().cloned());
    let bad = bad.map(|text| matter("bad", "✕", text));
    let wait = status.attention.iter().cloned();
    let wait = wait.map(|text| matter("wait", "!", text));
    let paused = status.pauses.iter().map(|pause| {
        let what = pause.site.as_deref().unwrap_or("the whole queue");
        matter("wait", "‖", format!("{what}: {}", pause.words()))
    });
    let warned = status.warnings.iter().cloned();
    let warned = warned.map(|text| matter("dim", "·", text));
    bad.chain(wait).chain(paused).chain(warned).collect()
}

/// Each with the page where something can be done about it.
fn matter(class: &'static str, sign: &'static str, text: String) -> Matter {
    const CURES: [(&str, &str, &str); 9] = [
        ("paused by", "/queues?view=sites", "Resume it"),
        ("scanner", "#scanners", "Scanners"),
        ("certificate", "/configuration?group=tls", "Certificates"),
        ("sign-in", "/tracking?filter=state%3Arefused", "Who tried"),
        ("too much since", "/devices", "Who sends it"),
        ("free", "/configuration?group=spool", "Room on the disk"),
        ("log", "/logs", "Logs"),
        ("configuration", "/configuration", "Configuration"),
        ("STARTTLS is withheld", "/devices", "Which devices"),
    ];
    let cure = CURES.iter().find(|(word, _, _)| text.contains(word));
    let (_, link, link_text) = cure.unwrap_or(&("", "/queues", "Queues"));
    Matter {
        class,
        sign,
        text,
        link,
        link_text,
    }
}
