//! Asks the queue manager now and then whether anything has come to a stand, and logs what is new
//! of it and what is over.

use std::sync::Arc;
use std::time::Duration;

use queue::Alarm;
use tokio::sync::oneshot;

use crate::inbox::Input;
use crate::services::Services;

/// How often it asks.
const INTERVAL: Duration = Duration::from_secs(60);

/// Runs as long as the relay.
pub(crate) async fn watch(services: Arc<Services>) {
    let mut known: Vec<Alarm> = Vec::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let alarms = alarms(&services).await;
        let now = services.clock.moment();
        for alarm in missing(&alarms, &known) {
            let since = now.shown(alarm.since);
            let (site, why) = (&*alarm.site, &*alarm.why);
            tracing::error!(site, what = %alarm.what, %since, why, "alarm");
        }
        for alarm in missing(&known, &alarms) {
            tracing::info!(site = &*alarm.site, what = %alarm.what, "alarm over");
        }
        known = alarms;
    }
}

/// What is wrong at this moment.
pub(crate) async fn alarms(services: &Services) -> Vec<Alarm> {
    let (ask, answer) = oneshot::channel();
    let _stopping = services.dispatch.send(Input::Alarms(ask));
    answer.await.unwrap_or_default()
}

/// Those of `alarms` that are not among `others`, whatever is said of the reason.
fn missing<'a>(alarms: &'a [Alarm], others: &'a [Alarm]) -> impl Iterator<Item = &'a Alarm> {
    let key = |alarm: &Alarm| (Arc::clone(&alarm.site), alarm.what);
    alarms
        .iter()
        .filter(move |alarm| others.iter().all(|other| key(other) != key(alarm)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Timestamp;
    use queue::Stuck;

    #[test]
    fn an_alarm_is_new_once_whatever_its_reason_becomes() {
        let alarm = |site: &str, why: &str| Alarm {
            site: site.into(),
            what: Stuck::NotTried,
            since: Timestamp::default(),
            why: why.to_owned(),
        };
        let (before, after) = (
            [alarm("a", "x"), alarm("b", "x")],
            [alarm("b", "y"), alarm("c", "x")],
        );
        let new: Vec<_> = missing(&after, &before).collect();
        assert_eq!(new, [&after[1]]);
        let over: Vec<_> = missing(&before, &after).collect();
        assert_eq!(over, [&before[0]]);
    }
}
