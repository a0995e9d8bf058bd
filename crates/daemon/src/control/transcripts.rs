//! Which SMTP dialogues were kept, and whose are to be.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path as UrlPath, State};
use ipnet::IpNet;
use mail::lower_case;
use tracking::TranscriptsOf;

use super::act::Act;
use super::track::ask;
use super::{Answer, Trouble};
use crate::api::{TraceChange, TraceRow, TranscriptRow};
use crate::sessions::SessionId;
use crate::shared::Shared;
use crate::transcripts::{TRACE_DAYS_MAX, Trace, Whom};

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// `GET /v1/transcripts/NAME`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    UrlPath(name): UrlPath<String>,
) -> Answer<Vec<TranscriptRow>> {
    let of = match (name.parse(), name.parse()) {
        (Ok(id), _) => TranscriptsOf::Message(id),
        (_, Ok(SessionId::In(number))) => TranscriptsOf::Session(number),
        (Err(_), _) => {
            let shown = mail::escaped(&name);
            let why = format!("`{shown}` is neither a queue id nor a session, as in-5");
            return Err(Trouble::bad(why));
        }
    };
    let Json(found) = ask(&shared, move |reader| reader.transcripts(of)).await?;
    let rows = found.into_iter().map(|one| TranscriptRow {
        at: one.at.to_string(),
        session: one.session,
        text: one.text,
    });
    Ok(Json(rows.collect()))
}

/// `GET /v1/log/traces`
pub(super) async fn traces(State(shared): State<Arc<Shared>>) -> Answer<Vec<TraceRow>> {
    let now = shared.services.clock.moment().wall;
    let row = |Trace { whom, until }: Trace| {
        let (kind, whom) = match whom {
            Whom::Client(network) => ("client", network.to_string()),
            Whom::User(user) => ("user", user.into()),
            Whom::Site(site) => ("site", site.into()),
            Whom::Address(address) => ("address", address.into()),
        };
        TraceRow {
            kind: kind.to_owned(),
            whom,
            until: (now + until.saturating_duration_since(Instant::now())).to_string(),
        }
    };
    let traces = shared.services.journal.transcripts.traces();
    Ok(Json(traces.into_iter().map(row).collect()))
}

/// `POST /v1/log/traces`
pub(super) async fn trace(
    State(shared): State<Arc<Shared>>,
    act: Act,
    Json(change): Json<TraceChange>,
) -> Answer<Vec<TraceRow>> {
    let lasting = mail::quantity::duration(&change.lasting)
        .ok_or_else(|| Trouble::bad("it lasts for a duration, as 30m or 2h"))?;
    if lasting > Duration::from_secs(TRACE_DAYS_MAX * DAY_SECONDS) {
        let most = TRACE_DAYS_MAX;
        let why =
            format!("dialogues are kept for {most} days at most: ask for {most}d, then again");
        return Err(Trouble::bad(why));
    }
    let network = |text: String| {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse::<IpNet>().ok().or(address.ok());
        network.ok_or_else(|| Trouble::bad(format!("`{}` is no address", mail::escaped(&text))))
    };
    let TraceChange {
        client,
        user,
        site,
        address,
        lasting: said,
    } = change;
    let whom = [
        client.map(network).transpose()?.map(Whom::Client),
        user.map(|user| Whom::User(user.into())),
        site.map(|site| Whom::Site(site.into())),
        address.map(|address| Whom::Address(lower_case(&address).into())),
    ];
    let mut whom = whom.into_iter().flatten();
    let (Some(one), None) = (whom.next(), whom.next()) else {
        return Err(Trouble::bad("one of client, user, site, address"));
    };
    act.on(format_args!("{one:?}, for {said}"));
    let (user, whom) = match &one {
        Whom::User(user) => (Some(&**user), None),
        other => (None, Some(format!("{other:?}"))),
    };
    tracing::info!(user, whom, lasting = ?lasting, "dialogues are kept for an operator");
    if !shared.services.journal.transcripts.trace(one, lasting) {
        return Err(Trouble::bad("too many are asked for already"));
    }
    traces(State(shared)).await
}
