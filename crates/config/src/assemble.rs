//! Puts the settings together: defaults, what depends on something else, what contradicts itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mail::{Domain, Mailbox, Place};

use crate::config::{
    Account, Badmail, Control, Dns, Log, LogFormat, LogLevel, LogTarget, Outbound, Queue, Spool,
    SpoolKind, Transcript,
};
use crate::deliveries::tls_demand;
use crate::options::Force;
use crate::settings::Settings;
use crate::source::Span;
use crate::{
    Config, Environment, Files, auth, deliveries, directories, domains, limits, listeners, posture,
    quantity, relay, relay_tests, routes, tls,
};

/// Makes the configuration; `None` only when something is so wrong that none can be made. Problems
/// go into `settings`.
pub(crate) fn assemble(
    settings: &mut Settings,
    files: &dyn Files,
    environment: &Environment,
) -> Option<Config> {
    warn_of_what_does_nothing(settings);
    let fingerprint = settings.fingerprint();
    let hostname = hostname(settings, environment);
    let data_dir = data_dir(settings);
    let domains = domains::domains(settings, files, &data_dir);
    let auth = auth::auth(settings, &data_dir);
    let shared = relay::Shared {
        domains: Arc::new(domains.table),
        senders: Arc::new(domains::senders(settings)),
        relay: relay::global(settings),
        tls: tls::global(settings),
        sender_match: auth.sender_match,
        sender_match_place: settings.place_of("auth.sender_match"),
    };
    let listeners = listeners::listeners(settings, &hostname, &shared);
    let sign_in_at = listeners::sign_in_at(&listeners);
    let rules = Arc::new(shared.rules_without_listener(sign_in_at));
    let posture = posture::check(settings, &listeners);
    let routes = routes::routes(settings, domains.vias, &hostname, &listeners, environment)?;
    let first = domains.first.as_ref();
    let relay_tests = relay_tests::read(settings, files);
    let config = Config {
        postmaster: settings
            .mailbox("postmaster")
            .or_else(|| first.map(Mailbox::postmaster)),
        stop_timeout: settings
            .duration("stop_timeout", "stop_timeout")
            .unwrap_or_default(),
        user: account(settings, "user"),
        group: account(settings, "group"),
        rules,
        domains: domains.settings,
        routes: Arc::new(routes),
        outbound: outbound(settings),
        dns: dns(settings),
        tls: shared.tls,
        auth,
        directories: directories::directories(settings),
        deliveries: deliveries::deliveries(settings),
        verify: auth::verify(settings),
        limits: limits::limits(settings),
        queue: queue(settings),
        spool: spool(settings),
        log: log(settings),
        control: control(settings, &data_dir),
        recipient_files: domains.recipient_files,
        posture,
        fingerprint,
        relay_tests: relay_tests.iter().map(|(test, _)| test.clone()).collect(),
        hostname,
        data_dir,
        listeners,
    };
    relay_tests::run(settings, &config, &relay_tests);
    Some(config)
}

/// One warning for a section: what is not in force must not look as if it were.
fn warn_of_what_does_nothing(settings: &mut Settings) {
    let mut sections: Vec<(String, Vec<&str>, Span)> = Vec::new();
    for (key, setting) in &settings.values {
        if setting.spec.force == Force::Now {
            continue;
        }
        let name = setting.spec.name();
        let section = key
            .strip_suffix(name)
            .unwrap_or(key)
            .trim_end_matches('.')
            .to_owned();
        match sections.iter_mut().find(|(known, ..)| *known == section) {
            Some((_, names, _)) => names.push(name),
            None => sections.push((section, vec![name], setting.key.clone())),
        }
    }
    for (section, names, span) in sections {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let verb = if names.len() == 1 { "is" } else { "are" };
        let message = format!(
            "{} in [{section}] {verb} not in force yet",
            names.join(", ")
        );
        settings.warn(
            &span,
            message,
            "read, checked, and not used by this version",
        );
    }
}

fn hostname(settings: &mut Settings, environment: &Environment) -> Domain {
    let written = settings
        .name("hostname", "hostname")
        .or_else(|| environment.hostname.clone());
    written.unwrap_or_else(|| {
        let message =
            "`hostname` is not set and the system has no full name: calling ourselves localhost";
        let warning = crate::Diagnostic::new(crate::Severity::Warning, message);
        settings.push(None, warning);
        Mailbox::parse("postmaster@localhost")
            .ok()
            .and_then(|mailbox| mailbox.host().domain().cloned())
            .unwrap_or_else(|| unreachable!("localhost is a domain"))
    })
}

fn account(settings: &Settings, key: &'static str) -> Account {
    Account {
        name: settings.text(key, key).unwrap_or_default(),
        place: settings.place_of(key),
    }
}

fn outbound(settings: &Settings) -> Outbound {
    let number = |key| settings.number(key, key).unwrap_or(1);
    Outbound {
        connections_max: number("outbound.max_connections"),
        reserved_percent: settings
            .number("outbound.reserved", "outbound.reserved")
            .unwrap_or_default(),
        notices_percent: number("outbound.share.notices"),
        own_domains_percent: number("outbound.share.own_domains"),
        sender_percent: number("outbound.share.sender_domain"),
        silence_timeout: duration(settings, "outbound.silence_timeout"),
        connections_per_site_max: number("outbound.max_per_site"),
        messages_per_connection: number("outbound.messages_per_connection"),
        connect_timeout: duration(settings, "outbound.timeout"),
        tls: tls_demand(settings, "outbound.tls", "outbound.tls").unwrap_or_default(),
        dane: settings.flag("outbound.dane", "outbound.dane"),
        mta_sts: settings.flag("outbound.mta_sts", "outbound.mta_sts"),
        never_as_null: settings.flag("outbound.never_as_null", "outbound.never_as_null"),
        ca: settings.path("outbound.ca"),
    }
}

/// Of an option that has a default and no `off`.
fn duration(settings: &Settings, key: &str) -> Duration {
    settings.duration(key, key).unwrap_or_default()
}

fn dns(settings: &mut Settings) -> Dns {
    let keys = [
        "dns.timeout",
        "outbound.timeout",
        "outbound.silence_timeout",
    ];
    positive(settings, &keys);
    Dns {
        servers: settings.sockets("dns.servers"),
        timeout: duration(settings, "dns.timeout"),
    }
}

/// A wait of no time at all would fail always.
pub(crate) fn positive(settings: &mut Settings, keys: &[&str]) {
    for key in keys {
        if settings.duration(key, key) == Some(Duration::ZERO) {
            settings.error_at(key, format!("`{key}` must be longer than nothing"), "");
        }
    }
}

/// IIS's retry table.
const IIS_RETRY: [&str; 4] = ["15m", "30m", "60m", "240m"];

fn queue(settings: &mut Settings) -> Queue {
    positive(
        settings,
        &[
            "queue.expire",
            "queue.delay_notice",
            "queue.probe",
            "queue.badmail_age",
        ],
    );
    let preset = settings.text("queue.preset", "queue.preset").is_some();
    let written = settings.get("queue.retry").is_some();
    let retry = if preset && !written {
        IIS_RETRY
            .iter()
            .filter_map(|text| quantity::duration(text))
            .collect()
    } else {
        settings.durations("queue.retry")
    };
    check_retry(settings, &retry);
    let badmail = match settings.text("queue.badmail", "queue.badmail").as_deref() {
        Some("discard") => Badmail::Discard,
        Some(_) | None => Badmail::Keep,
    };
    let queue = Queue {
        retry,
        expire: duration(settings, "queue.expire"),
        delay_notice: settings.duration("queue.delay_notice", "queue.delay_notice"),
        probe: duration(settings, "queue.probe"),
        success_rate: settings.rate("queue.ndr.success_rate"),
        success_to_strangers: settings.flag(
            "queue.ndr.success_to_strangers",
            "queue.ndr.success_to_strangers",
        ),
        return_size: settings.size("queue.ndr.return_size"),
        copy_to: settings.mailbox("queue.ndr.copy_to"),
        badmail,
        badmail_age: duration(settings, "queue.badmail_age"),
        badmail_size: settings.size("queue.badmail_size"),
    };
    warn_of_late_notice(settings, &queue);
    queue
}

fn check_retry(settings: &mut Settings, retry: &[Duration]) {
    if retry.is_empty() || retry.contains(&Duration::ZERO) {
        let message = "`retry` in [queue] needs pauses, each longer than nothing".into();
        settings.error_at("queue.retry", message, "write [\"1m\", \"5m\", \"15m\"]");
    }
}

/// Only when somebody wrote the notice: a short expiry alone simply means that no delay is told.
fn warn_of_late_notice(settings: &mut Settings, queue: &Queue) {
    if queue
        .delay_notice
        .is_some_and(|notice| notice >= queue.expire)
    {
        let message = "no delay is ever told: the message bounces before".into();
        settings.warn_at(
            "queue.delay_notice",
            message,
            "not shorter than queue.expire",
        );
    }
}

fn spool(settings: &mut Settings) -> Spool {
    if settings.text("spool.kind", "spool.kind").as_deref() == Some("postgres") {
        let message = "the shared spool is not there yet".into();
        settings.error_at("spool.kind", message, "this version has \"local\" only");
    }
    Spool {
        kind: SpoolKind::Local,
        min_free: settings.size("spool.min_free"),
    }
}

fn log(settings: &mut Settings) -> Log {
    let word = |key| settings.text(key, key).unwrap_or_default();
    let level = match word("log.level").as_str() {
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "debug" => LogLevel::Debug,
        _ => LogLevel::Info,
    };
    let format = if word("log.format") == "json" {
        LogFormat::Json
    } else {
        LogFormat::Text
    };
    let transcript = match word("log.transcript").as_str() {
        "off" => Transcript::Off,
        "all" => Transcript::All,
        _ => Transcript::Failures,
    };
    let file = settings.text("log.file", "log.file");
    let target = file.map_or(LogTarget::Stdout, |path| LogTarget::File(path.into()));
    check_log(settings, &target);
    Log {
        level,
        format,
        target,
        transcript,
    }
}

fn check_log(settings: &mut Settings, target: &LogTarget) {
    if settings.text("log.format", "log.format").as_deref() == Some("w3c") {
        let message = "the format w3c is not there yet: text is written".into();
        settings.warn_at("log.format", message, "");
    }
    if *target == LogTarget::Stdout && !settings.flag("log.stdout", "log.stdout") {
        let label = "set log.file, or leave this out";
        settings.error_at("log.stdout", "the log must go somewhere".into(), label);
    }
}

/// `data_dir`
pub(crate) fn data_dir(settings: &Settings) -> PathBuf {
    PathBuf::from(settings.text("data_dir", "data_dir").unwrap_or_default())
}

/// `[control]`
pub(crate) fn control(settings: &Settings, data_dir: &std::path::Path) -> Control {
    let written = settings
        .text("control.socket", "control.socket")
        .map(PathBuf::from);
    Control {
        socket: written.unwrap_or_else(|| data_dir.join("control.sock")),
    }
}

/// Where something was written, for values that have no default of their own.
pub(crate) fn first_place(places: [Place; 2]) -> Place {
    let [first, second] = places;
    if first == Place::Default {
        second
    } else {
        first
    }
}
