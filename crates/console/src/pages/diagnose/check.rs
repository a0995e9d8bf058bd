//! What a client would hear, and why: `relay check` as a form.

use askama::Template;
use axum::response::Response;
use daemon::api::{RelayAnswer, RelayQuestion, Status};

use super::TABS;
use crate::cx::{Cx, Fields};
use crate::page::{Page, Posted, Section, framed};
use crate::trouble::Trouble;
use crate::words::{self, Mark};

#[derive(Template)]
#[template(path = "check.html")]
struct Check {
    tabs: &'static [(&'static str, &'static str)],
    question: RelayQuestion,
    listeners: Vec<String>,
    token: String,
    answer: Option<Answer>,
    why_not: Option<String>,
    command: String,
}

struct Answer {
    answer: RelayAnswer,
    mark: Mark,
    steps: Vec<Step>,
}

struct Step {
    name: String,
    mark: Mark,
    text: String,
    place: String,
}

/// `GET /diagnose`
pub(crate) async fn check(cx: Cx) -> Result<Page, Trouble> {
    let fields = cx.query.clone();
    page(&cx, &fields).await
}

/// `POST /diagnose`: with a message, which no address could hold.
pub(crate) async fn check_message(cx: Cx, posted: Posted) -> Response {
    framed(&cx, page(&cx, &posted.fields).await)
}

async fn page(cx: &Cx, fields: &Fields) -> Result<Page, Trouble> {
    let question = question(fields);
    let status: Status = cx.api.get("/v1/status").await?;
    let mut listeners: Vec<String> = status.listeners.into_iter().map(|one| one.name).collect();
    listeners.dedup();
    let asked = match fields.has("rcpt") {
        true => Some(
            cx.api
                .post::<RelayAnswer>("/v1/relay/check", &question)
                .await,
        ),
        false => None,
    };
    // What was asked wrongly is said beside the form, so that it can be mended there.
    let (answer, why_not) = match asked {
        None => (None, None),
        Some(Ok(answer)) => (Some(explained(answer)), None),
        Some(Err(trouble)) if trouble.status.is_client_error() => (None, Some(trouble.why)),
        Some(Err(trouble)) => return Err(trouble),
    };
    let body = Check {
        tabs: &TABS,
        command: command(&question),
        question,
        listeners,
        token: cx.visitor.token.clone(),
        answer,
        why_not,
    };
    Page::still(Section::Diagnose, "Relay check", &body)
}

fn question(fields: &Fields) -> RelayQuestion {
    let text = |name| Some(fields.get(name).to_owned()).filter(|text| !text.is_empty());
    RelayQuestion {
        client: text("client"),
        local: None,
        listener: text("listener"),
        helo: text("helo"),
        from: fields.get("from").to_owned(),
        rcpt: fields.get("rcpt").to_owned(),
        user: text("user"),
        tls: fields.has("tls"),
        certificate: None,
        message: Some(fields.raw("message").to_owned()).filter(|text| !text.trim().is_empty()),
    }
}

fn explained(answer: RelayAnswer) -> Answer {
    let step = |step: &daemon::api::RelayStep| Step {
        name: step.step.clone(),
        mark: words::mark(&step.result),
        text: step.text.clone(),
        place: step.place.clone().unwrap_or_default(),
    };
    let word = match (&answer.answer, answer.accepted) {
        (None, _) => "cannot tell",
        (Some(_), true) => "accepted",
        (Some(_), false) => "refused",
    };
    Answer {
        mark: words::mark(word),
        steps: answer.steps.iter().map(step).collect(),
        answer,
    }
}

/// The same on the command line.
fn command(question: &RelayQuestion) -> String {
    let given = [
        ("client", question.client.as_deref()),
        ("listener", question.listener.as_deref()),
        ("helo", question.helo.as_deref()),
        ("user", question.user.as_deref()),
        ("mail", Some(&*question.from)),
        ("rcpt", Some(&*question.rcpt)),
    ];
    let given = given.into_iter();
    let given = given.filter_map(|(name, value)| Some((name, value.filter(|v| !v.is_empty())?)));
    let options = given.map(|(name, value)| format!(" --{name} {}", words::quoted(value)));
    let tls = if question.tls { " --tls" } else { "" };
    format!("gatepost relay check{}{tls}", options.collect::<String>())
}
