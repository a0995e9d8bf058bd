//! `[limits]`: what a session may cost, and how often one may come.

use std::time::Duration;

use crate::options::limits;
use crate::parts::Sections;
use crate::settings::Settings;

/// RFC 5321 section 4.5.3.2.1: a client waits five minutes for the greeting, and hardly longer for
/// anything else; most wait less.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What follows from more than one option, and what contradicts itself.
pub(crate) fn complete(settings: &mut Settings, sections: &mut Sections) {
    let of_session = &mut sections.session.limits;
    of_session.recipients_of_strangers = recipients_of_strangers(settings, of_session);
    of_session.passed_over = of_session.message_size;
    sections.admission.unknown_recipients = settings.fill(limits::UNKNOWN_RECIPIENTS);
    check_sizes(settings, of_session);
    check_waits(settings);
}

/// One limit that was written for all stays one for all.
fn recipients_of_strangers(settings: &Settings, limits: &reception::Limits) -> u32 {
    let for_all = settings
        .is_set(limits::RECIPIENTS)
        .then_some(limits.recipients);
    let written = settings.get(limits::RECIPIENTS_OF_STRANGERS).or(for_all);
    written.unwrap_or(limits.recipients_of_strangers)
}

fn check_sizes(settings: &mut Settings, limits: &reception::Limits) {
    let of_session = limits.session_size.unwrap_or(u64::MAX);
    if limits.message_size > 0 && of_session >= limits.message_size {
        return;
    }
    let message = "a session must be able to carry a message".into();
    let label = "session_size is at least message_size, and that is more than 0";
    if settings.is_set(limits::SESSION_SIZE) {
        settings.error_at(limits::SESSION_SIZE, message, label);
    } else {
        settings.error_at(limits::MESSAGE_SIZE, message, label);
    }
}

fn check_waits(settings: &mut Settings) {
    for option in [limits::TARPIT, limits::GREETING_DELAY] {
        if settings.get(option) > WAIT_MAX {
            let message = format!("`{}` is longer than clients wait", option.facts.key());
            settings.error_at(option, message, "at most \"1m\"");
        }
    }
}
