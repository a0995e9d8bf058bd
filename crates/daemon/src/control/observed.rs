//! What goes on, at a glance: how much, why clients are refused, and who sends.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use mail::Timestamp;
use queue::Moment;

use super::{Answer, Trouble};
use crate::api::{
    DeviceLists, DeviceRefusal, DeviceRow, DevicesQuery, Rates, RatesQuery, RefusedWhy, SiteRow,
};
use crate::devices::{DAYS, Device};
use crate::rates::Counted;
use crate::refusals::Refusal;
use crate::shared::Shared;

/// Rates are told for so long a time, unless another one is asked for.
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Devices are told of for so long a time, unless another one is asked for.
const WEEK: Duration = Duration::from_hours(7 * 24);
/// The kinds of refusals that are told.
const REFUSALS: usize = 20;
/// Devices in one answer, unless another number is asked for.
const ROWS: usize = 100;
/// Devices in one answer at most.
const ROWS_MAX: usize = 1_000;

/// `GET /v1/rates`
pub(super) async fn rates(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<RatesQuery>,
) -> Answer<Rates> {
    let length = lasting(query.lasting, HOUR)?;
    let now = shared.services.clock.moment();
    let observed = &shared.services.journal.observed;
    let series = observed.rates().series(now.line, length);
    let most = observed.refusals().most(now.line, REFUSALS);
    let shown = |at: Timestamp| now.shown(at).to_string();
    let why = |(status, count, last): (Box<str>, u64, Refusal)| RefusedWhy {
        status: status.into(),
        place: filled(&last.place),
        count,
        last: shown(last.at),
        client: last.client.into(),
        reply: last.reply.into(),
        reason: filled(&last.reason),
    };
    Ok(Json(Rates {
        since: shown(series.since),
        step_seconds: series.step.as_secs(),
        received: series.of(Counted::Received),
        refused: series.of(Counted::Refused),
        postponed: series.of(Counted::Postponed),
        delivered: series.of(Counted::Delivered),
        deferred: series.of(Counted::Deferred),
        failed: series.of(Counted::Failed),
        queued: series.queued,
        why_refused: most.into_iter().map(why).collect(),
    }))
}

/// `GET /v1/devices`
pub(super) async fn devices(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<DevicesQuery>,
) -> Answer<DeviceLists> {
    let days = lasting(query.lasting, WEEK)?.as_secs();
    let days = days.div_ceil(DAY.as_secs()).clamp(1, DAYS);
    let limit = query.limit.unwrap_or(ROWS).min(ROWS_MAX);
    let now = shared.services.clock.moment();
    let known = shared.services.journal.observed.devices.known();
    let (devices, strangers) = (
        known.devices(now.line, days, limit),
        known.strangers(now.line, days, limit),
    );
    drop(known);
    let row = |device: Device| device_row(device, now, days);
    Ok(Json(DeviceLists {
        devices: devices.into_iter().map(row).collect(),
        not_permitted: strangers.into_iter().map(row).collect(),
    }))
}

/// What else is known of a site.
pub(super) fn with_rates(row: SiteRow, shared: &Shared, now: Moment) -> SiteRow {
    let observed = &shared.services.journal.observed;
    let (delivered, p95) = observed.sites().of(now.line, &row.site);
    SiteRow {
        delivered_in_hour: delivered,
        p95_millis: p95.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        ..row
    }
}

fn device_row(device: Device, now: Moment, days: u64) -> DeviceRow {
    let (messages, refusals) = device.counts(now.line, days);
    let refusal = device.refusal().map(|words| DeviceRefusal {
        at: now.shown(words.at()).to_string(),
        reply: words.reply.clone(),
        reason: words.reason.clone(),
        place: words.place.clone(),
    });
    DeviceRow {
        seen: now.shown(device.seen()).to_string(),
        client: device.client,
        name: device.name,
        user: device.user,
        tls: device.tls,
        senders: device.senders,
        messages,
        refusals,
        refusal,
    }
}

fn lasting(text: Option<String>, usual: Duration) -> Result<Duration, Trouble> {
    let Some(text) = text else {
        return Ok(usual);
    };
    let wrong = || {
        let shown = mail::escaped(&text);
        Trouble::bad(format!("`{shown}` is no duration: write it as 1h or 7d"))
    };
    mail::quantity::duration(&text).ok_or_else(wrong)
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
