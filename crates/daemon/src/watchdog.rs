//! Asks the queue manager now and then whether anything has come to a stand, and logs what is new
//! of it and what is over.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use queue::Alarm;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::inbox::{self, Input};
use crate::services::Services;

/// How often it asks.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long it waits for the answer, which is a matter of a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs as long as the relay.
pub(crate) async fn watch(services: Arc<Services>) {
    let mut known: Vec<Alarm> = Vec::new();
    let mut was_silent = false;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let alarms = alarms(&services.dispatch, PATIENCE).await;
        match (was_silent, &alarms) {
            (false, Err(silent)) => tracing::error!(what = %silent, "alarm"),
            (true, Ok(_)) => tracing::info!(what = %Silent, "alarm over"),
            (false, Ok(_)) | (true, Err(_)) => {}
        }
        was_silent = alarms.is_err();
        let Ok(alarms) = alarms else {
            continue;
        };
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

/// The queue manager stands still, or is far behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Silent;

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue manager does not answer")
    }
}

/// What is wrong at this moment, as the queue manager says within so long. While stopping nothing
/// is.
pub(crate) async fn alarms(
    dispatch: &mpsc::UnboundedSender<Input>,
    patience: Duration,
) -> Result<Vec<Alarm>, Silent> {
    let answered = timeout(patience, inbox::ask(dispatch, Input::Alarms)).await;
    Ok(answered.map_err(|_| Silent)?.unwrap_or_default())
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

    #[tokio::test(start_paused = true)]
    async fn a_queue_manager_that_does_not_answer_is_noticed() {
        let (dispatch, mut inbox) = mpsc::unbounded_channel();
        let asked = || alarms(&dispatch, PATIENCE);
        assert_eq!(asked().await, Err(Silent));
        // What was asked meanwhile is answered late, and nobody waits for it.
        let answers = tokio::spawn(async move {
            for _ in 0..2 {
                let Some(Input::Alarms(answer)) = inbox.recv().await else {
                    panic!("alarms are asked for")
                };
                let _gone = answer.send(Vec::new());
            }
        });
        assert_eq!(asked().await, Ok(Vec::new()));
        answers.await.unwrap();
        assert_eq!(asked().await, Ok(Vec::new()), "it has stopped");
    }

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
