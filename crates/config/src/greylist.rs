//! `[greylisting]`: whom it does not delay, and what contradicts itself.

use std::time::Duration;

use relay_policy::{Greylisting, Listed, SenderPattern};

use crate::form::Item;
use crate::option::Opt;
use crate::options::{greylisting as options, reputation};
use crate::relay::list;
use crate::settings::{Settings, positive};

/// Clients try again for some days (RFC 5321 section 4.5.4.1), but most warn their senders of a delay
/// within hours.
const DELAY_MAX: Duration = Duration::from_secs(86_400);

/// Whom it does not delay; `None`: it is not switched on.
pub(crate) fn read(settings: &mut Settings) -> Option<Greylisting> {
    let recipients = settings.get(options::RECIPIENTS).into_iter();
    let nobody = recipients.filter(|item| item.value == SenderPattern::Null);
    for item in nobody.collect::<Vec<_>>() {
        let message = "no message goes to <>".to_owned();
        settings.error(&item.span, message, "leave \"<>\" out");
    }
    settings.get(options::ENABLED).then(|| Greylisting {
        clients: list(settings, options::CLIENTS.into()),
        senders: listed(settings, options::SENDERS),
        recipients: listed(settings, options::RECIPIENTS),
        place: settings.place_of(options::ENABLED),
    })
}

fn listed(settings: &Settings, option: &'static Opt<Vec<Item<SenderPattern>>>) -> Box<[Listed]> {
    let items = settings.get(option).into_iter();
    let listed = items.map(|item| Listed {
        pattern: item.value,
        place: settings.place(&item.span),
    });
    listed.collect()
}

/// What follows from more than one option.
pub(crate) fn check(settings: &mut Settings, own: &greylisting::Settings) {
    for time in [options::DELAY, options::KEEP, reputation::HALF_LIFE] {
        positive(settings, time);
    }
    if own.delay > DELAY_MAX {
        let message = "`delay` in [greylisting] is longer than clients wait".to_owned();
        settings.error_at(options::DELAY, message, "at most \"1d\"");
    }
    if own.retry_within <= own.delay {
        let message = "a client that waited for `delay` is too late for `retry_within`".to_owned();
        let label = "retry_within is longer than delay";
        at_one_of(
            settings,
            [options::RETRY_WITHIN, options::DELAY],
            message,
            label,
        );
    }
    if own.keep < own.retry_within {
        let message = "`keep` forgets what passed before `retry_within` is over".to_owned();
        let label = "keep is at least retry_within";
        at_one_of(
            settings,
            [options::KEEP, options::RETRY_WITHIN],
            message,
            label,
        );
    }
}

/// An error at the first of them that somebody wrote.
fn at_one_of(
    settings: &mut Settings,
    options: [&'static Opt<Duration>; 2],
    message: String,
    label: &str,
) {
    let written = options.into_iter().find(|option| settings.is_set(*option));
    if let Some(option) = written {
        settings.error_at(option, message, label);
    }
}
