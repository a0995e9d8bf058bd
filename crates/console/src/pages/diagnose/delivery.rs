//! What would become of mail for an address, host by host and stage by stage; nothing is sent. A
//! trial goes on when nobody looks, and is found again.

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use daemon::api::{DeliveryHost, DeliveryQuestion, DeliverySite, DeliveryWay};

use super::TABS;
use crate::cx::{Cx, Shared};
use crate::page::{Page, Posted, Section, framed};
use crate::sessions::Role;
use crate::trials::Trial;
use crate::trouble::Trouble;
use crate::words::{self, Mark};

#[derive(Template)]
#[template(path = "delivery.html")]
struct Delivery<'a> {
    tabs: &'static [(&'static str, &'static str)],
    token: Option<&'a str>,
    trials: Vec<Trial>,
}

/// `GET /diagnose/delivery`
pub(crate) async fn delivery(cx: Cx) -> Result<Page, Trouble> {
    let page = Delivery {
        tabs: &TABS,
        token: cx.may(Role::Operator).then_some(&*cx.visitor.token),
        trials: cx.shared.trials.all(),
    };
    Page::still(Section::Diagnose, "Delivery", &page)
}

/// `POST /diagnose/delivery`: begins a trial.
pub(crate) async fn try_delivery(cx: Cx, posted: Posted) -> Response {
    if let Err(trouble) = cx.require(Role::Operator) {
        return framed(&cx, Err(trouble));
    }
    let question = DeliveryQuestion {
        address: posted.fields.get("address").to_owned(),
        from: posted.fields.get("from").to_owned(),
    };
    let number = cx.shared.trials.begin(&question, &cx.visitor.name);
    let (shared, api) = (Arc::clone(&cx.shared), cx.api.clone());
    tokio::spawn(async move {
        let hear = |event| shared.trials.change(number, |trial| trial.hear(event));
        let told = api
            .follow("/v1/test/delivery/follow", &question, hear)
            .await;
        let why = told
            .err()
            .map_or_else(|| "the trial broke off".to_owned(), |trouble| trouble.why);
        shared.trials.change(number, |trial| {
            if !trial.is_over {
                trial.end(Err(why));
            }
        });
    });
    Redirect::to(&format!("/diagnose/delivery/{number}")).into_response()
}

#[derive(Template)]
#[template(path = "trial.html")]
struct TrialPage {
    tabs: &'static [(&'static str, &'static str)],
    ways: Vec<Way>,
    command: String,
    trial: Trial,
}

struct Way {
    recipient: String,
    mark: Mark,
    text: String,
    sites: Vec<Site>,
}

struct Site {
    site: DeliverySite,
    hosts: Vec<Host>,
}

struct Host {
    name: String,
    address: String,
    /// What came of each stage.
    stages: Vec<Mark>,
    said: Vec<String>,
}

/// `GET /diagnose/delivery/NUMBER`
pub(crate) async fn delivery_trial(cx: Cx) -> Result<Page, Trouble> {
    let number = cx.place("number").parse().unwrap_or(0);
    let trial = find(&cx.shared, number)?;
    let from = match trial.from.as_str() {
        "" => String::new(),
        from => format!(" --from {}", words::quoted(from)),
    };
    let page = TrialPage {
        tabs: &TABS,
        ways: trial.ways.iter().map(way).collect(),
        command: format!(
            "gatepost test delivery {}{from}",
            words::quoted(&trial.address)
        ),
        trial,
    };
    match page.trial.is_over {
        true => Page::still(Section::Diagnose, "Delivery", &page),
        false => Page::live(Section::Diagnose, "Delivery", &page),
    }
}

fn find(shared: &Shared, number: u64) -> Result<Trial, Trouble> {
    let gone = "There is no such trial, or it was long ago. Begin it again.";
    shared
        .trials
        .find(number)
        .ok_or_else(|| Trouble::not_found(gone))
}

fn way(way: &DeliveryWay) -> Way {
    let mark = words::mark(match way.verdict.as_str() {
        "taken" => "ok",
        "refused" => "fail",
        "waits" => "warn",
        _ => "active",
    });
    Way {
        recipient: way.recipient.clone(),
        mark: Mark {
            word: way.verdict.clone(),
            ..mark
        },
        text: way.text.clone(),
        sites: (way.sites.iter().cloned())
            .map(|site| Site {
                hosts: site.hosts.iter().map(host).collect(),
                site,
            })
            .collect(),
    }
}

fn host(host: &DeliveryHost) -> Host {
    let stages = &host.stages;
    let stages = [
        &stages.connect,
        &stages.banner,
        &stages.ehlo,
        &stages.starttls,
        &stages.certificate,
        &stages.sign_in,
        &stages.mail,
        &stages.rcpt,
    ];
    let stage = |word: &String| match word.as_str() {
        "" | "-" => words::mark("-"),
        "FAIL" => words::mark("fail"),
        word => Mark {
            word: word.to_owned(),
            ..words::mark("ok")
        },
    };
    Host {
        name: host.name.clone(),
        address: match host.port {
            Some(port) => format!("{} port {port}", host.address),
            None => host.address.clone(),
        },
        stages: stages.into_iter().map(stage).collect(),
        said: [&host.reason, &host.advice]
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
    }
}
