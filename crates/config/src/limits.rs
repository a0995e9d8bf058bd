//! `[limits]`: what a session may cost, and how often one may come.

use std::sync::Arc;
use std::time::Duration;

use admission::{Limit, RateLimits};

use crate::config::Limits;
use crate::settings::Settings;

/// RFC 5321 section 4.5.3.2.1: a client waits five minutes for the greeting, and hardly longer for
/// anything else; most wait less.
const WAIT_MAX: Duration = Duration::from_secs(60);

pub(crate) fn limits(settings: &mut Settings) -> Limits {
    let number = |key| settings.number(key, key).unwrap_or(1);
    let span = |key| settings.duration(key, key).unwrap_or_default();
    let limits = Limits {
        message_size: settings.size("limits.message_size"),
        session_size: settings.size("limits.session_size"),
        recipients: number("limits.recipients"),
        recipients_of_strangers: recipients_of_strangers(settings),
        hops: number("limits.hops"),
        errors: number("limits.errors"),
        messages: number("limits.messages"),
        idle_commands: number("limits.idle_commands"),
        command_line: number("limits.command_line"),
        content_line: number("limits.content_line"),
        header_size: settings.size("limits.header_size"),
        data_start_timeout: span("limits.data_start_timeout"),
        data_timeout: span("limits.data_timeout"),
        unknown_recipients: number("limits.unknown_recipients"),
        tarpit: span("limits.tarpit"),
        strict_pipelining: settings.flag("limits.strict_pipelining", "limits.strict_pipelining"),
        admission: Arc::new(admission(settings)),
    };
    check_sizes(settings, &limits);
    check_waits(settings, &limits);
    limits
}

/// Recipients of a stranger's message when nothing is written.
const RECIPIENTS_OF_STRANGERS: u32 = 100;

/// One limit that was written for all stays one for all.
fn recipients_of_strangers(settings: &Settings) -> u32 {
    const KEY: &str = "limits.recipients_of_strangers";
    let for_all = || {
        let written = settings.get("limits.recipients").is_some();
        let number = || settings.number("limits.recipients", "limits.recipients");
        written.then(number).flatten()
    };
    settings
        .number(KEY, KEY)
        .or_else(for_all)
        .unwrap_or(RECIPIENTS_OF_STRANGERS)
}

/// How fast one may come, each limit with the line that sets it.
fn admission(settings: &Settings) -> admission::Limits {
    let number = settings.number("limits.unknown_recipients", "limits.unknown_recipients");
    let delay = settings.duration("limits.greeting_delay", "limits.greeting_delay");
    let loopback = settings.flag("limits.rate_loopback", "limits.rate_loopback");
    admission::Limits {
        per_client: rates(settings, "limits.rate_per_client"),
        per_network: rates(settings, "limits.rate_per_network"),
        per_user: rates(settings, "limits.rate_per_user"),
        limit_loopback: set_by(settings, "limits.rate_loopback", loopback),
        unknown_recipients: set_by(settings, "limits.unknown_recipients", number.unwrap_or(1)),
        greeting_delay: set_by(settings, "limits.greeting_delay", delay.unwrap_or_default()),
    }
}

fn set_by<T>(settings: &Settings, key: &str, value: T) -> Limit<T> {
    Limit {
        value,
        place: settings.place_of(key),
    }
}

/// The rates of one section; what it does not have is unlimited.
fn rates(settings: &Settings, section: &str) -> RateLimits {
    let rate = |name: &str| {
        let key = format!("{section}.{name}");
        let rate = settings.rate(&key)?;
        Some(set_by(settings, &key, rate))
    };
    RateLimits {
        messages: rate("messages"),
        recipients: rate("recipients"),
        connections: rate("connections"),
    }
}

fn check_sizes(settings: &mut Settings, limits: &Limits) {
    if limits.message_size > 0 && limits.session_size >= limits.message_size {
        return;
    }
    let written = settings.get("limits.session_size").is_some();
    let key = if written {
        "limits.session_size"
    } else {
        "limits.message_size"
    };
    let message = "a session must be able to carry a message".into();
    let label = "session_size is at least message_size, and that is more than 0";
    settings.error_at(key, message, label);
}

fn check_waits(settings: &mut Settings, limits: &Limits) {
    for (key, wait) in [
        ("limits.tarpit", limits.tarpit),
        (
            "limits.greeting_delay",
            limits.admission.greeting_delay.value,
        ),
    ] {
        if wait > WAIT_MAX {
            let message = format!("`{key}` is longer than clients wait");
            settings.error_at(key, message, "at most \"1m\"");
        }
    }
}
