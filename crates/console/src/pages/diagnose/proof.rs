//! Whether strangers can relay: the posture, and the open-relay battery.

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use daemon::api::{LastRelayProof, Posture, PostureLine, RelayProved};
use serde_json::json;

use super::TABS;
use crate::cx::Cx;
use crate::page::{Page, Posted, Section, framed};
use crate::sessions::Role;
use crate::trouble::Trouble;
use crate::words::{self, Mark};

#[derive(Template)]
#[template(path = "proof.html")]
struct Proof {
    tabs: &'static [(&'static str, &'static str)],
    posture: Posture,
    mark: Mark,
    lists: Vec<(&'static str, Vec<PostureLine>)>,
    proved: Option<Proved>,
    token: Option<String>,
}

struct Proved {
    proved: RelayProved,
    mark: Mark,
    probes: u64,
}

/// `GET /diagnose/proof`
pub(crate) async fn proof(cx: Cx) -> Result<Page, Trouble> {
    let posture: Posture = cx.api.get("/v1/relay/posture").await?;
    let last: LastRelayProof = cx.api.get("/v1/relay/prove").await?;
    let lists = [
        ("Open to", posture.holes.clone()),
        ("May send anywhere", posture.may_relay.clone()),
        ("May send to some", posture.bound.clone()),
        ("Strangers' mail leaves by", posture.passages.clone()),
        ("Looks wrong", posture.suspicions.clone()),
    ];
    let page = Proof {
        tabs: &TABS,
        mark: words::mark(if posture.is_closed { "ok" } else { "error" }),
        lists: (lists.into_iter())
            .filter(|(_, lines)| !lines.is_empty())
            .collect(),
        posture,
        proved: last.last.map(told),
        token: cx.may(Role::Operator).then(|| cx.visitor.token.clone()),
    };
    Page::live(Section::Diagnose, "Open-relay proof", &page)
}

fn told(proved: RelayProved) -> Proved {
    let listeners = proved.proof.listeners.iter();
    Proved {
        mark: words::mark(match proved.proof.verdict.as_str() {
            "closed" => "ok",
            "open" => "error",
            _ => "warn",
        }),
        probes: listeners.map(|one| one.probes.len() as u64).sum(),
        proved,
    }
}

/// `POST /diagnose/proof`: plays it again.
pub(crate) async fn prove(cx: Cx, _posted: Posted) -> Response {
    let played = match cx.require(Role::Operator) {
        Ok(()) => {
            cx.api
                .post::<RelayProved>("/v1/relay/prove", &json!({}))
                .await
        }
        Err(trouble) => Err(trouble),
    };
    match played {
        Ok(_) => Redirect::to("/diagnose/proof").into_response(),
        Err(trouble) => framed(&cx, Err(trouble)),
    }
}
