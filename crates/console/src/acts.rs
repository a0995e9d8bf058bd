//! What changes something. Each act is shown first: what it will do, to how many, a sample, and it
//! asks for a reason; then it is done by a form that only this page has. All who may act find the
//! same acts on the command line.

mod quarantine;
mod queue;
mod relay;

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};

use crate::cx::{Cx, Fields};
use crate::page::{Page, Posted, Section, framed};
use crate::sessions::Role;
use crate::trouble::Trouble;
use crate::words;

/// An act: who may do it, how it is shown, how it is done.
struct Act {
    /// Its word in the address.
    word: &'static str,
    role: Role,
    kind: Kind,
}

/// What an act is about.
#[derive(Clone, Copy)]
enum Kind {
    /// A verb on all recipients in the queue that match a filter.
    Queue,
    Pause,
    Resume,
    /// Ends an operation where it stands.
    Stop,
    /// Ends a session.
    Kill,
    Reload,
    /// A version of the configuration is put back.
    RollBack,
    /// A verb on all that screening holds and that match a filter.
    Quarantine,
    /// A message that screening holds goes on without its attachments.
    Strip,
    /// Scanners learn what a message is.
    Learn,
}

/// What has come of an act.
enum Done {
    /// It is seen on this page.
    At(String),
    /// It has to be told: heading, lines, and where to go on.
    Told(String, Vec<String>, &'static str),
}

const ACTS: [Act; 17] = [
    act("retry", Kind::Queue),
    act("hold", Kind::Queue),
    act("release", Kind::Queue),
    act("bounce", Kind::Queue),
    act("delete", Kind::Queue),
    act("reroute", Kind::Queue),
    act("pause", Kind::Pause),
    act("resume", Kind::Resume),
    act("stop", Kind::Stop),
    act("kill", Kind::Kill),
    act("let-go", Kind::Quarantine),
    act("discard", Kind::Quarantine),
    act("strip", Kind::Strip),
    act("learn-spam", Kind::Learn),
    act("learn-ham", Kind::Learn),
    Act {
        word: "reload",
        role: Role::Admin,
        kind: Kind::Reload,
    },
    Act {
        word: "roll-back",
        role: Role::Admin,
        kind: Kind::RollBack,
    },
];

const fn act(word: &'static str, kind: Kind) -> Act {
    Act {
        word,
        role: Role::Operator,
        kind,
    }
}

/// What an act will do, as it is shown.
#[derive(Default)]
struct Plan {
    title: String,
    /// What comes of it, in a sentence or two.
    says: String,
    /// A few of those to whom it happens.
    sample: Vec<String>,
    /// How many more there are.
    more: u64,
    /// What can be said besides.
    asks: Vec<Ask>,
    /// What was so when it was shown: name and value in the form.
    pinned: Vec<(&'static str, String)>,
    /// The verb and the number.
    button: String,
    /// Whether it cannot be undone.
    is_final: bool,
    command: String,
    /// Nothing to do: why.
    nothing: Option<String>,
}

/// What can be said besides, in a field of its own.
struct Ask {
    /// Its name in the form.
    name: &'static str,
    question: &'static str,
    hint: &'static str,
}

/// Why somebody does it.
const REASON: Ask = Ask {
    name: "reason",
    question: "Why",
    hint: "Stands in the log, in the audit log and in tracking.",
};

/// Fields that only the page of an act gives: the token, and the reason.
const ASKED: [&str; 2] = ["form", REASON.name];

#[derive(Template)]
#[template(path = "act.html")]
struct Confirm<'a> {
    plan: &'a Plan,
    token: &'a str,
    hidden: Vec<(&'a str, &'a str)>,
    back: &'a str,
}

#[derive(Template)]
#[template(path = "told.html")]
struct Told<'a> {
    heading: &'a str,
    lines: &'a [String],
    back: &'a str,
}

fn find(query: &Fields) -> Result<&'static Act, Trouble> {
    let word = query.get("do");
    let found = ACTS.iter().find(|act| act.word == word);
    found.ok_or_else(|| Trouble::not_found(format!("there is no act `{word}`")))
}

/// `GET /act`: what will be done.
pub(crate) async fn confirm(cx: Cx) -> Result<Page, Trouble> {
    let act = find(&cx.query)?;
    cx.require(act.role)?;
    let plan = match act.kind {
        Kind::Queue => queue::plan(&cx, act.word).await?,
        Kind::Pause => queue::plan_pause(&cx),
        Kind::Resume => queue::plan_resume(&cx),
        Kind::Stop => queue::plan_stop(&cx),
        Kind::Kill => relay::plan_kill(&cx).await?,
        Kind::Reload => relay::plan_reload(),
        Kind::RollBack => relay::plan_roll_back(&cx).await?,
        Kind::Quarantine => quarantine::plan(&cx, act.word).await?,
        Kind::Strip => quarantine::plan_strip(&cx),
        Kind::Learn => quarantine::plan_learn(&cx, act.word),
    };
    let page = Confirm {
        plan: &plan,
        token: &cx.visitor.token,
        hidden: hidden(&cx.query, &plan),
        back: back(act.kind),
    };
    Page::still(Section::Other, plan.title.as_str(), &page)
}

/// What the address says, for the form; but for what is asked there: that is for the visitor to say,
/// and nobody says it for him by a link.
fn hidden<'a>(query: &'a Fields, plan: &'a Plan) -> Vec<(&'a str, &'a str)> {
    let named = query.0.iter().map(|(name, value)| (&**name, &**value));
    let pinned = plan.pinned.iter().map(|(name, value)| (*name, &**value));
    let is_asked = |name: &str| {
        ASKED.contains(&name)
            || plan.asks.iter().any(|ask| ask.name == name)
            || plan.pinned.iter().any(|(own, _)| *own == name)
    };
    let said = named.filter(|(name, _)| !is_asked(name));
    said.chain(pinned).collect()
}

/// Where somebody goes who does not do it after all, or has done it.
fn back(kind: Kind) -> &'static str {
    match kind {
        Kind::Queue | Kind::Stop => "/queues",
        Kind::Pause | Kind::Resume => "/queues?view=sites",
        Kind::Kill => "/sessions",
        Kind::Reload => "/",
        Kind::RollBack => "/configuration/versions",
        Kind::Quarantine | Kind::Strip | Kind::Learn => "/quarantine",
    }
}

/// `POST /act`: does it, and leads to where its effect is seen.
pub(crate) async fn carry_out(cx: Cx, posted: Posted) -> Response {
    match done(&cx, &posted.fields).await {
        Ok(Done::At(page)) => Redirect::to(&page).into_response(),
        Ok(Done::Told(heading, lines, back)) => {
            let told = Told {
                heading: &heading,
                lines: &lines,
                back,
            };
            framed(&cx, Page::still(Section::Other, heading.as_str(), &told))
        }
        Err(trouble) => framed(&cx, Err(trouble)),
    }
}

async fn done(cx: &Cx, form: &Fields) -> Result<Done, Trouble> {
    let act = find(form)?;
    cx.require(act.role)?;
    match act.kind {
        Kind::Queue => return queue::carry_out(cx, act.word, form).await,
        Kind::Stop => return queue::stop(cx, form).await,
        Kind::Quarantine => return quarantine::carry_out(cx, act.word, form).await,
        Kind::Strip => return quarantine::strip(cx, form).await,
        Kind::Learn => return quarantine::learn(cx, act.word, form).await,
        Kind::Pause => queue::pause(cx, form).await?,
        Kind::Resume => queue::resume(cx, form).await?,
        Kind::Kill => relay::kill(cx, form).await?,
        Kind::Reload => relay::reload(cx).await?,
        Kind::RollBack => return relay::roll_back(cx, form).await,
    }
    Ok(Done::At(back(act.kind).to_owned()))
}

/// What somebody wrote, where he wrote something.
fn written(form: &Fields, name: &str) -> Option<String> {
    Some(form.get(name).to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_what_an_act_is_about_and_nothing_that_is_asked() {
        let said = [
            ("do", "reroute"),
            ("filter", "to:ann@x.example"),
            ("route", "evil"),
            ("reason", "the boss wants it"),
            ("form", "x"),
        ];
        let query = Fields(
            said.map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
        );
        let route = Ask {
            name: "route",
            ..REASON
        };
        let plan = |asks, pinned| Plan {
            asks,
            pinned,
            ..Plan::default()
        };
        assert_eq!(
            hidden(&query, &plan(vec![route, REASON], Vec::new())),
            said[..2]
        );
        assert_eq!(hidden(&query, &plan(Vec::new(), Vec::new())), said[..3]);
        // What was so is for us to say.
        let pinned = plan(Vec::new(), vec![("route", "as it was".to_owned())]);
        let expected = [said[0], said[1], ("route", "as it was")];
        assert_eq!(hidden(&query, &pinned), expected);
    }
}
