//! What around the relay keeps it from its work, each with its cure. An examination goes on when nobody
//! looks, and the last one is shown to all.

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use daemon::api::{DoctorFinding, DoctorFound, DoctorQuestion};

use super::TABS;
use crate::cx::{Cx, Fields};
use crate::page::{Page, Posted, Section, framed};
use crate::sessions::Role;
use crate::trouble::Trouble;
use crate::words::{self, Mark};

const HERE: &str = "/diagnose/doctor";

#[derive(Template)]
#[template(path = "doctor.html")]
struct Doctor<'a> {
    tabs: &'static [(&'static str, &'static str)],
    token: Option<&'a str>,
    question: DoctorQuestion,
    /// By whom the last examination was begun; nothing: there was none.
    by: Option<String>,
    goes_on: bool,
    why_not: Option<String>,
    findings: Vec<(DoctorFinding, Mark)>,
}

/// `GET /diagnose/doctor`
pub(crate) async fn doctor(cx: Cx) -> Result<Page, Trouble> {
    let last = cx.shared.examination.last();
    let goes_on = last.as_ref().is_some_and(|one| one.came_to.is_none());
    let by = last.as_ref().map(|one| one.by.clone());
    let (question, came_to) = match last {
        None => (DoctorQuestion::default(), None),
        Some(last) => (last.question, last.came_to),
    };
    let (findings, why_not) = match came_to {
        None => (Vec::new(), None),
        Some(Ok(findings)) => (findings, None),
        Some(Err(why)) => (Vec::new(), Some(why)),
    };
    let page = Doctor {
        tabs: &TABS,
        token: (cx.may(Role::Operator) && !goes_on).then_some(&*cx.visitor.token),
        question,
        by,
        goes_on,
        why_not,
        findings: findings.into_iter().map(marked).collect(),
    };
    match goes_on {
        true => Page::live(Section::Diagnose, "Doctor", &page),
        false => Page::still(Section::Diagnose, "Doctor", &page),
    }
}

fn marked(finding: DoctorFinding) -> (DoctorFinding, Mark) {
    let mark = words::found(&finding.result);
    (finding, mark)
}

/// `POST /diagnose/doctor`: begins an examination.
pub(crate) async fn examine(cx: Cx, posted: Posted) -> Response {
    if let Err(trouble) = cx.require(Role::Operator) {
        return framed(&cx, Err(trouble));
    }
    let question = asked(&posted.fields);
    if cx.shared.examination.begin(&cx.visitor.name, &question) {
        let (shared, api) = (Arc::clone(&cx.shared), cx.api.clone());
        tokio::spawn(async move {
            let found = api.post::<DoctorFound>("/v1/doctor", &question).await;
            let found = found.map(|found| found.findings);
            shared.examination.end(found.map_err(|trouble| trouble.why));
        });
    }
    Redirect::to(HERE).into_response()
}

/// What somebody asks for; what is left empty is as usual.
fn asked(form: &Fields) -> DoctorQuestion {
    let usual = DoctorQuestion::default();
    let listed = |name: &str| -> Vec<String> {
        let words = form.get(name).split([' ', ',']);
        let words = words.filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let word = |name: &str, usual: String| match form.get(name).trim() {
        "" => usual,
        word => word.to_owned(),
    };
    let lists = listed("lists");
    DoctorQuestion {
        addresses: listed("addresses"),
        probe: word("probe", usual.probe),
        time_server: word("time", usual.time_server),
        block_lists: match lists.is_empty() {
            true => usual.block_lists,
            false => lists,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_empty_is_as_usual() {
        let form = |fields: &[(&str, &str)]| {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            asked(&Fields(fields.collect()))
        };
        assert_eq!(
            form(&[("probe", " "), ("lists", "")]),
            DoctorQuestion::default()
        );
        let asked = form(&[("addresses", "192.0.2.1, 2001:db8::1"), ("lists", "off")]);
        assert_eq!(asked.addresses, ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(asked.block_lists, ["off"]);
    }
}
