//! What is remembered of strangers.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use greylisting::{Kind, Row, Settings, Subject};
use ipnet::IpNet;
use mail::{Domain, Mailbox, ReversePath};
use queue::Moment;
use relay_policy::Approach;

use super::act::Act;
use super::{Answer, Trouble};
use crate::api::{
    GreylistAnswer, GreylistCleared, GreylistQuery, GreylistQuestion, GreylistRow, GreylistSubject,
    ReputationAnswer, ReputationQuery,
};
use crate::shared::Shared;
use crate::strangers;

/// Unless more are asked for.
const ROWS: usize = 20;

/// `GET /v1/greylist`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<GreylistQuery>,
) -> Answer<Vec<GreylistRow>> {
    let (active, now) = (shared.services.active(), shared.services.clock.moment());
    let settings = &active.setup.config.limits.greylisting;
    let is_asked = |kind: &Kind| {
        query
            .kind
            .as_deref()
            .is_none_or(|asked| asked == kind.word())
    };
    let most = query.limit.unwrap_or(ROWS);
    let mut rows = Vec::new();
    for kind in Kind::ALL.into_iter().filter(is_asked) {
        // One kind at a time: mail waits meanwhile.
        let history = shared.services.history.all();
        rows.extend(history.rows(settings, kind, most, now.line));
    }
    Ok(Json(rows.into_iter().map(|one| row(one, now)).collect()))
}

fn row(one: Row, now: Moment) -> GreylistRow {
    GreylistRow {
        kind: one.kind.word().to_owned(),
        name: one.name,
        sender: one.sender.map(Into::into),
        recipient: one.recipient.map(Into::into),
        seen: now.shown(one.at).to_string(),
        taken: one.times,
        score: one.score,
    }
}

/// `POST /v1/greylist/clear`
pub(super) async fn clear(
    State(shared): State<Arc<Shared>>,
    act: Act,
    Json(GreylistSubject { kind, name }): Json<GreylistSubject>,
) -> Answer<GreylistCleared> {
    act.on(format_args!("{kind} {name}"));
    let active = shared.services.active();
    let subject = subject(&active.setup.config.limits.greylisting, &kind, &name);
    let cleared = subject.filter(|subject| shared.services.history.all().clear(subject));
    let Some(subject) = cleared else {
        let why = format!("nothing is remembered of {kind} {name}");
        return Err(Trouble(StatusCode::NOT_FOUND, why));
    };
    tracing::info!(%subject, "what is remembered of it was cleared by an operator");
    let name = match subject {
        Subject::Client(network) => network.to_string(),
        Subject::SenderDomain(domain) => domain.to_string(),
    };
    Ok(Json(GreylistCleared { kind, name }))
}

/// An address stands for its network.
fn subject(settings: &Settings, kind: &str, name: &str) -> Option<Subject> {
    match kind {
        "client" => {
            let network = name.parse().map(|network: IpNet| network.trunc());
            let address = || {
                name.parse()
                    .map(|address: IpAddr| settings.network(address))
            };
            network.or_else(|_| address()).ok().map(Subject::Client)
        }
        "sender domain" => Domain::parse(name).ok().map(Subject::SenderDomain),
        _ => None,
    }
}

/// `POST /v1/greylist/check`
pub(super) async fn check(
    State(shared): State<Arc<Shared>>,
    Json(question): Json<GreylistQuestion>,
) -> Answer<GreylistAnswer> {
    let GreylistQuestion {
        client,
        sender,
        recipient,
    } = &question;
    let approach = client.parse().ok().and_then(|client| {
        Some(Approach {
            client,
            sender: ReversePath::parse(sender).ok()?,
            recipient: Mailbox::parse(recipient).ok()?,
        })
    });
    let Some(approach) = approach else {
        let why = "no address of a client, a sender and a recipient".to_owned();
        return Err(Trouble(StatusCode::BAD_REQUEST, why));
    };
    let greylisted = strangers::look(&shared.services, &approach).await;
    Ok(Json(greylisted.into()))
}

/// `GET /v1/reputation`
pub(super) async fn reputation(
    State(shared): State<Arc<Shared>>,
    Query(ReputationQuery { client, domain }): Query<ReputationQuery>,
) -> Answer<ReputationAnswer> {
    let (active, now) = (shared.services.active(), shared.services.clock.line());
    let settings = &active.setup.config.limits.greylisting;
    let domain = domain.and_then(|domain| Domain::parse(&domain).ok());
    let history = shared.services.history.all();
    let reputation = history.reputation(settings, client, domain.as_ref(), now);
    Ok(Json(ReputationAnswer {
        client: reputation.client,
        domain: reputation.domain,
    }))
}
