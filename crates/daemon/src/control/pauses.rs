//! An operator lets nothing go out for a while: to a site, or at all.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use queue::Moment;
use spool::{Change, Pause};

use super::act::Act;
use super::{Answer, Trouble, blocking, name};
use crate::api::{PauseChange, PauseRow, ResumeChange, Resumed};
use crate::disk::Urgency;
use crate::inbox::Input;
use crate::shared::Shared;

/// `GET /v1/queue/pauses`
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Answer<Vec<PauseRow>> {
    Ok(Json(rows(&shared).await?))
}

/// All that are not over.
pub(super) async fn rows(shared: &Shared) -> Result<Vec<PauseRow>, Trouble> {
    let now = shared.services.clock.moment();
    let spool = Arc::clone(&shared.services.spool);
    let pauses = blocking(move || spool.pauses()).await?;
    let holding = pauses.iter().filter(|pause| !pause.is_over(now.line));
    Ok(holding.map(|pause| row(pause, now)).collect())
}

/// A pause as it is shown.
pub(super) fn row(pause: &Pause, now: Moment) -> PauseRow {
    PauseRow {
        site: pause.site.as_deref().map(str::to_owned),
        by: pause.by.to_string(),
        reason: pause.reason.as_deref().map(str::to_owned),
        since: now.shown(pause.since).to_string(),
        until: pause.until.map(|until| now.shown(until).to_string()),
    }
}

/// `POST /v1/queue/pause`
pub(super) async fn pause(
    State(shared): State<Arc<Shared>>,
    act: Act,
    Json(change): Json<PauseChange>,
) -> Answer<PauseRow> {
    let now = shared.services.clock.moment();
    act.on(site_named(change.site.as_deref()));
    let lasting = |text: String| {
        let no_duration =
            || Trouble::bad(format!("`{text}` is no duration: write it as 30m or 2h"));
        mail::quantity::duration(&text).ok_or_else(no_duration)
    };
    let lasting = change.lasting.map(lasting).transpose()?;
    let pause = Pause {
        site: change
            .site
            .map(|site| site_name(&shared, &site))
            .transpose()?,
        by: act.by(change.by)?,
        reason: act.because(change.reason)?,
        since: now.line,
        until: lasting.map(|lasting| now.line + lasting),
    };
    let row = row(&pause, now);
    change_pauses(&shared, Change::Pause(pause)).await?;
    let (site, by, reason) = (row.site.as_deref(), &*row.by, row.reason.as_deref());
    let until = row.until.as_deref();
    tracing::info!(site, by, reason, until, "paused by an operator");
    Ok(Json(row))
}

/// `POST /v1/queue/resume`
pub(super) async fn resume(
    State(shared): State<Arc<Shared>>,
    act: Act,
    Json(change): Json<ResumeChange>,
) -> Answer<Resumed> {
    act.on(site_named(change.site.as_deref()));
    // The configuration may have named it when it was paused.
    let named = |text: String| site_name(&shared, &text).or_else(|_| name(text));
    let site = change.site.map(named).transpose()?;
    let pauses = change_pauses(&shared, Change::Resume(site.clone())).await?;
    if pauses == 0 {
        let what = site_named(site.as_deref());
        return Err(Trouble(
            StatusCode::NOT_FOUND,
            format!("{what} is not paused"),
        ));
    }
    tracing::info!(site = site.as_deref(), "resumed by an operator");
    Ok(Json(Resumed { pauses }))
}

/// What is paused, in words.
fn site_named(site: Option<&str>) -> &str {
    site.unwrap_or("the whole queue")
}

/// As the queue manager calls it. A site to which no mail can go would be paused in vain.
fn site_name(shared: &Shared, text: &str) -> Result<Box<str>, Trouble> {
    let active = shared.services.active();
    let name = active.setup.routes().site_name(text);
    let name = name.map(|name| Box::from(&*name));
    name.ok_or_else(|| {
        let forms = "mx:DOMAIN, route:NAME, or as `gatepost queue shape` and `route show` say";
        Trouble::bad(format!("no mail goes to a site `{text}`: write {forms}"))
    })
}

/// Writes the change down, then tells the queue manager; one change after the other.
async fn change_pauses(shared: &Shared, change: Change) -> Result<u64, Trouble> {
    let _in_order = shared.pausing.lock().await;
    let changed = shared.services.disk.apply(change, Urgency::Now).await?;
    let spool = Arc::clone(&shared.services.spool);
    let pauses = blocking(move || spool.pauses()).await?;
    let paused = queue::Event::Paused { pauses };
    let _stopping = shared.services.dispatch.send(Input::queue(paused));
    Ok(changed)
}
