//! Acts on what waits.

use daemon::api::{
    Counted, OperationRow, PauseChange, PauseRow, QueueChange, QueueRow, ResumeChange, Resumed,
};

use super::{Ask, Done, Plan, REASON, written};
use crate::cx::{Cx, Fields, address};
use crate::trouble::Trouble;
use crate::words;

/// Recipients that are shown before an act.
const SAMPLE: usize = 8;

/// What a verb does with all that match.
pub(super) async fn plan(cx: &Cx, verb: &str) -> Result<Plan, Trouble> {
    let filter = cx.query.get("filter");
    let fields = [("filter", filter)];
    let counted: Counted = cx.api.get(&address("/v1/queue/count", &fields)).await?;
    let fields = [("filter", filter), ("limit", "100")];
    let rows: Vec<QueueRow> = cx.api.get(&address("/v1/queue", &fields)).await?;
    let number = match verb {
        "release" => counted.held.saturating_sub(counted.unscreened),
        "hold" | "retry" => counted.waiting,
        _ => counted.waiting + counted.held,
    };
    let is_meant = |row: &&QueueRow| match (verb, row.state.as_str()) {
        ("release", state) => matches!(state, "held" | "bouncing"),
        ("hold" | "retry", state) => !matches!(state, "held" | "bouncing" | "unscreened"),
        _ => true,
    };
    let sample: Vec<String> = (rows.iter())
        .filter(is_meant)
        .take(SAMPLE)
        .map(sampled)
        .collect();
    let title = format!("{} {}", capital(verb), words::many(number, "recipient"));
    Ok(Plan {
        pinned: Vec::new(),
        button: title.clone(),
        title,
        says: says(verb).to_owned(),
        more: number.saturating_sub(sample.len() as u64),
        sample,
        asks: asks(verb),
        is_final: matches!(verb, "bounce" | "delete"),
        command: command(verb, filter),
        nothing: (number == 0).then(|| nobody(filter)),
    })
}

fn nobody(filter: &str) -> String {
    match filter {
        "" => "There is nobody in the queue with whom this could be done.".to_owned(),
        filter => format!(
            "There is nobody with whom this could be done among those that match `{filter}`."
        ),
    }
}

fn sampled(row: &QueueRow) -> String {
    let from = if row.from.is_empty() { "<>" } else { &row.from };
    let tries = words::many(u64::from(row.tries), "attempt");
    format!("{from} to {} ({}, {tries})", row.to, row.state)
}

fn asks(verb: &str) -> Vec<Ask> {
    const ROUTE: Ask = Ask {
        name: "route",
        question: "To which route",
        hint: "NAME of [route.NAME]; empty: back to where sender and domain lead.",
    };
    const TOLD: Ask = Ask {
        hint: "Senders read it, in ASCII.",
        ..REASON
    };
    match verb {
        "reroute" => vec![ROUTE, REASON],
        "bounce" => vec![TOLD],
        _ => vec![REASON],
    }
}

fn says(verb: &str) -> &'static str {
    match verb {
        "retry" => "All of them are tried now, whenever their next try was to be.",
        "hold" => "None of them goes out until somebody releases it. Their time to expire stops.",
        "release" => "All of them go on where they were held.",
        "bounce" => {
            "None of them goes out: each sender gets a notice that says so, with your reason."
        }
        "delete" => "None of them goes out, and nobody is told. This cannot be undone.",
        "reroute" => "All of them go by another route from now on.",
        _ => "",
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Begins the operation, and leads to it.
pub(super) async fn carry_out(cx: &Cx, verb: &str, form: &Fields) -> Result<Done, Trouble> {
    let route = written(form, "route").filter(|_| verb == "reroute");
    let change = QueueChange {
        filter: form.get("filter").to_owned(),
        by: cx.visitor.name.clone(),
        reason: written(form, "reason"),
        back: verb == "reroute" && route.is_none(),
        route,
    };
    let path = format!("/v1/queue/{verb}");
    let begun: OperationRow = cx.api.post(&path, &change).await?;
    Ok(Done::At(format!("/operations/{}", begun.number)))
}

/// Nothing goes out to a site, or at all.
pub(super) fn plan_pause(cx: &Cx) -> Plan {
    const LASTING: Ask = Ask {
        name: "lasting",
        question: "For how long",
        hint: "As 2h; empty: until somebody resumes it.",
    };
    let what = paused(cx.query.get("site"));
    Plan {
        title: format!("Pause {what}"),
        says: "What is on its way is finished; nothing more goes out until the pause ends. Mail is accepted all the while.".to_owned(),
        asks: vec![LASTING, REASON],
        button: format!("Pause {what}"),
        command: command("pause", cx.query.get("site")),
        ..Plan::default()
    }
}

fn paused(site: &str) -> &str {
    match site {
        "" => "the whole queue",
        site => site,
    }
}

/// The same on the command line: with a filter, or a site.
fn command(verb: &str, whom: &str) -> String {
    let command = words::command(&format!("queue {verb}"), whom);
    match verb {
        "reroute" => command + " ROUTE",
        _ => command,
    }
}

pub(super) async fn pause(cx: &Cx, form: &Fields) -> Result<(), Trouble> {
    let change = PauseChange {
        site: written(form, "site"),
        by: cx.visitor.name.clone(),
        reason: written(form, "reason"),
        lasting: written(form, "lasting"),
    };
    let _shown_on_the_next_page: PauseRow = cx.api.post("/v1/queue/pause", &change).await?;
    Ok(())
}

/// A pause ends.
pub(super) fn plan_resume(cx: &Cx) -> Plan {
    let what = paused(cx.query.get("site"));
    Plan {
        title: format!("Resume {what}"),
        says: "Mail goes out again at once.".to_owned(),
        button: format!("Resume {what}"),
        command: command("resume", cx.query.get("site")),
        ..Plan::default()
    }
}

pub(super) async fn resume(cx: &Cx, form: &Fields) -> Result<(), Trouble> {
    let change = ResumeChange {
        site: written(form, "site"),
    };
    let _shown_on_the_next_page: Resumed = cx.api.post("/v1/queue/resume", &change).await?;
    Ok(())
}

/// An operation ends where it stands.
pub(super) fn plan_stop(cx: &Cx) -> Plan {
    let number = cx.query.get("operation");
    Plan {
        title: format!("Stop operation {number}"),
        says: "Who it has not come to stays as he is; what it has done stays done.".to_owned(),
        button: format!("Stop operation {number}"),
        ..Plan::default()
    }
}

pub(super) async fn stop(cx: &Cx, form: &Fields) -> Result<Done, Trouble> {
    let number = words::encoded(form.get("operation"));
    let path = format!("/v1/queue/operations/{number}/stop");
    let stopped: OperationRow = cx.api.post(&path, &serde_json::json!({})).await?;
    Ok(Done::At(format!("/operations/{}", stopped.number)))
}
